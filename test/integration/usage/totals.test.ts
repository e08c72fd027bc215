/** Usage from totals through the API: what an answer says of its way, and that it is the same whichever way it goes. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { type ApiAnswer, lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';

let pipeline: Pipeline;
let meterId: string;
const { start, end } = lastMonth();
const dayMs = 86_400_000;
const iso = (at: number): string => new Date(at).toISOString();
const span = `from=${iso(start)}&to=${iso(end)}`;
const firstDay = iso(start).slice(0, 10);

beforeAll(async () => {
  // Days are made at once, also those that run.
  const settings = { MILLRACE_TOTALS_QUIET_SECONDS: '0' };
  pipeline = await startPipeline(inject('serverUrls'), settings, { services: [...parts.ratedUsage, 'relay'] });
  const meter = {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm',
    aggregation: 'sum',
    property: 'n',
    group_by: ['model'],
  };
  await pipeline.api('POST', '/v1/customers', { external_id: 'acme', name: 'Acme' });
  meterId = (await pipeline.api('POST', '/v1/meters', meter)).body.id;
});
afterAll(() => pipeline?.stop());

const send = (...events: readonly (readonly [key: string, at: number, n: string, model: string])[]) =>
  pipeline.sendEvents(
    events.map(([key, at, n, model]) => ({
      idempotency_key: key,
      event: 'llm',
      customer_id: 'acme',
      timestamp: iso(at),
      properties: { n, model },
    })),
  );
const usage = (query: string): Promise<ApiAnswer> => pipeline.api('GET', `/v1/meters/${meterId}/usage?${query}`);
const rowsOf = ({ body }: ApiAnswer) =>
  body.items.map((item: { group: object; quantity: string; events: string }) => [
    ...Object.values(item.group),
    item.quantity,
    item.events,
  ]);
/** Until everything that was accepted is told, of totals alone. */
const untilTotals = (query: string, quantity: string): Promise<ApiAnswer> =>
  until(
    () => usage(`${query}&explain=true`),
    ({ body }) => body.items[0]?.quantity === quantity && body.explanation.days_of_events?.length === 0,
  );

it('[I29] is told from totals once a day rests, from events after it has changed, and the same at its watermark', async () => {
  await send(['a', start, '0.1', 'x'], ['b', start + dayMs - 1, '0.2', 'y'], ['c', start + dayMs, '5', 'x']);
  const first = await untilTotals(span, '5.3');
  expect(first.body.explanation).toEqual({ from: 'totals', days_of_events: [] });
  const watermark = first.body.watermark;
  const asked = [
    `${span}&group_by=model`,
    `${span}&window=day&group_by=customer_id,model`,
    `${span}&window=hour&time_zone=Asia/Kathmandu`,
    `${span}&filter=${encodeURIComponent('{"property":"model","operator":"eq","value":"x"}')}`,
  ].map((query) => `${query}&watermark=${watermark}&explain=true`);
  const before = await Promise.all(asked.map(usage));
  for (const { body } of before) expect(body.explanation).toEqual({ from: 'totals', days_of_events: [] });
  expect(before.map(rowsOf)).toEqual([
    [
      ['x', '5.1', '2'],
      ['y', '0.2', '1'],
    ],
    [
      ['acme', 'x', '0.1', '1'],
      ['acme', 'y', '0.2', '1'],
      ['acme', 'x', '5', '1'],
    ],
    [
      ['0.1', '1'],
      ['5.2', '2'],
    ],
    [['5.1', '2']],
  ]);

  // A late event, a repeat under another time, and an amendment, all of the first day.
  await send(['late', start + 1, '7', 'x']);
  await pipeline.api('POST', '/v1/events/amendments', {
    amendments: [{ idempotency_key: 'b', action: 'void', reason: 'r' }],
  });
  const after = await untilTotals(span, '12.1');
  expect(BigInt(after.body.watermark)).toBeGreaterThan(BigInt(watermark));
  const again = await Promise.all(asked.map(usage));
  expect(again.map(({ body }) => body.items)).toEqual(before.map(({ body }) => body.items));
  // Of the first day the totals are of later than that watermark.
  for (const { body } of again) expect(body.explanation).toEqual({ from: 'totals', days_of_events: [firstDay] });
});

it('a meter says how far its totals have come, and its next version begins anew', async () => {
  const read = async (): Promise<ApiAnswer['body']['totals']> =>
    (await pipeline.api('GET', `/v1/meters/${meterId}`)).body.totals;
  const untilKept = (days: number) => until(read, (totals) => totals.state === 'kept' && totals.days === days);
  const first = await until(read, ({ state }) => state === 'kept');
  expect(BigInt(first.watermark)).toBeGreaterThan(0n);
  const versioned = await pipeline.api('PATCH', `/v1/meters/${meterId}`, { property: 'm' });
  // A change answers as before; how far its totals have come is for who reads.
  expect([versioned.body.version_number, versioned.body.totals]).toEqual([2, undefined]);
  expect(['waiting', 'filling', 'kept']).toContain((await read()).state);
  expect(await untilKept(2)).toMatchObject({ days: 2, days_made: 2 });
  await pipeline.api('PATCH', `/v1/meters/${meterId}`, { property: 'n' });
  await untilKept(2);

  const unique = { code: 'models', name: 'Models', event: 'llm', aggregation: 'unique', property: 'model' };
  const { body: other } = await pipeline.api('POST', '/v1/meters', unique);
  const none = { state: 'none', days: null, days_made: null, watermark: null };
  expect((await pipeline.api('GET', `/v1/meters/${other.code}`)).body.totals).toEqual(none);
  const unused = { code: 'unused', name: 'Unused', event: 'never', aggregation: 'count' };
  await pipeline.api('POST', '/v1/meters', unused);
  const { body: waiting } = await pipeline.api('GET', '/v1/meters/unused');
  expect(['waiting', 'kept']).toContain(waiting.totals.state);
});

it.each([
  ['customer', `${span}&customer_id=acme`],
  ['windows', `${span.replace(iso(end), iso(start + 3_600_000))}&window=minute`],
  ['filter', `${span}&filter=${encodeURIComponent('{"property":"n","operator":"exists","value":true}')}`],
])('says why it is told from events: %s', async (reason, query) => {
  expect((await usage(`${query}&explain=true`)).body.explanation).toEqual({ from: 'events', reason });
});

it('reads a day from events that holds a bound within a quarter of an hour', async () => {
  const query = `from=${iso(start + 1)}&to=${iso(end)}&explain=true`;
  const { body } = await usage(query);
  expect([body.explanation, rowsOf({ body } as ApiAnswer)]).toEqual([
    { from: 'totals', days_of_events: [firstDay] },
    [['12', '2']],
  ]);
});

it('says nothing of its way unasked, and in JSON alone', async () => {
  expect((await usage(span)).body).not.toHaveProperty('explanation');
  const csv = await usage(`${span}&explain=true&format=csv`);
  expect([csv.status, csv.body.errors.map(({ field }: { field: string }) => field)]).toEqual([400, ['explain']]);
});
