/**
 * The jobs of the queue that have test clocks take their next steps. `advance_clock`, of one clock, is added by the
 * database where a clock is set going and where a run of it came to its end; its name also stands in a migration. The
 * job of a process that dies with it stays locked, so `look_for_clocks`, each minute and when a process starts, adds it
 * anew for each clock that advances and waits for no run.
 */
import type { Log } from '#platform/process/log.ts';
import type { NewJob, Task } from '#platform/stores/queue.graphile.ts';
import { advanceClock, type ClockPorts } from './advance-clock.ts';

const advanceTask = 'advance_clock';
const lookTask = 'look_for_clocks';

const clockJob = (clockId: string): NewJob => ({
  task: advanceTask,
  payload: { test_clock_id: clockId },
  key: `${advanceTask} ${clockId}`,
});

export const clockJobs = (ports: ClockPorts, log: Log) => {
  const tasks: Readonly<Record<string, Task>> = {
    [lookTask]: async (_payload, add) => add((await ports.waiting()).map(clockJob)),
    [advanceTask]: async ({ test_clock_id: clockId }) => {
      const id = String(clockId);
      log.debug({ test_clock_id: id, step: await advanceClock(ports, id) }, 'a test clock took a step');
    },
  };
  return {
    tasks,
    crons: { [lookTask]: '* * * * *' },
    atStart: [{ task: lookTask, payload: {}, key: lookTask }] as const satisfies readonly NewJob[],
  };
};
