/** The billing periods of a run, cut into shards. */
import { textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type Cut, monthOfRun, type RunRow } from './run-rows.ts';

// What becomes of a shard is settled here: draft time that is turned on or off later is that of later runs. What is
// only reported is in no draft.
const makesDrafts = `(SELECT r.kind = 'billing' AND o.draft_minutes > 0 FROM billing_runs r
    JOIN organizations o ON o.id = r.organization_id WHERE r.id = $1)`;

// Periods in shards of about $2, in the order in which the store keeps usage, by the customer's own name: what a shard
// reads of it lies together, and not in a block here and there for each customer. What is one invoice is of one shard,
// however much it is; what is of a parent stands where the first of its children does.
const shardsOf = (due: string, isOfDrafts = makesDrafts): string => `
WITH due AS (
  SELECT p.id, p.due_at, p.payer_id, CASE WHEN p.consolidated THEN p.payer_id ELSE p.subscription_id END AS billed_with,
    c.external_id, p.subscription_id, p.span_start
  FROM ${due}
), placed AS (
  SELECT id, billed_with, due_at, min(external_id COLLATE "C") OVER (PARTITION BY payer_id) AS payer_place,
    payer_id, external_id, subscription_id, span_start FROM due
), numbered AS (
  SELECT id, billed_with, due_at, row_number() OVER (ORDER BY payer_place, payer_id, billed_with, due_at,
    external_id COLLATE "C", subscription_id, span_start, id)::integer AS place FROM placed
), grouped AS (
  SELECT id, place, min(place) OVER (PARTITION BY billed_with, due_at) AS first FROM numbered
), inserted AS (
  INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state, makes_drafts)
  SELECT $1, (first - 1) / $2 + b.first_number, array_agg(id ORDER BY place), 'queued', ${isOfDrafts}
  FROM grouped CROSS JOIN (
    SELECT coalesce(max(shard_number) + 1, 0) AS first_number FROM billing_run_shards WHERE run_id = $1
  ) b GROUP BY (first - 1) / $2 + b.first_number
  RETURNING 1)
SELECT (SELECT count(*) FROM inserted)::integer AS shards`;

const ofRun = `p.organization_id = $3 AND ($4::text IS NULL OR p.billing_month = $4)
  AND ($5::timestamptz IS NULL OR p.due_at <= $5) AND ($6::text IS NULL OR p.customer_id = $6 OR p.payer_id = $6)
  AND ($7::text IS NULL OR p.subscription_id = $7) AND c.test_clock_id IS NOT DISTINCT FROM $8`;

// The customer is looked up by its id, period by period: OFFSET 0 has it so. PostgreSQL takes those without a clock for
// next to none, and would go through all periods for each of them.
const withCustomer = `billing_periods p CROSS JOIN LATERAL (
    SELECT k.external_id, k.test_clock_id FROM customers k
    WHERE k.organization_id = p.organization_id AND k.id = p.customer_id OFFSET 0
  ) c`;

/** Deltas that come to no money are none of an invoice, and whoever rates without billing has no use for any. */
const isBilled = "($9 OR p.late_usage IS DISTINCT FROM 'report_only') AND (NOT $9 OR p.timing <> 'delta')";

// Both counts come from one statement, so from one moment: what another run issues meanwhile is in exactly one of them.
// Of a run of what is due, what was billed before is none of its own; what is in a draft is billed with it, and what is
// carried over with the next invoice: they are only rated ($9) by others.
const insertShards = `${shardsOf(`${withCustomer}
  WHERE ${ofRun} AND p.state = 'open' AND (p.draft_id IS NULL AND p.carried_at IS NULL OR $9) AND ${isBilled}`)}, (
  SELECT count(*) FROM ${withCustomer}
  WHERE $4::text IS NOT NULL AND ${ofRun} AND p.state = 'billed'
)::integer AS issued`;

// Of a later step: what it wrote itself. What else is open is of the first one.
const insertMoreShards = `${shardsOf(`unnest($3::text[]) AS f (id) JOIN billing_periods p ON p.id = f.id
    JOIN customers c ON c.organization_id = p.organization_id AND c.id = p.customer_id
  WHERE p.state = 'open' AND p.carried_at IS NULL AND p.late_usage IS DISTINCT FROM 'report_only'`)}, 0 AS issued`;

/** Of what the run cut now, and of what one before could not rate. */
const insertReportShards = shardsOf(
  `${withCustomer} WHERE ${ofRun} AND p.state = 'open' AND p.late_usage = 'report_only'`,
  'false',
);

const insertDryShards = `${shardsOf(`(
    SELECT *, span_end AS due_at, customer_id AS payer_id, false AS consolidated FROM rating_run_periods
  ) p JOIN customers c ON c.organization_id = p.organization_id AND c.id = p.customer_id
  WHERE p.run_id = $1`)}, 0 AS issued`;

/** Resolves with how many shards were added, and how many periods are billed already. */
export const cutShards = async (
  client: Queryable,
  run: RunRow,
  { freshIds, deltaIds, carriedIds }: Cut,
  shardSize: number,
): Promise<{ shards: number; issued: number }> => {
  type Counted = { shards: number; issued: number };
  const month = run.due_until === null ? monthOfRun(run) : null;
  const of = [run.organization_id, month, run.due_until, run.customer_id, run.subscription_id, run.test_clock_id];
  const insert = async (): Promise<{ rows: Counted[] }> => {
    if (run.drafts_only) return { rows: [] };
    if (run.kind === 'dry_rating') return client.query<Counted>(insertDryShards, [run.id, shardSize]);
    if (run.state === 'running')
      return client.query<Counted>(insertMoreShards, [
        run.id,
        shardSize,
        textArray([...freshIds, ...deltaIds, ...carriedIds]),
      ]);
    return client.query<Counted>(insertShards, [run.id, shardSize, ...of, run.kind !== 'billing']);
  };
  const inserted = (await insert()).rows[0] ?? { shards: 0, issued: 0 };
  if (run.kind !== 'billing' || run.state === 'running') return inserted;
  const reported = await client.query<{ shards: number }>(insertReportShards, [run.id, shardSize, ...of]);
  return { ...inserted, shards: inserted.shards + (reported.rows[0]?.shards ?? 0) };
};
