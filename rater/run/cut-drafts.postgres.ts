/** The drafts of invoices that a run finalizes, cut into shards: their billing periods are rated anew. */
import type { Queryable } from '#platform/stores/postgres.ts';

type RunOfDrafts = {
  readonly id: string;
  readonly organization_id: string;
  readonly asked_by: string;
  readonly due_until: Date | null;
  /** The only one, where a caller named it. */
  readonly draft_id: string | null;
  readonly test_clock_id: string | null;
};

/** The one that was handed to the run: whoever looks at it at this moment is waited for. */
const takeDraft = `
UPDATE invoice_drafts d SET run_id = $2
WHERE d.organization_id = $1 AND d.id = $3 AND d.run_id = $2 AND d.state = 'draft'`;

// Whoever changes a draft at this moment, or has it finalized, is passed over: the next run takes what is left. Of two
// runs that take one nevertheless, the invoicer issues for the one whose name stands in it.
const takeDueDrafts = `
WITH taken AS (
  SELECT d.id FROM invoice_drafts d WHERE d.organization_id = $1 AND d.state = 'draft' AND d.finalize_at <= $3
    AND d.test_clock_id IS NOT DISTINCT FROM $4 AND NOT EXISTS (
      SELECT 1 FROM billing_runs r WHERE r.id = d.run_id AND r.id <> $2 AND r.state IN ('queued', 'running'))
  FOR UPDATE OF d SKIP LOCKED
)
UPDATE invoice_drafts d SET run_id = $2 FROM taken t WHERE d.id = t.id`;

// In shards of about $2 billing periods or lines; a draft is of one, however much it is.
const insertDraftShards = `
WITH sized AS (
  SELECT d.id, d.finalize_at, d.created_at, greatest(1, d.line_count, cardinality(o.periods)) AS size, o.periods
  FROM invoice_drafts d, LATERAL (
    SELECT ARRAY(SELECT p.id FROM billing_periods p WHERE p.draft_id = d.id AND p.state = 'open' ORDER BY p.id)
      AS periods) o
  WHERE d.organization_id = $3 AND d.run_id = $1 AND d.state = 'draft'
), placed AS (
  SELECT id, periods, row_number() OVER w AS place,
    (sum(size) OVER (w ROWS UNBOUNDED PRECEDING) - size) / $2::integer AS part
  FROM sized WINDOW w AS (ORDER BY finalize_at NULLS FIRST, created_at, id)
), parts AS (
  SELECT dense_rank() OVER (ORDER BY floor(part)) AS number, id, periods, place FROM placed
), inserted AS (
  INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, draft_ids, state)
  SELECT $1, coalesce((SELECT max(s.shard_number) FROM billing_run_shards s WHERE s.run_id = $1), -1) + number,
    ARRAY(SELECT unnest(o.periods) FROM parts o WHERE o.number = p.number ORDER BY o.place),
    array_agg(id ORDER BY place), 'queued'
  FROM parts p GROUP BY number
  RETURNING 1)
SELECT (SELECT count(*) FROM inserted)::integer AS shards`;

/**
 * Of the one that a caller named, and of a run that nobody asked for of all whose time has come; behind the shards that
 * are there. Resolves with how many came.
 */
export const cutDrafts = async (client: Queryable, run: RunOfDrafts, shardSize: number): Promise<number> => {
  const { id, organization_id: organizationId, draft_id: draftId, test_clock_id: testClockId } = run;
  const isByItself = run.asked_by === 'scheduler' || run.asked_by === 'clock';
  if (draftId === null && !isByItself) return 0;
  const { rowCount } =
    draftId === null
      ? await client.query(takeDueDrafts, [organizationId, id, run.due_until, testClockId])
      : await client.query(takeDraft, [organizationId, id, draftId]);
  if (rowCount === 0) return 0;
  const { rows } = await client.query<{ shards: number }>(insertDraftShards, [id, shardSize, organizationId]);
  return rows[0]?.shards ?? 0;
};
