/**
 * Usage that is kept and brought up to the next watermark, against usage measured anew: the same to the last digit,
 * whatever comes in between, and whoever asks meanwhile.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { MeasuredSpan } from '../../../rater/aggregate/covered-spans.ts';
import {
  type Measure,
  type Quantities,
  quantitiesFromRows,
  quantityStatements,
  type StatementRow,
  wholeOf,
} from '../../../rater/aggregate/quantity-query.ts';
import { createLiveUsage, type LiveUsage } from '../../../rater/live/live-usage.ts';
import { aLongHistory, customers, someMeters, someWindows } from '../../support/metering-arbitraries.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { scaled } from '../../support/scale.ts';

let clickhouse: MeteringStore['clickhouse'];
let store: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store } = await openMeteringStore(inject('serverUrls')));
});
afterAll(() => clickhouse?.close());

type Asked = { readonly spans: readonly MeasuredSpan[]; readonly measures: readonly Measure[] };

const measuredAnew = async (tenant: string, watermark: bigint, asked: Asked): Promise<Quantities> => {
  const answers = [];
  for (const statement of quantityStatements({ tenant, watermark, ...asked }))
    answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
  return quantitiesFromRows(answers);
};

/** What is asked for, each of it; without events it may be missing. */
const eachOf = ({ spans, measures }: Asked, quantities: Quantities) =>
  spans.flatMap(({ spanId }) =>
    measures
      .filter(({ spanIds }) => spanIds?.has(spanId) ?? true)
      .map(({ measureId }) => {
        const { quantity = '0', unmeasuredEvents = 0n, parts = [] } = quantities.get(spanId)?.get(measureId) ?? {};
        return { spanId, measureId, quantity, unmeasuredEvents, parts };
      }),
  );

/** With how many statements measured anew. */
const liveUsage = (limits: { renewedMs: number; oldestMs: number; spansMax?: number; measuredMs?: number }) => {
  let [now, anew] = [0, 0];
  const usage = createLiveUsage(
    {
      idleMs: 1_000_000,
      spansMax: 1_000,
      measuresMax: 100,
      measuredMs: 1_000_000,
      windowDays: 35,
      ...limits,
    },
    {
      read: (statement) => {
        if ('periods' in statement) anew += 1;
        return readRows<StatementRow>(clickhouse, statement);
      },
      elapsedMs: () => {
        now += 1;
        return now;
      },
      report: { asked: () => {}, kept: () => {} },
    },
  );
  return { usage, measuredAnew: () => anew };
};
const alwaysNewest = { renewedMs: -1, oldestMs: -1 } as const;

/** Those of all aggregations as a whole, and one in parts of each kind. */
const aWanted = fc.tuple(someMeters, someWindows, someWindows).map(([meters, first, second]): Asked => {
  const { start, end } = first.period;
  const middle = Math.ceil((start + end) / 2);
  const named = ['c1', customers[2]];
  const sum = meters.find(({ meter }) => meter.aggregation === 'sum')?.meter ?? meters[0]?.meter;
  if (!sum) throw new Error('there are meters of all aggregations');
  const version = { ...sum, versionId: 'sum' };
  return {
    spans: [
      { spanId: 'whole', customers: named, period: first.period },
      { spanId: 'first half', customers: named, period: { start, end: middle } },
      { spanId: 'second half', customers: named, period: { start: middle, end } },
      { spanId: 'other', customers: ['c2'], period: second.period },
      // Of the shortest span one half is none.
    ].filter(({ period }) => period.start < period.end),
    measures: [
      ...meters.map(({ meter }) => wholeOf({ ...meter, versionId: meter.code })),
      {
        measureId: 'cells',
        meter: version,
        cells: { dimensions: ['a.b'], cells: [['1'], ['2.5']] },
        spanIds: new Set(['whole', 'other']),
      },
      { measureId: 'amounts', meter: version, amountProperty: 'm' },
    ],
  };
});

it('[I13] usage that is brought up is that which is measured anew, at every watermark', async () => {
  let [asked, anew] = [0, 0];
  const property = fc.asyncProperty(
    aLongHistory,
    aWanted,
    fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 8, maxLength: 8 }),
    // Not all of them.
    fc.nat(2).map((one) => one === 0),
    async (history, wanted, steps, isCrowded) => {
      const live = liveUsage({ ...alwaysNewest, ...(isCrowded && { spansMax: 3 }) });
      let [tenant, at]: [string | undefined, number] = [undefined, 0];
      for (const step of [...steps, history.messages.length]) {
        const until = Math.min(history.messages.length, at + step);
        tenant = await store({ ...history, messages: history.messages.slice(at, until) }, tenant);
        at = until;
        const { watermark, quantities } = await live.usage(tenant, wanted, async () => BigInt(at));
        expect(watermark).toBe(BigInt(at));
        expect(eachOf(wanted, quantities)).toEqual(eachOf(wanted, await measuredAnew(tenant, watermark, wanted)));
        if (!isCrowded) asked += quantityStatements({ tenant, watermark, ...wanted }).length;
      }
      if (!isCrowded) anew += live.measuredAnew();
    },
  );
  await fc.assert(property, { numRuns: scaled(4), endOnFailure: true });
  // Else nothing would have been brought up, where there was room for it.
  expect(anew).toBeLessThan(Math.max(1, asked));
}, 300_000);

