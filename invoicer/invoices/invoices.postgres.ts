/** Issuing invoices: one transaction, a gap-free number, the hash chain. */

import { recordChange } from '#platform/audit/record-change.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { isPassing } from '#platform/stores/retry.ts';
import { giveUpShard } from '#platform/work/give-up-shard.ts';
import { leaseShardStatement, runEnded, type Shard, type ShardRow, shardFromRow } from '#schemas/billing-run.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { formatAmount, formatPreciseAmount } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { IssuePorts } from './close-period.ts';
import { genesisHash } from './invoice-hash.ts';

const lockSeries = async (client: Queryable, organizationId: string): Promise<{ number: number; hash: string }> => {
  await client.query(
    'INSERT INTO invoice_series (organization_id, last_number, head_hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING',
    [organizationId, genesisHash],
  );
  const { rows } = await client.query<{ last_number: bigint; head_hash: string }>(
    'SELECT last_number, head_hash FROM invoice_series WHERE organization_id = $1 FOR UPDATE',
    [organizationId],
  );
  return { number: Number(rows[0]?.last_number ?? 0n), hash: rows[0]?.head_hash ?? genesisHash };
};

const insertInvoices = async (client: Queryable, shard: Shard, invoices: readonly IssuedInvoice[]): Promise<void> => {
  const column = <T>(of: (invoice: IssuedInvoice) => T): T[] => invoices.map(of);
  await client.query(
    `INSERT INTO invoices (id, organization_id, series_number, kind, customer_id, subscription_id, plan_version_id, run_id, period_start, period_end, watermark,
       currency, subtotal, total, issued_at, previous_hash, hash)
     SELECT i.id, $1, i.number, i.kind, i.customer_id, i.subscription_id, i.plan_version_id, $2, $3, $4, $5,
       i.currency, i.subtotal, i.total, i.issued_at, i.previous_hash, i.hash
     FROM unnest($6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::numeric[], $14::numeric[], $15::timestamptz[], $16::text[], $17::text[])
       AS i (id, number, kind, customer_id, subscription_id, plan_version_id, currency, subtotal, total, issued_at, previous_hash, hash)`,
    [
      shard.organizationId,
      shard.runId,
      new Date(shard.period.start),
      new Date(shard.period.end),
      shard.watermark,
      column(({ id }) => id),
      column(({ number }) => number),
      column(({ kind }) => kind),
      column(({ customerId }) => customerId),
      column(({ subscriptionId }) => subscriptionId),
      column(({ planVersionId }) => planVersionId),
      column(({ currency }) => currency),
      column(({ subtotal }) => formatAmount(subtotal)),
      column(({ total }) => formatAmount(total)),
      column(({ issuedAt }) => new Date(issuedAt)),
      column(({ previousHash }) => previousHash),
      column(({ hash }) => hash),
    ],
  );
};

const insertLines = async (client: Queryable, invoices: readonly IssuedInvoice[]): Promise<void> => {
  const lines = invoices.flatMap((invoice) => invoice.lines.map((line) => ({ invoiceId: invoice.id, ...line })));
  await client.query(
    `INSERT INTO invoice_lines (invoice_id, position, charge_code, description, meter, quantity, rounding, precise_amount, amount, steps, period_start, period_end)
     SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[], $8::numeric[], $9::numeric[], $10::json[], $11::timestamptz[], $12::timestamptz[])`,
    [
      lines.map(({ invoiceId }) => invoiceId),
      lines.map(({ position }) => position),
      lines.map(({ chargeCode }) => chargeCode),
      lines.map(({ description }) => description),
      lines.map(({ meter }) => meter),
      lines.map(({ quantity }) => formatQuantity(quantity)),
      lines.map(({ rounding }) => rounding),
      lines.map(({ precise }) => formatPreciseAmount(precise)),
      lines.map(({ amount }) => formatAmount(amount)),
      lines.map(({ steps }) => JSON.stringify(steps.map(priceStepToJson))),
      lines.map(({ servicePeriod }) => new Date(servicePeriod.start)),
      lines.map(({ servicePeriod }) => new Date(servicePeriod.end)),
    ],
  );
};

