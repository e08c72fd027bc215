/**
 * The fail points of the invoicer, of its scheduler and of credit notes (`platform/process/fail-point.ts`), around
 * their ports and never inside of a use case. Without one the ports come back as they are.
 */
import { around, type FailPoint } from '#platform/process/fail-point.ts';
import type { ClockPorts } from './clocks/advance-clock.ts';
import type { IssueCreditPorts } from './credits/issue-credit.ts';
import type { IssuePorts } from './issuing/close-period.ts';
import type { CloseJobPorts } from './periods/close-jobs.ts';

export const failAtClose = (ports: CloseJobPorts, failPoint: FailPoint | undefined): CloseJobPorts => {
  if (!failPoint) return ports;
  return {
    ...ports,
    dueStandings: around(ports.dueStandings, failPoint, { after: 'closing.after_look' }),
    startRun: around(ports.startRun, failPoint, { before: 'closing.before_run', after: 'closing.after_run' }),
    looked: (appointments) => {
      failPoint.pass('closing.after_jobs');
      ports.looked(appointments);
    },
  };
};

export const failAtClock = (ports: ClockPorts, failPoint: FailPoint | undefined): ClockPorts =>
  failPoint
    ? { ...ports, step: around(ports.step, failPoint, { before: 'clock.before_step', after: 'clock.after_step' }) }
    : ports;

export const failAtCredit = (ports: IssueCreditPorts, failPoint: FailPoint | undefined): IssueCreditPorts => {
  if (!failPoint) return ports;
  const places = { before: 'credit.before_write', after: 'credit.before_commit' } as const;
  return { ...ports, writeCreditNote: around(ports.writeCreditNote, failPoint, places) };
};

export const failAtIssue = <Ports extends IssuePorts>(ports: Ports, failPoint: FailPoint | undefined): Ports => {
  if (!failPoint) return ports;
  return {
    ...ports,
    commit: around(
      (shard, issue, ...more) =>
        ports.commit(
          shard,
          (state) => {
            const issued = issue(state);
            failPoint.pass('invoicer.before_commit');
            return issued;
          },
          ...more,
        ),
      failPoint,
      { before: 'invoicer.before_issue', after: 'invoicer.after_issue' },
    ),
  };
};
