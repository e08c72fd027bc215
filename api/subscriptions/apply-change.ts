/** The use case of writing down a change of a subscription that was decided, and of telling it. */
import type { Instant } from '#schemas/period.ts';
import type { Db, ObjectChange } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import { lastingJson } from './subscription-json.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type ApplyPorts = {
  readonly subscriptions: Pick<SubscriptionStore, 'subscription'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'changeLedger'>;
};

export type AppliedChange = {
  readonly after: Subscription;
  /** From when on it holds, where that is at once; else now. */
  readonly at: Instant;
  readonly change: ObjectChange;
};

/** Under the lock of the subscription, in the transaction in which it was decided. */
export const applyChange = async (
  { subscriptions, subscriptionChanges }: ApplyPorts,
  db: Db,
  before: Subscription,
  action: string,
  decided: LedgerChanges,
  now: Instant,
): Promise<AppliedChange> => {
  const at = Math.max(now, decided.heldFrom ?? now);
  await subscriptionChanges.changeLedger(db, before.id, decided, new Date(at));
  const after = found(await subscriptions.subscription(db, before.id), 'SUBSCRIPTION_NOT_FOUND');
  const change = {
    action: `subscription.${action}`,
    objectType: 'subscription',
    objectId: after.id,
    before: lastingJson(before),
    after: lastingJson(after),
  };
  return { after, at, change };
};