/** When the run was completed by it; undefined while other shards are to come. */
const finishShard = async (
  client: Queryable,
  shard: Shard,
  issued: number,
  already: number,
  elapsedMs: number,
): Promise<number | undefined> => {
  await client.query(
    `UPDATE billing_run_shards SET state = 'issued', leased_until = NULL, failure = NULL, issued = issued + $3, already_issued = already_issued + $4, issued_ms = $5
     WHERE run_id = $1 AND shard_number = $2 AND state = 'rated'`,
    [shard.runId, shard.shardNumber, issued, already, Math.round(elapsedMs)],
  );
  const { rows } = await client.query<{ now: Date }>(
    `UPDATE billing_runs SET state = 'completed', updated_at = clock_timestamp()
     WHERE id = $1 AND state = 'running' AND NOT EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = $1 AND s.state <> 'issued')
     RETURNING updated_at AS now`,
    [shard.runId],
  );
  return rows[0]?.now.getTime();
};

export type InvoiceStore = Pick<IssuePorts, 'leaseShard' | 'ratedLines' | 'commit' | 'giveUp'>;

export const createInvoiceStore = (postgres: Postgres, leaseSeconds: number): InvoiceStore => ({
  leaseShard: async () => {
    const { rows } = await postgres.query<ShardRow>(...leaseShardStatement('rated', leaseSeconds));
    return rows[0] && shardFromRow(rows[0]);
  },
  ratedLines: async (shard) => {
    const { rows } = await postgres.query<{ line: RatedLineJson }>(
      `SELECT line FROM rated_lines WHERE organization_id = $1 AND subscription_id = ANY ($2) AND period_start = $3 AND watermark = $4
       ORDER BY subscription_id, position`,
      [shard.organizationId, shard.subscriptionIds, new Date(shard.period.start), shard.watermark],
    );
    return rows.map(({ line }) => ratedLineFromJson(line));
  },
  commit: (shard, issue, elapsedMs) =>
    postgres.transaction(async (client) => {
      const head = await lockSeries(client, shard.organizationId);
      const { rows } = await client.query<{ subscription_id: string }>(
        "SELECT subscription_id FROM invoices WHERE subscription_id = ANY ($1) AND period_start = $2 AND period_end = $3 AND kind = 'period'",
        [shard.subscriptionIds, new Date(shard.period.start), new Date(shard.period.end)],
      );
      const alreadyIssued = new Set(rows.map((row) => row.subscription_id));
      const invoices = issue({ head, alreadyIssued });
      const last = invoices.at(-1);
      if (last) {
        await insertInvoices(client, shard, invoices);
        await insertLines(client, invoices);
        await client.query('UPDATE invoice_series SET last_number = $2, head_hash = $3 WHERE organization_id = $1', [
          shard.organizationId,
          last.number,
          last.hash,
        ]);
      }
      const completedAt = await finishShard(client, shard, invoices.length, alreadyIssued.size, elapsedMs());
      const changes = invoices.map(({ id, hash }) => ({
        action: 'invoice.issued',
        objectType: 'invoice',
        objectId: id,
        afterDigest: hash,
      }));
      const ended = completedAt === undefined ? [] : [runEnded('completed', shard.runId)];
      const actor = { actor: 'invoicer', requestId: shard.requestId, result: 'done' };
      await recordChange(
        { query: client.query, organizationId: shard.organizationId },
        actor,
        [...changes, ...ended],
        last?.issuedAt ?? completedAt ?? 0,
      );
      return invoices.length;
    }),
  giveUp: async (shard, error) => {
    await giveUpShard(postgres, 'invoicer', shard, error, isPassing(error));
  },
});
