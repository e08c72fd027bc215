/** From when on a change of a subscription holds: the rules that all changes share. Pure. */
import { periodAt } from '#schemas/billing-cycle.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { allowedActions, cycleNow, type SubscriptionAction, subscriptionStateAt } from '#schemas/subscription-state.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { RecordedChange, Subscription } from './subscriptions.postgres.ts';

export const requireAllowed = (subscription: Subscription, action: SubscriptionAction, nowMs: Instant): void => {
  const allowed = allowedActions(subscription, nowMs);
  if (allowed.includes(action)) return;
  const can = allowed.length > 0 ? `what can be done now is ${allowed.join(', ')}` : 'nothing can be done with it';
  throw new FailureError(
    'SUBSCRIPTION_STATE_CONFLICT',
    `The subscription is ${subscriptionStateAt(subscription, nowMs)}: ${can}.`,
  );
};

/**
 * Requests that wait for each other were asked at instants of any order. Each is done after those before it, which may
 * have taken effect some milliseconds ahead of the clock.
 */
export const changedNow = ({ updatedAt }: Subscription, nowMs: Instant): Instant => Math.max(nowMs, updatedAt);

/** Five years of 366 days. */
export const aheadMsMax = 5 * 366 * 86_400_000;

/**
 * The first instant that a change can hold from: behind the changes that are in effect, and behind all time that is
 * written down as what is billed.
 */
const earliest = ({ startedAt, changes }: Subscription, now: Instant, cutUntil: Instant | undefined): Instant => {
  const inEffect = changes.filter(({ effectiveAt }) => effectiveAt <= now).map(({ effectiveAt }) => effectiveAt + 1);
  return Math.max(now, startedAt, ...inEffect, (cutUntil ?? Number.NEGATIVE_INFINITY) + 1);
};

/** What a change that is made for now holds from; undefined of one that lies ahead. */
export const heldFrom = (
  { startedAt }: Subscription,
  at: string,
  effectiveAt: Instant,
  now: Instant,
): Instant | undefined => (at === 'now' && startedAt <= now ? effectiveAt : undefined);

/** `at` is `now`, `period_end` or an instant. Of one that has not begun, now is its begin. */
export const changeInstant = (
  subscription: Subscription,
  at: string,
  now: Instant,
  cutUntil: Instant | undefined,
): Instant => {
  const first = earliest(subscription, now, cutUntil);
  const faults: Fault[] = [];
  const refuse = (message: string) => faults.push({ field: 'at', code: 'out_of_range', message });
  const instantOf = (): Instant => {
    if (at === 'now') return first;
    if (at === 'period_end') return periodAt(cycleNow(subscription, first), first).end;
    return readInstant(at, 'at', faults) ?? first;
  };
  const instant = instantOf();
  if (faults.length === 0 && instant < first) refuse(`must not be before ${formatInstant(first)}`);
  if (instant > now + aheadMsMax) refuse('must be at most five years ahead');
  if (subscription.endedAt !== null && instant >= subscription.endedAt)
    refuse(`must be before the end of the subscription at ${formatInstant(subscription.endedAt)}`);
  refuseFaults(faults);
  return instant;
};

/** Two changes of one kind that lie ahead would take each other's place unseen. */
export const requireNoneAhead = (
  subscription: Subscription,
  now: Instant,
  isSame: (change: RecordedChange) => boolean,
): void => {
  const ahead = subscription.changes.find((change) => change.effectiveAt > now && isSame(change));
  if (!ahead) return;
  throw new FailureError(
    'SUBSCRIPTION_CHANGE_PENDING',
    `The change ${ahead.id} is to take effect at ${formatInstant(ahead.effectiveAt)}: take it back first, with POST /v1/subscriptions/{id}/undo-change.`,
  );
};
