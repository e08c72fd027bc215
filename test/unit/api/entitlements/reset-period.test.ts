import { describe, expect, it } from 'vitest';
import { resetPeriodOf } from '../../../../api/entitlements/reset-period.ts';

const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
const shown = ({ start, end }: { start: number; end: number | null }) =>
  [start, end].map((one) => (one === null ? null : new Date(one).toISOString().slice(0, 16)));
const long = { startedAt: at('2020-01-01T00:00:00Z'), endedAt: null };

describe('what was used of an allowance', () => {
  it.each([
    ['day', '2026-11-28T00:00:00Z', ['2026-11-28T00:00', '2026-11-29T00:00']],
    ['day', '2026-11-27T23:59:59.999Z', ['2026-11-27T00:00', '2026-11-28T00:00']],
    ['week', '2026-11-29T23:59:59Z', ['2026-11-23T00:00', '2026-11-30T00:00']],
    ['week', '2026-11-30T00:00:00Z', ['2026-11-30T00:00', '2026-12-07T00:00']],
    ['month', '2028-02-29T12:00:00Z', ['2028-02-01T00:00', '2028-03-01T00:00']],
    ['billing_period', '2026-12-31T23:59:59Z', ['2026-12-01T00:00', '2027-01-01T00:00']],
    ['quarter', '2026-01-01T00:00:00Z', ['2026-01-01T00:00', '2026-04-01T00:00']],
    ['quarter', '2026-05-31T00:00:00Z', ['2026-04-01T00:00', '2026-07-01T00:00']],
    ['quarter', '2026-12-31T00:00:00Z', ['2026-10-01T00:00', '2027-01-01T00:00']],
    ['year', '2028-02-29T00:00:00Z', ['2028-01-01T00:00', '2029-01-01T00:00']],
    ['never', '2026-11-28T00:00:00Z', ['2020-01-01T00:00', null]],
  ] as const)('by %s at %s counts from then on, by the calendar of UTC', (reset, now, expected) => {
    expect(shown(resetPeriodOf(reset, long, at(now)))).toEqual(expected);
  });

  it('counts as far as the subscription covers it', () => {
    const time = { startedAt: at('2026-11-10T08:00:00Z'), endedAt: at('2026-11-20T00:00:00Z') };
    for (const reset of ['month', 'never'] as const)
      expect(shown(resetPeriodOf(reset, time, at('2026-11-15T00:00:00Z')))).toEqual([
        '2026-11-10T08:00',
        '2026-11-20T00:00',
      ]);
  });
});
