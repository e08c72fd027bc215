/** Waits for the end of a run, as a caller asked to. */
import { sleep, stopwatch } from '#platform/process/clock.ts';
import type { RunState } from './runs.postgres.ts';

/**
 * Often at first, then a fifth of the time that was waited: a thousand who wait for a long run must not keep the
 * database busy.
 */
const pauseMsAfter = (waitedMs: number): number => Math.min(500, Math.max(50, waitedMs / 5));

export type RunWaitPorts = {
  /** Undefined where there is no such run. */
  readonly state: () => Promise<RunState | undefined>;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
  readonly isCallerThere: () => boolean;
};

export const waitForRun = async (
  { state, isServing, isCallerThere }: RunWaitPorts,
  waitSeconds: string | undefined,
): Promise<void> => {
  const waitMsMax = Number(waitSeconds ?? 0) * 1000;
  const waitedMs = stopwatch();
  while (waitedMs() < waitMsMax && isServing() && isCallerThere()) {
    const now = await state();
    if (now !== 'queued' && now !== 'running') break;
    await sleep(Math.max(0, Math.min(pauseMsAfter(waitedMs()), waitMsMax - waitedMs())));
  }
};
