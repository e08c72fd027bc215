/** [I2] [I8] [I12] Corrections: events that are made void or replaced, from the request to the invoice. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lastMonth, type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { addTenant, unique } from '../support/tenants.ts';
import { sandboxOf } from '../support/test-clock.ts';

let pipeline: Pipeline;

const month = lastMonth();

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));

  await pipeline.api('POST', '/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm',
    aggregation: 'sum',
    property: 'tokens',
  });
});
afterAll(() => pipeline?.stop());

const path = '/v1/events/amendments';
type Sent = { key?: string; customer: string; tokens?: string; atMs?: number; event?: string };
const event = ({
  key = `k-${unique()}`,
  customer,
  tokens = '10',
  atMs = month.end - 3_600_000,
  event: name = 'llm',
}: Sent) => ({
  idempotency_key: key,
  event: name,
  customer_id: customer,
  timestamp: new Date(atMs).toISOString(),
  properties: { tokens },
});
const replacementOf = (of: Sent) => {
  const { idempotency_key: _key, ...replacement } = event(of);
  return replacement;
};
const known = (key: string) =>
  until(
    () => pipeline.api('GET', `/v1/events/${encodeURIComponent(key)}`),
    ({ status, body }) => status === 200 && body.state !== 'unchecked',
  );
/** Sends events and waits until they are stored and checked. */
const sent = async (...events: Sent[]): Promise<string[]> => {
  const bodies = events.map(event);
  expect((await pipeline.sendEvents(bodies)).body).toMatchObject({ accepted: bodies.length });
  for (const { idempotency_key: key } of bodies) await known(key);
  return bodies.map(({ idempotency_key: key }) => key);
};
const amend = (...amendments: unknown[]) => pipeline.api('POST', path, { amendments });
const voiding = (key: string, reason = 'a test') => ({ idempotency_key: key, action: 'void', reason });
const replacing = (key: string, by: Sent, reason = 'a test') => ({
  idempotency_key: key,
  action: 'replace',
  reason,
  replacement: replacementOf(by),
});
const applied = (id: string) =>
  until(
    () => pipeline.api('GET', `${path}/${id}`),
    ({ body }) => body.state === 'applied',
  );
const customerOf = async (): Promise<string> => {
  const id = `c-${unique()}`;
  expect((await pipeline.api('POST', '/v1/customers', { external_id: id, name: 'C' })).status).toBe(201);
  return id;
};
const usageOf = async (customer: string, watermark = ''): Promise<string> => {
  const span = `from=${new Date(month.start).toISOString()}&to=${new Date(month.end).toISOString()}`;
  const { body } = await pipeline.api(
    'GET',
    `/v1/customers/${customer}/usage?${span}${watermark ? `&watermark=${watermark}` : ''}`,
  );
  return body.items.find(({ meter }: { meter: string }) => meter === 'tokens').quantity;
};

const highest = async (): Promise<string> => (await pipeline.api('GET', '/v1/events?limit=1')).body.watermark;
const untilUsage = (customer: string, wanted: string) =>
  until(
    () => usageOf(customer),
    (quantity) => quantity === wanted,
  );
/** Amends, and waits until it holds. */
const amended = async (amendment: unknown) => {
  const { status, body } = await amend(amendment);
  expect([status, body.errors]).toEqual([201, undefined]);
  return (await applied(body.items[0].id)).body;
};

