/** What is charged once, by the hundred thousand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastPeriodAt, onceDueAt } from '#schemas/due-instant.ts';
import { nextLook } from '#schemas/due-parts.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { plainTerms } from '../../support/plain-terms.ts';

const begin = Date.UTC(2026, 0, 31, 12);
const dayMs = 86_400_000;
const terms: SubscriptionTerms = plainTerms({
  startedAt: begin,
  cycle: { interval: { unit: 'month', count: 1 }, anchor: '2026-01-31T07:00:00.000', timeZone: 'America/New_York' },
  changes: [
    {
      kind: 'plan',
      planVersionId: 'plv_week',
      interval: { unit: 'week', count: 1 },
      effectiveAt: begin + 100 * dayMs,
      bills: 'now',
    },
  ],
});

describe('the instant at which a one-time charge is due', () => {
  it('is the same, whichever period was found before it', () => {
    const instant = fc.integer({ min: begin, max: begin + 200 * dayMs });
    const charge = fc.record({ at: instant, waits: fc.boolean() });
    fc.assert(
      fc.property(fc.array(charge, { minLength: 1, maxLength: 20 }), (charges) => {
        const periodOf = lastPeriodAt();
        for (const { at, waits } of charges)
          expect(onceDueAt(terms, at, waits, periodOf)).toBe(onceDueAt(terms, at, waits));
      }),
    );
  });

  it('is found among 200,000 of one subscription', () => {
    const oneTimeCharges = Array.from({ length: 200_000 }, (_, index) => ({
      id: `otc_${index}`,
      effectiveAt: begin + index + 1,
      bills: 'next' as const,
      quantity: null,
    }));
    const monthEnd = Temporal.ZonedDateTime.from('2026-02-28T07:00:00[America/New_York]').epochMilliseconds;
    expect(nextLook({ ...terms, oneTimeCharges }, () => [], begin)).toBe(monthEnd);
  });
});
