/** [I12] Every amount down to its events: the steps, the hashes, and the very events, which give the quantity again. */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { meterDefinitionFromJson } from '#schemas/meter.ts';
import { contentHashAgain, type ListedEvent, quantityAgain } from '../../support/measured-again.ts';
import { type ApiAnswer, lastMonth, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { firstTenant } from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

const month = lastMonth();
/** Levels come from before it. */
const startedAt = month.end - 3 * 3_600_000;
const graduated = {
  model: 'graduated',
  free_units: '2',
  tiers: [
    { up_to: '10', unit_amount: '0.3', flat_amount: '1' },
    { up_to: '1000', unit_amount: '0.123456' },
    { up_to: null, unit_amount: '0.01' },
  ],
};
const perUnit = { model: 'per_unit', unit_amount: '0.015' };
const matrix = {
  model: 'matrix',
  dimensions: ['region'],
  cells: [{ match: { region: 'eu' }, price: graduated }],
  default_price: { model: 'per_unit', unit_amount: '9' },
};
const onlyEu = { property: 'region', operator: 'eq', value: 'eu' };
const meters: readonly (readonly [aggregation: string, fields: object, price?: object])[] = [
  ['count', {}, graduated],
  ['sum', { property: 'n' }, perUnit],
  ['sum', { expression: 'n * 2 + 1', filter: onlyEu }, graduated],
  ['max', { property: 'n' }],
  ['min', { property: 'n' }],
  ['unique', { property: 'region' }],
  ['latest', { property: 'n' }],
  ['average', { property: 'n' }],
  ['weighted_sum', { property: 'n' }],
  ['percentile', { property: 'n', percentile: { rank: '90', method: 'nearest_rank' } }],
  ['percentile', { property: 'n', percentile: { rank: '33.3', method: 'linear' } }],
  ['average', { property: 'n', filter: onlyEu, rounding: { mode: 'half_even', decimals: 3 } }],
  ['sum', { property: 'n', group_by: ['region'] }, matrix],
  ['sum', { property: 'n' }, { model: 'percentage', percent: '10', fixed_amount: '0.1', free_events: 3 }],
  ['count', {}, { model: 'dynamic', amount_property: 'n' }],
];
const codeOf = (index: number): string => `m${index}`;

let pipeline: Pipeline;
let organizationId: string;
let invoice: ApiAnswer['body'];

const made = async (path: string, body: unknown): Promise<ApiAnswer['body']> => {
  const answer = await pipeline.api('POST', path, body);
  expect([answer.status, answer.body.errors]).toEqual([201, undefined]);
  return answer.body;
};
const event = (key: string, customer: string, atMs: number, n: unknown, region: string) => ({
  idempotency_key: key,
  event: 'used',
  customer_id: customer,
  timestamp: new Date(atMs).toISOString(),
  properties: { n, region },
});
const amend = async (amendments: readonly object[]): Promise<void> => {
  const { items } = await until(
    () => pipeline.api('POST', '/v1/events/amendments', { amendments }),
    ({ status }) => status === 201,
  ).then(({ body }) => body);
  for (const { id } of items)
    await until(
      () => pipeline.api('GET', `/v1/events/amendments/${id}`),
      ({ body }) => body.state === 'applied',
    );
};
const voided = (key: string) => ({ idempotency_key: key, action: 'void', reason: 'a test' });
const replaced = (key: string, customer: string, atMs: number, n: number) => {
  const { idempotency_key: _key, ...replacement } = event(key, customer, atMs, n, 'eu');
  return { idempotency_key: key, action: 'replace', reason: 'a test', replacement };
};

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  ({ organizationId } = await firstTenant(pipeline));
  for (const [index, [aggregation, fields]] of meters.entries())
    await made('/v1/meters', { code: codeOf(index), name: codeOf(index), event: 'used', aggregation, ...fields });
  const charges = meters.map(([, , price = perUnit], index) => ({
    code: codeOf(index),
    name: 'C',
    meter: codeOf(index),
    price,
  }));
  const flat = { code: 'base', name: 'Base', price: { model: 'flat', amount: '9.00' } };
  await made('/v1/plans', { code: 'all', name: 'All', currency: 'USD', charges: [flat, ...charges] });
  const { id } = await made('/v1/customers', { external_id: 'acme', name: 'Acme' });
  await made('/v1/customers', { external_id: 'other', name: 'Other' });
  await made('/v1/subscriptions', { customer_id: 'acme', plan: 'all', started_at: new Date(startedAt).toISOString() });
  const sent = Array.from({ length: 60 }, (_, n) =>
    event(
      `k${n}`,
      n % 3 === 0 ? id : 'acme',
      month.end - 5 * 3_600_000 + n * 290_000,
      `${n % 7}.${n}`,
      n % 4 ? 'eu' : 'us',
    ),
  );
  const odd = [
    event('odd', 'acme', startedAt + 1, 'many', 'eu'),
    event('other', 'other', startedAt + 2, 1000, 'eu'),
    event('last', 'acme', month.end - 1, 3, 'apac'),
    event('after', 'acme', month.end, 2000, 'eu'),
  ];
  expect((await pipeline.sendEvents([...sent, ...odd])).body.accepted).toBe(64);
  await amend([
    voided('k40'),
    voided('k2'),
    replaced('k41', id, startedAt + 7, 41),
    replaced('k50', 'other', startedAt + 8, 50),
  ]);
  const run = await pipeline.closePeriod({ period: month.name, customer_id: 'acme' });
  expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 1 });
  // Above the watermark from here on.
  const late = Array.from({ length: 5 }, (_, n) => event(`late${n}`, 'acme', startedAt + 100 + n, 500, 'eu'));
  expect((await pipeline.sendEvents(late)).body.accepted).toBe(5);
  await amend([
    voided('k46'),
    voided('late0'),
    replaced('k45', 'acme', startedAt + 9, 700),
    replaced('k41', 'acme', startedAt + 9, 800),
  ]);
  const [{ id: invoiceId }] = (await pipeline.api('GET', '/v1/customers/acme/invoices')).body.items;
  invoice = (await pipeline.api('GET', `/v1/invoices/${invoiceId}`)).body;
});
afterAll(() => pipeline?.stop());

