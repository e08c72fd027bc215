/** Runs that rate without issuing, and billing periods that can't be rated: each of them is nobody else's trouble. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmProPlan, llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { type ApiAnswer, lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { untilAllStored } from '../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
const at = month.end - 3_600_000;
const customers = Array.from({ length: 20 }, (_, index) => `customer-${String(index).padStart(2, '0')}`);
const broken = 'customer-broken';

/** As nobody may but who owns the database. */
const tamper = (sql: string, values: readonly unknown[]) =>
  pipeline.asOwner.transaction(async ({ query }) => {
    await query("SET LOCAL session_replication_role = 'replica'");
    return query(sql, values);
  });

const breakPlan = () =>
  tamper(
    `UPDATE plan_versions SET charges = '[{"code": "base", "name": "Base", "price": {"model": "gone"}}]'
     WHERE plan_id = (SELECT id FROM plans WHERE code = 'breakable')`,
    [],
  );
const charges = [
  { code: 'base', name: 'Base', meter: null, price: { model: 'flat', amount: '7.00' } },
  { code: 'requests', name: 'Requests', meter: 'requests', price: { model: 'per_unit', unit_amount: '1.00' } },
];
const mendPlan = () =>
  tamper(`UPDATE plan_versions SET charges = $1 WHERE plan_id = (SELECT id FROM plans WHERE code = 'breakable')`, [
    JSON.stringify(charges),
  ]);

beforeAll(async () => {
  // Small shards, so that a run has several of them.
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_RATER_SHARD_SIZE: '6',
      MILLRACE_RATER_WORKERS: '2',
      MILLRACE_JOB_LEASE_SECONDS: '5',
    },
    { services: parts.billedUsage },
  );
  await makeLlmPro(pipeline, customers, month.start);
  const plan = {
    ...llmProPlan,
    code: 'breakable',
    charges: charges.map(({ meter, ...rest }) => ({ ...rest, ...(meter && { meter }) })),
  };
  expect((await pipeline.api('POST', '/v1/plans', plan)).status).toBe(201);
  const started_at = new Date(month.start).toISOString();
  await pipeline.api('POST', '/v1/customers', { external_id: broken, name: 'B' });
  await pipeline.api('POST', '/v1/subscriptions', { customer_id: broken, plan: 'breakable', started_at });
  const sent = [...customers, broken].map((customer) =>
    llmRequest(customer, customer, at, { input: 200_000, output: 1_000 }),
  );

  expect(await pipeline.sendEvents(sent)).toMatchObject({ status: 200, body: { accepted: sent.length } });
  await untilAllStored(pipeline, customers[0] ?? '', 1);
});
afterAll(() => pipeline?.stop());

const rate = async (body: object): Promise<ApiAnswer> => {
  const asked = await pipeline.api('POST', '/v1/rating-runs', body);
  expect(asked.status).toBe(202);
  return pipeline.api('GET', `${asked.headers.get('location')}?wait_seconds=25`);
};

/** All lines, over as many pages as there are. */
const linesOf = async (runId: string): Promise<string[]> => {
  const lines: string[] = [];
  for (let cursor = ''; ; ) {
    const { body } = await pipeline.api('GET', `/v1/rating-runs/${runId}/lines?limit=30${cursor}`);
    lines.push(...body.items.map((item: unknown) => JSON.stringify(item)));
    if (!body.pagination.has_more) return lines;
    cursor = `&cursor=${body.pagination.next_cursor}`;
  }
};

