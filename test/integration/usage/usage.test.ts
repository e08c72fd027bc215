/**
 * Usage over the API: windows, groups, filters, CSV, limits of subscriptions, and everything that a query may get
 * wrong.
 */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { UsageEvent } from '#schemas/usage-event.ts';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { openRawMessages } from '../../support/raw-messages.ts';
import { addTenant, firstTenant } from '../../support/tenants.ts';

let pipeline: Pipeline;
const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const span = 'from=2026-10-24T22:00:00Z&to=2026-10-26T23:00:00Z';

const event = (
  key: string,
  time: string,
  properties: Record<string, string>,
  customer = 'acme',
  name = 'work',
): UsageEvent => ({
  tenant: '',
  idempotencyKey: key,
  event: name,
  customer,
  occurredAtMs: at(time),
  receivedAtMs: at(time),
  properties: Object.entries(properties),
});
const events = [
  event('1', '2026-10-24T22:00:00Z', { tokens: '10', model: 'a', 'request.path': '/x', region: 'eu' }),
  event('2', '2026-10-25T00:30:00Z', { tokens: '0.1', model: 'a', region: 'us' }),
  event('3', '2026-10-25T01:30:00Z', { tokens: '0.2', model: 'b', region: 'eu' }),
  event('4', '2026-10-25T22:59:59Z', { tokens: 'many', model: 'b' }),
  event('5', '2026-10-25T23:00:00Z', { tokens: '7', model: '=1+1' }),
  event('6', '2026-10-26T12:00:00Z', { tokens: '1000', region: 'eu' }, 'globex'),
  event('7', '2026-10-26T13:00:00Z', { tokens: '3', model: 'a,"b"\r\nc' }, 'globex'),
  event('8', '2026-10-24T22:00:00Z', { seats: '4' }, 'acme', 'seats'),
];

const get = async (path: string) => {
  const answer = await pipeline.api('GET', path);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer;
};
const usage = async (query: string, meter = 'tokens') => (await get(`/v1/meters/${meter}/usage?${query}`)).body;
// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
const told = ({ items }: { items: any[] }) =>
  items.map(({ window_start, group, quantity }) => [window_start, ...Object.values(group), quantity]);

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.usage });
  const { organizationId: tenant } = await firstTenant(pipeline);
  const post = async (path: string, body: object) => {
    const answer = await pipeline.api('POST', path, body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  };
  const meter = (code: string, fields: object) =>
    post('/v1/meters', { code, name: code, event: 'work', group_by: ['model', 'request.path'], ...fields });
  await meter('tokens', { aggregation: 'sum', property: 'tokens' });
  await meter('most', { aggregation: 'max', property: 'tokens' });
  await meter('seats', { event: 'seats', aggregation: 'weighted_sum', property: 'seats' });
  await meter('regions', {
    aggregation: 'count',
    group_by: ['region', 'a,b'],
    filter: { property: 'model', operator: 'ne', value: 'b' },
  });
  await post('/v1/customers', { external_id: 'acme', name: 'Acme' });
  await post('/v1/customers', { external_id: 'globex', name: 'Globex' });
  const raw = await openRawMessages(inject('serverUrls').nats, pipeline.streamName);
  const sequence = await raw.send(...events.map((one) => ({ ...one, tenant })));
  await raw.close();
  await until(
    () => usage('from=2026-10-01T00:00:00Z'),
    ({ watermark }) => BigInt(watermark) >= BigInt(sequence),
  );
});
afterAll(() => pipeline?.stop());

