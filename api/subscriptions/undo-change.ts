/** The use case of taking back a change of a subscription that lies ahead. */
import { FailureError } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { subscriptionStateAt } from '#schemas/subscription-state.ts';
import { termsAt } from '#schemas/subscription-terms.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { requireGoesWith } from './change-add-ons.ts';
import { addOnVersionsFrom } from './change-subscription-plan.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { RecordedChange, Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type UndoPorts = {
  readonly subscriptions: Pick<SubscriptionStore, 'hasOtherToPlan'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil' | 'isKnown'>;
  readonly catalog: Pick<CatalogStore, 'versionTerms'>;
};

/** With a pause goes the end that was set for it. */
const endsOfPause = ({ changes }: Subscription, pause: RecordedChange): readonly RecordedChange[] => {
  if (pause.kind !== 'pause') return [];
  const behind = changes.filter(({ effectiveAt }) => effectiveAt > pause.effectiveAt);
  const next = behind.findIndex(({ kind }) => kind === 'pause');
  return behind.slice(0, next === -1 ? undefined : next).filter(({ kind }) => kind === 'resume');
};

/** What holds instead must be allowed still: the customer may have subscribed to the old plan anew meanwhile. */
const requireOldPlan = async (
  { subscriptions, catalog }: UndoPorts,
  db: Db,
  subscription: Subscription,
  change: RecordedChange,
): Promise<void> => {
  const without = { ...subscription, changes: subscription.changes.filter(({ id }) => id !== change.id) };
  const { planVersionId } = termsAt(without, change.effectiveAt);
  const { planId, planCode } = subscription.planNames.get(planVersionId) ?? {};
  if (planId === undefined || planCode === undefined) return;
  if (await subscriptions.hasOtherToPlan(db, subscription, planId, change.effectiveAt))
    throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
  const versions = addOnVersionsFrom(without, change.effectiveAt);
  for (const [id, terms] of await catalog.versionTerms(db, versions))
    requireGoesWith(terms, subscription.planNames.get(id)?.planCode ?? id, [planCode]);
};

/** Under the lock of the subscription. */
export const decideUndo = async (
  ports: UndoPorts,
  db: Db,
  subscription: Subscription,
  changeId: string,
  now: Instant,
): Promise<LedgerChanges> => {
  const change = subscription.changes.find(({ id }) => id === changeId);
  if (!change) {
    const isKnown = await ports.subscriptionChanges.isKnown(db, subscription.id, changeId);
    throw new FailureError(isKnown ? 'SUBSCRIPTION_CHANGE_IN_EFFECT' : 'SUBSCRIPTION_CHANGE_NOT_FOUND');
  }
  const state = subscriptionStateAt(subscription, now);
  if (state === 'canceled' || state === 'ended')
    throw new FailureError('SUBSCRIPTION_STATE_CONFLICT', `The subscription is ${state}: nothing can be done with it.`);
  const cutUntil = (await ports.subscriptionChanges.cutUntil(db, subscription.id)) ?? Number.NEGATIVE_INFINITY;
  if (change.effectiveAt <= Math.max(now, cutUntil))
    throw new FailureError(
      'SUBSCRIPTION_CHANGE_IN_EFFECT',
      `The change is in effect since ${formatInstant(change.effectiveAt)}.`,
    );
  if (change.kind === 'plan') await requireOldPlan(ports, db, subscription, change);
  const undone = [change, ...endsOfPause(subscription, change)];
  return {
    undone: undone.map(({ id }) => id),
    added: [],
    trialActivates: change.kind === 'pause' && change.effectiveAt === subscription.trialEndsAt,
  };
};
