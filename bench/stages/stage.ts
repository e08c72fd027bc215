/** A part of the line by itself: what it does with one event costs so much, whatever the rest does. */
import type { Stack } from '#platform/local/stack.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';

export type StageResult = {
  readonly eventsPerSecond: number;
  /** CPU time of this process and of the server that the stage works on. */
  readonly cpuMicrosPerEvent: number;
};

export type Stage = { readonly name: string; readonly run: (seconds: number) => Promise<StageResult> };

/** What a stage works on: the servers by their URLs and pids, both of the stack. */
export type StageServers = Pick<Stack, 'urls' | 'processes'>;

export const pidOf = ({ processes }: StageServers, name: string): number =>
  processes.find((one) => one.name === name)?.pid ?? 0;

/**
 * Runs `step` in so many lanes for a time; a step says how many events it did. The servers whose `pids` are named
 * belong to the cost. The first half second warms up and does not count.
 */
export const measureStage = async (
  { seconds, lanes, pids }: { readonly seconds: number; readonly lanes: number; readonly pids: readonly number[] },
  step: () => Promise<number>,
): Promise<StageResult> => {
  const workFor = async (ms: number): Promise<number> => {
    const endMs = performance.now() + ms;
    let events = 0;
    const lane = async () => {
      while (performance.now() < endMs) {
        // Not in one expression: the lanes would overwrite each other's sum.
        const done = await step();
        events += done;
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return events;
  };
  await workFor(500);
  const serversBefore = pids.map(cpuSecondsOf);
  const ownBefore = process.cpuUsage();
  const startMs = performance.now();
  const events = await workFor(seconds * 1000);
  const tookSeconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(ownBefore);
  const serverSeconds = pids.reduce((sum, pid, index) => sum + cpuSecondsOf(pid) - (serversBefore[index] ?? 0), 0);
  return { eventsPerSecond: events / tookSeconds, cpuMicrosPerEvent: (user + system + serverSeconds * 1e6) / events };
};
