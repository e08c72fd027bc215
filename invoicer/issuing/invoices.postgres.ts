/** Issuing invoices: one transaction, a gap-free number, the hash chain. */
import assert from 'node:assert/strict';
import { recordChange } from '#platform/audit/record-change.ts';
import { bigintArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Postgres, Queryable, Transaction } from '#platform/stores/postgres.ts';
import { isFree, leaseNext, movedOn, putBack, takeNext } from '#platform/work/leased-jobs.postgres.ts';
import { giveBackShard, leaseShard, shardJobs } from '#platform/work/shard-jobs.postgres.ts';
import { runEnded, type Shard } from '#schemas/billing-run.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import { creditedCharges, lockCharged } from '../corrections/credited-charges.postgres.ts';
import { discountFacts } from '../discounts/discount-facts.postgres.ts';
import { writeDiscountUses } from '../discounts/discount-uses.postgres.ts';
import {
  type CarriedRow,
  carriedColumns,
  carryFactsColumns,
  carryTermsColumns,
  withCarry,
} from '../invoices/carried-rows.ts';
import type { GroupedPeriod } from '../invoices/grouped-periods.ts';
import {
  type GroupRow,
  groupFromRow,
  groupPeriodColumns,
  payerColumns,
  payerTables,
} from '../invoices/invoice-groups.ts';
import type { ChainHead } from '../invoices/invoice-hash.ts';
import { periodOrder } from '../invoices/invoice-rows.ts';
import { writeStates } from '../invoices/invoice-states.postgres.ts';
import { writeInvoices } from '../invoices/issued-rows.postgres.ts';
import { entitiesOf } from '../invoices/issuing-entities.postgres.ts';
import { createNumbering } from '../invoices/numbering.postgres.ts';
import { writeCarried } from './carried.postgres.ts';
import type { ClosedCount, ClosedShard, IssuePorts } from './close-period.ts';
import { correctedPeriods, issueCredits } from './credit-deltas.postgres.ts';
import { createLinesBefore, lockCorrected, settleDeltas } from './deltas.postgres.ts';
import { draftLines, draftsOfShard, insertDrafts, lockDrafts, settleDrafts } from './drafts.postgres.ts';

const invoiceNumbering = createNumbering('numbering_series');

const lockSeries = async (client: Queryable, organizationId: string): Promise<{ number: number; hash: string }> => {
  const { rows } = await client.query<{ last_number: bigint; head_hash: string }>(
    'SELECT last_number, head_hash FROM invoice_series WHERE organization_id = $1 FOR UPDATE',
    [organizationId],
  );
  const [series] = rows;
  assert(series, 'the lease of a shard makes the series of its organization');
  return { number: Number(series.last_number), hash: series.head_hash };
};

/** Held for so many seconds for the next shard of the organization, or free. */
const moveSeries = (
  client: Transaction,
  { organizationId }: Shard,
  { number, hash }: ChainHead,
  heldSeconds: number | undefined,
): void => {
  client.defer(
    `UPDATE invoice_series SET last_number = $2, head_hash = $3,
       leased_until = clock_timestamp() + make_interval(secs => $4) WHERE organization_id = $1`,
    [organizationId, number, hash, heldSeconds ?? null],
  );
};

