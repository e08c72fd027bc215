/** Taxes that an engine outside says: what it is asked, what is taken of it, and what happens while it is away. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { unique } from '../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';

// biome-ignore lint/suspicious/noExplicitAny: the engine reads what it is sent
type Asked = { readonly headers: IncomingMessage['headers']; readonly body: any };
type Answer = { readonly status: number; readonly body?: unknown; readonly afterMs?: number };

const asked: Asked[] = [];
/** A quarter on everything, but for a while. */
const quarter = ({ body }: Asked): Answer => ({
  status: 200,
  body: {
    lines: body.lines.map(({ position, amount }: { position: number; amount: string }) => ({
      position,
      taxes: [
        {
          code: 'mva',
          name: 'MVA 25 %',
          percentage: '25',
          inclusive: false,
          treatment: 'taxed',
          taxable_amount: amount,
          amount: (Number(amount) / 4).toFixed(2),
        },
      ],
    })),
  },
});
let answer: (one: Asked) => Answer = quarter;

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};
const startEngine = (): Server =>
  createServer(async (request, response) => {
    const one = { headers: request.headers, body: JSON.parse(await readBody(request)) };
    asked.push(one);
    const { status, body, afterMs = 0 } = answer(one);
    setTimeout(
      () => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      afterMs,
    );
  });

let engine: Server;
let pipeline: Pipeline;
let sandbox: Sandbox;
let plan: string;
beforeAll(async () => {
  engine = startEngine();
  await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve));
  pipeline = await startPipeline(inject('serverUrls'), {
    MILLRACE_TAX_ENGINE_URL: `http://127.0.0.1:${(engine.address() as AddressInfo).port}/taxes`,
    MILLRACE_TAX_ENGINE_KEY: 'key-of-the-engine',
    MILLRACE_TAX_ENGINE_TIMEOUT_MS: '500',
  });
  sandbox = await sandboxOf(pipeline);
  await sandbox.api('PATCH', '/v1/organization', { tax_calculation: 'engine' });
  plan = `p-${unique()}`;
  const base = {
    code: 'base',
    name: 'Base',
    timing: 'advance',
    tax_category: 'saas',
    price: { model: 'flat', amount: '40.00' },
  };
  await sandbox.made('/v1/plans', { code: plan, name: 'A plan', currency: 'NOK', charges: [base] });
});
afterAll(async () => {
  await pipeline?.stop();
  engine?.closeAllConnections();
  engine?.close();
});

