/** From accepted events to issued invoices: once, in order, for ever. */

import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { verifyChain } from '../../invoicer/invoices/invoice-hash.ts';
import { invoiceChain } from '../support/invoice-chain.ts';
import { llmProPlan, llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { storeByHand } from '../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
const at = month.end - 3_600_000;
const customers = Array.from({ length: 30 }, (_, index) => `customer-${index}`);

beforeAll(async () => {
  // Small shards, so that a run has several of them.
  pipeline = await startPipeline(
    inject('serverUrls'),
    { MILLRACE_RATER_SHARD_SIZE: '7', MILLRACE_RATER_WORKERS: '2' },
    { services: parts.billedUsage },
  );
  await makeLlmPro(pipeline, customers, month.start);
  const events = customers.flatMap((customer, index) =>
    Array.from({ length: index + 1 }, (_, n) =>
      llmRequest(`${customer}-${n}`, customer, at + n, { input: 200_000, output: 1_000 }),
    ),
  );
  expect(await pipeline.sendEvents(events)).toMatchObject({ status: 200, body: { accepted: events.length } });
});
afterAll(() => pipeline?.stop());

const chain = () => invoiceChain(pipeline);

describe('closing a period', () => {
  it('one customer can be closed alone', async () => {
    const run = await pipeline.closePeriod({ period: month.name, customer_id: 'customer-2' });
    expect(run).toMatchObject({
      status: 200,
      body: { state: 'completed', invoices_issued: 1, invoices_already_issued: 0 },
    });
    const { body } = await pipeline.api('GET', '/v1/customers/customer-2/invoices');
    // 3 requests: 20.00 base, none above 20 free, 600,000 tokens = 0.30 + 0.96, 3,000 tokens = 0.045 -> 0.05
    expect(body.items).toMatchObject([
      {
        number: 1,
        total: '21.31',
        currency: 'USD',
        state: 'issued',
        period: { start: new Date(month.start).toISOString().replace('.000', '') },
      },
    ]);
  });

  it('[I16] [I18] runs at the same moment issue each invoice once, under numbers without gap or twin', async () => {
    const runs = await Promise.all(Array.from({ length: 5 }, () => pipeline.closePeriod({ period: month.name })));
    for (const run of runs) expect(run).toMatchObject({ status: 200, body: { state: 'completed', failure: null } });
    expect(runs.reduce((sum, run) => sum + run.body.invoices_issued, 0)).toBe(29);
    const invoices = await chain();
    expect(invoices.map(({ number }) => number)).toEqual(customers.map((_, index) => index + 1));
    expect(new Set(invoices.map(({ periods }) => periods[0]?.subscriptionId)).size).toBe(30);
  });

  it('a run of a closed period issues nothing and says how many there were', async () => {
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 0, invoices_already_issued: 30 });
    expect(await pipeline.api('GET', `/v1/invoices/runs/${run.body.id}`)).toMatchObject({
      status: 200,
      body: run.body,
    });
  });

  it('[I19] every line is explained by steps that add up, and the total is the sum of the lines', async () => {
    for (const invoice of await chain()) {
      for (const line of invoice.lines)
        expect(line.steps.reduce((sum, step) => sum + step.amount, 0n)).toBe(line.precise);
      expect(invoice.total).toBe(invoice.lines.reduce((sum, line) => sum + line.amount, 0n));
    }
  });

  it("a period that still runs can't be closed", async () => {
    const period = Temporal.Now.plainDateISO('UTC').toPlainYearMonth().toString();
    expect(await pipeline.closePeriod({ period })).toMatchObject({
      status: 409,
      body: { error_code: 'PERIOD_NOT_ENDED' },
    });
  });

  it('usage that arrives after the invoice changes nothing that was issued', async () => {
    const before = (await chain()).map(({ hash }) => hash);
    expect(
      await pipeline.sendEvents(llmRequest('late', 'customer-1', at, { input: 5_000_000, output: 1 })),
    ).toMatchObject({
      body: { accepted: 1 },
    });
    await until(
      () =>
        pipeline.api(
          'GET',
          `/v1/customers/customer-1/usage?from=${new Date(month.start).toISOString()}&to=${new Date(month.end).toISOString()}`,
        ),
      ({ body }) => body.items.find(({ meter }: { meter: string }) => meter === 'requests').quantity === '3',
    );
    await pipeline.closePeriod({ period: month.name });
    expect((await chain()).map(({ hash }) => hash)).toEqual(before);
  });
});

