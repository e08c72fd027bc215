/** What is measured and logged of closing, apart from the use case. */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, sharedRead } from '#platform/process/metrics.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Closed } from './close-due.ts';
import type { ClosingState } from './closings.postgres.ts';

export const observeClosing = (metrics: Metrics, log: Log) => {
  const jobs = metrics.counter(
    'millrace_closing_jobs_total',
    'Jobs in which an organization was looked at, by what became of them',
    ['outcome'],
  );
  const looks = metrics.counter('millrace_closing_looks_total', 'Looks for organizations of which something falls due');
  return {
    looked: (appointments: number): void => {
      looks.inc();
      log.debug({ appointments }, 'looked for what falls due');
    },
    closed: (organizationId: string, closed: Closed): Closed => {
      jobs.labels(closed.outcome).inc();
      if (closed.outcome === 'started') {
        const { runId, bounds } = closed;
        const fields = { run_id: runId, organization_id: organizationId, due_until: formatInstant(bounds.dueUntil) };
        log.info(fields, 'a billing run was started for what is due');
      }
      return closed;
    },
  };
};

/** Read at each scrape; every invoicer says the same, as it is that of all organizations. */
export const observeClosingState = (metrics: Metrics, read: () => Promise<ClosingState>): void => {
  const state = sharedRead(read);
  metrics.gaugeOf(
    'millrace_closing_organizations',
    'Organizations that close by themselves, and those of them of which something is due that is not billed',
    async () => {
      const { organizations, dueOrganizations } = await state();
      return { automatic: organizations, due: dueOrganizations };
    },
    'state',
  );
  metrics.gaugeOf(
    'millrace_closing_late_seconds',
    'How long ago the oldest that is due and not billed could have been, the wait for late events aside',
    async () => (await state()).lateSeconds,
  );
  metrics.gaugeOf(
    'millrace_closing_since_completed_seconds',
    'Since the last billing run of the scheduler that was completed',
    async () => {
      const { sinceCompletedSeconds } = await state();
      return sinceCompletedSeconds === null ? {} : sinceCompletedSeconds;
    },
  );
};
