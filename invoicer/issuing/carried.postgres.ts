/** What a shard carries over, as rows. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { formatAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { CarriedInvoice } from '../invoices/carry-over.ts';
import type { ClosedShard } from './close-period.ts';

// One that is billed, in a draft or carried over by somebody else ends the transaction.
const carryStatement = `UPDATE billing_periods p SET carried_at = $2, carried_from = coalesce(carried_from, due_at)
WHERE p.id = ANY ($1) AND p.state = 'open' AND p.draft_id IS NULL AND p.carried_at IS NULL`;

const insertStatement = `
INSERT INTO carried_periods (run_id, billing_period_id, organization_id, customer_id, currency, invoice_total,
  minimum_amount, carried_at)
SELECT $1, n.id, $2, n.customer_id, n.currency, n.total, n.minimum, $3
FROM unnest($4::text[], $5::text[], $6::text[], $7::numeric[], $8::numeric[])
  AS n (id, customer_id, currency, total, minimum)
ON CONFLICT DO NOTHING`;

const insertCarried = async (client: Queryable, shard: Shard, carried: readonly CarriedInvoice[], now: Instant) => {
  const rows = carried.flatMap((invoice) => invoice.billingPeriodIds.map((id) => ({ id, invoice })));
  await client.query(insertStatement, [
    shard.runId,
    shard.organizationId,
    new Date(now),
    rows.map(({ id }) => id),
    rows.map(({ invoice }) => invoice.customerId),
    rows.map(({ invoice }) => invoice.currency),
    rows.map(({ invoice }) => formatAmount(invoice.total)),
    rows.map(({ invoice }) => formatAmount(invoice.minimum)),
  ]);
};

// What another invoice of the same shard takes never waited.
const takenStatement = `UPDATE billing_periods p SET carried_from = n.carried_from
FROM unnest($1::text[], $2::timestamptz[]) AS n (id, carried_from)
WHERE p.id = n.id AND p.state = 'open' AND p.carried_from IS NULL`;

/** In the transaction of the shard, before its invoices are written. Deltas that wait are of no invoice. */
export const writeCarried = async (
  client: Queryable,
  shard: Shard,
  { carried, invoices, drafts, waiting: deltas }: ClosedShard,
  now: Instant,
): Promise<void> => {
  if (carried.length === 0 && deltas.length === 0) return;
  const waiting = [...deltas, ...carried.flatMap(({ waits, billingPeriodIds }) => (waits ? billingPeriodIds : []))];
  const { rowCount } = await client.query(carryStatement, [waiting, new Date(now)]);
  assert.equal(rowCount, waiting.length, 'a billing period is carried over already');
  const taken = [...invoices, ...drafts.map(({ draft }) => draft)].flatMap(({ periods }) =>
    periods.filter(({ carriedFrom }) => carriedFrom !== undefined),
  );
  await client.query(takenStatement, [
    taken.map(({ billingPeriodId }) => billingPeriodId),
    taken.map(({ carriedFrom = 0 }) => new Date(carriedFrom)),
  ]);
  await insertCarried(client, shard, carried, now);
};
