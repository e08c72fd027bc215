import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anchorAt,
  anchorOfDate,
  type BillingCycle,
  boundaryOf,
  calendarAnchor,
  daysAtLeast,
  isSameLength,
  periodAt,
  periodNumberAt,
  periodOfCycle,
  periodsOver,
} from '#schemas/billing-cycle.ts';
import { type Interval, intervalUnits } from '#schemas/interval.ts';
import { formatPeriod, monthOf, type Period } from '#schemas/period.ts';
import { scaled } from '../../support/scale.ts';

const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const cycleOf = (anchor: string, unit: Interval['unit'] = 'month', count = 1, timeZone = 'UTC'): BillingCycle => ({
  interval: { unit, count },
  anchor,
  timeZone,
});
const days = (cycle: BillingCycle, numbers: readonly number[]): string[] =>
  numbers.map((n) =>
    Temporal.Instant.fromEpochMilliseconds(boundaryOf(cycle, n))
      .toZonedDateTimeISO(cycle.timeZone)
      .toPlainDate()
      .toString(),
  );

describe('boundaries are counted from the anchor', () => {
  it('one on the 31st is on the last day of shorter months, and on the 31st again', () => {
    expect(days(cycleOf('2026-01-31T00:00'), [0, 1, 2, 3, 4, 5, 13])).toEqual([
      '2026-01-31',
      '2026-02-28',
      '2026-03-31',
      '2026-04-30',
      '2026-05-31',
      '2026-06-30',
      '2027-02-28',
    ]);
    expect(days(cycleOf('2023-12-31T00:00'), [1, 2, 3])).toEqual(['2024-01-31', '2024-02-29', '2024-03-31']);
  });

  it('a year from the 29th of February ends on the 28th, and every fourth on the 29th', () => {
    expect(days(cycleOf('2024-02-29T00:00', 'year'), [0, 1, 2, 3, 4])).toEqual([
      '2024-02-29',
      '2025-02-28',
      '2026-02-28',
      '2027-02-28',
      '2028-02-29',
    ]);
  });

  it.each([
    ['day', 1, ['2026-01-30', '2026-01-31', '2026-02-01']],
    ['day', 10, ['2026-01-21', '2026-01-31', '2026-02-10']],
    ['week', 1, ['2026-01-24', '2026-01-31', '2026-02-07']],
    ['month', 2, ['2025-11-30', '2026-01-31', '2026-03-31']],
    ['quarter', 1, ['2025-10-31', '2026-01-31', '2026-04-30']],
    ['year', 2, ['2024-01-31', '2026-01-31', '2028-01-31']],
  ] as const)('%s x %i goes both ways', (unit, count, expected) => {
    expect(days(cycleOf('2026-01-31T00:00', unit, count), [-1, 0, 1])).toEqual(expected);
  });

  it('those of the calendar begin on Mondays, on the first of a month, of a quarter, of a year', () => {
    const first = (unit: Interval['unit']) => {
      const cycle = cycleOf(calendarAnchor({ unit, count: 1 }), unit);
      return days(cycle, [periodNumberAt(cycle, at('2026-11-19T12:00:00Z'))])[0];
    };
    expect(intervalUnits.map(first)).toEqual(['2026-11-19', '2026-11-16', '2026-11-01', '2026-10-01', '2026-01-01']);
  });
});

describe('how short an interval can be', () => {
  it.each([
    ['day', 1, 1],
    ['day', 10, 10],
    ['week', 2, 14],
    ['month', 1, 28],
    ['quarter', 1, 84],
    ['year', 2, 672],
  ] as const)('%s x %i is %i days', (unit, count, expected) => {
    expect(daysAtLeast({ unit, count })).toBe(expected);
  });
});

