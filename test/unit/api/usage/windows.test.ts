import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type WindowName, windowNames, windowStarts } from '../../../../api/usage/windows.ts';
import { scaled } from '../../../support/scale.ts';

const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const shown = (instants: readonly number[] | undefined): string[] | undefined =>
  instants?.map((instant) => Temporal.Instant.fromEpochMilliseconds(instant).toString());
const starts = (from: string, to: string, window: WindowName, zone: string, max = 10_000) =>
  shown(windowStarts({ start: at(from), end: at(to) }, window, zone, max));

const zones = [
  ...[
    'UTC',
    'America/New_York',
    'Europe/Berlin',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Asia/Kathmandu',
    'America/St_Johns',
  ],
  ...['Pacific/Apia', 'America/Sao_Paulo', 'Africa/Cairo', 'Pacific/Chatham', 'Europe/Dublin', 'Africa/Casablanca'],
];

describe('windows', () => {
  it('of a day are 23 and 25 hours long where the clock is set, and 24 elsewhere', () => {
    expect(starts('2026-03-28T23:00:00Z', '2026-03-30T22:00:00Z', 'day', 'Europe/Berlin')).toEqual([
      '2026-03-28T23:00:00Z',
      '2026-03-29T22:00:00Z',
    ]);
    expect(starts('2026-11-01T04:00:00Z', '2026-11-03T05:00:00Z', 'day', 'America/New_York')).toEqual([
      '2026-11-01T04:00:00Z',
      '2026-11-02T05:00:00Z',
    ]);
  });

  it('of an hour are two where the clock shows the hour twice, and none where it leaves it out', () => {
    expect(starts('2026-11-01T05:00:00Z', '2026-11-01T08:00:00Z', 'hour', 'America/New_York')).toEqual([
      '2026-11-01T05:00:00Z',
      '2026-11-01T06:00:00Z',
      '2026-11-01T07:00:00Z',
    ]);
    expect(starts('2026-03-08T06:00:00Z', '2026-03-08T09:00:00Z', 'hour', 'America/New_York')).toHaveLength(3);
  });

  it('of an hour are cut where a clock is set by half an hour', () => {
    // Lord Howe: 02:00 becomes 01:30 at 15:00 UTC.
    expect(starts('2026-04-04T14:00:00Z', '2026-04-04T17:00:00Z', 'hour', 'Australia/Lord_Howe')).toEqual([
      '2026-04-04T14:00:00Z',
      '2026-04-04T15:00:00Z',
      '2026-04-04T15:30:00Z',
      '2026-04-04T16:30:00Z',
    ]);
  });

  it('begin at half and at quarter hours of UTC where the zone does', () => {
    expect(starts('2026-11-01T00:00:00Z', '2026-11-01T02:00:00Z', 'hour', 'Asia/Kolkata')).toEqual([
      '2026-11-01T00:00:00Z',
      '2026-11-01T00:30:00Z',
      '2026-11-01T01:30:00Z',
    ]);
    expect(starts('2026-10-31T18:15:00Z', '2026-11-01T20:00:00Z', 'day', 'Asia/Kathmandu')).toEqual([
      '2026-10-31T18:15:00Z',
      '2026-11-01T18:15:00Z',
    ]);
  });

  it('leave out the day that Samoa left out, and begin at one o’clock where midnight is left out', () => {
    expect(starts('2011-12-29T10:00:00Z', '2012-01-01T10:00:00Z', 'day', 'Pacific/Apia')).toEqual([
      '2011-12-29T10:00:00Z',
      '2011-12-30T10:00:00Z',
      '2011-12-31T10:00:00Z',
    ]);
    // 2018-11-04 began at 01:00 in São Paulo.
    expect(starts('2018-11-03T03:00:00Z', '2018-11-05T12:00:00Z', 'day', 'America/Sao_Paulo')).toEqual([
      '2018-11-03T03:00:00Z',
      '2018-11-04T03:00:00Z',
      '2018-11-05T02:00:00Z',
    ]);
  });

  it('begin a day once where a clock is set back over midnight', () => {
    // St. John's: 2009-11-01 00:01 became 2009-10-31 23:01.
    expect(starts('2009-10-31T02:30:00Z', '2009-11-02T10:00:00Z', 'day', 'America/St_Johns')).toEqual([
      '2009-10-31T02:30:00Z',
      '2009-11-01T02:30:00Z',
      '2009-11-02T03:30:00Z',
    ]);
  });

  it('of months begin on the first, whatever day the period begins on', () => {
    expect(starts('2026-01-31T12:00:00Z', '2026-04-01T04:00:00Z', 'month', 'America/New_York')).toEqual([
      '2026-01-31T12:00:00Z',
      '2026-02-01T05:00:00Z',
      '2026-03-01T05:00:00Z',
    ]);
  });

  it('are as many as allowed and not one more', () => {
    const minutes = (max: number) =>
      starts('2026-01-01T00:00:00Z', '2026-01-01T01:40:00Z', 'minute', 'UTC', max)?.length;
    expect([minutes(100), minutes(99)]).toEqual([100, undefined]);
  });

  it('are refused in bounded time, however long the period is', () => {
    const begin = performance.now();
    for (const window of ['minute', 'hour', 'day'] as const)
      expect(starts('2000-01-01T00:00:00Z', '2199-12-31T00:00:00Z', window, 'America/New_York')).toBeUndefined();
    expect(performance.now() - begin).toBeLessThan(3_000);
  });

  it('put every instant of the period into exactly one window, which the clock of the zone agrees with [I14]', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.constantFrom(...windowNames),
        fc.integer({ min: at('2005-01-01T00:00:00Z') / 1000, max: at('2035-01-01T00:00:00Z') / 1000 }),
        fc.integer({ min: 1, max: 1_200 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (zone, window, seconds, count, place) => {
          const spans = { minute: 60_000, hour: 3_600_000, day: 86_400_000, month: 30 * 86_400_000 };
          const start = seconds * 1000;
          const period = { start, end: start + Math.min(count * spans[window], 400 * 86_400_000) };
          const found = windowStarts(period, window, zone, 10_000) ?? [];
          expect(found[0]).toBe(start);
          for (const [index, one] of found.slice(1).entries()) expect(one).toBeGreaterThan(found[index] as number);
          expect(found.at(-1)).toBeLessThan(period.end);
          // What lies in one window has one name on the clock, and what the clock names otherwise lies in another.
          const instant = Math.min(start + Math.floor(place * (period.end - start)), period.end - 1);
          const own = found.findLast((one) => one <= instant) as number;
          const next = found.find((one) => one > own) ?? period.end;
          const nameOf = (ms: number) => {
            const text = Temporal.Instant.fromEpochMilliseconds(ms)
              .toZonedDateTimeISO(zone)
              .toPlainDateTime()
              .toString({ smallestUnit: 'minute' });
            return text.slice(0, { minute: 16, hour: 13, day: 10, month: 7 }[window]);
          };
          const isSetInside = Temporal.Instant.fromEpochMilliseconds(own - 90_000_000)
            .toZonedDateTimeISO(zone)
            .getTimeZoneTransition('next');
          if (isSetInside === null || isSetInside.epochMilliseconds > next + 90_000_000) {
            expect(nameOf(instant)).toBe(nameOf(own));
            if (next < period.end) expect(nameOf(next)).not.toBe(nameOf(next - 1));
          }
        },
      ),
      { numRuns: scaled(600) },
    );
  });
});
