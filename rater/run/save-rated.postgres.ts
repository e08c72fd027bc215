/** What was rated of a shard, as it is written: lines, failures, and the new state of the shard and of its run. */
import { recordChange } from '#platform/audit/record-change.ts';
import { digestedColumns, digestOfRatedLines, ratedLinesDigest } from '#platform/audit/stored-digest.ts';
import { newId } from '#platform/process/ids.ts';
import { bigintArray, instantArray, integerArray, jsonArray, textArray } from '#platform/stores/array-parameters.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { isPassing } from '#platform/stores/retry.ts';
import { causeOf, deathsMax, fateOf } from '#platform/work/lease-rules.ts';
import { movedOn } from '#platform/work/leased-jobs.postgres.ts';
import { giveBackShard } from '#platform/work/shard-jobs.postgres.ts';
import { billingChannels, runEnded, type Shard } from '#schemas/billing-run.ts';
import { failureMessage, type RatingFailure, type RatingFailureCode } from '#schemas/rating-failure.ts';
import { ratingHashVersion } from '#schemas/rating-input.ts';
import type { RatedRows, RatedShard } from './rated-rows.ts';

/** Where the periods of a shard stand: those of a dry run are of the run alone. `$2` is the run. */
const periodsOf = ({ kind }: Shard): string =>
  kind === 'dry_rating' ? '(SELECT * FROM rating_run_periods WHERE run_id = $2)' : 'billing_periods';

/** Whether its lines stay as they are, and are billed so. */
const keepsRatedLines = ({ kind, makesDrafts }: Shard): boolean => kind !== 'dry_rating' && !makesDrafts;

/**
 * Locks the shard for the transaction; false where it is somebody else's by now, or was cut in two meanwhile. Then
 * nothing may be written of it.
 */
const lockHeldShard = async (client: Queryable, shard: Shard): Promise<boolean> => {
  const { rows } = await client.query(
    `SELECT 1 FROM billing_run_shards WHERE run_id = $1 AND shard_number = $2 AND state = 'queued' AND attempts = $3
       AND billing_period_ids = $4 FOR UPDATE`,
    [shard.runId, shard.shardNumber, shard.attempt, shard.billingPeriodIds],
  );
  return rows.length === 1;
};

const insertRated = `WITH written AS (
INSERT INTO rated_lines (id, organization_id, billing_period_id, subscription_id, period_start, period_end, charge_code,
  watermark, plan_version_id, position, line, unmeasured_events, parts, hash_version, input_hash, output_hash, rated_at)
SELECT l.id, $1, l.billing_period_id, l.subscription_id, l.span_start, l.span_end, l.charge_code, $2, l.plan_version_id,
  l.position, l.line, l.unmeasured_events, l.parts, $3, l.input_hash, l.output_hash, clock_timestamp()
FROM unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[],
    $11::integer[], $12::json[], $13::bigint[], $14::json[], $15::text[], $16::text[])
  AS l (id, billing_period_id, subscription_id, span_start, span_end, charge_code, plan_version_id, position, line,
    unmeasured_events, parts, input_hash, output_hash)
ON CONFLICT (billing_period_id, watermark, charge_code) DO NOTHING
RETURNING ${digestedColumns.join(', ')})
SELECT count(*)::integer AS lines, ${digestOfRatedLines} AS digest FROM written l`;

const otherwiseStatement = `
SELECT DISTINCT l.billing_period_id FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
    AS n (billing_period_id, charge_code, input_hash, output_hash)
  JOIN rated_lines l ON l.billing_period_id = n.billing_period_id AND l.watermark = $1
    AND l.charge_code = n.charge_code
WHERE l.hash_version IS NOT NULL AND (l.input_hash, l.output_hash) IS DISTINCT FROM (n.input_hash, n.output_hash)`;

/**
 * Lines that stand at the watermark stay. Where another run wrote them before the price of unbilled time was changed,
 * they are not what is due: such a period is a failure, rather than billed at a price that is gone.
 */
const ratedOtherwise = async (client: Queryable, shard: Shard, rows: RatedRows): Promise<RatingFailure[]> => {
  const found = await client.query<{ billing_period_id: string }>(otherwiseStatement, [
    shard.watermark,
    rows.billingPeriodIds,
    rows.chargeCodes,
    rows.inputHashes,
    rows.outputHashes,
  ]);
  const message = `at the watermark ${shard.watermark} it was rated before, at prices that have changed since`;
  return found.rows.map((row) => ({ billingPeriodId: row.billing_period_id, code: 'rated_otherwise', message }));
};

