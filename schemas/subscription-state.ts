/**
 * What state a subscription is in, and what can be done with it then: one table. A state follows from the times of the
 * subscription and the hour, so none is missed where nobody writes it down. Pure.
 */
import type { Instant } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';

export const subscriptionStates = ['pending', 'active', 'canceled', 'ended'] as const;
type SubscriptionState = (typeof subscriptionStates)[number];

/** When it was canceled, which may be before the cancellation takes effect; null where it was not. */
export type SubscriptionLife = SubscriptionTime & { readonly canceledAt: Instant | null };

/** Of one that is canceled, `canceled` begins where the cancellation takes effect. */
export const subscriptionStateAt = ({ startedAt, endedAt, canceledAt }: SubscriptionLife, now: Instant) => {
  if (endedAt !== null && endedAt <= now) return canceledAt === null ? 'ended' : 'canceled';
  return startedAt > now ? 'pending' : 'active';
};

export type SubscriptionAction = 'cancel' | 'undo_cancel';

/** What a caller can do; all else that becomes of a subscription the hour does. */
const allowedIn: Readonly<Record<SubscriptionState, readonly SubscriptionAction[]>> = {
  pending: ['cancel', 'undo_cancel'],
  active: ['cancel', 'undo_cancel'],
  canceled: [],
  ended: [],
};

/** Of a cancellation there is nothing to take back where there is none. */
export const allowedActions = (life: SubscriptionLife, now: Instant): readonly SubscriptionAction[] =>
  allowedIn[subscriptionStateAt(life, now)].filter((action) => action !== 'undo_cancel' || life.canceledAt !== null);
