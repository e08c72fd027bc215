import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatPeriod, intersect, monthFromText, monthOf, periodOf, samePeriod } from '#schemas/period.ts';
import { scaled } from '../../support/scale.ts';

const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;

/**
 * Zones that are hard on calendars: clocks set over midnight, quarter hours, half-hour summer time, a day left out, no
 * summer time.
 */
const timeZones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Havana',
  'America/Sao_Paulo',
  'Atlantic/Azores',
  'Asia/Kathmandu',
  'Asia/Amman',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Africa/Casablanca',
];

describe('calendar months', () => {
  it.each([
    ['2026-10-01T00:00:00Z', '2026-10'],
    ['2026-10-31T23:59:59.999Z', '2026-10'],
    ['2026-11-01T00:00:00Z', '2026-11'],
    ['2024-02-29T23:59:59.999Z', '2024-02'],
    ['2023-02-28T23:59:59.999Z', '2023-02'],
    ['2025-12-31T23:59:59.999Z', '2025-12'],
    ['2026-01-01T00:00:00Z', '2026-01'],
    ['1969-12-31T23:59:59.999Z', '1969-12'],
  ])('[I14] %s lies in %s', (instant, month) => {
    expect(monthOf(at(instant))).toEqual(monthFromText(month));
  });

  it('a month begins with its first millisecond and ends with the first of the next', () => {
    expect(formatPeriod(monthFromText('2026-10') as never)).toEqual({
      start: '2026-10-01T00:00:00.000Z',
      end: '2026-11-01T00:00:00.000Z',
    });
    expect(formatPeriod(monthFromText('2024-02') as never)).toEqual({
      start: '2024-02-01T00:00:00.000Z',
      end: '2024-03-01T00:00:00.000Z',
    });
  });

  it('[I14] a month in a time zone follows its clocks over summer time', () => {
    expect(formatPeriod(monthFromText('2026-10', 'Europe/Berlin') as never)).toEqual({
      start: '2026-09-30T22:00:00.000Z',
      end: '2026-10-31T23:00:00.000Z',
    });
  });

  it('[I14] an hour that is shown twice over midnight belongs to one month only (St. John’s, 2009-11-01 00:01 back to 23:01)', () => {
    const november = monthFromText('2009-11', 'America/St_Johns');
    const repeated = at('2009-11-01T03:00:00Z');
    expect(Temporal.Instant.fromEpochMilliseconds(repeated).toZonedDateTimeISO('America/St_Johns').month).toBe(10);
    expect(monthOf(repeated, 'America/St_Johns')).toEqual(november);
    expect(contains(monthFromText('2009-10', 'America/St_Johns') as never, repeated)).toBe(false);
  });

  it.each(['2026-00', '2026-13', '2026-1', '26-10', '2026-10-01', '2026/10', '', ' 2026-10', '+002026-10'])(
    '"%s" is not a month',
    (text) => {
      expect(monthFromText(text)).toBeUndefined();
    },
  );

  it('[I14] every instant lies in exactly one month, in every time zone: the months tile the time line', () => {
    const anywhere = fc.integer({ min: at('1970-01-01T00:00:00Z'), max: at('2100-01-01T00:00:00Z') });
    // Around the ends of months, where the faults are: up to 26 hours off midnight UTC on a first of a month.
    const nearMonthEnds = fc
      .record({
        month: fc.integer({ min: 0, max: 130 * 12 }),
        offsetMs: fc.integer({ min: -26 * 3_600_000, max: 26 * 3_600_000 }),
      })
      .map(({ month, offsetMs }) => Date.UTC(1970, month, 1) + offsetMs);
    fc.assert(
      fc.property(fc.oneof(anywhere, nearMonthEnds), fc.constantFrom(...timeZones), (instant, timeZone) => {
        const month = monthOf(instant, timeZone);
        expect(contains(month, instant)).toBe(true);
        expect(monthOf(month.start, timeZone)).toEqual(month);
        expect(monthOf(month.end - 1, timeZone)).toEqual(month);
        expect(monthOf(month.end, timeZone).start).toBe(month.end);
        expect(monthOf(month.start - 1, timeZone).end).toBe(month.start);
      }),
      { numRuns: scaled(3000) },
    );
  });
});

describe('half-open periods', () => {
  const period = periodOf(100, 200);

  it.each([
    [99, false],
    [100, true],
    [199, true],
    [200, false],
  ])('[I14] the instant %i is in [100, 200): %s', (instant, inside) => {
    expect(contains(period, instant)).toBe(inside);
  });

  it.each([
    [[0, 100], undefined],
    [
      [0, 101],
      [100, 101],
    ],
    [
      [150, 160],
      [150, 160],
    ],
    [
      [199, 300],
      [199, 200],
    ],
    [[200, 300], undefined],
    [
      [0, 300],
      [100, 200],
    ],
  ] as const)('the shared part of [100, 200) and %j is %j', ([start, end], shared) => {
    const expected = shared && { start: shared[0], end: shared[1] };
    expect(intersect(period, { start, end })).toEqual(expected);
    expect(intersect({ start, end }, period)).toEqual(expected);
  });

  it('a shared part holds exactly the instants that both hold', () => {
    const periods = fc
      .tuple(fc.integer({ min: -20, max: 20 }), fc.integer({ min: 1, max: 20 }))
      .map(([start, length]) => periodOf(start, start + length));
    fc.assert(
      fc.property(periods, periods, fc.integer({ min: -25, max: 45 }), (a, b, instant) => {
        const shared = intersect(a, b);
        expect(shared !== undefined && contains(shared, instant)).toBe(contains(a, instant) && contains(b, instant));
      }),
    );
  });

  it('equal ends make the same period', () => {
    expect(samePeriod(period, { start: 100, end: 200 })).toBe(true);
    expect(samePeriod(period, { start: 100, end: 201 })).toBe(false);
    expect(samePeriod(period, { start: 99, end: 200 })).toBe(false);
  });

  it('an empty or reversed period, or one with a fraction of a millisecond, is a bug', () => {
    expect(() => periodOf(5, 5)).toThrow('not a period');
    expect(() => periodOf(6, 5)).toThrow('not a period');
    expect(() => periodOf(0.5, 5)).toThrow('not a period');
    expect(() => periodOf(0, Number.POSITIVE_INFINITY)).toThrow('not a period');
  });
});