describe('clocks that are set', () => {
  it('a period over the beginning of summer time is an hour short, and keeps its hour of the clock', () => {
    const berlin = cycleOf('2026-03-15T10:15:00', 'month', 1, 'Europe/Berlin');
    expect(formatPeriod(periodOfCycle(berlin, 0) as Period)).toEqual({
      start: '2026-03-15T09:15:00.000Z',
      end: '2026-04-15T08:15:00.000Z',
    });
  });

  it('an hour that does not exist is the one to which the clock was set', () => {
    // 02:30 on 2026-03-29 was left out in Berlin: 03:30 there is 01:30Z.
    expect(boundaryOf(cycleOf('2026-03-29T02:30:00', 'day', 1, 'Europe/Berlin'), 0)).toBe(at('2026-03-29T01:30:00Z'));
    // Midnight of 2018-11-04 was left out in Sao Paulo: its day begins at 01:00 there.
    expect(boundaryOf(cycleOf('2018-11-04T00:00:00', 'day', 1, 'America/Sao_Paulo'), 0)).toBe(
      at('2018-11-04T03:00:00Z'),
    );
  });

  it('an hour that comes twice is the first one', () => {
    expect(boundaryOf(cycleOf('2026-10-25T02:30:00', 'day', 1, 'Europe/Berlin'), 0)).toBe(at('2026-10-25T00:30:00Z'));
  });

  it('a month has begun where its midnight is over, though the clock shows the day before again', () => {
    // St. John's set its clock from 00:01 on the 1st of November, 02:31Z, back to 23:01 on the 31st of October.
    const stJohns = cycleOf('2009-10-01T00:00:00', 'month', 1, 'America/St_Johns');
    const numbers = ['02:29:59.999', '02:30:00', '02:31:00', '03:29:00', '03:31:00'].map((time) =>
      periodNumberAt(stJohns, at(`2009-11-01T${time}Z`)),
    );
    expect(numbers).toEqual([0, 1, 1, 1, 1]);
  });

  it('a day that a zone left out is no period: Apia had no 2011-12-30', () => {
    const apia = cycleOf('2011-12-28T00:00:00', 'day', 1, 'Pacific/Apia');
    expect([0, 1, 2, 3].map((n) => periodOfCycle(apia, n))).toEqual([
      { start: at('2011-12-28T10:00:00Z'), end: at('2011-12-29T10:00:00Z') },
      { start: at('2011-12-29T10:00:00Z'), end: at('2011-12-30T10:00:00Z') },
      undefined,
      { start: at('2011-12-30T10:00:00Z'), end: at('2011-12-31T10:00:00Z') },
    ]);
    expect(periodNumberAt(apia, at('2011-12-30T10:00:00Z'))).toBe(3);
    const time = { start: at('2011-12-29T00:00:00Z'), end: at('2011-12-31T00:00:00Z') };
    expect([...periodsOver(apia, time)]).toHaveLength(3);
    // The month was a day shorter there, and is one period.
    expect(periodAt(cycleOf('2011-12-01T00:00:00', 'month', 1, 'Pacific/Apia'), at('2011-12-30T12:00:00Z'))).toEqual({
      start: at('2011-12-01T10:00:00Z'),
      end: at('2011-12-31T10:00:00Z'),
    });
  });
});

describe('anchors', () => {
  it.each(['2026-01-32', '2026-02-29', '2026-13-01', '2026-1-1', '2026-01-01T00:00', '', 'calendar', '+002026-01-01'])(
    '"%s" is no date',
    (text) => {
      expect(anchorOfDate(text)).toBeUndefined();
    },
  );

  it('a date is its midnight, an instant what the clock shows then', () => {
    expect(anchorOfDate('2024-02-29')).toBe('2024-02-29T00:00:00.000');
    expect(anchorAt(at('2026-10-31T18:30:00.250Z'), 'Asia/Kathmandu')).toBe('2026-11-01T00:15:00.250');
  });
});

