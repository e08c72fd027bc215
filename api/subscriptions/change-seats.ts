/** The use case of more or fewer seats: which changes of the ledger they are. */
import type { Static } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { type SeatsChange, seatsMax } from '#schemas/http/subscription-changes.ts';
import type { Instant } from '#schemas/period.ts';
import { termsAt } from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import { changeInstant, heldFrom, requireAllowed } from './change-instant.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { RecordedChange, Subscription } from './subscriptions.postgres.ts';

export type SeatsPorts = { readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'> };

type Asked = Static<typeof SeatsChange>;

/** One of both says it, and a change of none is none. */
const refuseUnclear = ({ quantity, change }: Asked): void => {
  const faults: Fault[] = [];
  if (quantity === undefined && change === undefined)
    faults.push({ field: 'quantity', code: 'missing', message: 'must be there, or change' });
  if (quantity !== undefined && change !== undefined)
    faults.push({ field: 'change', code: 'not_allowed', message: 'must not stand beside quantity' });
  if (change === 0) faults.push({ field: 'change', code: 'out_of_range', message: 'must not be 0' });
  refuseFaults(faults);
};

const countAfter = (before: number, { quantity, change = 0 }: Asked): number => quantity ?? before + change;

const isSeats = (one: RecordedChange): one is RecordedChange & { kind: 'seats' } => one.kind === 'seats';

/**
 * Under the lock of the subscription. What is said as a difference is so from then on: changes that lie behind it move
 * by it. More seats come at once, and fewer when the billing period ends, unless something else is said.
 */
export const decideSeats = async (
  { subscriptionChanges }: SeatsPorts,
  db: Db,
  subscription: Subscription,
  asked: Asked,
  now: Instant,
): Promise<LedgerChanges> => {
  requireAllowed(subscription, 'change_seats', now);
  refuseUnclear(asked);
  const cutUntil = await subscriptionChanges.cutUntil(db, subscription.id);
  const soonest = changeInstant(subscription, 'now', now, cutUntil);
  const isMore = countAfter(termsAt(subscription, soonest).seats, asked) >= termsAt(subscription, soonest).seats;
  const at = asked.at ?? (isMore ? 'now' : 'period_end');
  const effectiveAt = changeInstant(subscription, at, now, cutUntil);
  const before = termsAt(subscription, effectiveAt).seats;
  const later = subscription.changes.filter(isSeats).filter((one) => one.effectiveAt > effectiveAt);
  const after = countAfter(before, asked);
  const moved = asked.change === undefined ? [] : later;
  const counts = [after, ...moved.map(({ quantity }) => countAfter(quantity, asked))];
  if (counts.some((count) => count < 1 || count > seatsMax)) {
    const message = `must leave 1 to ${seatsMax} seats, also behind the changes that lie ahead; there are ${before} then`;
    refuseFaults([{ field: asked.change === undefined ? 'quantity' : 'change', code: 'out_of_range', message }]);
  }
  if (after === before) throw new FailureError('SUBSCRIPTION_UNCHANGED', `It has ${before} seats then.`);
  const same = subscription.changes.filter((one) => isSeats(one) && one.effectiveAt === effectiveAt);
  const bills = asked.invoice ?? 'next';
  return {
    heldFrom: heldFrom(subscription, at, effectiveAt, now),
    undone: [...same, ...moved].map(({ id }) => id),
    added: [
      { kind: 'seats', quantity: after, effectiveAt, bills },
      ...moved.map((one) => ({
        kind: 'seats' as const,
        quantity: countAfter(one.quantity, asked),
        effectiveAt: one.effectiveAt,
        bills: one.bills,
      })),
    ],
  };
};