type Inserted = {
  /** The periods that may not be billed by what stands. */
  readonly otherwise: readonly RatingFailure[];
  /** Of the lines of the shard, where it wrote all of them itself; null of none. */
  readonly digest?: string | null;
};

const insertBillable = async (client: Queryable, shard: Shard, rows: RatedRows): Promise<Inserted> => {
  const inserted = await client.query<{ lines: number; digest: string | null }>(insertRated, [
    shard.organizationId,
    shard.watermark,
    ratingHashVersion,
    textArray(rows.lines.map(() => newId('rln'))),
    textArray(rows.billingPeriodIds),
    textArray(rows.subscriptionIds),
    instantArray(rows.spanStarts),
    instantArray(rows.spanEnds),
    textArray(rows.chargeCodes),
    textArray(rows.planVersionIds),
    integerArray(rows.positions),
    jsonArray(rows.lines),
    bigintArray(rows.unmeasuredEvents),
    jsonArray(rows.parts),
    textArray(rows.inputHashes),
    textArray(rows.outputHashes),
  ]);
  const [written] = inserted.rows;
  if (written?.lines === rows.lines.length) return { otherwise: [], digest: written.digest };
  return { otherwise: await ratedOtherwise(client, shard, rows) };
};

const selectCreditable = `SELECT n.id FROM unnest($1::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT p.timing, p.late_usage FROM billing_periods p WHERE p.id = n.id OFFSET 0
  ) p WHERE p.timing = 'delta' AND p.late_usage = 'credit_note'`;

/**
 * Of a shard that makes drafts: a delta may be credited at once, and later ones and the explanation of its credit note
 * go on from its lines. They are the same whoever rates them: what was billed keeps its prices.
 */
const insertCreditable = async (client: Queryable, shard: Shard, rows: RatedRows): Promise<Inserted> => {
  const { rows: found } = await client.query<{ id: string }>(selectCreditable, [shard.billingPeriodIds]);
  const ids = new Set(found.map(({ id }) => id));
  const kept = rows.billingPeriodIds.map((id) => ids.has(id));
  if (!kept.includes(true)) return { otherwise: [] };
  const of = <T>(column: readonly T[]): T[] => column.filter((_, at) => kept[at]);
  return insertBillable(client, shard, {
    billingPeriodIds: of(rows.billingPeriodIds),
    subscriptionIds: of(rows.subscriptionIds),
    planVersionIds: of(rows.planVersionIds),
    spanStarts: of(rows.spanStarts),
    spanEnds: of(rows.spanEnds),
    chargeCodes: of(rows.chargeCodes),
    positions: of(rows.positions),
    unmeasuredEvents: of(rows.unmeasuredEvents),
    parts: of(rows.parts),
    lines: of(rows.lines),
    inputHashes: of(rows.inputHashes),
    outputHashes: of(rows.outputHashes),
  });
};

/**
 * For drafts: not as rated lines, which stay at their watermark. Prices may change while a draft waits, and it is rated
 * anew when it is finalized, by chance at the same watermark. A shard that was cut in two has lines of its own.
 */
const writeDraftLines = async (client: Queryable, shard: Shard, rows: RatedRows): Promise<void> => {
  await client.query(
    `UPDATE billing_run_shards SET draft_lines = (
       SELECT coalesce(json_agg(json_build_object('billing_period_id', l.id, 'line', l.line)), '[]')
       FROM unnest($3::text[], $4::json[]) AS l (id, line)
     ) WHERE run_id = $1 AND shard_number = $2`,
    [shard.runId, shard.shardNumber, textArray(rows.billingPeriodIds), jsonArray(rows.lines)],
  );
};

// By its position and the beginning of its span a line has one place within its billing period, in the order of the
// plan, whoever rates it.
const insertRunLines = `
WITH written AS (
  INSERT INTO rating_run_lines (run_id, billing_period_id, place, organization_id, subscription_id, customer_id, line,
    unmeasured_events, hash_version, input_hash, output_hash, rated_at)
  SELECT $2, l.billing_period_id, lpad(l.position::text, 6, '0') || '-' || lpad(l.span_start::text, 16, '0'), $1,
    l.subscription_id, l.line ->> 'customer_id', l.line, l.unmeasured_events, $4, l.input_hash, l.output_hash,
    clock_timestamp()
  FROM unnest($5::text[], $6::integer[], $7::bigint[], $8::text[], $9::json[], $10::bigint[], $11::text[], $12::text[])
    AS l (billing_period_id, position, span_start, subscription_id, line, unmeasured_events, input_hash, output_hash)
  RETURNING line, unmeasured_events
)
INSERT INTO rating_run_totals (run_id, shard_number, currency, organization_id, lines, amount, unmeasured_events)
SELECT $2, $3, line ->> 'currency', $1, count(*), sum((line ->> 'amount')::numeric), sum(unmeasured_events)
FROM written GROUP BY line ->> 'currency'`;

