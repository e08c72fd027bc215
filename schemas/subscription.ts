/** Subscriptions: which time they cover. */
import type { BillingCycle } from '#schemas/billing-cycle.ts';
import type { Instant } from '#schemas/period.ts';

/** Half-open; `endedAt` is null while it goes on. */
export type SubscriptionTime = { readonly startedAt: Instant; readonly endedAt: Instant | null };

export type BilledTime = SubscriptionTime & { readonly cycle: BillingCycle };
