/** The use case of an add-on beside the plan of a subscription, and of how many times it is taken. */
import type { Static } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import type { AddOnChange } from '#schemas/http/subscription-changes.ts';
import type { Instant } from '#schemas/period.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import { termsAt } from '#schemas/subscription-terms.ts';
import type { CatalogStore, Plan } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found, refuseFaults } from '../route/resource-fields.ts';
import { changeInstant, heldFrom, requireAllowed, requireNoneAhead } from './change-instant.ts';
import { goesWith, requirePricedIn } from './change-subscription-plan.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Subscription } from './subscriptions.postgres.ts';

export type AddOnPorts = {
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'>;
  readonly catalog: Pick<CatalogStore, 'lockPlan' | 'versionTerms'>;
};

/** The add-on of that name, as its active version or the newest is. */
export const addOnNamed = async (
  { catalog }: { readonly catalog: Pick<CatalogStore, 'lockPlan'> },
  db: Db,
  idOrCode: string,
): Promise<Plan> => {
  const plan = found(await catalog.lockPlan(db, idOrCode, 'subscribe'), 'PLAN_NOT_FOUND');
  if (plan.kind !== 'add_on') throw new FailureError('PLAN_IS_NO_ADD_ON');
  return plan;
};

/** `field` is that of the quantity. */
export const requireQuantity = ({ add_on: addOn }: PlanTermsJson, quantity: number, field: string): void => {
  const max = addOn?.max_quantity ?? null;
  if (max === null || quantity <= max) return;
  refuseFaults([{ field, code: 'out_of_range', message: `must be at most ${max}, as the add-on has it` }]);
};

export const requireGoesWith = (terms: PlanTermsJson, addOn: string, planCodes: readonly string[]): void => {
  const misfits = planCodes.filter((code) => !goesWith(terms, code));
  if (misfits.length === 0) return;
  throw new FailureError(
    'SUBSCRIPTION_ADD_ON_MISFIT',
    `The add-on ${addOn} does not go with ${misfits.join(', ')}; it goes with ${terms.add_on?.plans?.join(', ')}.`,
  );
};

/** Of the plan that it has at an instant, and of those that come behind it. */
const plansFrom = (subscription: Subscription, instant: Instant): string[] => {
  const ahead = subscription.changes.flatMap((one) =>
    one.kind === 'plan' && one.effectiveAt > instant ? [one.planVersionId] : [],
  );
  const versions = [termsAt(subscription, instant).planVersionId, ...ahead];
  return versions.flatMap((id) => subscription.planNames.get(id)?.planCode ?? []);
};

/**
 * Under the lock of the subscription. The version of the add-on is the one that is active when it is taken first, and
 * stays so when its quantity changes.
 */
export const decideAddOn = async (
  ports: AddOnPorts,
  db: Db,
  subscription: Subscription,
  { plan: addOnId, quantity, at = 'now', invoice = 'next' }: Static<typeof AddOnChange>,
  now: Instant,
): Promise<LedgerChanges> => {
  requireAllowed(subscription, 'change_add_ons', now);
  const effectiveAt = changeInstant(
    subscription,
    at,
    now,
    await ports.subscriptionChanges.cutUntil(db, subscription.id),
  );
  const addOn = await addOnNamed(ports, db, addOnId);
  const held = termsAt(subscription, effectiveAt).addOns.get(addOn.id);
  if ((held?.quantity ?? 0) === quantity)
    throw new FailureError('SUBSCRIPTION_UNCHANGED', `The add-on is taken ${quantity} times then.`);
  if (!held && addOn.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
  const planVersionId = held?.planVersionId ?? addOn.planVersionId;
  const known = held ? (await ports.catalog.versionTerms(db, [planVersionId])).get(planVersionId) : undefined;
  const terms = known ?? addOn.terms;
  if (quantity > 0) {
    requireQuantity(terms, quantity, 'quantity');
    requirePricedIn(terms, subscription.currency, 'plan');
    requireGoesWith(terms, addOn.code, plansFrom(subscription, effectiveAt));
  }
  requireNoneAhead(subscription, now, (one) => one.kind === 'add_on' && one.addOnId === addOn.id);
  return {
    undone: [],
    heldFrom: heldFrom(subscription, at, effectiveAt, now),
    added: [{ kind: 'add_on', addOnId: addOn.id, planVersionId, quantity, effectiveAt, bills: invoice }],
  };
};
