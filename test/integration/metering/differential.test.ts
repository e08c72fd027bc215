/**
 * Queries over a real store against usage worked out event by event: equal to the last digit, whatever the events,
 * meters, filters, windows, twins and voids are.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { Meter } from '#schemas/meter.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import {
  quantitiesFromRows,
  quantityStatements,
  type StatementRow,
  wholeOf,
} from '../../../rater/aggregate/quantity-query.ts';
import { type UsageRow, usageFromRows, usageStatement } from '../../../rater/aggregate/usage-query.ts';
import type { UsageWanted } from '../../../rater/aggregate/usage-wanted.ts';
import {
  aFilter,
  aHistory,
  customers,
  someMerged,
  someMeters,
  someWindows,
} from '../../support/metering-arbitraries.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { scaled } from '../../support/scale.ts';
import {
  isCounted,
  quantityOf,
  type ReferenceWanted,
  referenceUsage,
  standing,
  valueTextOf,
} from '../../support/usage-reference.ts';

let clickhouse: MeteringStore['clickhouse'];
let store: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store } = await openMeteringStore(inject('serverUrls')));
});
afterAll(() => clickhouse?.close());

/** All pages, of `limit` rows each. */
const readUsage = async (wanted: Omit<UsageWanted, 'after'>): Promise<UsageRow[]> => {
  const all: UsageRow[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = { ...wanted, after: last ? { windowStart: last.windowStart, group: last.group } : null };
    const rows = usageFromRows(page, await readRows<Record<string, unknown>>(clickhouse, usageStatement(page)));
    all.push(...rows);
    if (rows.length < wanted.limit) return all;
  }
};

/**
 * Every run is made, however slow the machine is; a failure names its seed and is not made smaller, which would store
 * hundreds of histories.
 */
const runs = (count: number) => ({ numRuns: scaled(count), endOnFailure: true });

it('[I13] usage in windows and groups is that of the events one by one, for every aggregation', async () => {
  const aWanted = fc.record({
    windows: someWindows,
    groupBy: fc.constantFrom<string[]>([], ['customer_id'], ['n'], ['customer_id', 'a.b'], ['odd name', 'customer_id']),
    merged: someMerged,
    filter: fc.option(aFilter),
    only: fc.option(fc.constantFrom<string[]>(['c1'], [customers[2]], ['c1', 'c2'])),
    limit: fc.constantFrom(3, 10_000),
    watermarkBehind: fc.nat(20),
  });
  const property = fc.asyncProperty(
    aHistory,
    someMeters,
    fc.infiniteStream(aWanted),
    async (history, meters, questions) => {
      const tenant = await store(history);
      for (const one of meters) {
        const { windows, groupBy, merged, filter, only, limit, watermarkBehind } = questions.next().value;
        const watermark = Math.max(0, history.messages.length - watermarkBehind);
        const asked: ReferenceWanted = { ...windows, ...(merged && { merged }), customers: only, groupBy, filter };
        const rows = await readUsage({ ...asked, tenant, watermark: BigInt(watermark), meter: one.meter, limit });
        const expected = referenceUsage(one, standing(history.events, history.voids, watermark), asked);
        expect(rows, JSON.stringify({ ...asked, meter: one.meter, watermark })).toEqual(expected);
      }
    },
  );
  await fc.assert(property, runs(20));
}, 300_000);

it('[I13] what is billed, of all aggregations at once and several spans, is that of the events one by one', async () => {
  const property = fc.asyncProperty(
    aHistory,
    someMeters,
    someWindows,
    someWindows,
    fc.nat(20),
    async (history, meters, first, second, watermarkBehind) => {
      const tenant = await store(history);
      const watermark = Math.max(0, history.messages.length - watermarkBehind);
      const { start, end } = first.period;
      const middle = Math.ceil((start + end) / 2);
      const one = ['c1', customers[2]];
      const spans = [
        { spanId: 's1', customers: one, period: first.period },
        // What is counted and summed of both halves is that of the whole.
        { spanId: 'first half', customers: one, period: { start, end: middle } },
        { spanId: 'second half', customers: one, period: { start: middle, end } },
        { spanId: 's2', customers: ['c2'], period: second.period },
        { spanId: 's3', customers: ['c1'], period: second.period },
      ];
      const answers = [];
      for (const statement of quantityStatements({
        tenant,
        watermark: BigInt(watermark),
        spans,
        measures: meters.map(({ meter }) => wholeOf({ ...meter, versionId: meter.code })),
      })) {
        answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
      }
      const quantities = quantitiesFromRows(answers);
      const measured = (spanId: string, { code }: Meter): bigint =>
        parseQuantity(quantities.get(spanId)?.get(code)?.quantity ?? '0') as bigint;
      for (const { meter } of meters) {
        if (meter.rounding !== null || (meter.aggregation !== 'count' && meter.aggregation !== 'sum')) continue;
        expect(measured('first half', meter) + measured('second half', meter)).toBe(measured('s1', meter));
      }
      const events = standing(history.events, history.voids, watermark);
      for (const { spanId, customers: names, period } of spans) {
        for (const one of meters) {
          const counted = events.filter((event) => names.includes(event.customer) && isCounted(one, event));
          const inside = counted.filter(
            ({ occurredAtMs }) => occurredAtMs >= period.start && occurredAtMs < period.end,
          );
          const before = counted.filter(({ occurredAtMs }) => occurredAtMs < period.start);
          const unmeasured = inside.filter((event) => valueTextOf(one, event) === null);
          expect(
            quantities.get(spanId)?.get(one.meter.code) ?? { quantity: '0', unmeasuredEvents: 0n },
            one.meter.code,
          ).toEqual({
            quantity: quantityOf(one, inside, before, period) ?? '0',
            unmeasuredEvents: BigInt(unmeasured.length),
          });
        }
      }
    },
  );
  await fc.assert(property, runs(20));
}, 300_000);
