/**
 * What is billed, from totals and from events: the same quantities, and so the same lines, whenever the totals were
 * made, whatever came late, twice, or was amended since, and at every watermark.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { stopwatch } from '#platform/process/clock.ts';
import { readRows } from '#platform/stores/clickhouse.ts';
import { type Aggregation, aggregations } from '#schemas/meter.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { MeasuredSpan } from '../../../rater/aggregate/covered-spans.ts';
import {
  type Measured,
  type Quantities,
  type QuantityQuery,
  quantitiesFromRows,
  quantityStatements,
  type StatementAnswer,
  wholeOf,
} from '../../../rater/aggregate/quantity-query.ts';
import { createReadFromTotals, type QuantitiesWay, totalsAnyway } from '../../../rater/quantities/read-quantities.ts';
import { keepTotals } from '../../support/keep-totals.ts';
import { aLongHistory, customers, someMeters, someWindows } from '../../support/metering-arbitraries.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { scaled } from '../../support/scale.ts';

let clickhouse: MeteringStore['clickhouse'];
let store: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store } = await openMeteringStore(inject('serverUrls')));
});
afterAll(() => clickhouse?.close());

const fromEvents = async (wanted: QuantityQuery): Promise<Quantities> => {
  const answers: StatementAnswer[] = [];
  for (const statement of quantityStatements(wanted))
    answers.push({ statement, rows: await readRows(clickhouse, statement) });
  return quantitiesFromRows(answers);
};

const ofTotals = ['count', 'sum', 'max', 'min', 'average', 'latest', 'weighted_sum'] as const;

const nothing: Measured = { quantity: '0', unmeasuredEvents: 0n };

/** What is not told is nothing, to a line too. */
const told = (quantities: Quantities, { spans, measures }: QuantityQuery) =>
  spans.flatMap(({ spanId }) =>
    measures.map(({ measureId }) => [spanId, measureId, quantities.get(spanId)?.get(measureId) ?? nothing]),
  );

const texts = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

it('[I29] quantities from totals are those from events, at every watermark', async () => {
  const ways = new Map<QuantitiesWay, number>();
  const read = createReadFromTotals(totalsAnyway, {
    read: (statement) => readRows(clickhouse, statement),
    stopwatch,
    isOfTotals: () => false,
    report: { way: (way) => ways.set(way, (ways.get(way) ?? 0) + 1), fault: () => {} },
  });
  const day = 86_400_000;
  const aSpan = fc.oneof(
    someWindows.map(({ period }) => period),
    fc
      .tuple(fc.integer({ min: 27, max: 33 }), fc.integer({ min: 1, max: 6 }))
      .map(([first, days]) => ({ start: Date.UTC(2026, 9, first), end: Date.UTC(2026, 9, first) + days * day })),
  );
  const aQuestion = fc.record({
    spans: fc.array(
      fc.record({
        customers: fc.constantFrom<string[]>(['c1', customers[2]], ['c2'], ['c1'], ['nobody']),
        period: aSpan,
      }),
      { minLength: 1, maxLength: 5 },
    ),
    // What is read for one meter is read for the others of its event too: most questions are without such a meter.
    codes: fc.oneof(
      { weight: 3, arbitrary: fc.subarray<Aggregation>([...ofTotals], { minLength: 1 }) },
      { weight: 1, arbitrary: fc.subarray<Aggregation>([...aggregations], { minLength: 1 }) },
    ),
    watermarkBehind: fc.oneof(fc.constant(0), fc.nat(30)),
  });
  let days = 0;
  const property = fc.asyncProperty(
    aLongHistory,
    someMeters,
    fc.nat(),
    fc.array(aQuestion, { minLength: 16, maxLength: 16 }),
    async (history, meters, cut, questions) => {
      // Totals are made in the middle of the history, and at its end of what has changed since for half of the meters.
      const until = Math.ceil(history.messages.length / 3) + (cut % 30);
      const tenant = await store({ ...history, messages: history.messages.slice(0, until) });
      const kept = meters.map(({ meter }, index) => ({
        tenant,
        meter: {
          ...meter,
          ...(index % 2 === 0 && { groupBy: ['a.b', 'n'] }),
          versionId: `${tenant}_${index}`,
        } as MeterVersion,
      }));
      // Two at once, of which one dies; and one that stops half-way.
      const [made] = await Promise.all([
        keepTotals(clickhouse, kept, until, cut % 5 === 0 ? 10 : 1_000),
        keepTotals(clickhouse, kept, until, 2),
      ]);
      days += made;
      if (cut % 2 === 0) await clickhouse.command({ query: 'OPTIMIZE TABLE usage_days FINAL' });
      await store({ ...history, messages: history.messages.slice(until) }, tenant);
      days += await keepTotals(clickhouse, kept.slice(0, kept.length / 2), history.messages.length);
      if (cut % 3 === 0) await clickhouse.command({ query: 'OPTIMIZE TABLE usage_totals FINAL' });
      for (const { spans: asked, codes, watermarkBehind } of questions) {
        const spans: MeasuredSpan[] = asked.map((span, index) => ({ ...span, spanId: `s${index}` }));
        const wanted: QuantityQuery = {
          tenant,
          watermark: BigInt(Math.max(0, history.messages.length - watermarkBehind)),
          spans,
          measures: kept.flatMap(({ meter }) =>
            codes.includes(meter.aggregation) ? [{ ...wholeOf(meter), measureId: meter.code }] : [],
          ),
        };
        expect(told(await read(wanted), wanted), JSON.stringify(wanted, texts)).toEqual(
          told(await fromEvents(wanted), wanted),
        );
      }
    },
  );
  await fc.assert(property, { numRuns: scaled(4), endOnFailure: true });
  // Else it would have compared events with events.
  expect(Object.fromEntries(ways)).toMatchObject({ totals: expect.any(Number), both: expect.any(Number) });
  expect(days).toBeGreaterThan(0);
}, 300_000);