/** Or in a draft that the shard does not finalize, or carried over. */
const billedPeriods = async (
  client: Queryable,
  { billingPeriodIds, draftIds }: Shard,
): Promise<ReadonlySet<string>> => {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM billing_periods
     WHERE id = ANY ($1) AND (state <> 'open' OR carried_at IS NOT NULL
       OR (draft_id IS NOT NULL AND draft_id <> ALL ($2)))`,
    [billingPeriodIds, draftIds],
  );
  return new Set(rows.map(({ id }) => id));
};

/** A billing period is billed once: one that is not open any more ends the transaction. */
const billPeriods = async (client: Queryable, invoices: readonly IssuedInvoice[]): Promise<void> => {
  const periods = invoices.flatMap(({ id: invoiceId, periods: billed }) =>
    billed.map(({ billingPeriodId, watermark }) => ({ invoiceId, billingPeriodId, watermark })),
  );
  const { rowCount } = await client.query(
    `UPDATE billing_periods p SET state = 'billed', invoice_id = b.invoice_id, watermark = b.watermark
     FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b (id, invoice_id, watermark)
     WHERE p.id = b.id AND p.state = 'open'`,
    [
      textArray(periods.map(({ billingPeriodId }) => billingPeriodId)),
      textArray(periods.map(({ invoiceId }) => invoiceId)),
      bigintArray(periods.map(({ watermark }) => watermark)),
    ],
  );
  assert.equal(rowCount, periods.length, 'a billing period is billed already');
};

/** Their spans are those of the periods, which are known by then: nothing is read of them for each line again. */
const linesOfShard = async (
  client: Queryable,
  { organizationId, watermark }: Shard,
  periods: readonly GroupedPeriod[],
): Promise<readonly RatedLine[]> => {
  const { rows } = await client.query<{ line: RatedLineJson; id: string }>(
    `SELECT line, billing_period_id AS id FROM rated_lines
     WHERE organization_id = $1 AND billing_period_id = ANY ($2) AND watermark = $3
     ORDER BY billing_period_id, position`,
    [organizationId, textArray(periods.map(({ billingPeriodId }) => billingPeriodId)), watermark],
  );
  const spans = new Map(periods.map(({ billingPeriodId, span }) => [billingPeriodId, span]));
  return rows.map(({ line, id }) => ratedLineFromJson(line, { billingPeriodId: id, span: spans.get(id) as Period }));
};

/**
 * Invoices, how far their numbers went, and their billing periods. Nothing waits here for what went before, so that
 * PostgreSQL has all of it to write while this process closes the next shard. Who goes on meanwhile has to await it.
 */
const writeBilled = (
  client: Queryable,
  { runId, organizationId }: Shard,
  { invoices, numbering }: ClosedShard,
): Promise<unknown> => {
  const written = Promise.all([
    writeInvoices(client, runId, invoices),
    invoiceNumbering.write(client, organizationId, numbering),
    billPeriods(client, invoices),
  ]);
  written.catch(() => {});
  return written;
};

/** When the run was completed by it; undefined while other shards are to come. */
const finishShard = async (
  client: Queryable,
  shard: Shard,
  { issued, drafted, carried }: ClosedCount,
  already: number,
  elapsedMs: number,
): Promise<number | undefined> => {
  const moved = client.query(
    `UPDATE billing_run_shards SET state = 'issued', ${movedOn}, issued = issued + $3,
      already_issued = already_issued + $4, issued_ms = $5, drafted = drafted + $6, draft_lines = NULL,
      carried_over = carried_over + $7
     WHERE run_id = $1 AND shard_number = $2 AND state = 'rated'`,
    [shard.runId, shard.shardNumber, issued, already, Math.round(elapsedMs), drafted, carried],
  );
  // Whoever ends the cutting of the run at the same moment, or another of its shards, is waited for, and seen.
  const locked = client.query('SELECT 1 FROM billing_runs WHERE id = $1 FOR NO KEY UPDATE', [shard.runId]);
  const completed = client.query<{ now: Date }>(
    `UPDATE billing_runs SET state = 'completed', updated_at = clock_timestamp()
     WHERE id = $1 AND state = 'running' AND is_cut
       AND NOT EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = $1 AND s.state = 'rated')
       AND NOT EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = $1 AND s.state = 'queued')
     RETURNING updated_at AS now`,
    [shard.runId],
  );
  const [, , { rows }] = await Promise.all([moved, locked, completed]);
  return rows[0]?.now.getTime();
};

const draftMinutesOf = async (client: Queryable, organizationId: string): Promise<number> => {
  const { rows } = await client.query<{ draft_minutes: number }>(
    'SELECT draft_minutes FROM organizations WHERE id = $1',
    [organizationId],
  );
  return rows[0]?.draft_minutes ?? 0;
};

const draftEntry = (how: 'created' | 'issued' | 'postponed') => (id: string) => ({
  action: `invoice_draft.${how}`,
  objectType: 'invoice_draft',
  objectId: id,
});

/** Drafts that were made, and what became of those that the shard finalizes; resolves with their entries. */
const writeDrafts = async (
  client: Queryable,
  shard: Shard,
  { invoices, drafts, unrated }: ClosedShard,
  locked: ReadonlySet<string>,
  now: Instant,
) => {
  await insertDrafts(client, shard, drafts, now);
  const issued = invoices.map(({ id }) => id).filter((id) => locked.has(id));
  const postponed = await settleDrafts(client, { issued, unrated }, now);
  return [
    ...drafts.map(({ id }) => id).map(draftEntry('created')),
    ...issued.map(draftEntry('issued')),
    ...postponed.map(draftEntry('postponed')),
  ];
};

export type InvoiceStore = Pick<
  IssuePorts,
  | 'leaseShard'
  | 'leaseNext'
  | 'putBack'
  | 'ratedLines'
  | 'linesBefore'
  | 'invoiceGroups'
  | 'billedPeriods'
  | 'commit'
  | 'giveUp'
>;

// Runs that have rated shards, one step of the index each, however many shards they have.
const ratedRuns = `runs AS (
    (SELECT s.run_id FROM billing_run_shards s WHERE s.state = 'rated' ORDER BY s.run_id LIMIT 1)
    UNION ALL
    SELECT (SELECT s.run_id FROM billing_run_shards s WHERE s.state = 'rated' AND s.run_id > runs.run_id
      ORDER BY s.run_id LIMIT 1)
    FROM runs WHERE runs.run_id IS NOT NULL
  )`;

// What of a payer falls due at one instant, in one currency, is one invoice; of a subscription, where it is not
// consolidated.
const groupsStatement = `
WITH due AS (
  SELECT p.*, n.place, s.currency, CASE WHEN p.consolidated THEN p.payer_id ELSE p.subscription_id END AS billed_with,
    coalesce(s.next_due_at, s.clocked_due_at) IS NOT NULL AND (s.ended_at IS NULL OR s.ended_at > p.due_at) AS goes_on
  FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place)
    CROSS JOIN LATERAL (SELECT p.* FROM billing_periods p WHERE p.id = n.id OFFSET 0) p
    CROSS JOIN LATERAL (
      SELECT s.currency, s.next_due_at, s.clocked_due_at, s.ended_at FROM subscriptions s
      WHERE s.id = p.subscription_id OFFSET 0
    ) s
), ranked AS (
  SELECT d.*, row_number() OVER (ORDER BY ${periodOrder}) AS rank FROM due d
)
SELECT g.payer_id, g.currency, g.periods, g.carried, ${carryTermsColumns}, ${payerColumns}
FROM (
  SELECT payer_id, currency, min(place) AS place, json_agg(${groupPeriodColumns} ORDER BY p.rank) AS periods,
    billed_with, due_at, ${carriedColumns}, ${carryFactsColumns}
  FROM ranked p GROUP BY payer_id, billed_with, currency, due_at
) g JOIN ${payerTables} ON c.id = g.payer_id
ORDER BY g.place`;

const makeSeries = `WITH RECURSIVE ${ratedRuns}
INSERT INTO invoice_series (organization_id, last_number, head_hash)
SELECT DISTINCT r.organization_id, 0, repeat('0', 64) FROM runs w JOIN billing_runs r ON r.id = w.run_id
WHERE NOT EXISTS (SELECT 1 FROM invoice_series i WHERE i.organization_id = r.organization_id)
ON CONFLICT DO NOTHING`;

// A shard of an organization that nobody issues invoices of, and the organization with it.
const shardToIssue = `${ratedRuns}, free AS (
    SELECT i.organization_id, w.run_id FROM runs w JOIN billing_runs r ON r.id = w.run_id
    JOIN invoice_series i ON i.organization_id = r.organization_id
    WHERE ${isFree('i')} AND EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = w.run_id
      AND s.state = 'rated' AND ${isFree('s')})
    ORDER BY w.run_id LIMIT 1 FOR UPDATE OF i SKIP LOCKED
  ), ${leaseNext(shardJobs, {
    from: 'free JOIN billing_run_shards j ON j.run_id = free.run_id',
    where: "j.state = 'rated'",
    order: 'j.shard_number',
  })}, organization AS (
    UPDATE invoice_series i SET leased_until = l.leased_until FROM leased l
      JOIN billing_runs r ON r.id = l.run_id WHERE i.organization_id = r.organization_id
  )`;

/** Of the run `$2`, whose organization is held by whoever asks. */
const nextShardOfRun = leaseNext(shardJobs, {
  where: "j.run_id = $2 AND j.state = 'rated'",
  order: 'j.shard_number',
});

/**
 * The organization is free for the next one; not where somebody else holds the shard by now, and the organization
 * with it.
 */
const freeOrganization = async (client: Queryable, shard: Shard): Promise<void> => {
  await client.query(
    `UPDATE invoice_series SET leased_until = NULL WHERE organization_id = $1
     AND EXISTS (SELECT 1 FROM billing_run_shards WHERE run_id = $2 AND shard_number = $3 AND state = 'rated'
       AND attempts = $4)`,
    [shard.organizationId, shard.runId, shard.shardNumber, shard.attempt],
  );
};

export const createInvoiceStore = (postgres: Postgres, leaseSeconds: number): InvoiceStore => {
  const giveUp: InvoiceStore['giveUp'] = (shard, error) =>
    postgres.transaction(async (client) => {
      await freeOrganization(client, shard);
      await giveBackShard(client, 'invoicer', shard, error);
    });
  return {
    leaseShard: () =>
      takeNext(async () => {
        await postgres.query(makeSeries, []);
        return leaseShard(postgres, shardToIssue, leaseSeconds);
      }, giveUp),
    leaseNext: ({ runId }) => takeNext(() => leaseShard(postgres, nextShardOfRun, leaseSeconds, [runId]), giveUp),
    putBack: (shard) =>
      postgres.transaction(async (client) => {
        await freeOrganization(client, shard);
        await putBack(client, shardJobs, shard, [shard.runId, shard.shardNumber]);
      }),
    ratedLines: (shard, periods) =>
      shard.makesDrafts ? draftLines(postgres, shard) : linesOfShard(postgres, shard, periods),
    linesBefore: createLinesBefore(postgres),
    invoiceGroups: async (shard) => {
      if (shard.draftIds.length > 0) return draftsOfShard(postgres, shard);
      const { rows } = await postgres.query<GroupRow & CarriedRow>(groupsStatement, [shard.billingPeriodIds]);
      const entities = await entitiesOf(postgres, rows);
      return rows.map((row) => withCarry(groupFromRow(row, entities), row));
    },

    billedPeriods: (shard) => billedPeriods(postgres, shard),
    commit: (shard, issue, hour, elapsedMs, holdsOn, discounted) =>
      postgres.transaction(async (client) => {
        const head = await lockSeries(client, shard.organizationId);
        const alreadyBilled = await billedPeriods(client, shard);
        const draftIds = await lockDrafts(client, shard);
        const draftMinutes = shard.makesDrafts ? await draftMinutesOf(client, shard.organizationId) : 0;
        const stored = await invoiceNumbering.read(client, shard.organizationId);
        const byHand = await lockCorrected(client, shard.organizationId, discounted.creditIds);
        const transaction = { ...client, organizationId: shard.organizationId };
        await lockCharged(client, discounted);
        const charged = await creditedCharges(client, discounted);
        const corrected = await correctedPeriods(transaction, discounted.creditIds, 'lock');
        const discounts = await discountFacts(client, discounted);
        const found = { alreadyBilled, draftIds, draftMinutes, byHand, corrected, discounts };
        const state = { head, numbering: stored, creditedCharges: charged, ...found };
        const closed = issue(state);
        const { invoices, drafts, uses, carried } = closed;
        const last = invoices.at(-1);
        await writeCarried(client, shard, closed, hour());
        const written = last && writeBilled(client, shard, closed);
        await writeDiscountUses(client, shard.organizationId, uses);
        await issueCredits(client, shard, closed.credits, hour);
        await settleDeltas(client, closed.settled, shard.watermark);
        const draftEntries = await writeDrafts(client, shard, closed, draftIds, hour());
        const count = { issued: invoices.length, drafted: drafts.length, carried: carried.length };
        const [completedAt] = await Promise.all([
          finishShard(client, shard, count, alreadyBilled.size, elapsedMs()),
          last && writeStates(client, invoices),
          written,
        ]);
        const next = last ?? head;
        const changes = invoices.map(({ id, hash }) => ({
          action: 'invoice.issued',
          objectType: 'invoice',
          objectId: id,
          afterDigest: hash,
        }));
        const ended = completedAt === undefined ? [] : [runEnded(shard.kind, 'completed', shard.runId)];
        const actor = { actor: 'invoicer', requestId: shard.requestId, result: 'done' };
        // An invoice has the id of its draft, and each object of a call has one kind.
        await recordChange(transaction, actor, draftEntries, hour());
        await recordChange(transaction, actor, [...changes, ...ended], last?.issuedAt ?? completedAt ?? 0);
        moveSeries(client, shard, next, holdsOn() ? leaseSeconds : undefined);
        return count;
      }),
    giveUp,
  };
};