describe('an event', () => {
  it('that is made void is not counted any more, within seconds', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '10' }, { customer, tokens: '5' });
    expect(await usageOf(customer)).toBe('15');
    const answer = await amend(voiding(key, 'sent by mistake'));
    expect(answer).toMatchObject({
      status: 201,
      body: {
        items: [
          {
            state: 'pending',
            number: 1,
            action: 'void',
            reason: 'sent by mistake',
            before: [{ event: 'llm', customer_id: customer }],
            after: null,
          },
        ],
      },
    });
    await untilUsage(customer, '5');
    const { body } = await applied(answer.body.items[0].id);
    expect(body.sequence).toMatch(/^[0-9]+$/);
    const { items } = (await pipeline.api('GET', `${path}?idempotency_key=${key}`)).body;
    expect(items).toEqual([body]);
  });

  it('that is replaced counts as what it is now: of another customer, another time and another amount', async () => {
    const [from, to] = [await customerOf(), await customerOf()];
    const [key = ''] = await sent({ customer: from, tokens: '10' });
    const body = await amended(
      replacing(key, { customer: to, tokens: '0.000000000001', atMs: month.end - 86_400_000 }),
    );
    expect(body.after).toEqual({
      event: 'llm',
      customer_id: to,
      timestamp: new Date(month.end - 86_400_000).toISOString(),
      properties: { tokens: '0.000000000001' },
    });
    expect([await usageOf(from), await usageOf(to)]).toEqual(['0', '0.000000000001']);
  });

  it('may be amended again and again, and usage at each watermark of before stays what it was', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '1' });
    const seen: [watermark: string, quantity: string][] = [[await highest(), '1']];
    const steps: [unknown, string][] = [
      [replacing(key, { customer, tokens: '2' }), '2'],
      [replacing(key, { customer, tokens: '3', atMs: month.end - 5 * 86_400_000 }), '3'],
      [voiding(key), '0'],
      [replacing(key, { customer, tokens: '4' }), '4'],
      [voiding(key), '0'],
    ];
    for (const [index, [amendment, quantity]] of steps.entries()) {
      const body = await amended(amendment);
      expect(body.number).toBe(index + 1);
      expect(await usageOf(customer)).toBe(quantity);
      seen.push([body.sequence, quantity]);
    }
    for (const [watermark, quantity] of seen)
      expect([watermark, await usageOf(customer, watermark)]).toEqual([watermark, quantity]);
    const refused = await amend(voiding(key));
    expect(refused).toMatchObject({
      status: 409,
      body: {
        error_code: 'EVENT_ALREADY_VOID',
        errors: [{ field: 'amendments[0].idempotency_key', code: 'already_void' }],
      },
    });
  });

  it('that is amended before the one before holds is amended in order: for no watermark both count, or none', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '1' });
    const before = BigInt(await highest());
    const ids: string[] = [];
    for (const tokens of ['2', '3', '4'])
      ids.push((await amend(replacing(key, { customer, tokens }))).body.items[0].id);
    const sequences: bigint[] = [];
    for (const id of ids) sequences.push(BigInt((await applied(id)).body.sequence));
    expect(sequences).toEqual(sequences.toSorted((a, b) => (a < b ? -1 : 1)));
    for (let at = before; at <= (sequences.at(-1) as bigint); at += 1n) {
      const expected = 1 + sequences.filter((sequence) => sequence <= at).length;
      expect([at, await usageOf(customer, at.toString())]).toEqual([at, String(expected)]);
    }
  });

  it('that many amend at once has one amendment after the other, and the last one stands', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '1' });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => amend(replacing(key, { customer, tokens: String(100 + index) }))),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(201));
    const items = answers.map(({ body }) => body.items[0]);
    expect(items.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    );
    for (const { id } of items) await applied(id);
    const last = items.find(({ number }) => number === 12);
    expect(await usageOf(customer)).toBe(last.after.properties.tokens);
  });

  it('is amended once where the same request comes twice', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer });
    const again = { 'idempotency-key': unique() };
    const body = { amendments: [replacing(key, { customer, tokens: '7' })] };
    const [first, second] = [
      await pipeline.api('POST', path, body, again),
      await pipeline.api('POST', path, body, again),
    ];
    expect([first.status, second.status, second.body]).toEqual([201, 201, first.body]);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect((await pipeline.api('GET', `${path}?idempotency_key=${key}`)).body.pagination.total).toBe(1);
  });

  it('is amended once where the same request comes many times at the same moment', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer });
    const again = { 'idempotency-key': unique() };
    const body = { amendments: [replacing(key, { customer, tokens: '7' })] };
    const answers = await Promise.all(Array.from({ length: 8 }, () => pipeline.api('POST', path, body, again)));
    const done = answers.filter(({ status }) => status === 201);
    expect(done.length).toBeGreaterThan(0);
    expect(new Set(done.map(({ body: { items } }) => items[0].id)).size).toBe(1);
    // The others met it at work.
    for (const { status, body: problem } of answers.filter((answer) => !done.includes(answer)))
      expect([status, problem.error_code]).toEqual([409, 'IDEMPOTENCY_KEY_IN_USE']);
    expect((await pipeline.api('GET', `${path}?idempotency_key=${key}`)).body.pagination.total).toBe(1);
  });

  it('that comes again after its amendment is a duplicate, and changes nothing', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '10' });
    await amended(voiding(key));
    expect((await pipeline.sendEvents([event({ key, customer, tokens: '10' })])).body).toMatchObject({
      accepted: 0,
      duplicates: 1,
    });
    expect(await usageOf(customer)).toBe('0');
  });

  it.each([
    ['a slash and a question mark', 'a/b?c=d#e'],
    ['what looks like SQL', "'; DROP TABLE usage_events; --"],
    ['what NATS reads as wildcards', 'a.*.>'],
    ['a template of ours', '{tenant:String}'],
    ['characters of four bytes, 255 of them', '\u{1f4b6}'.repeat(255)],
    ['backslashes and quotes', '\\"`\\\\'],
    ['per cent signs', '%00%2f..%5c'],
  ])('whose key has %s is found, amended and shown by it', async (_, text) => {
    const customer = await customerOf();
    const key = text.length > 300 ? text : `${text}${unique()}`;
    await sent({ key, customer, tokens: '10' });
    await amended(replacing(key, { customer, tokens: '3' }));
    expect(await usageOf(customer)).toBe('3');
    const { body } = await known(key);
    expect(body).toMatchObject({
      idempotency_key: key,
      versions: [{ properties: { tokens: '10' } }, { properties: { tokens: '3' } }],
    });
    const search = await pipeline.api('GET', `/v1/events?idempotency_key=${encodeURIComponent(key)}`);
    expect(search.body.items.map(({ idempotency_key: shown }: { idempotency_key: string }) => shown)).toEqual([
      key,
      key,
    ]);
  });
});

