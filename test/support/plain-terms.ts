/** Terms of a subscription as most have them: one plan by the month, from the first instant on. */
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';

export const plainTerms = (some: Partial<SubscriptionTerms> = {}): SubscriptionTerms => ({
  startedAt: 0,
  endedAt: null,
  cycle: { interval: { unit: 'month', count: 1 }, anchor: '2000-01-01T00:00:00.000', timeZone: 'UTC' },
  planVersionId: 'plv_1',
  seats: 1,
  trialEndsAt: null,
  refundsAtEnd: true,
  changes: [],
  ...some,
});
