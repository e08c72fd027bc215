/** Billed periods that late usage was found for, and up to where it was looked for, as rows. */
import { bigintArray, instantArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { LateUsage, LookPorts } from './look-for-late-usage.ts';

// Nothing up to the lowest watermark that anything is billed at is late for anything.
const lookStatement = `
SELECT o.looked_sequence, b.billed_until, CASE WHEN o.looked_sequence IS NULL THEN (
    SELECT min(p.watermark) FROM billing_periods p
    WHERE p.organization_id = $1 AND p.state = 'billed' AND p.timing = 'arrears') END AS first_watermark
FROM (SELECT max(p.span_end) AS billed_until FROM billing_periods p
    WHERE p.organization_id = $1 AND p.state = 'billed' AND p.timing = 'arrears') b
  LEFT JOIN late_usage_looks o ON o.organization_id = $1
WHERE b.billed_until IS NOT NULL`;

type LookRow = { looked_sequence: bigint | null; billed_until: Date; first_watermark: bigint | null };

export const createNextLook =
  (postgres: Queryable): LookPorts['nextLook'] =>
  async (organizationId, upTo) => {
    const { rows } = await postgres.query<LookRow>(lookStatement, [organizationId]);
    const [row] = rows;
    const after = row?.looked_sequence ?? row?.first_watermark;
    if (!row || after === null || after === undefined || after >= upTo) return undefined;
    return { after, upTo, billedUntil: row.billed_until.getTime() };
  };

// Other runs under way bill at watermarks of their own: what is behind one of them is looked at again once they have
// ended. While one is about to take its watermark, which may be lower than this one, nothing is known of it.
const boundStatement = `
SELECT min(r.watermark) AS lowest, coalesce(bool_or(r.watermark IS NULL), false) AS is_unknown FROM billing_runs r
WHERE r.organization_id = $1 AND r.kind = 'billing' AND r.id <> $2 AND (
  (r.state IN ('queued', 'running') AND (r.watermark IS NOT NULL OR r.attempts > 0))
  OR (r.state = 'failed' AND r.watermark IS NOT NULL AND EXISTS (
    SELECT 1 FROM billing_run_shards s WHERE s.run_id = r.id AND s.state IN ('queued', 'rated'))))`;

// Whatever there is of each, it is looked up one by one, as OFFSET 0 has it: a look costs what is new.
const customersBy = (name: 'external_id' | 'id'): string => `SELECT c.id, n.first_at, n.last_at, n.sequence
  FROM arrived n CROSS JOIN LATERAL (
    SELECT k.id FROM customers k WHERE k.organization_id = $1 AND k.${name} = n.customer OFFSET 0) c`;
const customersByAlias = `SELECT c.customer_id, n.first_at, n.last_at, n.sequence
  FROM arrived n CROSS JOIN LATERAL (
    SELECT a.customer_id FROM customer_aliases a WHERE a.organization_id = $1 AND a.name = n.customer OFFSET 0) c`;
const amended = (sequence: string): string => `SELECT e.customer, e.occurred_at, e.occurred_at, ${sequence}
  FROM amendments a CROSS JOIN LATERAL (
    SELECT v.customer, v.occurred_at FROM amended_events v WHERE v.amendment_id = a.id OFFSET 0) e
  WHERE a.organization_id = $1`;

// Amendments on their way may be under the watermark already. Levels are carried over from before a period. What comes
// while a delta is open comes into it.
const addStatement = `
WITH arrived AS (
  SELECT * FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[])
    AS n (customer, first_at, last_at, sequence)
  UNION ALL
  ${amended('a.stream_sequence')} AND a.stream_sequence > $6 AND a.stream_sequence <= $7
  UNION ALL
  ${amended('$7')} AND a.stream_sequence IS NULL
), theirs AS (
  ${customersBy('id')}
  UNION ALL
  ${customersBy('external_id')}
  UNION ALL
  ${customersByAlias}
)
INSERT INTO late_periods (billing_period_id, organization_id, found_at)
SELECT DISTINCT p.id, $1, clock_timestamp()
FROM theirs t CROSS JOIN LATERAL (
    SELECT x.id FROM subscriptions x WHERE x.organization_id = $1 AND x.customer_id = t.id OFFSET 0
  ) s CROSS JOIN LATERAL (
    SELECT b.* FROM billing_periods b
    WHERE b.organization_id = $1 AND b.subscription_id = s.id AND b.billing_end > t.first_at OFFSET 0
  ) p
WHERE p.state = 'billed' AND p.timing = 'arrears' AND p.counted IS NOT TRUE
  AND NOT p.usage_waived AND p.span_end > t.first_at
  AND EXISTS (SELECT 1 FROM plan_version_meters m JOIN meter_versions v ON v.id = m.meter_version_id
    WHERE m.plan_version_id = p.plan_version_id AND (p.span_start <= t.last_at OR v.aggregation = 'weighted_sum'))
  AND t.sequence > coalesce((SELECT max(d.watermark) FROM billing_periods d WHERE d.corrects_id = p.id), p.watermark)
  AND NOT EXISTS (SELECT 1 FROM billing_periods d WHERE d.corrects_id = p.id AND d.state = 'open')
ON CONFLICT DO NOTHING`;

const lookedStatement = `
INSERT INTO late_usage_looks (organization_id, looked_sequence, looked_at) VALUES ($1, $2, clock_timestamp())
ON CONFLICT (organization_id) DO UPDATE SET looked_at = excluded.looked_at,
  looked_sequence = greatest(late_usage_looks.looked_sequence, excluded.looked_sequence)`;

/**
 * Whether something was billed since the look began, by a run that has ended: usage of its time, or behind its
 * watermark, was not asked for.
 */
const isOutdated = ({ after, billedUntil }: LateUsage, now: LookRow | undefined): boolean =>
  now !== undefined &&
  (now.billed_until.getTime() > billedUntil || (now.first_watermark !== null && now.first_watermark < after));

/**
 * Writes down which billed periods may have changed, and how far that is looked at, in the caller's transaction. The
 * bound is read first: a run that has ended by then has billed what it bills. Where that is more than was billed when
 * the look began, the next run looks again.
 */
export const addLatePeriods = async (
  client: Queryable,
  run: { readonly id: string; readonly organization_id: string },
  late: LateUsage,
): Promise<void> => {
  const { after, upTo, arrivals } = late;
  const of = run.organization_id;
  const bound = await client.query<{ lowest: bigint | null; is_unknown: boolean }>(boundStatement, [of, run.id]);
  await client.query(addStatement, [
    of,
    textArray(arrivals.map(({ customer }) => customer)),
    instantArray(arrivals.map(({ firstAt }) => firstAt)),
    instantArray(arrivals.map(({ lastAt }) => lastAt)),
    bigintArray(arrivals.map(({ sequence }) => sequence.toString())),
    after,
    upTo,
  ]);
  const { lowest, is_unknown: isUnknown } = bound.rows[0] ?? { lowest: null, is_unknown: false };
  const now = await client.query<LookRow>(lookStatement, [of]);
  if (isUnknown || isOutdated(late, now.rows[0])) return;
  await client.query(lookedStatement, [of, lowest !== null && lowest < upTo ? lowest : upTo]);
};