describe('usage of a meter', () => {
  it('is exact over the whole period, with the events that could not be measured beside it', async () => {
    expect(await usage(span)).toMatchObject({
      meter: 'tokens',
      meter_version: 1,
      customer_id: null,
      window: null,
      time_zone: 'UTC',
      watermark: expect.stringMatching(/^\d+$/),
      period: { start: '2026-10-24T22:00:00.000Z', end: '2026-10-26T23:00:00.000Z' },
      items: [
        {
          window_start: '2026-10-24T22:00:00.000Z',
          window_end: '2026-10-26T23:00:00.000Z',
          group: {},
          quantity: '1020.3',
          events: '7',
          unmeasured_events: '1',
        },
      ],
      pagination: { page_size: 1, has_more: false, next_cursor: null },
    });
  });

  it('is of days as the zone has them, where one has 25 hours', async () => {
    const days = await usage(`${span}&window=day&time_zone=europe/berlin`);
    expect(days.time_zone).toBe('Europe/Berlin');
    expect(days.items.map((one: object) => Object.values(one).slice(0, 2))).toEqual([
      ['2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
      ['2026-10-25T23:00:00.000Z', '2026-10-26T23:00:00.000Z'],
    ]);
    expect(told(days).map((one) => one.at(-1))).toEqual(['10.3', '1010']);
    // 02:30 twice, in two windows.
    expect(
      told(await usage('from=2026-10-25T00:00:00Z&to=2026-10-25T02:00:00Z&window=hour&time_zone=Europe/Berlin')),
    ).toEqual([
      ['2026-10-25T00:00:00.000Z', '0.1'],
      ['2026-10-25T01:00:00.000Z', '0.2'],
    ]);
  });

  it('is of months and minutes, and leaves out what has no event', async () => {
    expect(told(await usage('from=2026-09-15T00:00:00Z&to=2026-12-01T00:00:00Z&window=month'))).toEqual([
      ['2026-10-01T00:00:00.000Z', '1020.3'],
    ]);
    expect(told(await usage('from=2026-10-25T00:30:00Z&to=2026-10-25T01:31:00Z&window=minute'))).toEqual([
      ['2026-10-25T00:30:00.000Z', '0.1'],
      ['2026-10-25T01:30:00.000Z', '0.2'],
    ]);
  });

  it('carries a level into windows without events', async () => {
    expect(told(await usage(`${span}&window=day&time_zone=Europe/Berlin`, 'seats'))).toEqual([
      ['2026-10-24T22:00:00.000Z', '4'],
      ['2026-10-25T23:00:00.000Z', '4'],
    ]);
  });

  it('is grouped by customer and by the properties of the meter, null where an event has none', async () => {
    expect(told(await usage(`${span}&group_by=customer_id,model`))).toEqual([
      ['2026-10-24T22:00:00.000Z', 'acme', '=1+1', '7'],
      ['2026-10-24T22:00:00.000Z', 'acme', 'a', '10.1'],
      ['2026-10-24T22:00:00.000Z', 'acme', 'b', '0.2'],
      ['2026-10-24T22:00:00.000Z', 'globex', null, '1000'],
      ['2026-10-24T22:00:00.000Z', 'globex', 'a,"b"\r\nc', '3'],
    ]);
    expect(
      (await usage(`${span}&group_by=request.path&customer_id=acme`)).items.map((one: { group: object }) => one.group),
    ).toEqual([{ 'request.path': null }, { 'request.path': '/x' }]);
    expect((await usage(`${span}&group_by=${encodeURIComponent('"a,b",region')}`, 'regions')).items[0].group).toEqual({
      'a,b': null,
      region: null,
    });
  });

  it('is of one customer by id and by external id, and null where an aggregation has nothing', async () => {
    const { id } = (await get('/v1/customers/globex')).body;
    for (const name of ['globex', id])
      expect(await usage(`${span}&customer_id=${name}`)).toMatchObject({
        customer_id: id,
        items: [{ quantity: '1003' }],
      });
    expect(told(await usage('from=2026-10-25T22:00:00Z&to=2026-10-25T23:00:00Z', 'most'))).toEqual([
      ['2026-10-25T22:00:00.000Z', null],
    ]);
  });

  it('is filtered beside the filter of the meter', async () => {
    const filter = (json: object) => `${span}&filter=${encodeURIComponent(JSON.stringify(json))}`;
    expect(told(await usage(filter({ property: 'model', operator: 'in', value: ['a', 'b'] })))).toMatchObject([
      [expect.any(String), '10.3'],
    ]);
    expect(told(await usage(filter({ property: 'tokens', operator: 'gte', value: 7 })))).toMatchObject([
      [expect.any(String), '1017'],
    ]);
    expect(told(await usage(filter({ property: 'region', operator: 'eq', value: 'eu' }), 'regions'))).toMatchObject([
      [expect.any(String), '2'],
    ]);
  });

  it('is of any version of the meter that is asked for', async () => {
    expect((await pipeline.api('PATCH', '/v1/meters/most', { aggregation: 'min', group_by: [] })).status).toBe(200);
    expect(await usage(span, 'most')).toMatchObject({ meter_version: 2, items: [{ quantity: '0.1' }] });
    expect(await usage(`${span}&meter_version=1&group_by=model`, 'most')).toMatchObject({
      meter_version: 1,
      items: { length: 5 },
    });
  });

  it('is CSV that a spreadsheet takes for data and not for formulas', async () => {
    const answer = await get(`/v1/meters/tokens/usage?${span}&group_by=customer_id,model&format=csv&limit=4`);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(answer.headers.get('millrace-watermark')).toBe((await usage(span)).watermark);
    const [acme, globex] = await Promise.all(
      ['acme', 'globex'].map(async (name) => `${(await get(`/v1/customers/${name}`)).body.id},${name}`),
    );
    expect(answer.body.split('\r\n')).toEqual([
      'window_start,window_end,customer_id,model,quantity,events,unmeasured_events,customer.id,customer.external_id',
      `2026-10-24T22:00:00.000Z,2026-10-26T23:00:00.000Z,acme,'=1+1,7,1,0,${acme}`,
      `2026-10-24T22:00:00.000Z,2026-10-26T23:00:00.000Z,acme,a,10.1,2,0,${acme}`,
      `2026-10-24T22:00:00.000Z,2026-10-26T23:00:00.000Z,acme,b,0.2,2,1,${acme}`,
      `2026-10-24T22:00:00.000Z,2026-10-26T23:00:00.000Z,globex,,1000,1,0,${globex}`,
      '',
    ]);
    const cursor = answer.headers.get('millrace-next-cursor');
    const rest = await get(`/v1/meters/tokens/usage?${span}&group_by=customer_id,model&format=csv&cursor=${cursor}`);
    expect(rest.body.endsWith(`,globex,"a,""b""\r\nc",3,1,0,${globex}\r\n`)).toBe(true);
  });
});

describe('[I25] usage', () => {
  it('of another organization is in no answer', async () => {
    const other = await addTenant(pipeline);
    const meter = { code: 'tokens', name: 'Tokens', event: 'work', aggregation: 'sum', property: 'tokens' };
    expect((await other.api('POST', '/v1/meters', meter)).status).toBe(201);
    expect((await other.api('GET', `/v1/meters/tokens/usage?${span}`)).body.items).toEqual([]);
    const { next_cursor: cursor } = (await usage(`${span}&group_by=customer_id&limit=1`)).pagination;
    expect(
      (await other.api('GET', `/v1/meters/tokens/usage?${span}&group_by=customer_id&cursor=${cursor}`)).status,
    ).toBe(400);
  });
});

describe('usage of a subscription', () => {
  it('stands against the free units and tiers of its charges, within what it covers', async () => {
    const tiers = [
      { up_to: '5', unit_amount: '1' },
      { up_to: '10', unit_amount: '0.5' },
      { up_to: null, unit_amount: '0.1' },
    ];
    const charges = [
      { code: 'base', name: 'Base', price: { model: 'flat', amount: '1' } },
      { code: 'tiered', name: 'Tiered', meter: 'tokens', price: { model: 'graduated', tiers, free_units: '2' } },
      {
        code: 'plain',
        name: 'Plain',
        meter: 'regions',
        price: { model: 'per_unit', unit_amount: '1', free_units: '10' },
      },
    ];
    const plan = { code: 'limits', name: 'Limits', currency: 'USD', charges };
    expect((await pipeline.api('POST', '/v1/plans', plan)).status).toBe(201);
    const subscribed = await pipeline.api('POST', '/v1/subscriptions', {
      customer_id: 'acme',
      plan: 'limits',
      started_at: '2026-10-25T00:00:00Z',
    });
    // The first event is from before it.
    const answer = await get(`/v1/subscriptions/${subscribed.body.id}/usage?${span}`);
    expect(answer.body).toMatchObject({
      subscription_id: subscribed.body.id,
      period: { start: '2026-10-24T22:00:00.000Z' },
    });
    expect(answer.body.items).toEqual([
      {
        charge: 'tiered',
        name: 'Tiered',
        meter: 'tokens',
        meter_version: 1,
        quantity: '7.3',
        unmeasured_events: 1,
        free_units: '2',
        free_units_left: '0',
        tiers: [
          { up_to: '5', quantity: '5' },
          { up_to: '10', quantity: '0.3' },
          { up_to: null, quantity: '0' },
        ],
      },
      {
        charge: 'plain',
        name: 'Plain',
        meter: 'regions',
        meter_version: 1,
        quantity: '2',
        unmeasured_events: 0,
        free_units: '10',
        free_units_left: '8',
        tiers: [],
      },
    ]);
    const current = await get(`/v1/subscriptions/${subscribed.body.id}/usage`);
    expect(current.body.period).toEqual((await get(`/v1/subscriptions/${subscribed.body.id}`)).body.current_period);
  });
});

const json = (value: unknown) => encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value));