describe('[I14] every instant lies in exactly one period', () => {
  const since = at('1990-01-01T00:00:00Z');
  const until = at('2060-01-01T00:00:00Z');
  const zones = Intl.supportedValuesOf('timeZone');
  const intervals = fc.record({
    unit: fc.constantFrom(...intervalUnits),
    count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 12 })),
  });
  const instants = fc.integer({ min: since, max: until });

  const expectOneHolder = (cycle: BillingCycle, instant: number): void => {
    const n = periodNumberAt(cycle, instant);
    const { start, end } = periodAt(cycle, instant);
    expect(start <= instant && instant < end, `${instant} in [${start}, ${end})`).toBe(true);
    expect([boundaryOf(cycle, n - 1) <= start, boundaryOf(cycle, n + 2) >= end]).toEqual([true, true]);
    expect(periodNumberAt(cycle, end)).toBeGreaterThan(n);
    expect(periodAt(cycle, end).start).toBe(end);
    expect(periodAt(cycle, start - 1).end).toBe(start);
    expect([periodAt(cycle, start), periodAt(cycle, end - 1)]).toEqual([
      { start, end },
      { start, end },
    ]);
  };

  it('in any zone, with any interval and anchor', () => {
    const cycles = fc
      .tuple(intervals, instants, fc.constantFrom(...zones))
      .map(([interval, anchored, timeZone]) => ({ interval, anchor: anchorAt(anchored, timeZone), timeZone }));
    fc.assert(fc.property(cycles, instants, expectOneHolder), { numRuns: scaled(2_000) });
  });

  it('where the clocks of any zone are set, down to the millisecond', () => {
    for (const timeZone of zones.slice(0, scaled(zones.length))) {
      const anchors = ['2000-01-31T00:00:00', '2001-03-25T02:30:00'];
      let set = Temporal.Instant.fromEpochMilliseconds(since)
        .toZonedDateTimeISO(timeZone)
        .getTimeZoneTransition('next');
      for (; set && set.epochMilliseconds < until; set = set.getTimeZoneTransition('next'))
        for (const instant of [set.epochMilliseconds - 1, set.epochMilliseconds])
          for (const anchor of anchors) {
            const cycle = cycleOf(anchor, 'day', 1, timeZone);
            const { start, end } = periodAt(cycle, instant);
            expect(start <= instant && instant < end, `${timeZone} ${instant}`).toBe(true);
            expect(periodAt(cycle, end).start).toBe(end);
          }
    }
  });

  it('periods over a time are those that it has an instant of: none that begins as it ends', () => {
    const daily = cycleOf('2026-01-01T00:00:00', 'day');
    const [start, end] = [at('2026-01-02T00:00:00Z'), at('2026-01-04T00:00:00Z')];
    const days = (from: number, to: number) => [...periodsOver(daily, { start: from, end: to })].length;
    expect([days(start, end), days(start, end + 1), days(start - 1, end)]).toEqual([2, 3, 3]);
  });

  it('periods over a time tile it: each begins where the one before it ends', () => {
    const cycles = fc.tuple(intervals, instants, fc.constantFrom(...zones), instants);
    fc.assert(
      fc.property(cycles, ([interval, anchored, timeZone, start]) => {
        const cycle = { interval, anchor: anchorAt(anchored, timeZone), timeZone };
        const time = { start, end: start + 200 * 86_400_000 };
        const periods = [...periodsOver(cycle, time)];
        expect((periods[0] as Period).start <= time.start && (periods.at(-1) as Period).end >= time.end).toBe(true);
        expect(periods.slice(1).map((period) => period.start)).toEqual(
          periods.slice(0, -1).map((period) => period.end),
        );
      }),
      { numRuns: scaled(300) },
    );
  });

  it.each([
    [{ unit: 'month', count: 12 }, { unit: 'year', count: 1 }, true],
    [{ unit: 'month', count: 3 }, { unit: 'quarter', count: 1 }, true],
    [{ unit: 'day', count: 14 }, { unit: 'week', count: 2 }, true],
    [{ unit: 'month', count: 1 }, { unit: 'year', count: 1 }, false],
    [{ unit: 'day', count: 28 }, { unit: 'month', count: 1 }, false],
  ] as const)('%o are as long as %o: %s', (one, other, same) => {
    expect(isSameLength(one, other)).toBe(same);
    expect(isSameLength(other, one)).toBe(same);
  });

  it('those of the calendar are the months that everything else is counted by', () => {
    fc.assert(
      fc.property(instants, fc.constantFrom(...zones), (instant, timeZone) => {
        const cycle = { interval: { unit: 'month', count: 1 } as const, anchor: '2000-01-01T00:00:00', timeZone };
        expect(periodAt(cycle, instant)).toEqual(monthOf(instant, timeZone));
      }),
      { numRuns: scaled(1_000) },
    );
  });
});
