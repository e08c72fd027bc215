/** Billing periods of any interval, from any anchor, in the time zone of the customer: what is billed when. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmRequest } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', { code: 'requests', name: 'Requests', event: 'llm.request', aggregation: 'count' });
});
afterAll(() => pipeline?.stop());

const [hour, day] = [3_600_000, 86_400_000];
const month = lastMonth();
const iso = (ms: number): string => new Date(ms).toISOString();
const dateOf = (ms: number): string => iso(ms).slice(0, 10);

const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

type Asked = { readonly unit?: string; readonly count?: number; readonly zone?: string; readonly anchor?: string };

/** A customer who pays 1.00 for each request, and its subscription. */
const subscribed = async (startedAt: number, { unit = 'month', count = 1, zone = 'UTC', anchor }: Asked = {}) => {
  const interval = { billing_interval: { unit, count } };
  const plan = await made('/v1/plans', {
    code: `p-${unique()}`,
    name: 'A plan',
    currency: 'USD',
    charges: [
      {
        code: 'r',
        name: 'Requests',
        meter: 'requests',
        price: { model: 'per_unit', unit_amount: '1.00' },
        ...interval,
      },
    ],
  });
  const customer = `c-${unique()}`;
  await made('/v1/customers', { external_id: customer, name: customer, time_zone: zone });
  const subscription = await made('/v1/subscriptions', {
    customer_id: customer,
    plan: plan.code,
    started_at: iso(startedAt),
    ...(anchor && { billing_anchor: anchor }),
  });
  return { customer, subscription };
};

const use = async (customer: string, instants: readonly number[]): Promise<void> => {
  const events = instants.map((at) => llmRequest(`e-${unique()}`, customer, at, { input: 1, output: 1 }));
  expect((await pipeline.sendEvents(events)).body.accepted).toBe(instants.length);
};

/** [start, end, total] of each of the invoices, in the order of time. */
const invoiced = async (customer: string): Promise<string[][]> => {
  const { items } = (await api('GET', `/v1/invoices?customer_id=${customer}`)).body;
  const rows = await Promise.all(
    items.map(async ({ id }: { id: string }) => {
      const { period, total } = (await api('GET', `/v1/invoices/${id}`)).body;
      return [iso(Date.parse(period.start)), iso(Date.parse(period.end)), total];
    }),
  );
  return rows.toSorted(([a], [b]) => (a < b ? -1 : 1));
};

describe('a calendar month in the zone of the customer', () => {
  it('[I14] begins and ends by its clock: the same moment is of October here and of November there', async () => {
    // Neither sets its clock by daylight.
    const month = lastMonth(12);
    const east = await subscribed(month.start - 40 * day, { zone: 'Asia/Kathmandu' });
    const west = await subscribed(month.start - 40 * day, { zone: 'pacific/honolulu' });
    const eastEnd = month.end - 5.75 * hour;
    const westEnd = month.end + 10 * hour;
    expect(west.subscription.billing_cycle).toEqual({
      interval: { unit: 'month', count: 1 },
      anchor: '2000-01-01T00:00:00.000',
      time_zone: 'Pacific/Honolulu',
    });
    for (const { customer } of [east, west])
      await use(customer, [eastEnd - 1, eastEnd, month.end - 1, month.end, westEnd - 1, westEnd]);
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 2, invoices_already_issued: 0 });
    // The moment before its end, and nothing of what comes then.
    expect((await invoiced(east.customer)).at(-1)).toEqual([iso(month.start - 5.75 * hour), iso(eastEnd), '1.00']);
    expect((await invoiced(west.customer)).at(-1)).toEqual([iso(month.start + 10 * hour), iso(westEnd), '5.00']);
    // Another run finds them billed.
    expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({
      invoices_issued: 0,
      invoices_already_issued: 2,
    });
  });

  it('stays that of the subscription when the customer moves, and is the new one of the next', async () => {
    const { customer, subscription } = await subscribed(month.start, { zone: 'Asia/Tokyo' });
    const moved = await api('PATCH', `/v1/customers/${customer}`, { time_zone: 'america/new_york' });
    expect(moved.body.time_zone).toBe('America/New_York');
    const read = await api('GET', `/v1/subscriptions/${subscription.id}`);
    expect(read.body.billing_cycle.time_zone).toBe('Asia/Tokyo');
    for (const bad of ['Mars/Olympus', '+01:00', '']) {
      const refused = await api('PATCH', `/v1/customers/${customer}`, { time_zone: bad });
      expect([refused.status, refused.body.errors[0].field]).toEqual([422, 'time_zone']);
    }
  });
});

