/** [I18] Document numbers from eight invoicers at once, some of which fail in the middle, on PostgreSQL alone. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { verifyChains } from '../../api/verify/verify-chains.postgres.ts';
import { draftInvoice } from '../../invoicer/invoices/draft-invoice.ts';
import { canonicalInvoice, chainHash } from '../../invoicer/invoices/invoice-hash.ts';
import { numberingFrom } from '../../invoicer/invoices/number-documents.ts';
import type { IssuePorts } from '../../invoicer/issuing/close-period.ts';
import { createInvoiceStore } from '../../invoicer/issuing/invoices.postgres.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { issuedWith, october, parties } from '../support/invoice-examples.ts';
import { databasePassword } from '../support/pipeline.ts';

const invoicers = 8;

let owner: Postgres;
beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  const log = createLog('test', 'silent', []);
  owner = connectPostgres(stores.databaseUrl, { poolMax: invoicers, waitMsMax: 60_000, log });
  for (const sql of [
    "INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale')",
    `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
     VALUES ('cus_1', 'org', 'x', 'x', '{}', 1, now(), now())`,
    `INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, watermark, is_cut, created_at,
       updated_at)
     VALUES ('run', 'org', '2026-10-01', '2026-11-01', 'running', 9, true, now(), now())`,
    `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
     SELECT 'run', n, '{}', 'rated' FROM generate_series(1, 40) AS n`,
    "INSERT INTO invoice_series (organization_id, last_number, head_hash) VALUES ('org', 0, repeat('0', 64))",
  ])
    await owner.query(sql);
});
afterAll(() => owner?.close());

const shardOf = (shardNumber: number): Shard => ({
  runId: 'run',
  shardNumber,
  organizationId: 'org',
  kind: 'billing',
  watermark: 9n,
  billingPeriodIds: [],
  draftIds: [],
  makesDrafts: false,
  requestId: undefined,
  clockNow: undefined,
  attempt: 1,
});

type Issue = Parameters<IssuePorts['commit']>[1];

/** Three invoices, the last of another year; one that breaks has the id of the first twice. */
const threeInvoices =
  (shard: number, breaks: boolean): Issue =>
  (state) => {
    const numbering = numberingFrom(state.numbering);
    let { head } = state;
    const invoices = [2026, 2026, 2027].map((year, index) => {
      const content = {
        ...draftInvoice(parties, []),
        ...issuedWith(4, head.number + 1, october.end),
        dueAt: null,
        buyerDigest: null,
        documentNumber: numbering.next(null, defaultNumberFormat, year),
        id: `inv_${shard}_${breaks ? 0 : index}`,
        tenant: 'org',
      };
      const previousHash = head.hash;
      const hash = chainHash(previousHash, canonicalInvoice(content));
      head = { number: content.number, hash };
      return { ...content, previousHash, hash };
    });
    return {
      invoices,
      numbering: numbering.moved(),
      drafts: [],
      settled: [],
      carried: [],
      credits: [],
      waiting: [],
      uses: [],
      unrated: [],
    };
  };

it('[I18] have no gap and no twin, whoever is rolled back in between', async () => {
  const { commit } = createInvoiceStore(owner, 60);
  const attempt = async (number: number): Promise<number> => {
    const breaks = number % 3 === 0;
    const committed = commit(
      shardOf(number),
      threeInvoices(number, breaks),
      () => 1,
      () => 1,
      () => false,
      {
        organizationId: 'org',
        customerIds: [],
        planVersionIds: [],
        billingPeriodIds: [],
        creditIds: [],
        priceOverrideIds: [],
      },
    );
    if (breaks) await expect(committed).rejects.toThrow('duplicate key');
    else expect(await committed).toMatchObject({ issued: 3 });
    return breaks ? 0 : 1;
  };
  // Each invoicer has a connection, and takes the next shard when it is done with one.
  const shards = Array.from({ length: 40 }, (_, index) => index + 1);
  const invoicer = async (): Promise<number> => {
    let count = 0;
    for (let next = shards.shift(); next !== undefined; next = shards.shift()) count += await attempt(next);
    return count;
  };
  const counts = await Promise.all(Array.from({ length: invoicers }, invoicer));
  const committed = counts.reduce((sum, one) => sum + one, 0);
  const { rows } = await owner.query<{ document_number: string }>(
    'SELECT document_number FROM invoices ORDER BY document_number',
  );
  const expected = (year: number, count: number) =>
    Array.from({ length: count }, (_, index) => `INV-${year}-${String(index + 1).padStart(6, '0')}`);
  expect(rows.map((row) => row.document_number)).toEqual([
    ...expected(2026, committed * 2),
    ...expected(2027, committed),
  ]);
  const reports = await verifyChains(owner, 'org', []);
  expect(reports.find(({ chain }) => chain === 'invoices')).toMatchObject({
    head: { number: committed * 3 },
    fault: undefined,
  });
});

it('[I18] a number that was given is refused to whoever writes it again', async () => {
  const again = owner.query(
    `INSERT INTO invoices (id, organization_id, series_number, kind, content_version, customer_id, run_id, currency,
       subtotal, discount_total, tax_total, total, issued_at, previous_hash, hash, document_number)
     VALUES ('inv_x', 'org', 999, 'period', 4, 'cus_1', 'run', 'USD', 0, 0, 0, 0, now(), 'x', 'y', 'INV-2026-000001')`,
  );
  await expect(again).rejects.toThrow('invoices_by_document_number');
});

it('[I19] a total that is no sum is refused by the table', async () => {
  const wrong = owner.query(
    `INSERT INTO invoices (id, organization_id, series_number, kind, content_version, customer_id, run_id, currency,
       subtotal, discount_total, tax_total, total, issued_at, previous_hash, hash, document_number)
     VALUES ('inv_y', 'org', 999, 'period', 4, 'cus_1', 'run', 'USD', 10, 1, 2, 10, now(), 'x', 'y', 'X-1')`,
  );
  await expect(wrong).rejects.toThrow('invoices_total_is_a_sum');
});