const rowsOf = async (table: string): Promise<number> =>
  Number((await pipeline.asOwner.query<{ n: bigint }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.n);

describe('a dry run', () => {
  it('says what a month comes to, and leaves nothing where billing looks', async () => {
    const { body } = await rate({ period: month.name });
    expect(body).toMatchObject({
      state: 'completed',
      dry_run: true,
      lines: 82,
      // 20 times: 20.00 base, requests within the free ones, 0.30 + 0 for input, 0.015 -> 0.02 for output; and 8.00.
      totals: [{ currency: 'USD', lines: 82, amount: '414.40' }],
      failures: 0,
      failure: null,
      progress: {
        shards_total: 4,
        shards_done: 4,
        billing_periods_total: 21,
        billing_periods_done: 21,
        remaining_seconds: 0,
      },
    });
    expect(await linesOf(body.id)).toHaveLength(82);
    expect([await rowsOf('billing_periods'), await rowsOf('rated_lines'), await rowsOf('invoices')]).toEqual([0, 0, 0]);
    const { body: audit } = await pipeline.api('GET', `/v1/audit-log?object_id=${body.id}`);
    expect(audit.items.map(({ action }: { action: string }) => action).toSorted()).toEqual([
      'rating_run.completed',
      'rating_run.created',
    ]);
    expect((await pipeline.api('GET', `/v1/invoices/runs/${body.id}`)).status).toBe(404);
    expect((await pipeline.api('GET', '/v1/rating-runs')).body.items).toEqual([body]);
  });

  it('[I12] at the same watermark gives byte-equal lines, whatever came meanwhile', async () => {
    const first = await rate({ period: month.name });
    const late = llmRequest('late', customers[1] ?? '', at, { input: 5_000_000, output: 1 });
    expect(await pipeline.sendEvents(late)).toMatchObject({ body: { accepted: 1 } });
    const { watermark } = first.body;
    const again = await rate({ period: month.name, watermark });
    expect(again.body).toMatchObject({ watermark, totals: first.body.totals });
    const lines = await linesOf(first.body.id);
    expect(lines).toHaveLength(82);
    expect(await linesOf(again.body.id)).toEqual(lines);
    const now = await rate({ period: month.name });
    expect(BigInt(now.body.watermark)).toBeGreaterThan(BigInt(watermark));
    expect(await linesOf(now.body.id)).not.toEqual(lines);
  });

  it('is of one customer where one is named, or of a subscription', async () => {
    const one = await rate({ period: month.name, customer_id: customers[3] });
    expect(one.body).toMatchObject({ lines: 4, totals: [{ amount: '20.32' }] });
    const { items } = (await pipeline.api('GET', `/v1/rating-runs/${one.body.id}/lines`)).body;
    expect(items.map(({ charge_code }: { charge_code: string }) => charge_code)).toEqual([
      'base',
      'requests',
      'input',
      'output',
    ]);
    const subscription = items[0].subscription_id;
    expect((await rate({ period: month.name, subscription_id: subscription })).body.lines).toBe(4);
  });

  it('is refused at a watermark that the stream has not reached, and of a month that has not begun', async () => {
    const far = await pipeline.api('POST', '/v1/rating-runs', { period: month.name, watermark: '9223372036854775807' });
    expect(far).toMatchObject({ status: 422, body: { errors: [{ field: 'watermark', code: 'out_of_range' }] } });
    const next = Temporal.Now.plainDateISO('UTC').toPlainYearMonth().add({ months: 1 }).toString();
    expect(await pipeline.api('POST', '/v1/rating-runs', { period: next })).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'period', code: 'out_of_range' }] },
    });
    const current = Temporal.Now.plainDateISO('UTC').toPlainYearMonth().toString();
    expect((await rate({ period: current })).body.state).toBe('completed');
    expect(await pipeline.api('POST', '/v1/rating-runs', { period: current, dry_run: false })).toMatchObject({
      status: 409,
      body: { error_code: 'PERIOD_NOT_ENDED' },
    });
  });
});

describe('a billing period that can not be rated', () => {
  it('is a listed failure of the run, stays open, and never stops the others', async () => {
    await breakPlan();
    const dry = await rate({ period: month.name });
    expect(dry.body).toMatchObject({ state: 'completed', failures: 1, lines: 80 });
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run.body).toMatchObject({
      state: 'completed',
      invoices_issued: 20,
      failures: 1,
      failure: null,
      progress: { billing_periods_total: 21, billing_periods_done: 21 },
    });
    for (const path of [`/v1/invoices/runs/${run.body.id}`, `/v1/rating-runs/${dry.body.id}`]) {
      const { items } = (await pipeline.api('GET', `${path}/failures`)).body;
      expect(items).toMatchObject([
        { code: 'catalog_unreadable', message: expect.stringMatching(/^a charge of plan version .* can't be read/) },
      ]);
      const { items: filtered } = (await pipeline.api('GET', `${path}/failures?customer_id=${broken}`)).body;
      expect(filtered).toEqual(items);
    }
    const { rows } = await pipeline.asOwner.query("SELECT state FROM billing_periods WHERE state = 'open'");
    expect(rows).toHaveLength(1);
    // [I11] All that was accepted is billed, or unbilled for a reason.
    const { total } = (await pipeline.api('GET', '/v1/reconciliation')).body;
    expect(total).toMatchObject({
      is_balanced: true,
      billed: 21,
      unbilled: { period_open: 1, late: 0, unmeasured: 0 },
    });
  });

  it('is billed by the next run once it is mended, at whatever watermark', async () => {
    await mendPlan();
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run.body).toMatchObject({ invoices_issued: 1, invoices_already_issued: 20, failures: 0 });
    const { body } = await pipeline.api('GET', `/v1/customers/${broken}/invoices`);
    expect(body.items).toMatchObject([{ total: '8.00' }]);
  });
});