describe('issued invoices are immutable', () => {
  const statements = [
    'UPDATE invoices SET total = 0',
    'DELETE FROM invoices',
    'TRUNCATE invoices CASCADE',
    'UPDATE invoice_lines SET amount = 0',
    'DELETE FROM invoice_lines',
    'UPDATE rated_lines SET unmeasured_events = 0',
    'UPDATE plan_versions SET version_number = 7',
    'DELETE FROM plan_versions',
  ];
  it.each(statements)('[I17] neither login of the services has the right to: %s', async (statement) => {
    await expect(pipeline.asApplication.query(statement)).rejects.toMatchObject({ code: '42501' });
    await expect(pipeline.asWorker.query(statement)).rejects.toMatchObject({ code: '42501' });
  });
  it.each(statements)('[I17] a trigger refuses whoever has the right: %s', async (statement) => {
    await expect(pipeline.asOwner.query(statement)).rejects.toThrow(/is immutable/);
  });
  it('[I17] no line can be added to an issued invoice, by anyone', async () => {
    const statement = `INSERT INTO invoice_lines SELECT invoice_id, 99, charge_code, description, meter, quantity,
        rounding, precise_amount, amount, steps, period_start, period_end FROM invoice_lines LIMIT 1`;
    await expect(pipeline.asApplication.query(statement)).rejects.toMatchObject({ code: '42501' });
    await expect(pipeline.asWorker.query(statement)).rejects.toThrow(/are immutable/);
    await expect(pipeline.asOwner.query(statement)).rejects.toThrow(/are immutable/);
  });
  it("the application's role can't switch the triggers off", async () => {
    await expect(pipeline.asApplication.query('ALTER TABLE invoices DISABLE TRIGGER immutable')).rejects.toMatchObject({
      code: '42501',
    });
    await expect(pipeline.asApplication.query("SET session_replication_role = 'replica'")).rejects.toMatchObject({
      code: '42501',
    });
  });

  it('[I17] the hash chain verifies from the rows, and a change by the owner of the database breaks it at that row', async () => {
    const { rows } = await pipeline.asOwner.query<{ last_number: bigint; head_hash: string }>(
      'SELECT last_number, head_hash FROM invoice_series',
    );
    const head = { number: Number(rows[0]?.last_number), hash: rows[0]?.head_hash ?? '' };
    expect(verifyChain(await chain(), head)).toEqual({ ok: true });
    const tamper = async (sql: string) => {
      await pipeline.asOwner.transaction(async (client) => {
        await client.query("SET LOCAL session_replication_role = 'replica'");
        await client.query(sql);
      });
    };
    const of17 = '(SELECT id FROM invoices WHERE series_number = 17)';
    await tamper(
      `UPDATE invoice_lines SET quantity = quantity + 1 WHERE invoice_id = ${of17} AND charge_code = 'output'`,
    );
    expect(verifyChain(await chain(), head)).toEqual({ ok: false, number: 17, reason: 'hash_differs' });
    await tamper(
      `UPDATE invoice_lines SET quantity = quantity - 1 WHERE invoice_id = ${of17} AND charge_code = 'output'`,
    );
    expect(verifyChain(await chain(), head)).toEqual({ ok: true });
  });
});