describe('a request', () => {
  it('with a key that nobody knows is refused as a whole, and says which', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '10' });
    const refused = await amend(voiding(key), voiding('nobody-1'), voiding('nobody-2'));
    expect(refused).toMatchObject({
      status: 404,
      body: {
        error_code: 'EVENT_NOT_FOUND',
        errors: [{ field: 'amendments[1].idempotency_key' }, { field: 'amendments[2].idempotency_key' }],
      },
    });
    expect((await pipeline.api('GET', `${path}?idempotency_key=${key}`)).body.pagination.total).toBe(0);
  });

  it('of a sandbox may say times to come, as its events do, up to six years ahead; of the live world not', async () => {
    const sandbox = await sandboxOf(pipeline);
    const yearMs = 365 * 86_400_000;
    const [customer, key] = [`c-${unique()}`, `k-${unique()}`];
    await sandbox.send([event({ key, customer, atMs: month.end + yearMs })]);
    const fate = () => sandbox.api('GET', `/v1/events/${key}`);
    await until(fate, ({ status, body }) => status === 200 && body.state !== 'unchecked');
    const later = replacing(key, { customer, tokens: '7', atMs: month.end + 5 * yearMs });
    const amended = await sandbox.made(path, { amendments: [later] });
    expect(amended.items[0]).toMatchObject({
      before: [{ timestamp: new Date(month.end + yearMs).toISOString() }],
      after: { timestamp: later.replacement.timestamp, properties: { tokens: '7' } },
    });
    const { body } = await until(fate, (answer) => answer.body.versions?.length === 2);
    const times = body.versions.map(
      ({ timestamp, until_sequence: end }: { timestamp: string; until_sequence: string }) => [timestamp, end === null],
    );
    expect(times).toEqual([
      [new Date(month.end + yearMs).toISOString(), false],
      [later.replacement.timestamp, true],
    ]);
    const inFuture = { field: 'amendments[0].replacement.timestamp', code: 'in_future' };
    const tooLate = replacing(key, { customer, atMs: Date.now() + 7 * yearMs });
    expect(await sandbox.api('POST', path, { amendments: [tooLate] })).toMatchObject({
      status: 422,
      body: { errors: [inFuture] },
    });
    expect(await amend(later)).toMatchObject({ status: 422, body: { errors: [inFuture] } });
  });

  it('of an event that was accepted this very moment waits for it', async () => {
    const customer = await customerOf();
    const one = event({ customer, tokens: '10' });
    await pipeline.sendEvents([one]);
    expect((await amend(voiding(one.idempotency_key))).status).toBe(201);
    await untilUsage(customer, '0');
  });

  it('[I25] does not reach the event of another organization, nor its amendments', async () => {
    const other = await addTenant(pipeline);
    const customer = await customerOf();
    const [key = ''] = await sent({ customer, tokens: '10' });
    const { id } = await amended(replacing(key, { customer, tokens: '11' }));
    for (const answer of [
      await other.api('POST', path, { amendments: [voiding(key)] }),
      await other.api('GET', `${path}/${id}`),
      await other.api('GET', `/v1/events/${key}`),
    ])
      expect(answer.status).toBe(404);
    expect((await other.api('GET', path)).body.items).toEqual([]);
    expect((await other.api('POST', '/v1/events/check', { idempotency_keys: [key] })).body.items[0].status).toBe(
      'unknown',
    );
    expect((await other.api('GET', `/v1/events?idempotency_key=${key}`)).body.items).toEqual([]);
    expect(await usageOf(customer)).toBe('11');
  });

  it('names every fault at its place, and refuses a number that no meter can measure', async () => {
    const bad = `{"amendments":[
      {"idempotency_key":"","action":"undo","reason":" "},
      {"idempotency_key":"a","action":"void","reason":"r","replacement":{}},
      {"idempotency_key":"a","action":"replace","reason":"r","replacement":{"event":"e","customer_id":"c","timestamp":"1999-12-31T23:59:59Z","properties":{"n":1e-53,"a..b":1},"colour":1}},
      {"idempotency_key":"b","action":"replace","reason":"r"},
      {"idempotency_key":"c","action":"replace","reason":"r","replacement":{"event":"e","customer_id":"c","timestamp":"2999-01-01T00:00:00Z"}},
      7]}`;
    const { status, body } = await pipeline.api('POST', path, bad);
    expect([status, body.error_code]).toEqual([422, 'VALIDATION_FAILED']);
    expect(body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`)).toEqual([
      'amendments[0].idempotency_key wrong_length',
      'amendments[0].action not_allowed',
      'amendments[0].reason wrong_format',
      'amendments[1].replacement not_allowed',
      'amendments[2].replacement.timestamp too_old',
      'amendments[2].replacement.properties.n number_range',
      'amendments[2].replacement.properties.a..b property_name',
      'amendments[2].replacement.colour unknown_field',
      'amendments[2].idempotency_key duplicate',
      'amendments[3].replacement missing',
      'amendments[4].replacement.timestamp in_future',
      'amendments[5] wrong_type',
    ]);
    for (const amendments of [undefined, [], {}, Array(1001).fill(voiding('a'))])
      expect((await pipeline.api('POST', path, { amendments })).body.errors[0].field).toBe('amendments');
  });

  it('of a thousand amendments is applied within seconds', async () => {
    const customer = await customerOf();
    const events = Array.from({ length: 1_000 }, () => event({ customer, tokens: '1' }));
    await pipeline.sendEvents(events);
    await known(events.at(-1)?.idempotency_key ?? '');
    const answer = await amend(...events.map(({ idempotency_key: key }) => replacing(key, { customer, tokens: '2' })));
    expect([answer.status, answer.body.items.length]).toEqual([201, 1_000]);
    await until(
      () => usageOf(customer),
      (quantity) => quantity === '2000',
    );
  });
});

describe('what is written down', () => {
  it('changes no more, but for its way through the stream', async () => {
    const customer = await customerOf();
    const [key = ''] = await sent({ customer });
    const { id } = await amended(voiding(key));
    for (const statement of [
      "UPDATE amendments SET reason = 'another' WHERE id = $1",
      'UPDATE amendments SET stream_sequence = 1 WHERE id = $1',
      'DELETE FROM amendments WHERE id = $1',
      'UPDATE amended_events SET customer = $1',
      'DELETE FROM amended_events WHERE amendment_id = $1',
    ])
      await expect(pipeline.asOwner.query(statement, [id])).rejects.toThrow('immutable');
    const { body } = await pipeline.api('GET', `/v1/audit-log?object_id=${id}`);
    expect(body.items).toMatchObject([
      { action: 'amendment.applied', actor: 'relay', object_type: 'amendment' },
      { action: 'amendment.created', object_type: 'amendment' },
    ]);
  });
});
