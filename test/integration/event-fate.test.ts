/**
 * [I11] [I15] What became of an event, from its acceptance to its invoice line; and what an amendment changes before
 * and after a bill.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmProPlan, makeLlmPro } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const month = lastMonth();
const at = month.end - 3_600_000;

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await makeLlmPro(pipeline, ['billed', 'second'], month.start);
});
afterAll(() => pipeline?.stop());

type Sent = { key: string; customer: string; input?: string; atMs?: number; event?: string };
const event = ({ key, customer, input = '1000', atMs = at, event: name = 'llm.request' }: Sent) => ({
  idempotency_key: key,
  event: name,
  customer_id: customer,
  timestamp: new Date(atMs).toISOString(),
  properties: { input_tokens: input, output_tokens: '1', nested: { region: 'eu' }, 'a.b': 0.1, list: [1, 'x'] },
});
const fateOf = async (key: string) => (await pipeline.api('GET', `/v1/events/${encodeURIComponent(key)}`)).body;
const send = async (...events: Sent[]): Promise<void> => {
  expect((await pipeline.sendEvents(events.map(event))).status).toBe(200);
  for (const { key } of events)
    await until(
      () => fateOf(key),
      ({ state }) => state === 'counted',
    );
};
const amend = async (key: string, action: 'void' | 'replace', by?: Sent) => {
  const { idempotency_key: _key, ...replacement } = by ? event(by) : event({ key, customer: '' });
  const amendment = {
    idempotency_key: key,
    action,
    reason: 'a test',
    ...(action === 'replace' ? { replacement } : {}),
  };
  const { body } = await pipeline.api('POST', '/v1/events/amendments', { amendments: [amendment] });
  return until(
    () => pipeline.api('GET', `/v1/events/amendments/${body.items[0].id}`),
    ({ body: shown }) => shown.state === 'applied',
  ).then(({ body: shown }) => shown);
};
type Line = {
  state: string;
  reason: string | null;
  charge: string | null;
  invoice_id: string | null;
  line_position: number | null;
};
const reasonsOf = (billing: readonly Line[]): string[] =>
  billing.map(({ charge, reason, state }) => `${charge ?? '-'} ${reason ?? state}`);
const invoiceOf = async (customer: string) => {
  const { body } = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
  return (await pipeline.api('GET', `/v1/invoices/${body.items[0].id}`)).body;
};
const inputOf = (invoice: { lines: { charge_code: string; quantity: string }[] }): string | undefined =>
  invoice.lines.find(({ charge_code: code }) => code === 'input')?.quantity;

describe('an event', () => {
  it('that nobody sent has no fate', async () => {
    expect(await pipeline.api('GET', '/v1/events/nobody-sent-it')).toMatchObject({
      status: 404,
      body: { error_code: 'EVENT_NOT_FOUND' },
    });
  });

  it('says when it was accepted and stored, what it says to the last digit, and which meters count it', async () => {
    const key = `first-${unique()}`;
    await send({ key, customer: 'billed', input: '0.000000000001' });
    const fate = await fateOf(key);
    expect(fate).toMatchObject({ state: 'counted', is_backfill: false, twins: [], amendments: [] });
    expect(Date.parse(fate.stored_at)).toBeGreaterThanOrEqual(Date.parse(fate.received_at));
    expect(BigInt(fate.sequence)).toBeLessThanOrEqual(BigInt(fate.watermark));
    const [version] = fate.versions;
    expect(version.properties).toEqual({
      input_tokens: '0.000000000001',
      output_tokens: '1',
      'nested.region': 'eu',
      'a.b': '0.1',
      list: '[1,"x"]',
    });
    expect(version.meters).toEqual([
      { meter: 'input_tokens', meter_version: 1, value: '0.000000000001' },
      { meter: 'output_tokens', meter_version: 1, value: '1' },
      { meter: 'requests', meter_version: 1, value: '1' },
    ]);
    expect(reasonsOf(version.billing)).toEqual(['requests period_open', 'input period_open', 'output period_open']);
    await amend(key, 'void');
  });

  it("that is nobody's, has no subscription or no charge says so", async () => {
    await pipeline.api('POST', '/v1/customers', { external_id: 'without', name: 'W' });
    const keys = [1, 2, 3, 4].map((index) => `why-${index}-${unique()}`) as [string, string, string, string];
    await send(
      { key: keys[0], customer: 'nobody' },
      { key: keys[1], customer: 'without' },
      { key: keys[2], customer: 'second', event: 'no.meter' },
      { key: keys[3], customer: 'second', input: 'many' },
    );
    const reasons = [];
    for (const key of keys) reasons.push(reasonsOf((await fateOf(key)).versions[0].billing));
    expect(reasons).toEqual([
      ['- no_customer'],
      ['- no_subscription'],
      ['- no_charge'],
      ['requests period_open', 'input unmeasured', 'output period_open'],
    ]);
    await amend(keys[3], 'void');
  });
});

describe('an amendment', () => {
  it('before the bill is in it, and after it changes no invoice, and waits for the next one', async () => {
    const [early, voided, late, kept] = ['early', 'voided', 'late', 'kept'].map((name) => `${name}-${unique()}`) as [
      string,
      string,
      string,
      string,
    ];
    await send(
      { key: early, customer: 'billed', input: '10' },
      { key: voided, customer: 'billed', input: '20' },
      { key: kept, customer: 'billed', input: '40' },
    );
    await amend(early, 'replace', { key: early, customer: 'billed', input: '11' });
    const run = await pipeline.closePeriod({ period: month.name });
    expect(run.body).toMatchObject({ state: 'completed', failure: null });
    const invoice = await invoiceOf('billed');
    expect(inputOf(invoice)).toBe('71');

    // Billed, each in its line; what was replaced before is not.
    const [first, second] = (await fateOf(early)).versions;
    expect(reasonsOf(first.billing)).toEqual(['requests replaced', 'input replaced', 'output replaced']);
    const inputLine = invoice.lines.find(({ charge_code: code }: { charge_code: string }) => code === 'input');
    expect(second.billing.find(({ charge }: Line) => charge === 'input')).toMatchObject({
      state: 'billed',
      reason: null,
      invoice_id: invoice.id,
      line_position: inputLine.position,
      value: '11',
      meter: 'input_tokens',
    });

    await amend(voided, 'void');
    await send({ key: late, customer: 'billed', input: '5' });
    await amend(kept, 'replace', { key: kept, customer: 'second', input: '41' });
    // It was billed, and is void now: both are said.
    const fate = await fateOf(voided);
    expect([fate.state, fate.versions.length, reasonsOf(fate.versions[0].billing)]).toEqual([
      'void',
      1,
      ['requests billed', 'input billed', 'output billed'],
    ]);
    expect(reasonsOf((await fateOf(late)).versions[0].billing)).toEqual(['requests late', 'input late', 'output late']);
    // The invoice stays what it was, and a second run changes nothing.
    expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({ invoices_issued: 0 });
    expect(await invoiceOf('billed')).toEqual(invoice);
    expect((await pipeline.api('GET', `/v1/invoices/${invoice.id}`)).body.watermark).toBe(invoice.watermark);

    const other = await invoiceOf('second');
    const { items } = (await pipeline.api('GET', '/v1/late-usage')).body;
    const waiting = { state: 'waiting', late_usage: 'bill_next', amount: null, differences: [] };
    expect(items).toHaveLength(2);
    expect(items).toEqual(
      expect.arrayContaining([invoice, other].map(({ id }) => expect.objectContaining({ ...waiting, invoice_id: id }))),
    );
  });

  it('of a period that is not billed is in its first bill', async () => {
    await pipeline.api('POST', '/v1/customers', { external_id: 'fresh', name: 'F' });
    const key = `unbilled-${unique()}`;
    await pipeline.api('POST', '/v1/subscriptions', {
      customer_id: 'fresh',
      plan: llmProPlan.code,
      started_at: new Date(month.start).toISOString(),
    });
    await send({ key, customer: 'fresh', input: '10' });
    await amend(key, 'replace', { key, customer: 'fresh', input: '99' });
    await pipeline.closePeriod({ period: month.name, customer_id: 'fresh' });
    expect(inputOf(await invoiceOf('fresh'))).toBe('99');
  });
});

describe('search', () => {
  const from = new Date(at - 1_000).toISOString();
  const until_ = new Date(at + 100_000).toISOString();
  const search = (query: string) => pipeline.api('GET', `/v1/events?${query}`);
  const keysOf = (items: readonly { idempotency_key: string }[]) => items.map(({ idempotency_key: key }) => key);

  it('shows events newest first, page by page as of one moment, each once, with those that are void', async () => {
    const customer = `s-${unique()}`;
    const events = Array.from({ length: 25 }, (_, index) => ({
      key: `${customer}-${index}`,
      customer,
      atMs: at + (index % 5) * 1_000,
    }));
    await send(...events);
    await amend(`${customer}-3`, 'void');
    const filters = `customer_id=${customer}&occurred_at_after=${from}&occurred_at_before=${until_}`;
    const seen: { idempotency_key: string; timestamp: string; state: string; void_reason: string | null }[] = [];
    let cursor: string | null = '';
    const watermarks = new Set<string>();
    for (let page = 0; cursor !== null; page += 1) {
      const { body } = await search(`${filters}&limit=7${cursor ? `&cursor=${cursor}` : ''}`);
      seen.push(...body.items);
      watermarks.add(body.watermark);
      cursor = body.pagination.next_cursor;
      // What comes between two pages is in neither.
      if (page === 0) await send({ key: `${customer}-between`, customer, atMs: at });
    }
    expect(keysOf(seen).toSorted()).toEqual(events.map(({ key }) => key).toSorted());
    expect(seen.map(({ timestamp }) => timestamp)).toEqual(
      seen
        .map(({ timestamp }) => timestamp)
        .toSorted()
        .toReversed(),
    );
    expect(watermarks.size).toBe(1);
    expect(seen.filter(({ state }) => state === 'void')).toMatchObject([
      { idempotency_key: `${customer}-3`, void_reason: 'voided' },
    ]);
  });

  it('finds by name of the event and by key, whenever it was, and by both names of a customer', async () => {
    const [key, old] = [`old-${unique()}`, Date.now() - 40 * 3_600_000];
    await send({ key, customer: 'second', atMs: old, event: `only-${key}` });
    expect(keysOf((await search(`idempotency_key=${key}`)).body.items)).toEqual([key]);
    const { id } = (await pipeline.api('GET', '/v1/customers/second')).body;
    const span = `occurred_at_after=${new Date(old - 1).toISOString()}&occurred_at_before=${new Date(old + 1).toISOString()}`;
    for (const customer of ['second', id])
      expect(keysOf((await search(`event=only-${key}&customer_id=${customer}&${span}`)).body.items)).toEqual([key]);
    expect((await search(`event=only-${key}`)).body.items).toEqual([]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['cursor=x', 'cursor'],
    ['colour=red', 'colour'],
    ['occurred_at_after=yesterday', 'occurred_at_after'],
    ['occurred_at_after=2026-01-02T00:00:00Z&occurred_at_before=2026-01-01T00:00:00Z', 'occurred_at_after'],
    ['occurred_at_after=2026-01-01T00:00:00Z&occurred_at_before=2026-03-01T00:00:00Z', 'occurred_at_before'],
  ])('refuses %s, and names %s', async (query, field) => {
    expect(await search(query)).toMatchObject({
      status: 400,
      body: { errors: expect.arrayContaining([expect.objectContaining({ field })]) },
    });
  });

  it('takes a cursor for no other search', async () => {
    const { next_cursor: cursor } = (await search(`occurred_at_after=${from}&occurred_at_before=${until_}&limit=1`))
      .body.pagination;
    expect(
      (await search(`occurred_at_after=${from}&occurred_at_before=${until_}&limit=1&cursor=${cursor}`)).status,
    ).toBe(200);
    expect((await search(`occurred_at_after=${from}&limit=1&cursor=${cursor}`)).status).toBe(400);
  });

  it('says of up to 10,000 keys which are known, in order', async () => {
    const key = `known-${unique()}`;
    await send({ key, customer: 'second' });
    const keys = Array.from({ length: 10_000 }, (_, index) => (index === 7_777 ? key : `unknown-${index}`));
    const { status, body } = await pipeline.api('POST', '/v1/events/check', { idempotency_keys: keys });
    expect([status, body.known, body.unknown]).toEqual([200, 1, 9_999]);
    expect(keysOf(body.items)).toEqual(keys);
    expect(body.items[7_777]).toMatchObject({
      status: 'known',
      sequence: expect.stringMatching(/^\d+$/),
      received_at: expect.any(String),
    });
    expect((await pipeline.api('POST', '/v1/events/check', { idempotency_keys: [...keys, 'one more'] })).status).toBe(
      422,
    );
  });
});

describe('the search of events', () => {
  it('says which span it searched, asked for or not, the same on every page', async () => {
    const begin = Date.now();
    const { span } = (await pipeline.api('GET', '/v1/events')).body;
    const [after, before] = [Date.parse(span.occurred_at_after), Date.parse(span.occurred_at_before)];
    expect(before - after).toBe(24 * 3_600_000 + 1);
    expect(before).toBeGreaterThanOrEqual(begin);
    const given = 'occurred_at_after=2026-01-01T00:00:00Z&occurred_at_before=2026-01-02T00:00:00Z';
    expect((await pipeline.api('GET', `/v1/events?${given}`)).body.span).toEqual({
      occurred_at_after: '2026-01-01T00:00:00.000Z',
      occurred_at_before: '2026-01-02T00:00:00.000Z',
    });
    expect((await pipeline.api('GET', '/v1/events?idempotency_key=none')).body.span).toEqual({
      occurred_at_after: null,
      occurred_at_before: null,
    });
  });
});
