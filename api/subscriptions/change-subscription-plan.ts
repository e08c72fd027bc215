/** The use case of another plan for a subscription: which change of the ledger it is. */
import type { Static } from 'typebox';
import { mainInterval } from '#schemas/charge-schedule.ts';
import { FailureError } from '#schemas/failures.ts';
import type { PlanChange } from '#schemas/http/subscription-changes.ts';
import type { Instant } from '#schemas/period.ts';
import { currenciesOf, type PlanTermsJson } from '#schemas/plan.ts';
import { type SubscriptionTerms, termsAt } from '#schemas/subscription-terms.ts';
import type { CatalogStore, Plan } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found, refuseFaults } from '../route/resource-fields.ts';
import { changeInstant, heldFrom, requireAllowed, requireNoneAhead } from './change-instant.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type PlanChangePorts = {
  readonly subscriptions: Pick<SubscriptionStore, 'hasOtherToPlan'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'>;
  readonly catalog: Pick<CatalogStore, 'lockPlan' | 'versionTerms'>;
};

export const requireActive = (plan: Plan | undefined): Plan => {
  const known = found(plan, 'PLAN_NOT_FOUND');
  if (known.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
  return known;
};

/** What is subscribed to: the active version of a plan or add-on, which stays active until the transaction ends. */
export const activePlan = async (
  { catalog }: { readonly catalog: Pick<CatalogStore, 'lockPlan'> },
  db: Db,
  idOrCode: string,
): Promise<Plan> => requireActive(await catalog.lockPlan(db, idOrCode, 'subscribe'));

/** A subscription is charged in one currency, for good. */
export const requirePricedIn = (terms: PlanTermsJson, currency: string, field: string): void => {
  const priced = currenciesOf(terms);
  if (priced.includes(currency)) return;
  const message = `has no prices in ${currency}, which the subscription is charged in; it has them in ${priced.join(', ')}`;
  refuseFaults([{ field, code: 'not_priced', message }]);
};

/** Whether an add-on may be taken beside a plan. */
export const goesWith = ({ add_on: addOn }: PlanTermsJson, planCode: string): boolean =>
  addOn?.plans?.includes(planCode) ?? true;

/** The versions of the add-ons that it has at an instant, and of those that come behind it. */
export const addOnVersionsFrom = (terms: SubscriptionTerms, instant: Instant): string[] => {
  const held = [...termsAt(terms, instant).addOns.values()].map(({ planVersionId }) => planVersionId);
  const ahead = terms.changes.flatMap((one) =>
    one.kind === 'add_on' && one.effectiveAt > instant && one.quantity > 0 ? [one.planVersionId] : [],
  );
  return [...new Set([...held, ...ahead])];
};

const requireAddOnsGoWith = async (
  { catalog }: PlanChangePorts,
  db: Db,
  subscription: Subscription,
  effectiveAt: Instant,
  plan: Plan,
): Promise<void> => {
  const { planNames } = subscription;
  const versions = addOnVersionsFrom(subscription, effectiveAt);
  const terms = await catalog.versionTerms(db, versions);
  const misfits = versions.filter((id) => !goesWith(terms.get(id) as PlanTermsJson, plan.code));
  if (misfits.length === 0) return;
  const codes = misfits.map((id) => planNames.get(id)?.planCode).toSorted();
  throw new FailureError(
    'SUBSCRIPTION_ADD_ON_MISFIT',
    `These add-ons do not go with the plan ${plan.code}: ${codes.join(', ')}. End them first.`,
  );
};

/** Under the lock of the subscription. Seats stay as they are, and add-ons too, as far as they go with the plan. */
export const decidePlanChange = async (
  ports: PlanChangePorts,
  db: Db,
  subscription: Subscription,
  { plan: planId, at = 'now', invoice = 'next' }: Static<typeof PlanChange>,
  now: Instant,
): Promise<LedgerChanges> => {
  requireAllowed(subscription, 'change_plan', now);
  const effectiveAt = changeInstant(
    subscription,
    at,
    now,
    await ports.subscriptionChanges.cutUntil(db, subscription.id),
  );
  const plan = await activePlan(ports, db, planId);
  if (plan.kind === 'add_on') throw new FailureError('PLAN_IS_ADD_ON');
  const held = termsAt(subscription, effectiveAt);
  if (held.planVersionId === plan.planVersionId)
    throw new FailureError('SUBSCRIPTION_UNCHANGED', 'The subscription has the active version of this plan then.');
  requirePricedIn(plan.terms, subscription.currency, 'plan');
  requireNoneAhead(subscription, now, ({ kind }) => kind === 'plan');
  if (await ports.subscriptions.hasOtherToPlan(db, subscription, plan.id, effectiveAt))
    throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
  await requireAddOnsGoWith(ports, db, subscription, effectiveAt, plan);
  const interval = mainInterval(plan.terms.charges);
  return {
    undone: [],
    heldFrom: heldFrom(subscription, at, effectiveAt, now),
    added: [{ kind: 'plan', planVersionId: plan.planVersionId, interval, effectiveAt, bills: invoice }],
  };
};
