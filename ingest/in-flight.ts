/** The bytes of bodies that a gateway works on at a time: what would be too much is refused before it is held. */
import { FailureError } from '#schemas/failures.ts';

export type Hold = {
  /** Asks for more. Throws OVERLOADED where there is no room. */
  readonly grow: (bytes: number) => void;
  readonly release: () => void;
};

/** Returns how to ask for room. `show` is told of every change. */
export const createInFlight = (bytesMax: number, show: (bytes: number) => void): ((bytes: number) => Hold) => {
  let inFlight = 0;
  return (bytes) => {
    let held = 0;
    let isReleased = false;
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
        inFlight -= held;
        held = 0;
        isReleased = true;
        show(inFlight);
      },
    };
  };
};
