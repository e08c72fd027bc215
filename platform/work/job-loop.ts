import { sleep } from '../process/clock.ts';
import { backoffMs } from '../stores/retry.ts';

export type JobLoop = {
  /** Has it look now, or again at once where it is looking. */
  readonly wake: () => void;
  readonly stop: () => Promise<void>;
};

export type JobLoopOptions = {
  /** Does one piece of work; resolves with whether there was any, or in how many milliseconds there will be some. */
  readonly work: () => Promise<boolean | number>;
  /** How many pieces are worked on at a time. */
  readonly lanes: number;
  readonly pollMs: number;
  readonly onFault: (error: unknown) => void;
};

/**
 * Works as long as there is work, and looks for more every `pollMs` or when it is woken. A fault is reported and waited
 * out, and looked after in growing pauses; `stop` lets running work finish.
 */
export const startJobLoop = ({ work, lanes, pollMs, onFault }: JobLoopOptions): JobLoop => {
  const stopped = new AbortController();
  let waking = new AbortController();
  const lane = async () => {
    let faults = 0;
    const pauseMs = (): number => {
      faults += 1;
      return backoffMs(faults - 1, Math.random());
    };
    while (!stopped.signal.aborted) {
      // Of before the look: who wakes meanwhile knows of work that this look may have missed.
      const woken = waking.signal;
      try {
        const found = await work();
        if (found !== false) faults = 0;
        if (typeof found === 'number') await sleep(found, woken);
        // What a fault gave back rests for a moment that is shorter than a look in vain may be late.
        if (found === false) await sleep(faults === 0 ? pollMs : Math.min(pollMs, pauseMs()), woken);
      } catch (error) {
        onFault(error);
        await sleep(pauseMs(), stopped.signal);
      }
    }
  };
  const running = Promise.all(Array.from({ length: lanes }, lane));
  const wake = () => {
    waking.abort();
    waking = new AbortController();
  };
  return {
    wake,
    stop: async () => {
      stopped.abort();
      wake();
      await running;
    },
  };
};
