import { sleep } from '../process/clock.ts';
import { backoffMs } from '../stores/retry.ts';

export type JobLoop = { readonly stop: () => Promise<void> };

export type JobLoopOptions = {
  /** Does one piece of work; resolves with whether there was any. */
  readonly work: () => Promise<boolean>;
  /** How many pieces are worked on at a time. */
  readonly lanes: number;
  readonly pollMs: number;
  readonly onFault: (error: unknown) => void;
};

/**
 * Works as long as there is work, and looks for more every `pollMs`. A fault is reported and waited out; `stop` lets
 * running work finish.
 */
export const startJobLoop = ({ work, lanes, pollMs, onFault }: JobLoopOptions): JobLoop => {
  const stopped = new AbortController();
  const lane = async () => {
    let faults = 0;
    while (!stopped.signal.aborted) {
      try {
        const found = await work();
        faults = 0;
        if (!found) await sleep(pollMs, stopped.signal);
      } catch (error) {
        onFault(error);
        await sleep(Math.max(pollMs, backoffMs(faults, Math.random())), stopped.signal);
        faults += 1;
      }
    }
  };
  const running = Promise.all(Array.from({ length: lanes }, lane));
  return {
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
};