describe('a rating run that is kept', () => {
  const other = 'customer-kept';
  it('stores lines as a billing run would, which then bills the very same, and leaves the period open', async () => {
    const started_at = new Date(month.start).toISOString();
    await pipeline.api('POST', '/v1/customers', { external_id: other, name: 'K' });
    await pipeline.api('POST', '/v1/subscriptions', { customer_id: other, plan: 'llm-pro', started_at });
    await pipeline.sendEvents(llmRequest('kept', other, at, { input: 200_000, output: 1_000 }));
    const dry = await rate({ period: month.name, customer_id: other });
    const { watermark } = dry.body;
    const kept = await rate({ period: month.name, customer_id: other, watermark, dry_run: false });
    expect(kept.body).toMatchObject({ state: 'completed', dry_run: false, lines: 4, watermark });
    expect(await linesOf(kept.body.id)).toEqual(await linesOf(dry.body.id));
    const { rows } = await pipeline.asOwner.query<{ id: string; state: string }>(
      `SELECT l.id, p.state FROM rated_lines l JOIN billing_periods p ON p.id = l.billing_period_id
       WHERE l.watermark = $1 AND p.state = 'open'`,
      [watermark],
    );
    expect(rows).toHaveLength(4);
    const explained = await pipeline.api('GET', `/v1/rated-lines/${rows[0]?.id}/explain`);
    expect(explained.body).toMatchObject({ invoice_id: null, hashes: { is_as_rated: true } });
    const billed = await pipeline.closePeriod({ period: month.name, customer_id: other });
    expect(billed.body).toMatchObject({ invoices_issued: 1 });
    // What is billed is told by a dry run too.
    const after = await rate({ period: month.name, customer_id: other, watermark });
    expect(await linesOf(after.body.id)).toEqual(await linesOf(dry.body.id));
  });

  it('is not billed by lines of a price that was changed meanwhile: the period is a failure until a later watermark', async () => {
    const started_at = new Date(month.start).toISOString();
    const name = 'customer-changed';
    await pipeline.api('POST', '/v1/customers', { external_id: name, name: 'C' });
    await pipeline.api('POST', '/v1/subscriptions', { customer_id: name, plan: 'llm-pro', started_at });
    const kept = await rate({ period: month.name, customer_id: name, dry_run: false });
    expect(kept.body).toMatchObject({ state: 'completed', failures: 0, totals: [{ amount: '20.00' }] });
    const override = {
      plan: 'llm-pro',
      charge: 'base',
      customer_id: name,
      price: { model: 'flat', amount: '5.00' },
      effective_from: started_at,
    };
    expect((await pipeline.api('POST', '/v1/price-overrides', override)).status).toBe(201);
    const billed = await pipeline.closePeriod({ period: month.name, customer_id: name });
    expect(billed.body).toMatchObject({ watermark: kept.body.watermark, invoices_issued: 0, failures: 1 });
    const { items } = (await pipeline.api('GET', `/v1/invoices/runs/${billed.body.id}/failures`)).body;
    expect(items).toMatchObject([{ code: 'rated_otherwise' }]);
    await pipeline.sendEvents(llmRequest('later', 'somebody', Date.now(), { input: 1, output: 1 }));
    const again = await pipeline.closePeriod({ period: month.name, customer_id: name });
    expect(again.body).toMatchObject({ invoices_issued: 1, failures: 0 });
    const { body } = await pipeline.api('GET', `/v1/customers/${name}/invoices`);
    expect(body.items).toMatchObject([{ total: '5.00' }]);
  });
});