const insertOfRatingRun = async (
  client: Queryable,
  shard: Shard,
  rated: RatedRows,
  failed: readonly RatingFailure[],
): Promise<void> => {
  const left = new Set(failed.map(({ billingPeriodId }) => billingPeriodId));
  const of = <T>(column: readonly T[]): T[] => column.filter((_, at) => !left.has(rated.billingPeriodIds[at] ?? ''));
  await client.query(insertRunLines, [
    shard.organizationId,
    shard.runId,
    shard.shardNumber,
    ratingHashVersion,
    textArray(of(rated.billingPeriodIds)),
    integerArray(of(rated.positions)),
    bigintArray(of(rated.spanStarts).map(String)),
    textArray(of(rated.subscriptionIds)),
    jsonArray(of(rated.lines)),
    bigintArray(of(rated.unmeasuredEvents)),
    textArray(of(rated.inputHashes)),
    textArray(of(rated.outputHashes)),
  ]);
};

/**
 * The periods are taken out of the shard, which is what its rated lines, its digest of them and its invoices are of:
 * another run at the same watermark may rate them meanwhile.
 */
const writeFailures = async (client: Queryable, shard: Shard, failures: readonly RatingFailure[]): Promise<void> => {
  if (failures.length === 0) return;
  await client.query(
    `INSERT INTO rating_failures (id, organization_id, run_id, shard_number, billing_period_id, subscription_id,
       customer_id, code, message, failed_at)
     SELECT f.id, $1, $2, $3, p.id, p.subscription_id, p.customer_id, f.code, f.message, clock_timestamp()
     FROM unnest($4::text[], $5::text[], $6::text[], $7::text[]) AS f (id, billing_period_id, code, message)
       JOIN ${periodsOf(shard)} p ON p.id = f.billing_period_id`,
    [
      shard.organizationId,
      shard.runId,
      shard.shardNumber,
      failures.map(() => newId('rfl')),
      failures.map(({ billingPeriodId }) => billingPeriodId),
      failures.map(({ code }) => code),
      failures.map(({ message }) => message),
    ],
  );
  const failed = new Set(failures.map(({ billingPeriodId }) => billingPeriodId));
  await client.query('UPDATE billing_run_shards SET billing_period_ids = $3 WHERE run_id = $1 AND shard_number = $2', [
    shard.runId,
    shard.shardNumber,
    shard.billingPeriodIds.filter((id) => !failed.has(id)),
  ]);
};

/**
 * The next state of the shard; of a rating run it is the last one, and the last shard completes the run. The digest is
 * of its lines as they stand, which are read again for it where the shard did not write all of them.
 */
const moveOn = async (client: Queryable, shard: Shard, ratedMs: number, digest?: string | null): Promise<void> => {
  const isBilled = shard.kind === 'billing';
  const readAgain = keepsRatedLines(shard) && digest === undefined;
  await client.query(
    `UPDATE billing_run_shards s SET state = $4, ${movedOn}, rated_ms = $3,
      lines_digest = ${readAgain ? `coalesce($5, ${ratedLinesDigest})` : '$5'}
     FROM billing_runs r WHERE r.id = s.run_id AND s.run_id = $1 AND s.shard_number = $2`,
    [shard.runId, shard.shardNumber, ratedMs, isBilled ? 'rated' : 'done', digest ?? null],
  );
  if (isBilled) await notify(client, billingChannels.shardRated);
  else await completeRatingRun(client, shard);
};

/** Of the raters that end the last shards of a run at the same moment, the one behind sees what the others wrote. */
const completeRatingRun = async (client: Queryable, shard: Shard): Promise<void> => {
  await client.query('SELECT 1 FROM billing_runs WHERE id = $1 FOR NO KEY UPDATE', [shard.runId]);
  const { rows } = await client.query<{ now: Date }>(
    `UPDATE billing_runs SET state = 'completed', updated_at = clock_timestamp()
     WHERE id = $1 AND state = 'running' AND is_cut
       AND NOT EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = $1 AND s.state <> 'done')
     RETURNING updated_at AS now`,
    [shard.runId],
  );
  for (const { now } of rows)
    await recordChange(
      { query: client.query, organizationId: shard.organizationId },
      { actor: 'rater', requestId: shard.requestId, result: 'done' },
      [runEnded(shard.kind, 'completed', shard.runId)],
      now.getTime(),
    );
};