const explain = async (position: number): Promise<ApiAnswer['body']> => {
  const answer = await pipeline.api('GET', `/v1/invoices/${invoice.id}/line-items/${position}/explain`);
  expect(answer.status).toBe(200);
  return answer.body;
};

/** All pages. */
const listed = async (url: string, limit: number): Promise<ListedEvent[]> => {
  const all: ListedEvent[] = [];
  for (let cursor = ''; ; ) {
    const { status, body } = await pipeline.api('GET', `${url}?limit=${limit}${cursor && `&cursor=${cursor}`}`);
    expect(status).toBe(200);
    all.push(...body.items);
    if (!body.pagination.has_more) return all;
    expect(body.items).toHaveLength(limit);
    cursor = body.pagination.next_cursor;
  }
};

const hash = (content: object): string =>
  createHash('sha256')
    .update(canonicalize({ hash_version: 1, ...content }) as string)
    .digest('hex');

const partsOf = ({ input }: ApiAnswer['body']): { part: string; quantity: string; events: string }[] =>
  input.measured[0].parts;
const sumOfParts = (parts: readonly { quantity: string }[]): number =>
  parts.reduce((sum, { quantity }) => sum + Math.round(Number(quantity) * 1000), 0);

describe('an explanation', () => {
  it.each(meters.map(([aggregation, fields], index) => [`${aggregation} ${JSON.stringify(fields)}`, index] as const))(
    '[I12] of %s lists the very events that give its quantity again',
    async (_, index) => {
      const { query, output, events } = await explain(index + 2);
      const definition = meterDefinitionFromJson(query.definition);
      if (!definition.ok) throw new Error(JSON.stringify(definition.faults));
      const span = { start: Date.parse(query.span.start), end: Date.parse(query.span.end) };
      expect(span).toEqual({ start: startedAt, end: month.end });
      for (const limit of [7, 1000]) {
        const all = await listed(events.url, limit);
        expect(new Set(all.map(({ digest }) => digest)).size).toBe(all.length);
        expect(quantityAgain(definition.value, all, span)).toBe(output.quantity);
        expect(`${all.length}`).toBe(events.count);
        expect(contentHashAgain(organizationId, all)).toBe(events.content_hash);
        const keys = all.map(({ idempotency_key: key, amendment_id: id }) => (id ? `${key} replaced` : key));
        expect(keys).toEqual(expect.arrayContaining(['k45', 'k46', 'k41 replaced']));
        for (const key of ['k40', 'k41', 'k50', 'k50 replaced', 'late0', 'late1', 'after', 'other'])
          expect(keys).not.toContain(key);
        expect(keys.includes('k1')).toBe(query.reads_before);
        expect(all.map(({ timestamp }) => timestamp)).toEqual(
          all
            .map(({ timestamp }) => timestamp)
            .toSorted()
            .toReversed(),
        );
      }
    },
  );

  it('has what went in and what came out with their hashes, which anyone can make again', async () => {
    for (const { position, amount, precise_amount, quantity, steps, charge_code } of invoice.lines) {
      const { input, output, hashes, invoice_id, line_position, id } = await explain(position);
      expect([invoice_id, line_position]).toEqual([invoice.id, position]);
      expect(output).toMatchObject({ amount, precise_amount, quantity, steps, charge_code });
      expect(input).toMatchObject({
        watermark: invoice.watermark,
        currency: 'USD',
        rounding_policy: { rounding: 'half_up' },
      });
      expect(hashes).toEqual({ version: 1, input: hash(input), output: hash(output), is_as_rated: true });
      const { body } = await pipeline.api('GET', `/v1/rated-lines/${id}/explain`);
      expect(body.hashes).toEqual(hashes);
    }
  });

  it('has a table of all tiers, whose units and amounts are those of the steps', async () => {
    const { tiers, output } = await explain(2);
    const quantity = Number(output.quantity);
    expect(quantity).toBeGreaterThan(12);
    const third = { from: '1002', to: null, unit_amount: '0.01', flat_amount: '0', units: '0', amount: '0' };
    expect(tiers).toEqual([
      { from: '2', to: '12', unit_amount: '0.3', flat_amount: '1', units: '10', amount: '4' },
      expect.objectContaining({ from: '12', to: '1002', units: `${quantity - 12}` }),
      third,
    ]);
    const units = output.steps.filter(({ kind }: { kind: string }) => kind === 'units');
    expect(tiers.slice(0, 2).map(({ amount }: { amount: string }) => amount)).toEqual(
      units.map(({ amount }: { amount: string }) => amount),
    );
  });

  it('has what was measured in parts, and the tiers of a cell', async () => {
    const [ofMatrix, ofEvents, ofAmounts] = [await explain(14), await explain(15), await explain(16)];
    expect(partsOf(ofMatrix).map(({ part }) => part)).toEqual(['0', '1']);
    expect(sumOfParts(partsOf(ofMatrix))).toBe(sumOfParts([ofMatrix.output]));
    expect(ofMatrix.tiers.map(({ cell, to }: { cell: object; to: string }) => [cell, to])).toEqual(
      ['12', '1002', null].map((to) => [{ region: 'eu' }, to]),
    );
    expect(ofMatrix.tiers[0].units).toBe('10');
    expect(partsOf(ofEvents)).toEqual([
      expect.objectContaining({ part: 'free', events: '3' }),
      expect.objectContaining({ part: 'rate' }),
    ]);
    expect(partsOf(ofAmounts)).toEqual([{ part: 'amounts', quantity: ofEvents.output.quantity, events: '0' }]);
  });

  it('of a flat charge has no query and no events', async () => {
    const { id, query, events, tiers, input } = await explain(1);
    expect([query, events, tiers, input.measured]).toEqual([null, null, [], []]);
    expect((await pipeline.api('GET', `/v1/rated-lines/${id}/explain/events`)).body.items).toEqual([]);
  });

  it('counts events without a usable value among the listed ones', async () => {
    const { input, events } = await explain(3);
    expect(input.measured[0].unmeasured_events).toBe('1');
    const all = await listed(events.url, 1000);
    expect(all.filter(({ value }) => value === null).map(({ idempotency_key: key }) => key)).toEqual(['odd']);
  });

  it.each([
    ['/v1/invoices/inv_00000000000000000000000000000000/line-items/1/explain', 404, 'INVOICE_NOT_FOUND'],
    ['/v1/invoices/:id/line-items/99/explain', 404, 'INVOICE_LINE_NOT_FOUND'],
    ['/v1/invoices/:id/line-items/0/explain', 404, 'INVOICE_LINE_NOT_FOUND'],
    ['/v1/rated-lines/rln_x/explain', 404, 'RATED_LINE_NOT_FOUND'],
    ['/v1/rated-lines/rln_x/explain/events', 404, 'RATED_LINE_NOT_FOUND'],
  ])('%s is %i %s', async (path, status, code) => {
    expect(await pipeline.api('GET', path.replace(':id', invoice.id))).toMatchObject({
      status,
      body: { error_code: code },
    });
  });

  it('[I12] is of lines that are rated again to the same bytes', async () => {
    const environment = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
    const { code, faults, stdout } = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', environment);
    expect({ code, faults }).toEqual({ code: 0, faults: [] });
    expect(stdout).toContain(`${meters.length + 1} lines of 1 billing periods rated again\n`);
  });

  it('takes no cursor of another line', async () => {
    const [one, other] = [await explain(2), await explain(3)];
    const { body } = await pipeline.api('GET', `${one.events.url}?limit=1`);
    expect(
      await pipeline.api('GET', `${other.events.url}?limit=1&cursor=${body.pagination.next_cursor}`),
    ).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'cursor', code: 'wrong_format' }] },
    });
  });
});