it('[I13] whoever asks while it is brought up has what was stored at the watermark of the answer', async () => {
  let moved = 0;
  const property = fc.asyncProperty(aLongHistory, aWanted, async (history, wanted) => {
    const live = liveUsage({ renewedMs: -1, oldestMs: 40 });
    let tenant = await store({ ...history, messages: history.messages.slice(0, 20) });
    let at = 20;
    const ask = async (spanIds: readonly string[]): Promise<bigint> => {
      const own = { ...wanted, spans: wanted.spans.filter(({ spanId }) => spanIds.includes(spanId)) };
      const { watermark, quantities } = await live.usage(tenant, own, async () => BigInt(at));
      expect(eachOf(own, quantities)).toEqual(eachOf(own, await measuredAnew(tenant, watermark, own)));
      return watermark;
    };
    const seen: bigint[] = [];
    const asking = async (spanIds: readonly string[]): Promise<void> => {
      while (at < history.messages.length) seen.push(await ask(spanIds));
    };
    const storing = async (): Promise<void> => {
      for (; at < history.messages.length; at = Math.min(history.messages.length, at + 9))
        tenant = await store({ ...history, messages: history.messages.slice(at, at + 9) }, tenant);
    };
    await Promise.all([storing(), asking(['whole', 'other']), asking(['whole', 'first half']), asking(['other'])]);
    moved += new Set(seen).size - 1;
  });
  await fc.assert(property, { numRuns: scaled(2), endOnFailure: true });
  // Else nothing would have been brought up while somebody asked.
  expect(moved).toBeGreaterThan(0);
}, 300_000);

const aMeter = (of: Partial<Measure['meter']>): Measure =>
  wholeOf({
    code: 'm',
    version: 1,
    versionId: `m ${of.aggregation}`,
    event: 'e',
    property: 'n',
    expression: null,
    filter: null,
    groupBy: [],
    rounding: null,
    percentile: null,
    ...of,
  } as Measure['meter']);

it('reads what has come, and measures nothing anew, of sums, counts, averages and extremes', async () => {
  const day = Date.UTC(2026, 9, 20);
  const event = (sequence: number, n: string, occurredAtMs = day + sequence) => ({
    sequence,
    event: { event: 'e', customer: 'c1', occurredAtMs, key: `k${sequence}`, sequence, properties: new Map([['n', n]]) },
    amends: null,
  });
  const measures = (['sum', 'count', 'average', 'max', 'min'] as const).map((aggregation) => aMeter({ aggregation }));
  const span = { spanId: 's', customers: ['c1', 'cus_1'], period: { start: day, end: day + 86_400_000 } };
  const live = liveUsage(alwaysNewest);
  const tenant = await store({ messages: [event(1, '1.5')], events: [], voids: [] });
  const ask = async (usage: LiveUsage, watermark: bigint) => {
    const { quantities } = await usage(tenant, { spans: [span], measures }, async () => watermark);
    return measures.map(({ measureId }) => quantities.get('s')?.get(measureId)?.quantity);
  };
  expect(await ask(live.usage, 1n)).toEqual(['1.5', '1', '1.5', '1.5', '1.5']);
  const more = [event(2, '0.5'), event(3, 'no number'), event(4, '7', span.period.end), event(5, '-3')];
  await store({ messages: more, events: [], voids: [] }, tenant);
  expect(await ask(live.usage, 5n)).toEqual(['-1', '4', '-0.333333333333', '1.5', '-3']);
  expect(live.measuredAnew()).toBe(1);
});

