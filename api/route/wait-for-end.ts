/** Reads that wait for the end of what others work on: `?wait_seconds=`. */
import { sleep, stopwatch } from '#platform/process/clock.ts';

/**
 * Often at first, then a fifth of the time that was waited: a thousand who wait for a long run must not keep the
 * database busy.
 */
const pauseMsAfter = (waitedMs: number): number => Math.min(500, Math.max(50, waitedMs / 5));

/** As long as the state is one of work to be done, somebody waits, and the time is not over. */
export const waitForEnd = async (
  waitSeconds: string | undefined,
  isWaiting: () => boolean,
  stateNow: () => Promise<string | undefined>,
): Promise<void> => {
  const waitMsMax = Number(waitSeconds ?? 0) * 1000;
  const waitedMs = stopwatch();
  while (waitedMs() < waitMsMax && isWaiting()) {
    const state = await stateNow();
    if (state !== 'queued' && state !== 'running') return;
    await sleep(Math.max(0, Math.min(pauseMsAfter(waitedMs()), waitMsMax - waitedMs())));
  }
};
