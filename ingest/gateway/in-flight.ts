/** The bytes of bodies that a gateway works on at a time: what would be too much is refused before it is held. */
import { FailureError } from '#schemas/failures.ts';

export type Hold = {
  /** Asks for more. Throws OVERLOADED where there is no room. */
  readonly grow: (bytes: number) => void;
  readonly release: () => void;
  /**
   * Keeps the room until the work is done, released or not: it holds the body's bytes, although the caller may have
   * hung up.
   */
  readonly during: <T>(work: Promise<T>) => Promise<T>;
};

/** Returns how to ask for room. `show` is told of every change. */
export const createInFlight = (bytesMax: number, show: (bytes: number) => void): ((bytes: number) => Hold) => {
  let inFlight = 0;
  return (bytes) => {
    let held = 0;
    let isReleased = false;
    let working = 0;
    const giveBack = (): void => {
      if (!isReleased || working > 0) return;
      inFlight -= held;
      held = 0;
      show(inFlight);
    };
    const grow = (more: number): void => {
      // Its caller is gone, and so is who would release it.
      if (isReleased) throw new FailureError('BAD_REQUEST', 'The caller is gone');
      if (inFlight + more > bytesMax) throw new FailureError('OVERLOADED');
      held += more;
      inFlight += more;
      show(inFlight);
    };
    grow(bytes);
    return {
      grow,
      release: () => {
        isReleased = true;
        giveBack();
      },
      during: async (work) => {
        working += 1;
        try {
          return await work;
        } finally {
          working -= 1;
          giveBack();
        }
      },
    };
  };
};