describe('the catalog', () => {
  it('a plan with several faults is answered with all of them at once', async () => {
    const answer = await pipeline.api('POST', '/v1/plans', {
      ...llmProPlan,
      code: 'Bad Code',
      currency: 'EURO',
      charges: [
        { code: 'a', name: 'A', meter: 'requests', price: { model: 'per_unit', unit_amount: 0.1 } },
        {
          code: 'a',
          name: 'B',
          meter: 'requests',
          price: { model: 'package', package_amount: '1', package_size: '0' },
        },
      ],
    });
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_FAILED' } });
    expect(answer.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual([
      'charges[0].price.unit_amount',
      'charges[1].code',
      'charges[1].price.package_size',
      'code',
      'currency',
    ]);
  });

  it.each([
    [
      'a meter twice',
      '/v1/meters',
      { code: 'requests', name: 'R', event: 'e', aggregation: 'count' },
      409,
      'METER_ALREADY_EXISTS',
    ],
    ['a plan twice', '/v1/plans', llmProPlan, 409, 'PLAN_ALREADY_EXISTS'],
    ['a customer twice', '/v1/customers', { external_id: 'customer-1', name: 'C' }, 409, 'CUSTOMER_ALREADY_EXISTS'],
    [
      'a subscription twice',
      '/v1/subscriptions',
      { customer_id: 'customer-1', plan: 'llm-pro' },
      409,
      'SUBSCRIPTION_ALREADY_ACTIVE',
    ],
    [
      'a sum of nothing',
      '/v1/meters',
      { code: 'x', name: 'R', event: 'e', aggregation: 'sum' },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'a plan with a meter that is not there',
      '/v1/plans',
      {
        ...llmProPlan,
        code: 'p2',
        charges: [{ code: 'a', name: 'A', meter: 'gone', price: { model: 'per_unit', unit_amount: '1' } }],
      },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'a subscription of nobody',
      '/v1/subscriptions',
      { customer_id: 'nobody', plan: 'llm-pro' },
      404,
      'CUSTOMER_NOT_FOUND',
    ],
    [
      'a subscription to nothing',
      '/v1/subscriptions',
      { customer_id: 'customer-1', plan: 'nothing' },
      404,
      'PLAN_NOT_FOUND',
    ],
    ['an unknown field', '/v1/customers', { external_id: 'x', name: 'X', colour: 'red' }, 422, 'VALIDATION_FAILED'],
    [
      'a property that ClickHouse could not find',
      '/v1/meters',
      { code: 'q', name: 'Q', event: 'e', aggregation: 'sum', property: "seats's" },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'text with NUL, anywhere',
      '/v1/customers',
      { external_id: 'nul', name: 'N', metadata: { a: 'b\u0000' } },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'a broken surrogate, anywhere',
      '/v1/customers',
      { external_id: 'half-\ud800', name: 'N' },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'metadata that is no text',
      '/v1/customers',
      { external_id: 'meta', name: 'N', metadata: { ['x'.repeat(100)]: { deep: 1 } } },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'a start that is no RFC 3339',
      '/v1/subscriptions',
      { customer_id: 'customer-1', plan: 'llm-pro', started_at: '2026-11-20T12Z' },
      422,
      'VALIDATION_FAILED',
    ],
    [
      'a start before the year 2000',
      '/v1/subscriptions',
      { customer_id: 'customer-1', plan: 'llm-pro', started_at: '0000-01-01T00:00:00Z' },
      422,
      'VALIDATION_FAILED',
    ],
    ['a run of long ago', '/v1/invoices/run', { period: '0000-01' }, 422, 'VALIDATION_FAILED'],
    ['a run of no month', '/v1/invoices/run', { period: '2026-13' }, 422, 'VALIDATION_FAILED'],
  ])('%s is refused', async (_name, path, body, status, code) => {
    expect(await pipeline.api('POST', path, body)).toMatchObject({ status, body: { error_code: code } });
  });

  it('twin requests for a subscription make one', async () => {
    await pipeline.api('POST', '/v1/customers', { external_id: 'twice', name: 'Twice' });
    const answers = await Promise.all(
      Array.from({ length: 6 }, () =>
        pipeline.api('POST', '/v1/subscriptions', { customer_id: 'twice', plan: 'llm-pro' }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  });

  it('lists page through everything once, newest first', async () => {
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { status, body } = await pipeline.api('GET', `/v1/invoices?limit=7${cursor && `&cursor=${cursor}`}`);
      expect(status).toBe(200);
      expect(body.pagination.total).toBe(30);
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      if (!body.pagination.has_more) break;
      cursor = body.pagination.next_cursor;
    }
    expect(new Set(seen).size).toBe(30);
    expect(seen).toEqual(seen.toSorted().toReversed());
  });

  it.each(['limit=0', 'limit=1001', 'limit=x', 'cursor=x', 'colour=red', 'limit=1&limit=2', 'customer_id=%00'])(
    'a list asked with %s is 400',
    async (query) => {
      expect(await pipeline.api('GET', `/v1/invoices?${query}`)).toMatchObject({
        status: 400,
        body: { error_code: 'BAD_REQUEST' },
      });
    },
  );

  it.each([
    '/v1/invoices/inv_00000000000000000000000000000000',
    '/v1/customers/nobody',
    '/v1/meters/nothing',
    '/v1/plans/nothing',
    '/v1/subscriptions/x',
    '/v1/invoices/runs/x',
    '/v1/nothing',
  ])('[I25] %s is 404', async (path) => {
    expect((await pipeline.api('GET', path)).status).toBe(404);
  });
});

describe('a run for a customer and a subscription of another', () => {
  it('is 422 and makes no run: it would bill nobody', async () => {
    const made = async (path: string, sent: unknown) => (await pipeline.api('POST', path, sent)).body;
    const [one, other] = [
      await made('/v1/customers', { external_id: 'run-1', name: '1' }),
      await made('/v1/customers', { external_id: 'run-2', name: '2' }),
    ];
    const subscription = await made('/v1/subscriptions', { customer_id: one.id, plan: 'llm-pro' });
    const run = (customerId: string) =>
      pipeline.api('POST', '/v1/invoices/run', {
        period: lastMonth().name,
        customer_id: customerId,
        subscription_id: subscription.id,
      });
    for (const name of [other.id, 'run-2'])
      expect(await run(name)).toMatchObject({
        status: 422,
        body: { errors: [{ field: 'subscription_id', code: 'not_allowed', message: expect.stringContaining(one.id) }] },
      });
    for (const name of [one.id, 'run-1']) expect((await run(name)).status).toBe(202);
  });
});

describe('usage', () => {
  it("a value that can't be measured is reported, never silently 0", async () => {
    await pipeline.sendEvents([
      {
        ...llmRequest('odd-1', 'odd', Date.now(), { input: 1, output: 1 }),
        properties: { input_tokens: 'many', output_tokens: '2.5' },
      },
      { ...llmRequest('odd-2', 'odd', Date.now(), { input: 1, output: 1 }), properties: { output_tokens: '1e400' } },
      {
        ...llmRequest('odd-3', 'odd', Date.now(), { input: 1, output: 1 }),
        properties: { input_tokens: '12345678901234567890123456789.000000000001', output_tokens: -1 },
      },
    ]);
    await pipeline.api('POST', '/v1/customers', { external_id: 'odd', name: 'Odd' });
    const { body } = await until(
      () => pipeline.api('GET', '/v1/customers/odd/usage'),
      (answer) => answer.body.items.find(({ meter }: { meter: string }) => meter === 'requests').quantity === '3',
    );
    expect(body.items).toEqual([
      {
        meter: 'input_tokens',
        meter_version: 1,
        quantity: '12345678901234567890123456789.000000000001',
        unmeasured_events: 2,
      },
      { meter: 'output_tokens', meter_version: 1, quantity: '1.5', unmeasured_events: 1 },
      { meter: 'requests', meter_version: 1, quantity: '3', unmeasured_events: 0 },
    ]);
  });

  it('[I12] of twins on one day the first counts, in every part of the day, before and after they are merged', async () => {
    await pipeline.api('POST', '/v1/customers', { external_id: 'split', name: 'Split' });
    const clickhouse = createClient({ url: pipeline.clickhouseUrl });
    for (const [hour, sequence] of [
      [10, 1],
      [12, 2],
    ] as const) {
      await storeByHand(pipeline, { customer: 'split', key: 'twin', atMs: Date.UTC(2026, 9, 5, hour), sequence });
    }
    const requests = async (from: string, to: string) => {
      const { body } = await pipeline.api(
        'GET',
        `/v1/customers/split/usage?from=2026-10-05T${from}:00:00Z&to=2026-10-05T${to}:00:00Z`,
      );
      return body.items.find(({ meter }: { meter: string }) => meter === 'requests').quantity;
    };
    const answers = async () => [await requests('00', '23'), await requests('10', '11'), await requests('11', '13')];
    expect(await answers()).toEqual(['1', '1', '0']);
    await clickhouse.command({ query: 'OPTIMIZE TABLE usage_events FINAL' });
    expect(await answers()).toEqual(['1', '1', '0']);
    await clickhouse.close();
  });

  it('any number of meters and any length of names fits: the query is cut where a request of ClickHouse ends', async () => {
    for (let index = 0; index < 450; index += 1) {
      await pipeline.api('POST', '/v1/meters', {
        code: `many-${index}`,
        name: 'M',
        event: 'many',
        aggregation: 'sum',
        property: `p${index}`,
      });
    }
    const name = '\u6f22/'.repeat(120);
    await pipeline.api('POST', '/v1/customers', { external_id: name, name: 'Long' });
    await pipeline.sendEvents({
      idempotency_key: 'many',
      event: 'many',
      customer_id: name,
      properties: { p0: 1, p449: '2.5' },
    });
    // Asked about the event until it counts, and for this usage once: 450 meters are a second of work for ClickHouse.
    await until(
      () => pipeline.api('GET', '/v1/events/many'),
      (answer) => answer.body.state === 'counted',
    );
    const { body } = await pipeline.api('GET', `/v1/customers/${encodeURIComponent(name)}/usage`);
    const found = body.items.filter(({ quantity }: { quantity: string }) => quantity !== '0');
    expect(found.map(({ meter, quantity }: { meter: string; quantity: string }) => [meter, quantity])).toEqual([
      ['many-0', '1'],
      ['many-449', '2.5'],
    ]);
  });

  it.each([
    'from=yesterday',
    'from=2026-10-02T00:00:00Z&to=2026-10-01T00:00:00Z',
    'from=2020-01-01T00:00:00Z',
    'colour=red',
  ])('asked with %s is 400', async (query) => {
    expect(await pipeline.api('GET', `/v1/customers/customer-1/usage?${query}`)).toMatchObject({ status: 400 });
  });
});