const subscriber = async () => {
  const address = { line1: 'x', city: 'Oslo', country: 'NO' };
  const life = await lifeFrom(sandbox, '2027-05-01T00:00:00Z', { address });
  await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan });
  asked.length = 0;
  return life;
};
const billed = async (customer: string) => {
  const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${customer}`);
  return Promise.all(
    body.items.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body),
  );
};
describe('a tax engine', () => {
  it('is asked with the lines and the place, and what it says stands on the invoice', async () => {
    const life = await subscriber();
    await life.until('2027-05-02T00:00:00Z');
    expect(asked).toHaveLength(1);
    expect(asked[0]?.headers).toMatchObject({
      authorization: 'Bearer key-of-the-engine',
      'idempotency-key': expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(asked[0]?.body).toMatchObject({
      currency: 'NOK',
      issued_at: '2027-05-01T00:00:00.000Z',
      seller: { country: null },
      customer: { country: 'NO', state: null, tax_id_countries: [], treatment: 'taxable' },
      lines: [{ position: 1, charge_code: 'base', tax_category: 'saas', amount: '40.00' }],
    });
    const [invoice] = await billed(life.customer);
    const mva = { tax_rate_id: null, code: 'mva', percentage: '25', taxable_amount: '40.00', amount: '10.00' };
    expect(invoice).toMatchObject({ subtotal: '40.00', tax_total: '10.00', total: '50.00', taxes: [mva] });
  });

  it('is asked with the tax categories of the lines of a one-off invoice', async () => {
    const life = await subscriber();
    const atlas = { description: 'Atlas', amount: '20.00', tax_category: 'books' };
    const lines = [atlas, { description: 'Visit', amount: '4.00' }];
    const body = { customer_id: life.customer, currency: 'NOK', lines, finalize: true };
    const { id } = await sandbox.made('/v1/invoices', body);
    const issued = (await sandbox.api('GET', `/v1/invoices/${id}?wait_seconds=25`)).body;
    expect(issued).toMatchObject({ state: 'issued', subtotal: '24.00', tax_total: '6.00' });
    expect(asked.at(-1)?.body.lines).toMatchObject([
      { description: 'Atlas', tax_category: 'books' },
      { description: 'Visit', tax_category: null },
    ]);
  });

  it('is not asked ahead: previews and renewals say all but its taxes', async () => {
    const life = await subscriber();
    const off = { name: 'Off', kind: 'percentage', percentage: '12.5', duration: 'forever' };
    const { code: coupon } = await sandbox.made('/v1/coupons', { code: `k-${unique()}`, ...off });
    await sandbox.made(`/v1/customers/${life.customer}/discounts`, { coupon });
    const { invoices } = await sandbox.made('/v1/invoices/preview', { customer_id: life.customer });
    const [{ id }] = (await sandbox.api('GET', `/v1/subscriptions?customer_id=${life.customer}`)).body.items;
    const { next_invoice } = (await sandbox.api('GET', `/v1/subscriptions/${id}/renewal`)).body;
    const ahead = { subtotal: '40.00', discount_total: '5.00', taxes: [], tax_total: '0.00', total: '35.00' };
    expect([invoices[0], next_invoice]).toMatchObject([ahead, ahead]);
    expect(asked).toEqual([]);
    await life.until('2027-05-02T00:00:00Z');
    const reduced = { subtotal: '40.00', discount_total: '5.00', tax_total: '8.75', total: '43.75' };
    expect(await billed(life.customer)).toMatchObject([reduced]);
  });

  it.each<[string, number, Answer]>([
    // More often than a shard is tried that is at fault itself.
    ['away', 6, { status: 503 }],
    ['too slow', 1, { status: 200, afterMs: 1500, body: { lines: [] } }],
    ['asked too much', 1, { status: 429 }],
  ])('that is %s, %i times, is asked again under the same key until it answers', async (_, times, away) => {
    const life = await subscriber();
    answer = (one) => (asked.length <= times ? away : quarter(one));
    await life.until('2027-05-02T00:00:00Z');
    answer = quarter;
    expect(asked).toHaveLength(times + 1);
    expect(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(await billed(life.customer)).toMatchObject([{ total: '50.00' }]);
  });

  it('that refuses stops the run, which says so, and no invoice is issued without its taxes', async () => {
    const life = await subscriber();
    answer = () => ({ status: 422 });
    await sandbox.made(`/v1/test-clocks/${life.clock}/advance`, { to: '2027-05-02T00:00:00Z' });
    const stopped = await until(
      async () => (await sandbox.api('GET', `/v1/test-clocks/${life.clock}`)).body,
      ({ failure }) => failure !== null,
    );
    answer = quarter;
    expect(JSON.stringify(stopped.failure)).toMatch(/refused an invoice/);
    expect(await billed(life.customer)).toEqual([]);
  });
});

it('of two runs that bill the same at the same moment, each is asked about what the other has left', async () => {
  const arrears = `p-${unique()}`;
  const usage = { code: 'usage', name: 'Usage', price: { model: 'flat', amount: '40.00' } };
  await sandbox.made('/v1/plans', { code: arrears, name: 'A plan', currency: 'NOK', charges: [usage] });
  const [parent, child] = [`parent-${unique()}`, `child-${unique()}`];
  const month = lastMonth();
  for (const [customer, more] of [
    [parent, {}],
    [child, { parent_id: parent }],
  ] as const) {
    await sandbox.made('/v1/customers', { external_id: customer, name: 'x', invoicing: 'consolidated', ...more });
    const started_at = new Date(month.start).toISOString();
    await sandbox.made('/v1/subscriptions', { customer_id: customer, plan: arrears, started_at });
  }
  asked.length = 0;
  answer = () => ({ status: 503 });
  const runOf = (customer_id: string) => sandbox.made('/v1/invoices/run', { period: month.name, customer_id });
  const runs = [await runOf(parent), await runOf(child)];
  const lineCounts = () => new Set(asked.map(({ body }) => body.lines.length));
  await until(
    async () => lineCounts().size,
    (kinds) => kinds === 2,
  );
  answer = quarter;
  for (const { id } of runs)
    await until(
      async () => (await sandbox.api('GET', `/v1/invoices/runs/${id}?wait_seconds=25`)).body.state,
      (state) => state === 'completed',
    );
  const invoices = await billed(parent);
  expect(invoices.flatMap(({ lines }) => lines).map(({ amount }) => amount)).toEqual(['40.00', '40.00']);
  for (const { subtotal, tax_total } of invoices) expect(Number(tax_total)).toBe(Number(subtotal) / 4);
});

it('what was issued is chained, and adds up', async () => {
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});
