/**
 * Usage from totals against usage event by event: equal to the last digit, whenever the totals were made, whatever came
 * late, twice, or was amended since, and at every watermark.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { UsageRow } from '../../../rater/aggregate/usage-query.ts';
import type { KeptMeter } from '../../../rater/totals/keep-totals.ts';
import { createReadMeterUsage, type UsageRead } from '../../../rater/totals/read-usage.ts';
import type { AskedUsage } from '../../../rater/totals/total-days.ts';
import { keepTotals } from '../../support/keep-totals.ts';
import { aFilter, aLongHistory, someMerged, someMeters, someWindows } from '../../support/metering-arbitraries.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { scaled } from '../../support/scale.ts';
import { type ReferenceWanted, referenceUsage, standing } from '../../support/usage-reference.ts';

let clickhouse: MeteringStore['clickhouse'];
let store: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store } = await openMeteringStore(inject('serverUrls')));
});
afterAll(() => clickhouse?.close());

const read = (wanted: AskedUsage): Promise<UsageRead> =>
  createReadMeterUsage({
    read: (statement) => readRows(clickhouse, statement),
    isOfTotals: () => false,
    report: { way: () => {}, fault: () => {} },
  })(wanted);

/** All pages, of `limit` rows each. */
const readPages = async (wanted: AskedUsage): Promise<UsageRead> => {
  const rows: UsageRow[] = [];
  for (;;) {
    const last = rows.at(-1);
    const after = last ? { windowStart: last.windowStart, group: last.group } : null;
    const page = await read({ ...wanted, after });
    rows.push(...page.rows);
    if (page.rows.length < wanted.limit) return { rows, way: page.way };
  }
};

const written = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

it('[I29] usage from totals is that of the events one by one', async () => {
  // All that happens, in windows that hold cells whole: of most random ones a day or two is read from totals.
  const wide = { start: Date.UTC(2026, 9, 26), end: Date.UTC(2026, 10, 6) };
  const startsEvery = (ms: number): number[] =>
    Array.from({ length: (wide.end - wide.start) / ms }, (_, index) => wide.start + index * ms);
  const wideWindows = [null, startsEvery(86_400_000), startsEvery(8_100_000)].map((windowStarts) => ({
    period: wide,
    windowStarts,
  }));
  const aWanted = fc.record({
    windows: fc.oneof(someWindows, { weight: 2, arbitrary: fc.constantFrom(...wideWindows) }),
    groupBy: fc.constantFrom<string[]>([], ['customer_id'], ['n'], ['customer_id', 'a.b'], ['odd name', 'customer_id']),
    merged: someMerged,
    filter: fc.option(aFilter, { freq: 1 }),
    watermarkBehind: fc.oneof(fc.constant(0), fc.nat(20)),
    limit: fc.constantFrom(25, 10_000),
  });
  let [fromTotals, days] = [0, 0];
  const property = fc.asyncProperty(
    aLongHistory,
    someMeters,
    fc.nat(),
    fc.infiniteStream(aWanted),
    async (history, meters, cut, questions) => {
      // Totals are made in the middle of the history, and at its end of what has changed since for half of the meters.
      const until = Math.ceil(history.messages.length / 3) + (cut % 30);
      const tenant = await store({ ...history, messages: history.messages.slice(0, until) });
      const kept = meters.map(({ meter }) => ({
        tenant,
        meter: { ...meter, groupBy: ['a.b', 'n', 'odd name'], versionId: `${tenant}_${meter.code}` },
      }));
      // Two at once, of which one dies.
      const [made] = await Promise.all([keepTotals(clickhouse, kept, until), keepTotals(clickhouse, kept, until, 2)]);
      days += made;
      if (cut % 2 === 0) await clickhouse.command({ query: 'OPTIMIZE TABLE usage_days FINAL' });
      await store({ ...history, messages: history.messages.slice(until) }, tenant);
      days += await keepTotals(clickhouse, kept.slice(0, kept.length / 2), history.messages.length);
      if (cut % 3 === 0) await clickhouse.command({ query: 'OPTIMIZE TABLE usage_totals FINAL' });
      for (const [index, one] of [...meters, ...meters].entries()) {
        const { windows, groupBy, merged, filter, watermarkBehind, limit } = questions.next().value;
        const watermark = Math.max(0, history.messages.length - watermarkBehind);
        const asked: ReferenceWanted = { ...windows, ...(merged && { merged }), customers: null, groupBy, filter };
        const meter = (kept[index % kept.length] as KeptMeter).meter;
        const wanted = { ...asked, tenant, watermark: BigInt(watermark), meter, limit, after: null };
        const { rows, way } = await readPages(wanted);
        if (way.from === 'totals' && way.daysOfEvents.length < 3) fromTotals += 1;
        const expected = referenceUsage(one, standing(history.events, history.voids, watermark), asked);
        expect(rows, JSON.stringify({ ...asked, meter, watermark, way }, written)).toEqual(expected);
      }
    },
  );
  await fc.assert(property, { numRuns: scaled(4), endOnFailure: true });
  // Else it would have compared events with events.
  expect(fromTotals).toBeGreaterThan(0);
  expect(days).toBeGreaterThan(0);
}, 300_000);
