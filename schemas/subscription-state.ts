/**
 * What state a subscription is in, and what can be done with it then: one table. A state follows from the times of the
 * subscription, its changes and the hour, so none is missed where nobody writes it down. Pure.
 */
import { type BillingCycle, periodAt } from '#schemas/billing-cycle.ts';
import { cycleOfInterval } from '#schemas/charge-schedule.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';
import { type SubscriptionChange, type SubscriptionTerms, type TermsAt, termsAt } from '#schemas/subscription-terms.ts';

export const subscriptionStates = ['pending', 'trialing', 'active', 'paused', 'canceled', 'ended'] as const;
export type SubscriptionState = (typeof subscriptionStates)[number];

/** What becomes of a subscription when its trial ends. */
export const trialEndActions = ['activate', 'cancel', 'pause'] as const;
export type TrialEndAction = (typeof trialEndActions)[number];

/** What becomes, at a cancellation, of what was charged in advance for time after the end. */
export const cancellationRefunds = ['prorated', 'none'] as const;
export type CancellationRefund = (typeof cancellationRefunds)[number];

/** What becomes, at a cancellation, of the usage of the billing period in which the subscription ends. */
export const finalUsages = ['billed', 'waived'] as const;
export type FinalUsage = (typeof finalUsages)[number];

/** When it was canceled, which may be before the cancellation takes effect; null where it was not. */
export type SubscriptionLife = SubscriptionTime & {
  readonly canceledAt: Instant | null;
  readonly trialEndsAt: Instant | null;
  /** In the order in which they take effect. */
  readonly changes: readonly SubscriptionChange[];
};

const isPausedAt = (changes: readonly SubscriptionChange[], now: Instant): boolean =>
  changes.findLast(({ kind, effectiveAt }) => (kind === 'pause' || kind === 'resume') && effectiveAt <= now)?.kind ===
  'pause';

/**
 * Of one that is canceled, `canceled` begins where the cancellation takes effect. What holds first in this order is
 * the state; the filter of lists says the same in SQL (api/subscriptions/subscriptions.postgres.ts).
 */
export const subscriptionStateAt = (
  { startedAt, endedAt, canceledAt, trialEndsAt, changes }: SubscriptionLife,
  now: Instant,
): SubscriptionState => {
  if (endedAt !== null && endedAt <= now) return canceledAt === null ? 'ended' : 'canceled';
  if (startedAt > now) return 'pending';
  if (trialEndsAt !== null && trialEndsAt > now) return 'trialing';
  return isPausedAt(changes, now) ? 'paused' : 'active';
};

export const subscriptionActions = [
  'cancel',
  'undo_cancel',
  'change_plan',
  'change_seats',
  'change_add_ons',
  'add_charge',
  'pause',
  'resume',
] as const;
export type SubscriptionAction = (typeof subscriptionActions)[number];

const ofAnyTerms = ['change_plan', 'change_seats', 'change_add_ons', 'add_charge'] as const;
const cancellations = ['cancel', 'undo_cancel'] as const;

/** The table of docs/subscriptions.md: what a caller can do; all else that becomes of a subscription the hour does. */
const allowedIn: Readonly<Record<SubscriptionState, readonly SubscriptionAction[]>> = {
  pending: [...cancellations, ...ofAnyTerms],
  trialing: [...cancellations, ...ofAnyTerms],
  active: [...cancellations, ...ofAnyTerms, 'pause'],
  paused: [...cancellations, ...ofAnyTerms, 'resume'],
  canceled: [],
  ended: [],
};

/** Of a cancellation there is nothing to take back where there is none. */
export const allowedActions = (life: SubscriptionLife, now: Instant): readonly SubscriptionAction[] =>
  allowedIn[subscriptionStateAt(life, now)].filter((action) => action !== 'undo_cancel' || life.canceledAt !== null);

/** What holds now: of one that has not begun, what it begins with; of one that is over, what held last. */
export const termsNow = (terms: SubscriptionTerms, now: Instant): TermsAt =>
  termsAt(terms, Math.max(terms.startedAt, Math.min(now, (terms.endedAt ?? Number.POSITIVE_INFINITY) - 1)));

/** That of the plan that holds then. */
export const cycleNow = (terms: SubscriptionTerms, now: Instant): BillingCycle =>
  cycleOfInterval(terms.cycle, termsNow(terms, now).interval);

/** The billing period that holds now, or the first one of a subscription that has not begun. */
export const currentPeriod = (terms: SubscriptionTerms, now: Instant): Period =>
  periodAt(cycleNow(terms, now), Math.max(now, terms.startedAt));

/** The hour by which a subscription lives: that of the test clock of its customer, where it has one. */
export const hourOf = ({ clockNow }: { readonly clockNow: Instant | null }, hourOfAll: Instant): Instant =>
  clockNow ?? hourOfAll;
