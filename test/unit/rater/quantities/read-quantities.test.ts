import { describe, expect, it } from 'vitest';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { type QuantityQuery, wholeOf } from '../../../../rater/aggregate/quantity-query.ts';
import {
  createReadFromTotals,
  daysPerStatement,
  type QuantitiesWay,
  quantityLimits,
} from '../../../../rater/quantities/read-quantities.ts';

const meterOf = (aggregation: MeterVersion['aggregation'], event = 'e'): MeterVersion => ({
  version: 1,
  expression: null,
  filter: null,
  groupBy: [],
  rounding: null,
  percentile: null,
  code: aggregation,
  versionId: `mtv_${aggregation}`,
  event,
  aggregation,
  property: aggregation === 'count' ? null : 'p',
});
const period = { start: Date.UTC(2026, 9, 1), end: Date.UTC(2026, 10, 1) };
const span = { spanId: 's', customers: ['c'], period };
const queryOf = (...meters: MeterVersion[]): QuantityQuery => ({
  tenant: 't',
  watermark: 7n,
  spans: [span],
  measures: meters.map(wholeOf),
});

const wholeUnits = (count: number): string => `${count}000000000000`;
/** Day 20,730 of the first row and the first event. */
const aDay = (64 + 1) * 100_000 + 20_730;

/** A store whose totals hold 30 days of 5 each, with the given days left to the events, which are 7. */
const storeOf = (held: Readonly<Record<string, unknown>> | Error) => {
  const ways: QuantitiesWay[] = [];
  const queries: string[] = [];
  const faults: unknown[] = [];
  const clock = { ms: 0 };
  const read = createReadFromTotals(quantityLimits, {
    read: async <R>({ query }: { readonly query: string }) => {
      queries.push(query.includes('usage_totals') ? 'totals' : 'events');
      if (queries.at(-1) === 'events')
        return [{ span: 's', result_sum_0: wholeUnits(7), result_count_0: '7', unmeasured_0: '1' }] as R[];
      if (held instanceof Error) throw held;
      return [{ span: 's', result_sum_0: wholeUnits(150), unmeasured_0: '2', held_days: '30', ...held }] as R[];
    },
    stopwatch: () => () => clock.ms,
    isOfTotals: (error) => error === held,
    report: { way: (way) => ways.push(way), fault: (error) => faults.push(error) },
  });
  const quantity = async (query: QuantityQuery) =>
    (await read(query)).get('s')?.get(query.measures[0]?.measureId ?? '');
  return { ways, queries, faults, clock, quantity };
};
const dense = { held_rows: '30', held_events: '3000', days: [] };

describe('reading quantities', () => {
  it('asks totals alone where they hold every day', async () => {
    const { ways, queries, quantity } = storeOf(dense);
    expect(await quantity(queryOf(meterOf('sum')))).toEqual({ quantity: '150', unmeasuredEvents: 2n });
    expect([queries, ways]).toEqual([['totals'], ['totals']]);
  });

  it('[I29] puts together what totals hold and the events of the other days', async () => {
    const { ways, queries, quantity } = storeOf({ ...dense, days: [`${aDay}`] });
    expect(await quantity(queryOf(meterOf('sum')))).toEqual({ quantity: '157', unmeasuredEvents: 3n });
    expect([queries, ways]).toEqual([['totals', 'events'], ['both']]);
  });

  it('reads everything from events where most days are left to them', async () => {
    const { ways, quantity } = storeOf({ ...dense, held_days: '1', days: [aDay, aDay + 1] });
    expect(await quantity(queryOf(meterOf('sum')))).toEqual({ quantity: '7', unmeasuredEvents: 1n });
    expect(ways).toEqual(['events_days']);
  });

  it('asks in halves where one statement would have to name too many days, down to a span, and then reads events', async () => {
    const days = Array.from({ length: daysPerStatement + 1 }, () => aDay);
    const { ways, queries, quantity } = storeOf({ ...dense, held_days: '100000', days });
    const query = queryOf(meterOf('sum'));
    expect(await quantity({ ...query, spans: [span, { ...span, spanId: 'other' }] })).toMatchObject({ quantity: '7' });
    expect(queries).toEqual(['totals', 'totals', 'events', 'totals', 'events']);
    expect(ways).toEqual(['events_days', 'events_days']);
  });

  it('reads events for what totals do not hold, and with it what else is of these events', async () => {
    const { ways, queries, quantity } = storeOf(dense);
    await quantity(queryOf(meterOf('unique'), meterOf('sum')));
    expect([queries, ways]).toEqual([['events'], ['events_measure']]);
    await quantity(queryOf(meterOf('unique'), meterOf('sum', 'other')));
    expect(queries).toEqual(['events', 'totals', 'events']);
  });

  it('leaves totals alone for a while where rows stand for few events, and looks again', async () => {
    const { ways, queries, clock, quantity } = storeOf({
      ...dense,
      held_events: `${30 * quantityLimits.eventsPerRowMin - 1}`,
    });
    for (const ms of [0, 0, quantityLimits.lookAgainMs - 1, quantityLimits.lookAgainMs]) {
      clock.ms = ms;
      await quantity(queryOf(meterOf('sum')));
    }
    expect(ways).toEqual(['totals', 'events_few', 'events_few', 'totals']);
    expect(queries).toEqual(['totals', 'events', 'events', 'totals']);
    // Of another organization nothing is known.
    await quantity({ ...queryOf(meterOf('sum')), tenant: 'u' });
    expect(ways.at(-1)).toBe('totals');
  });

  it('reads events where totals can not be read, and says so; a fault of the store is thrown', async () => {
    const fault = new Error('of totals');
    const { ways, faults, quantity } = storeOf(fault);
    expect(await quantity(queryOf(meterOf('sum')))).toMatchObject({ quantity: '7' });
    expect([ways, faults]).toEqual([['events_fault'], [fault]]);
    const failing = createReadFromTotals(quantityLimits, {
      read: () => Promise.reject(fault),
      stopwatch: () => () => 0,
      isOfTotals: () => false,
      report: { way: () => {}, fault: () => {} },
    });
    await expect(failing(queryOf(meterOf('sum')))).rejects.toBe(fault);
  });

  it('reads events of days that are none to the store', async () => {
    const { ways, quantity } = storeOf(dense);
    const before = { ...span, period: { start: Date.UTC(1969, 0, 1), end: period.end } };
    await quantity({ ...queryOf(meterOf('sum')), spans: [before] });
    expect(ways).toEqual(['events_range']);
  });
});
