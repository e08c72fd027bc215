/** The jobs of the queue that have the scheduler look: the names that also stand in its migration, and what they do. */
import type { AddJobs, NewJob, Task } from '#platform/stores/queue.graphile.ts';
import type { Instant } from '#schemas/period.ts';
import { type Appointment, type Closed, type ClosePorts, closeDue, findAppointments } from './close-due.ts';

const closeDueTask = 'close_due';
const lookTask = 'look_for_due';

export const closeJob = ({ organizationId, at }: Appointment): NewJob => ({
  task: closeDueTask,
  payload: { organization_id: organizationId },
  key: `${closeDueTask} ${organizationId}`,
  runAt: at,
});

export type CloseJobPorts = ClosePorts & {
  /** The hour of all, by which a look asks for what falls due; each organization's own decides. */
  readonly hourMs: () => Instant;
  readonly looked: (appointments: number) => void;
  readonly closed: (organizationId: string, closed: Closed) => Closed;
};

/** All jobs of a page are added in one statement. */
const jobsPerStatement = 1_000;

const addAll = async (add: AddJobs, appointments: readonly Appointment[]): Promise<void> => {
  for (let from = 0; from < appointments.length; from += jobsPerStatement)
    await add(appointments.slice(from, from + jobsPerStatement).map(closeJob));
};

export const closeJobs = (ports: CloseJobPorts) => {
  const tasks: Readonly<Record<string, Task>> = {
    [lookTask]: async (_payload, add) => {
      const appointments = await findAppointments(ports, ports.hourMs());
      await addAll(add, appointments);
      ports.looked(appointments.length);
    },
    [closeDueTask]: async ({ organization_id: organizationId }, add) => {
      const id = String(organizationId);
      const closed = ports.closed(id, await closeDue(ports, id));
      if (closed.outcome === 'early') await add([closeJob({ organizationId: id, at: closed.at })]);
    },
  };
  return {
    tasks,
    crons: { [lookTask]: '* * * * *' },
    atStart: [{ task: lookTask, payload: {}, key: lookTask }] as const satisfies readonly NewJob[],
  };
};
