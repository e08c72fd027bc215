/** The use cases of ending a subscription: from when on, and taking that back while it has not come. */
import type { Static } from 'typebox';
import { anchorAt, boundaryOf } from '#schemas/billing-cycle.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { SubscriptionCancellation } from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant } from '#schemas/period.ts';
import { currentPeriod, termsNow } from '#schemas/subscription-state.ts';
import { termsAt } from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { requireAllowed } from './change-instant.ts';
import type { SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Cancellation, Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type TermPorts = {
  readonly minimumTerm: (db: Db, planVersionId: string) => Promise<Interval | null>;
  /** That of the contract that it came of. */
  readonly contractTerm: (db: Db, subscriptionId: string) => Promise<Interval | null>;
};

export type CancelPorts = TermPorts & {
  readonly subscriptions: Pick<SubscriptionStore, 'changeCancellation' | 'hasOtherToPlan'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'>;
};

/** One that has not begun never begins. Now is behind all time that is written down as what is billed. */
const effectiveAt = (
  subscription: Subscription,
  at: string,
  nowMs: Instant,
  cutUntil: Instant = Number.NEGATIVE_INFINITY,
): Instant => {
  if (subscription.startedAt > nowMs) return subscription.startedAt;
  if (at === 'now') return Math.max(nowMs, cutUntil + 1);
  if (at === 'period_end') return currentPeriod(subscription, Math.max(nowMs, cutUntil + 1)).end;
  const faults: Fault[] = [];
  const instant = readInstant(at, 'at', faults) ?? nowMs;
  if (instant < nowMs) faults.push({ field: 'at', code: 'out_of_range', message: 'must not be in the past' });
  else if (instant <= cutUntil)
    faults.push({ field: 'at', code: 'out_of_range', message: `must be after ${formatInstant(cutUntil)}` });
  refuseFaults(faults);
  return instant;
};

/** Where a term is over, counted from its start by the calendar and the clock of its zone. */
const leastEnd = ({ startedAt, cycle: { timeZone } }: Subscription, interval: Interval): Instant =>
  boundaryOf({ interval, anchor: anchorAt(startedAt, timeZone), timeZone }, 1);

/**
 * Up to where it lasts at least, by the plan version that it has and by the contract that it came of; undefined where
 * neither says.
 */
export const termEnd = async (
  { minimumTerm, contractTerm }: TermPorts,
  db: Db,
  subscription: Subscription,
  now: Instant,
): Promise<Instant | undefined> => {
  const ofPlan = await minimumTerm(db, termsNow(subscription, now).planVersionId);
  const ends = [ofPlan, await contractTerm(db, subscription.id)].flatMap((term) =>
    term === null ? [] : [leastEnd(subscription, term)],
  );
  return ends.length === 0 ? undefined : Math.max(...ends);
};

/** Of the plans that it would have between two instants, the customer may have subscribed to one anew. */
const requireAlone = async (
  { subscriptions }: Pick<CancelPorts, 'subscriptions'>,
  db: Db,
  subscription: Subscription,
  from: Instant,
  until: Instant,
): Promise<void> => {
  const coming = subscription.changes.flatMap((change) =>
    change.kind === 'plan' && change.effectiveAt > from && change.effectiveAt < until
      ? [[change.planVersionId, change.effectiveAt] as const]
      : [],
  );
  const held = [[termsAt(subscription, from).planVersionId, from] as const, ...coming];
  for (const [planVersionId, at] of held) {
    const { planId } = subscription.planNames.get(planVersionId) ?? {};
    if (planId !== undefined && (await subscriptions.hasOtherToPlan(db, subscription, planId, at)))
      throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
  }
};

export const cancelSubscription = async (
  ports: CancelPorts,
  db: Db,
  subscription: Subscription,
  {
    at = 'period_end',
    reason,
    refund = 'prorated',
    final_usage: finalUsage = 'billed',
  }: Static<typeof SubscriptionCancellation>,
  nowMs: Instant,
): Promise<Subscription> => {
  requireAllowed(subscription, 'cancel', nowMs);
  const endedAt = effectiveAt(subscription, at, nowMs, await ports.subscriptionChanges.cutUntil(db, subscription.id));
  const held = subscription.startedAt > nowMs ? undefined : await termEnd(ports, db, subscription, nowMs);
  const least = Math.max(endedAt, held ?? endedAt);
  if (endedAt < least)
    throw new FailureError(
      'SUBSCRIPTION_IN_MINIMUM_TERM',
      `The minimum term ends at ${formatInstant(least)}: cancel at that instant or later.`,
    );
  // What was to end earlier goes on: it may have subscribed to the same plan anew, from that end on.
  const before = subscription.endedAt;
  if (before !== null && endedAt > before)
    await requireAlone(ports, db, subscription, Math.max(before, nowMs), endedAt);
  const cancellation: Cancellation = { canceledAt: nowMs, endedAt, reason: reason ?? null, refund, finalUsage };
  const heldFrom = at === 'now' && subscription.startedAt <= nowMs ? endedAt : nowMs;
  return changed(await ports.subscriptions.changeCancellation(db, subscription.id, cancellation, new Date(heldFrom)));
};

export const undoCancellation = async (
  { subscriptions, subscriptionChanges }: Pick<CancelPorts, 'subscriptions' | 'subscriptionChanges'>,
  db: Db,
  subscription: Subscription,
  nowMs: Instant,
): Promise<Subscription> => {
  // What is written down up to its end has ended, though the clock of this process may still be before that.
  const cutUntil = await subscriptionChanges.cutUntil(db, subscription.id);
  requireAllowed(subscription, 'undo_cancel', Math.max(nowMs, cutUntil ?? nowMs));
  const from = Math.max(subscription.endedAt ?? nowMs, nowMs);
  await requireAlone({ subscriptions }, db, subscription, from, Number.POSITIVE_INFINITY);
  return changed(await subscriptions.changeCancellation(db, subscription.id, null, new Date(nowMs)));
};

const changed = (subscription: Subscription | undefined): Subscription => found(subscription, 'SUBSCRIPTION_NOT_FOUND');