describe('an interval of its own', () => {
  it('[I16] weeks from the moment of the start are billed in the month in which they end, each once', async () => {
    const start = month.end - 16 * day - 13 * hour;
    const { customer, subscription } = await subscribed(start, { unit: 'week', anchor: 'anniversary' });
    await use(customer, [month.end - 2 * day - 13 * hour - 1, month.end - 2 * day - 13 * hour]);
    expect(subscription.billing_cycle.anchor).toBe(iso(start).slice(0, -1));
    expect(Date.parse(subscription.current_period.start) % (7 * day)).toBe(start % (7 * day));
    const dry = (await api('POST', '/v1/rating-runs', { period: month.name, customer_id: customer })).body;
    await until(
      () => api('GET', `/v1/rating-runs/${dry.id}`),
      ({ body }) => body.state === 'completed',
    );
    const lines = (await api('GET', `/v1/rating-runs/${dry.id}/lines`)).body.items;
    expect(lines.map(({ amount }: { amount: string }) => amount)).toEqual(['0.00', '1.00']);
    const run = await pipeline.closePeriod({ period: month.name, customer_id: customer });
    expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 2 });
    const weeks = [0, 1].map((n) => [iso(start + n * 7 * day), iso(start + (n + 1) * 7 * day), `${n}.00`]);
    expect(await invoiced(customer)).toEqual(weeks);
  });

  it('a year that is not over is billed by no run of its months', async () => {
    const { customer, subscription } = await subscribed(month.start, { unit: 'year', anchor: 'anniversary' });
    expect(Date.parse(subscription.current_period.end) - month.start).toBeGreaterThan(364 * day);
    expect((await pipeline.closePeriod({ period: month.name, customer_id: customer })).body.invoices_issued).toBe(0);
    const usage = await api('GET', `/v1/subscriptions/${subscription.id}/usage`);
    expect(usage.body.period).toEqual(subscription.current_period);
  });

  it('what is longer than three years waits in a draft', async () => {
    const charge = (code: string, unit: string, count = 1) => ({
      code,
      name: code,
      price: { model: 'flat', amount: '1.00' },
      billing_interval: { unit, count },
    });
    const refused = async (...charges: object[]) => {
      const body = { code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges };
      const { status, body: problem } = await api('POST', '/v1/plans', body);
      return [status, ...problem.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`)];
    };
    expect(await refused(charge('a', 'month'), charge('b', 'year', 4))).toEqual([
      422,
      'charges[1].billing_interval not_billed',
    ]);
  });
});

describe('an anchor', () => {
  it('on a date cuts the first period short, and all others begin on it', async () => {
    const anchor = month.start + 14 * day;
    const { customer, subscription } = await subscribed(month.start + 9 * day, { anchor: dateOf(anchor) });
    expect(subscription.billing_cycle.anchor).toBe(`${dateOf(anchor)}T00:00:00.000`);
    expect((await pipeline.closePeriod({ period: month.name, customer_id: customer })).body.invoices_issued).toBe(1);
    expect(await invoiced(customer)).toEqual([[iso(month.start + 9 * day), iso(anchor), '0.00']]);
  });

  it.each(['2026-01-32', '2026-02-30', '2026-13-01', 'monthly', '', '31'])('is not "%s"', async (anchor) => {
    const { customer, subscription } = await subscribed(month.start);
    const answer = await api('POST', '/v1/subscriptions', {
      customer_id: customer,
      plan: subscription.plan_code,
      billing_anchor: anchor,
    });
    expect([answer.status, answer.body.errors[0].field]).toEqual([422, 'billing_anchor']);
  });
});

it('[I28] the subscriptions of all of these stand as the log says', async () => {
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});

describe('a part of a billing period', () => {
  const prorated = async (proration?: string) => {
    const plan = await made('/v1/plans', {
      code: `p-${unique()}`,
      name: 'A plan',
      currency: 'USD',
      charges: [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '100.00' } }],
      minimum_commitment: { amount: '200.00' },
      ...(proration && { proration }),
    });
    const customer = `c-${unique()}`;
    await made('/v1/customers', { external_id: customer, name: customer });
    const startedAt = month.start + 10 * day + 12 * hour;
    const started = { customer_id: customer, plan: plan.code, started_at: iso(startedAt) };
    const subscription = await made('/v1/subscriptions', started);
    // Ended by hand: at noon of the last day but one.
    await pipeline.asOwner.query("UPDATE subscriptions SET ended_at = $2, state = 'ended' WHERE id = $1", [
      subscription.id,
      new Date(month.end - 36 * hour),
    ]);
    return { customer, plan };
  };
  const days = (month.end - month.start) / day;
  /** Of 100.00: what is due up to the end of the part, less what is due up to its begin, each in whole cents. */
  const shareOf = (whole: number, from: number, to: number): string =>
    ((Math.round((whole * to * 100) / days) - Math.round((whole * from * 100) / days)) / 100).toFixed(2);

  it.each([
    ['time', shareOf(100, 10.5, days - 1.5), shareOf(200, 10.5, days - 1.5)],
    ['day', shareOf(100, 10, days - 2), shareOf(200, 10, days - 2)],
    ['none', '100.00', '200.00'],
  ])('by %s costs %s, and %s at least', async (proration, base, total) => {
    // By the time that it covers is what a plan does that does not say.
    const { customer, plan } = await prorated(proration === 'time' ? undefined : proration);
    expect(plan.proration).toBe(proration);
    const dry = (await api('POST', '/v1/rating-runs', { period: month.name, customer_id: customer })).body;
    await until(
      () => api('GET', `/v1/rating-runs/${dry.id}`),
      ({ body }) => body.state === 'completed',
    );
    const rated = (await api('GET', `/v1/rating-runs/${dry.id}/lines`)).body.items;
    expect((await pipeline.closePeriod({ period: month.name, customer_id: customer })).body.invoices_issued).toBe(1);
    const { items } = (await api('GET', `/v1/invoices?customer_id=${customer}`)).body;
    const invoice = (await api('GET', `/v1/invoices/${items[0].id}`)).body;
    const amounts = [base, (Number(total) - Number(base)).toFixed(2)];
    expect([invoice.lines.map(({ amount }: { amount: string }) => amount), invoice.total]).toEqual([amounts, total]);
    expect(rated.map(({ amount }: { amount: string }) => amount)).toEqual(amounts);
    expect(invoice.lines[0].steps[0].proration?.by).toBe(proration === 'none' ? undefined : proration);
    const explained = await api('GET', `/v1/invoices/${invoice.id}/line-items/1/explain`);
    expect(explained.body).toMatchObject({ hashes: { is_as_rated: true } });
  });
});

it('[I12] what was billed by all of these is rated again to the same bytes', async () => {
  const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
  const again = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store);
  expect(again).toMatchObject({ code: 0, faults: [] });
});
