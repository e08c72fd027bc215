/** What is due, and the billing runs of the scheduler. */
import { recordChange } from '#platform/audit/record-change.ts';
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Postgres } from '#platform/stores/postgres.ts';
import { billingChannels, runAction } from '#schemas/billing-run.ts';
import type { ClosePorts } from './close-due.ts';
import {
  nextDueAt,
  openDueAt,
  type StandingRow,
  selectDueStandings,
  selectStanding,
  standingFromRow,
} from './standing-rows.ts';

const standingsPerPage = 500;

// One is under way at most, as an index says, whoever asks at the same moment.
const insertRun = `
INSERT INTO billing_runs (id, organization_id, kind, asked_by, due_until, arrears_until, subscriptions_max,
  drafts_only, state, created_at, updated_at)
VALUES ($1, $2, 'billing', 'scheduler', $3, $4, $5, $7, 'queued', $6, clock_timestamp())
ON CONFLICT (organization_id) WHERE asked_by = 'scheduler' AND state IN ('queued', 'running') DO NOTHING`;

export type Closings = Pick<ClosePorts, 'dueStandings' | 'standing' | 'startRun'>;

/** `beforeCommit` is called when all of a run is written. */
export const createClosings = (
  postgres: Postgres,
  subscriptionsMax: number,
  beforeCommit: () => void = () => {},
): Closings => ({
  dueStandings: async (until, after) => {
    const { rows } = await postgres.query<StandingRow>(selectDueStandings, [new Date(until), after, standingsPerPage]);
    return rows.map(standingFromRow);
  },

  standing: async (organizationId) => {
    const { rows } = await postgres.query<StandingRow>(selectStanding, [organizationId]);
    return rows[0] && standingFromRow(rows[0]);
  },

  startRun: (organizationId, { dueUntil, arrearsUntil, draftsOnly }, now) =>
    postgres.transaction(async (client) => {
      const id = newId('run');
      const { rowCount } = await client.query(insertRun, [
        id,
        organizationId,
        new Date(dueUntil),
        new Date(arrearsUntil),
        subscriptionsMax,
        new Date(now),
        draftsOnly,
      ]);
      if (rowCount === 0) return undefined;
      await recordChange(
        { query: client.query, organizationId },
        { actor: 'scheduler', requestId: undefined, result: 'done' },
        [{ action: runAction('billing', 'created'), objectType: 'billing_run', objectId: id }],
        now,
      );
      await notify(client, billingChannels.runQueued);
      beforeCommit();
      return id;
    }),
});

/** Of all organizations that close by themselves. */
export type ClosingState = {
  readonly organizations: number;
  /** Those of which something is due that no run has taken. */
  readonly dueOrganizations: number;
  readonly lateSeconds: number;
  /** Since the scheduler's last run that was completed; null before there was one. */
  readonly sinceCompletedSeconds: number | null;
};

// A few steps in an index for each organization, however many rows there are.
const closingState = `
WITH due AS (
  SELECT o.id, least(${nextDueAt}, ${openDueAt}) AS due_at, make_interval(mins => o.closing_grace_minutes) AS grace,
    (SELECT r.updated_at FROM billing_runs r WHERE r.organization_id = o.id AND r.asked_by = 'scheduler'
       AND r.state = 'completed' ORDER BY r.created_at DESC, r.id DESC LIMIT 1) AS completed_at
  FROM organizations o WHERE o.closing_automatic
)
SELECT count(*)::integer AS organizations,
  (count(*) FILTER (WHERE due_at <= clock_timestamp()))::integer AS due_organizations,
  coalesce(greatest(0, max(extract(epoch FROM clock_timestamp() - due_at - grace))), 0)::double precision
    AS late_seconds,
  extract(epoch FROM clock_timestamp() - max(completed_at))::double precision AS since_completed_seconds
FROM due`;

type ClosingStateRow = {
  organizations: number;
  due_organizations: number;
  late_seconds: number;
  since_completed_seconds: number | null;
};

export const createReadClosingState = (postgres: Postgres) => async (): Promise<ClosingState> => {
  const { rows } = await postgres.query<ClosingStateRow>(closingState);
  const row = rows[0] as ClosingStateRow;
  return {
    organizations: row.organizations,
    dueOrganizations: row.due_organizations,
    lateSeconds: row.late_seconds,
    sinceCompletedSeconds: row.since_completed_seconds,
  };
};
