/** What is due in organizations, as statements ask for it: of the scheduler, of its metrics and of the API. */
import { carriedMax } from '#platform/stores/carried-max.ts';
import type { Instant } from '#schemas/period.ts';
import { endedRunsMax, type Standing } from './next-close.ts';

export type StandingRow = {
  id: string;
  closing_automatic: boolean;
  closing_grace_minutes: number;
  next_due_at: Date | null;
  open_due_at: Date | null;
  finalize_at: Date | null;
  has_open_run: boolean;
  ended_runs: { ended: number; due: number; failed: boolean; failures: boolean; empty: boolean }[];
};

/** Of the organization `o`: a step in an index, however many rows there are. */
export const nextDueAt = `(SELECT s.next_due_at FROM subscriptions s
    WHERE s.organization_id = o.id AND s.next_due_at IS NOT NULL ORDER BY s.next_due_at LIMIT 1)`;

/** Whoever lives by a test clock is billed by runs of that clock, and by no other. A condition on `p`. */
export const livesByTheHour = `NOT EXISTS (SELECT 1 FROM customers c
    WHERE c.organization_id = p.organization_id AND c.id = p.customer_id AND c.test_clock_id IS NOT NULL)`;

/**
 * The same of the billing periods that are open and in no draft, which are few. What is carried over falls due with
 * what comes next, or when a year is over.
 */
export const openDueAt = `least((SELECT p.due_at FROM billing_periods p
    WHERE p.organization_id = o.id AND p.state = 'open' AND p.draft_id IS NULL AND p.carried_at IS NULL
      AND ${livesByTheHour} ORDER BY p.due_at LIMIT 1),
  (SELECT p.carried_from + ${carriedMax} FROM billing_periods p
    WHERE p.organization_id = o.id AND p.carried_at IS NOT NULL AND ${livesByTheHour}
    ORDER BY p.carried_from LIMIT 1))`;

/** And of drafts that nobody finalizes at this moment. */
export const finalizeAt = `(SELECT d.finalize_at FROM invoice_drafts d
    WHERE d.organization_id = o.id AND d.state = 'draft' AND d.test_clock_id IS NULL AND d.finalize_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM billing_runs r WHERE r.id = d.run_id AND r.state IN ('queued', 'running'))
    ORDER BY d.finalize_at LIMIT 1)`;

const dueColumns = `${nextDueAt} AS next_due_at, ${openDueAt} AS open_due_at, ${finalizeAt} AS finalize_at`;

/** Those that close by themselves, and those of which a draft is to be finalized. */
const closingOrganizations = `SELECT c.id FROM organizations c WHERE c.closing_automatic
  UNION SELECT f.organization_id FROM invoice_drafts f
    WHERE f.state = 'draft' AND f.test_clock_id IS NULL AND f.finalize_at <= $1`;

const runColumns = `
  EXISTS (SELECT 1 FROM billing_runs r WHERE r.organization_id = d.id AND r.asked_by = 'scheduler'
    AND r.state IN ('queued', 'running')) AS has_open_run,
  (SELECT coalesce(json_agg(json_build_object(
      'ended', extract(epoch FROM e.updated_at) * 1000, 'due', extract(epoch FROM e.due_until) * 1000,
      'failed', e.state = 'failed',
      'failures', EXISTS (SELECT 1 FROM rating_failures f WHERE f.run_id = e.id),
      'empty', NOT EXISTS (SELECT 1 FROM billing_run_shards h WHERE h.run_id = e.id)
    ) ORDER BY e.created_at DESC, e.id DESC), '[]')
   FROM (SELECT r.id, r.state, r.updated_at, r.due_until, r.created_at FROM billing_runs r
     WHERE r.organization_id = d.id AND r.asked_by = 'scheduler'
     ORDER BY r.created_at DESC, r.id DESC LIMIT ${endedRunsMax + 1}) e
   WHERE e.state IN ('completed', 'failed')) AS ended_runs`;

/** `$1`: the organization. */
export const selectStanding = `WITH d AS (
  SELECT o.id, o.closing_automatic, o.closing_grace_minutes, ${dueColumns} FROM organizations o WHERE o.id = $1
) SELECT d.*, ${runColumns} FROM d`;

/** `$1`: due until then; `$2`: after which id; `$3`: how many at most. */
export const selectDueStandings = `WITH d AS (
  SELECT * FROM (
    SELECT o.id, o.closing_automatic, o.closing_grace_minutes, ${dueColumns}
    FROM organizations o WHERE o.id IN (${closingOrganizations}) AND o.id > $2 ORDER BY o.id
  ) a WHERE least(a.next_due_at, a.open_due_at, a.finalize_at) <= $1 LIMIT $3
) SELECT d.*, ${runColumns} FROM d ORDER BY d.id`;

const instantOf = (date: Date | null): Instant | undefined => date?.getTime();

export const standingFromRow = (row: StandingRow): Standing => ({
  organizationId: row.id,
  closing: { isAutomatic: row.closing_automatic, graceMs: row.closing_grace_minutes * 60_000 },
  nextDueAt: instantOf(row.next_due_at),
  openDueAt: instantOf(row.open_due_at),
  finalizeAt: instantOf(row.finalize_at),
  hasOpenRun: row.has_open_run,
  endedRuns: row.ended_runs.map(({ ended, due, failed, failures, empty }) => ({
    endedAt: ended,
    dueUntil: due,
    hasFailed: failed,
    hasFailures: failures,
    wasEmpty: empty,
  })),
});