describe('a query for usage', () => {
  it.each([
    ['a property that the meter does not have', 'group_by=colour', 'group_by', 'not_allowed'],
    ['a property twice', 'group_by=model,model', 'group_by', 'duplicate'],
    ['nothing between commas', 'group_by=model,,customer_id', 'group_by', 'not_allowed'],
    ['a statement as a group', `group_by=${json("model'; DROP TABLE usage_events; --")}`, 'group_by', 'not_allowed'],
    ['a parameter of a query as a group', `group_by=${json('{tenant:String}')}`, 'group_by', 'not_allowed'],
    ['a filter that is no JSON', 'filter=model=a', 'filter', 'wrong_format'],
    ['a filter that is a list', 'filter=[]', 'filter', 'wrong_type'],
    ['a filter of a number', 'filter=1', 'filter', 'wrong_type'],
    [
      'a filter on an unknown property',
      `filter=${json({ property: 'colour', operator: 'eq', value: 'red' })}`,
      'filter',
      'not_allowed',
    ],
    [
      'a filter on the customer',
      `filter=${json({ property: 'customer_id', operator: 'eq', value: 'acme' })}`,
      'filter',
      'not_allowed',
    ],
    [
      'a filter with a value of another type',
      `filter=${json({ property: 'tokens', operator: 'gt', value: 'x' })}`,
      'filter.value',
      'not_a_decimal',
    ],
    [
      'a filter with an unknown operator',
      `filter=${json({ property: 'model', operator: 'like', value: '%' })}`,
      'filter.operator',
      'not_allowed',
    ],
    [
      'a filter with fields beyond',
      `filter=${json({ property: 'model', operator: 'eq', value: 'a', or: 1 })}`,
      'filter.or',
      'wrong_type',
    ],
    [
      'a filter nested too deep',
      `filter=${'{"and":['.repeat(6)}{}${']}'.repeat(6)}`,
      expect.stringContaining('filter.and'),
      'not_allowed',
    ],
    ['a filter nested 900 deep', `filter=${'[['.repeat(450)}${']]'.repeat(450)}`, 'filter', 'wrong_format'],
    [
      'a filter with a name twice',
      'filter={"property":"model","property":"region","operator":"eq","value":"a"}',
      'filter',
      'wrong_format',
    ],
    ['a prototype as a filter', `filter=${json('{"__proto__":{"and":[]}}')}`, expect.any(String), expect.any(String)],
    [
      'a period that ends before it begins',
      'from=2026-10-02T00:00:00Z&to=2026-10-01T00:00:00Z',
      'from',
      'not_increasing',
    ],
    ['an empty period', 'from=2026-10-01T00:00:00Z&to=2026-10-01T00:00:00Z', 'from', 'not_increasing'],
    ['a begin in the future without an end', 'from=2150-01-01T00:00:00Z', 'from', 'not_increasing'],
    ['a day that is none', 'from=2026-02-30T00:00:00Z', 'from', 'wrong_format'],
    ['a time without a zone', 'from=2026-02-01T00:00:00', 'from', 'wrong_format'],
    ['an end after all times', 'to=9999-12-31T00:00:00Z', 'to', 'out_of_range'],
    [
      'more than 10,000 minutes',
      'from=2026-10-01T00:00:00Z&to=2026-10-07T22:41:00Z&window=minute',
      'window',
      'out_of_range',
    ],
    ['an unknown window', 'window=week', 'window', 'not_allowed'],
    ['an unknown zone', 'time_zone=Mars/Olympus', 'time_zone', 'not_allowed'],
    ['an offset as a zone', 'time_zone=%2B01:00', 'time_zone', 'not_allowed'],
    ['a path as a zone', 'time_zone=../../etc/passwd', 'time_zone', 'not_allowed'],
    ['a watermark that is no number', 'watermark=1e3', 'watermark', 'wrong_format'],
    ['a watermark below nothing', 'watermark=-1', 'watermark', 'wrong_format'],
    ['a watermark beyond 64 bits', 'watermark=99999999999999999999', 'watermark', 'wrong_format'],
    ['a watermark that is not checked', 'watermark=9223372036854775807', 'watermark', 'out_of_range'],
    ['a version that there is not', 'meter_version=9', 'meter_version', 'out_of_range'],
    ['a version of nothing', 'meter_version=0', 'meter_version', 'out_of_range'],
    ['a limit beyond', 'limit=1001', 'limit', 'out_of_range'],
    ['no limit', 'limit=', 'limit', 'wrong_length'],
    ['a cursor that is made up', 'cursor=AAAA', 'cursor', 'wrong_format'],
    ['an unknown format', 'format=xml', 'format', 'not_allowed'],
    ['an unknown parameter', 'colour=red', 'colour', 'unknown_field'],
    ['a parameter twice', 'window=day&window=hour', 'window', 'duplicate'],
    ['a NUL in a group', 'group_by=a%00b', 'query', 'wrong_format'],
  ])('with %s is 400 and names it with its cure', async (_name, query, field, code) => {
    const answer = await pipeline.api('GET', `/v1/meters/tokens/usage?${query}`);
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 400, body: { error_code: 'BAD_REQUEST' } });
    expect(answer.body.errors).toContainEqual({ field, code, message: expect.stringMatching(/.{12}/) });
  });

  it('tells all that is wrong at once', async () => {
    const { body } = await pipeline.api(
      'GET',
      '/v1/meters/tokens/usage?from=x&window=week&time_zone=x&group_by=y&filter=z&limit=0&watermark=a&b=1',
    );
    const fields = body.errors.map(({ field }: { field: string }) => field);
    expect(fields.toSorted()).toEqual(['b', 'filter', 'from', 'group_by', 'limit', 'time_zone', 'watermark', 'window']);
  });

  it('of a meter or customer that there is not is 404', async () => {
    expect(await pipeline.api('GET', '/v1/meters/nothing/usage')).toMatchObject({
      status: 404,
      body: { error_code: 'METER_NOT_FOUND' },
    });
    for (const customer of ['nobody', "x' OR '1'='1", 'work.>', '*'])
      expect(await pipeline.api('GET', `/v1/meters/tokens/usage?customer_id=${json(customer)}`)).toMatchObject({
        status: 404,
        body: { error_code: 'CUSTOMER_NOT_FOUND' },
      });
  });

  it('goes on only behind a page of the same query', async () => {
    const { next_cursor: cursor } = (await usage(`${span}&group_by=customer_id,model&limit=1`)).pagination;
    const asked = (query: string, meter = 'tokens') =>
      pipeline.api('GET', `/v1/meters/${meter}/usage?${query}&cursor=${cursor}`);
    expect((await asked(`${span}&group_by=customer_id,model`)).status).toBe(200);
    for (const [query, meter] of [
      [`${span}&group_by=model,customer_id`],
      [`${span}&group_by=customer_id,model&window=day`],
      [`${span}&group_by=customer_id,model&watermark=1`],
      [`${span}&group_by=customer_id,model`, 'regions'],
    ])
      expect((await asked(query as string, meter)).body, query).toMatchObject({
        status: 400,
        errors: expect.arrayContaining([expect.objectContaining({ field: 'cursor' })]),
      });
  });
});
