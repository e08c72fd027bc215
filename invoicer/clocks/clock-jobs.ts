/** The job of the queue that has a test clock take its next step: the name that also stands in its migration. */
import type { Log } from '#platform/process/log.ts';
import type { Task } from '#platform/stores/queue.graphile.ts';
import { advanceClock, type ClockPorts } from './advance-clock.ts';

export const clockJobs = (ports: ClockPorts, log: Log): Readonly<Record<string, Task>> => ({
  advance_clock: async ({ test_clock_id: clockId }) => {
    const id = String(clockId);
    log.debug({ test_clock_id: id, step: await advanceClock(ports, id) }, 'a test clock took a step');
  },
});