it('counts a replacement once that is in the stream twice', async () => {
  const at = Date.UTC(2026, 9, 20);
  const target = { event: 'e', customer: 'c2', occurredAtMs: at, key: 'k', sequence: 1, properties: new Map() };
  const replacement = (sequence: number) => ({
    sequence,
    event: { ...target, customer: 'c1', key: 'k\0am_1', sequence, properties: new Map([['n', '3']]) },
    amends: { id: 'am_1', target, isReplaced: true },
  });
  const spans = ['c1', 'c2'].map((name) => ({
    spanId: name,
    customers: [name],
    period: { start: at - 86_400_000, end: at + 86_400_000 },
  }));
  const wanted = { spans, measures: [aMeter({ aggregation: 'sum' }), aMeter({ aggregation: 'count' })] };
  const live = liveUsage(alwaysNewest);
  const tenant = await store({ messages: [{ sequence: 1, event: target, amends: null }], events: [], voids: [] });
  const ask = async (watermark: bigint) => {
    const { quantities } = await live.usage(tenant, wanted, async () => watermark);
    expect(eachOf(wanted, quantities)).toEqual(eachOf(wanted, await measuredAnew(tenant, watermark, wanted)));
    return eachOf(wanted, quantities).map(({ quantity }) => quantity);
  };
  expect(await ask(1n)).toEqual(['0', '0', '0', '1']);
  for (const sequence of [2, 3]) {
    await store({ messages: [replacement(sequence)], events: [], voids: [] }, tenant);
    // The identity check looks at no amendments.
    await clickhouse.command({
      query: "ALTER TABLE usage_voids DELETE WHERE tenant = {tenant:String} AND reason = 'twin'",
      query_params: { tenant },
      clickhouse_settings: { mutations_sync: '2' },
    });
    expect(await ask(BigInt(sequence))).toEqual(['3', '1', '0', '0']);
  }
});

it('measures anew what was kept for long', async () => {
  const at = Date.UTC(2026, 9, 20);
  const span = { spanId: 's', customers: ['c1'], period: { start: at, end: at + 86_400_000 } };
  const wanted = { spans: [span], measures: [aMeter({ aggregation: 'count' })] };
  const live = liveUsage({ ...alwaysNewest, measuredMs: 50 });
  for (let turn = 0; turn < 100; turn += 1) await live.usage('org_of_nobody', wanted, async () => 1n);
  expect(live.measuredAnew()).toBeGreaterThan(1);
  expect(live.measuredAnew()).toBeLessThan(50);
});

it('is of one watermark for all who ask first', async () => {
  const day = Date.UTC(2026, 9, 20);
  const event = (sequence: number) => ({
    sequence,
    event: { event: 'e', customer: 'c1', occurredAtMs: day, key: `k${sequence}`, sequence, properties: new Map() },
    amends: null,
  });
  const span = { spanId: 's', customers: ['c1'], period: { start: day, end: day + 86_400_000 } };
  const live = liveUsage({ renewedMs: 100, oldestMs: 100 });
  const tenant = await store({ messages: [event(1)], events: [], voids: [] });
  const ask = async (readWatermark: () => Promise<bigint>) => {
    const wanted = { spans: [span], measures: [aMeter({ aggregation: 'count' })] };
    const { watermark, quantities } = await live.usage(tenant, wanted, readWatermark);
    return [watermark, quantities.get('s')?.get('m count')?.quantity];
  };
  const slow = Promise.withResolvers<bigint>();
  const first = ask(() => slow.promise);
  expect(await ask(async () => 1n)).toEqual([1n, '1']);
  await store({ messages: [event(2)], events: [], voids: [] }, tenant);
  slow.resolve(2n);
  expect(await first).toEqual([1n, '1']);
  for (let turn = 0; turn < 100; turn += 1) await ask(async () => 2n);
  expect(await ask(async () => 2n)).toEqual([2n, '2']);
});

it('measures anew what may be a repeat that the identity check no longer knows', async () => {
  const at = Date.UTC(2026, 8, 20);
  const event = (sequence: number, n: string) => ({
    sequence,
    event: { event: 'e', customer: 'c1', occurredAtMs: at, key: 'k', sequence, properties: new Map([['n', n]]) },
    amends: null,
  });
  const span = { spanId: 's', customers: ['c1'], period: { start: at - 86_400_000, end: at + 86_400_000 } };
  const live = liveUsage(alwaysNewest);
  const tenant = await store({ messages: [event(1, '1.5')], events: [], voids: [] });
  const ask = async (watermark: bigint) => {
    const wanted = { spans: [span], measures: [aMeter({ aggregation: 'sum' })] };
    return (await live.usage(tenant, wanted, async () => watermark)).quantities.get('s')?.get('m sum')?.quantity;
  };
  expect(await ask(1n)).toBe('1.5');
  await store({ messages: [event(2, '3')], events: [], voids: [] }, tenant);
  await clickhouse.command({
    query: 'ALTER TABLE usage_voids DELETE WHERE tenant = {tenant:String}',
    query_params: { tenant },
    clickhouse_settings: { mutations_sync: '2' },
  });
  expect(await ask(2n)).toBe('1.5');
});
