/** The use case of a new subscription: from when on, of whom, to what. */
import type { Static } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewSubscription } from '#schemas/http/subscriptions.ts';
import { currenciesOf } from '#schemas/plan.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type StartPorts = {
  readonly customers: Pick<CustomerStore, 'customerId'>;
  readonly subscriptions: Pick<SubscriptionStore, 'addSubscription'>;
  readonly catalog: Pick<CatalogStore, 'lockPlan'>;
};

/**
 * Now, where the caller says no time; a time that is past bills what was used since. In the plan's own currency, where
 * the caller says none.
 */
export const startSubscription = async (
  { customers, subscriptions, catalog }: StartPorts,
  db: Db,
  {
    customer_id: customer,
    plan: planId,
    currency: wanted,
    started_at: startedText,
    metadata = {},
  }: Static<typeof NewSubscription>,
  nowMs: number,
): Promise<Subscription> => {
  const faults: Fault[] = [];
  const startedAt = readInstant(startedText, 'started_at', faults) ?? nowMs;
  if (startedAt > nowMs)
    faults.push({ field: 'started_at', code: 'out_of_range', message: 'must not be in the future' });
  refuseFaults(faults);
  const customerId = await customers.customerId(db, customer);
  if (customerId === undefined) throw new FailureError('CUSTOMER_NOT_FOUND');
  // Until the subscription is there, no other version becomes active: it takes the one that is active then.
  const plan = await catalog.lockPlan(db, planId, 'subscribe');
  if (!plan) throw new FailureError('PLAN_NOT_FOUND');
  if (plan.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
  const priced = currenciesOf(plan);
  const currency = wanted ?? plan.currency;
  if (!priced.includes(currency)) {
    const message = `the plan has no prices in ${currency}; it has them in ${priced.join(', ')}`;
    refuseFaults([{ field: 'currency', code: 'not_priced', message }]);
  }
  const subscription = await subscriptions.addSubscription(
    db,
    {
      customerId,
      planId: plan.id,
      planVersionId: plan.planVersionId,
      currency,
      startedAt,
      metadata,
    },
    new Date(nowMs),
  );
  if (!subscription) throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
  return subscription;
};