/** In the caller's transaction. Who lost the shard meanwhile changes nothing. */
export const saveRated = async (
  client: Queryable,
  shard: Shard,
  { rows, failures }: RatedShard,
  ratedMs: number,
): Promise<void> => {
  if (!(await lockHeldShard(client, shard))) return;
  const inserted = keepsRatedLines(shard) ? await insertBillable(client, shard, rows) : undefined;
  const creditable = shard.makesDrafts ? await insertCreditable(client, shard, rows) : undefined;
  const otherwise = (inserted ?? creditable)?.otherwise ?? [];
  if (shard.makesDrafts) await writeDraftLines(client, shard, rows);
  if (shard.kind !== 'billing') await insertOfRatingRun(client, shard, rows, otherwise);
  await writeFailures(client, shard, [...failures, ...otherwise]);
  await moveOn(client, shard, ratedMs, inserted?.digest);
};

/**
 * So many periods of a run are found by cutting shards in two. Where more are at fault it is none of theirs, and the
 * shard fails as a whole.
 */
const foundByCuttingMax = 100;

/** In two shards, with an attempt each. */
const cutInTwo = async (client: Queryable, shard: Shard, cause: string): Promise<void> => {
  const half = Math.ceil(shard.billingPeriodIds.length / 2);
  const attempts = Math.min(shard.attempt, deathsMax) - 1;
  // Numbers are given one after the other.
  await client.query('SELECT 1 FROM billing_runs WHERE id = $1 FOR NO KEY UPDATE', [shard.runId]);
  await client.query(
    `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, draft_ids, makes_drafts, state,
       attempts, leased_until, failure)
     SELECT $1, max(shard_number) + 1, $2, $5, $6, 'queued', $3, clock_timestamp(), $4 FROM billing_run_shards
     WHERE run_id = $1`,
    [shard.runId, shard.billingPeriodIds.slice(half), attempts, cause, shard.draftIds, shard.makesDrafts],
  );
  await client.query(
    `UPDATE billing_run_shards SET billing_period_ids = $3, attempts = $4, leased_until = clock_timestamp(),
       failure = $5 WHERE run_id = $1 AND shard_number = $2`,
    [shard.runId, shard.shardNumber, shard.billingPeriodIds.slice(0, half), attempts, cause],
  );
  await notify(client, billingChannels.shardsQueued);
};

/**
 * Gives a shard back after a fault. At its dead end, as where its worker died again and again, it is cut in two until
 * the billing period at fault is known, which then is a failure like any other; resolves with it. In the caller's
 * transaction.
 */
export const giveUpRating = async (
  client: Queryable,
  shard: Shard,
  error: unknown,
  code: RatingFailureCode,
): Promise<RatingFailure | undefined> => {
  const [first, ...more] = shard.billingPeriodIds;
  const { isDead } = fateOf(shard.attempt, isPassing(error));
  const giveBack = async (): Promise<undefined> => {
    await giveBackShard(client, 'rater', shard, error);
  };
  if (!isDead || first === undefined) return giveBack();
  if (!(await lockHeldShard(client, shard))) return undefined;
  const { rows } = await client.query<{ found: bigint }>(
    'SELECT count(*) AS found FROM rating_failures WHERE run_id = $1 AND code = $2',
    [shard.runId, code],
  );
  if ((rows[0]?.found ?? 0n) >= foundByCuttingMax) return giveBack();
  if (more.length > 0) {
    await cutInTwo(client, shard, causeOf(error));
    return undefined;
  }
  const failure = { billingPeriodId: first, code, message: failureMessage(error) };
  await writeFailures(client, shard, [failure]);
  await moveOn(client, shard, 0);
  return failure;
};

/**
 * Removes what rating runs gave more than 30 days ago, up to 5,000 rows of each table; resolves with how many. Callable
 * from a job loop, which asks again at once where there were some.
 */
export const removeOldRatingLines = async (postgres: Queryable, nowMs: number): Promise<number> => {
  const { rows } = await postgres.query<{ gone: bigint }>('SELECT remove_old_rating_lines($1) AS gone', [
    new Date(nowMs),
  ]);
  return Number(rows[0]?.gone ?? 0n);
};
