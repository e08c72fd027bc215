import { describe, expect, it } from 'vitest';
import type { Period } from '#schemas/period.ts';
import { prorationOf, prorationPolicies, prorationToJson } from '#schemas/proration.ts';

const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const period = (start: string, end: string): Period => ({ start: at(start), end: at(end) });
const november = period('2026-11-01T00:00:00Z', '2026-12-01T00:00:00Z');
const day = 86_400_000;

describe('what part of a billing period is charged', () => {
  it('is by the millisecond, by the day, or the whole, in the words of the API', () => {
    expect(prorationPolicies).toEqual(['time', 'day', 'none']);
    expect(JSON.stringify(prorationToJson({ of: 4, to: 3, from: 2, by: 'day' }))).toBe(
      '{"by":"day","from":2,"to":3,"of":4}',
    );
  });

  it('is the whole of one that is covered, and by no policy a part', () => {
    const part = period('2026-11-10T00:00:00Z', '2026-11-20T00:00:00Z');
    expect([
      prorationOf('time', november, november, 'UTC'),
      prorationOf('day', november, november, 'UTC'),
      prorationOf('none', november, part, 'UTC'),
    ]).toEqual([undefined, undefined, undefined]);
  });

  it.each([
    // From, to, milliseconds, and days: the one that is begun counts, the one that is ended early does not.
    ['2026-11-11T00:00:00Z', '2026-12-01T00:00:00Z', [10 * day, 30 * day], [10, 30]],
    ['2026-11-11T18:30:00Z', '2026-12-01T00:00:00Z', [10.770833333333334 * day, 30 * day], [10, 30]],
    ['2026-11-01T00:00:00Z', '2026-11-11T18:30:00Z', [0, 10.770833333333334 * day], [0, 10]],
    ['2026-11-11T18:30:00Z', '2026-11-11T18:30:00.001Z', [930_600_000, 930_600_001], [10, 10]],
    ['2026-11-30T23:59:59.999Z', '2026-12-01T00:00:00Z', [30 * day - 1, 30 * day], [29, 30]],
  ])('%s to %s', (start, end, [timeFrom, timeTo], [dayFrom, dayTo]) => {
    const span = period(start, end);
    expect(prorationOf('time', november, span, 'UTC')).toEqual({
      by: 'time',
      from: timeFrom,
      to: timeTo,
      of: 30 * day,
    });
    expect(prorationOf('day', november, span, 'UTC')).toEqual({ by: 'day', from: dayFrom, to: dayTo, of: 30 });
  });

  it('counts days by the calendar of the zone, and hours as they pass', () => {
    // Berlin's October has 31 days and, with the hour that came twice on the 25th, 745 hours.
    const october = period('2026-09-30T22:00:00Z', '2026-10-31T23:00:00Z');
    const since = { start: at('2026-10-24T22:00:00Z'), end: october.end };
    expect(prorationOf('day', october, since, 'Europe/Berlin')).toEqual({ by: 'day', from: 24, to: 31, of: 31 });
    const hour = 3_600_000;
    expect(prorationOf('time', october, since, 'Europe/Berlin')).toEqual({
      by: 'time',
      from: 576 * hour,
      to: 745 * hour,
      of: 745 * hour,
    });
  });

  it('has no days within one: the whole is charged', () => {
    const one = period('2026-11-10T00:00:00Z', '2026-11-11T00:00:00Z');
    const part = period('2026-11-10T12:00:00Z', '2026-11-11T00:00:00Z');
    expect(prorationOf('day', one, part, 'UTC')).toEqual({ by: 'day', from: 0, to: 1, of: 1 });
    // It begins and ends on the same date.
    const noon = period('2026-11-10T10:00:00Z', '2026-11-10T20:00:00Z');
    expect(prorationOf('day', noon, period('2026-11-10T12:00:00Z', '2026-11-10T20:00:00Z'), 'UTC')).toBeUndefined();
  });

  it('does not begin before its period where a day is shown again', () => {
    // St. John's set its clock from 00:01 on the 1st back to 23:01 on the 31st: November begins before October is gone.
    const month = period('2009-11-01T02:30:00Z', '2009-12-01T03:30:00Z');
    const span = period('2009-11-01T03:00:00Z', '2009-12-01T03:30:00Z');
    expect(prorationOf('day', month, span, 'America/St_Johns')).toEqual({ by: 'day', from: 0, to: 30, of: 30 });
  });
});
