/** The use case of a new subscription: from when on, of whom, to what. */
import type { Static } from 'typebox';
import { anchorAt, anchorOfDate, type BillingCycle, calendarAnchor } from '#schemas/billing-cycle.ts';
import { mainInterval } from '#schemas/charge-schedule.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewSubscription } from '#schemas/http/subscriptions.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant } from '#schemas/period.ts';
import { type ChargesJson, currenciesOf } from '#schemas/plan.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore, Payer } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type StartPorts = {
  readonly customers: Pick<CustomerStore, 'payer'>;
  readonly subscriptions: Pick<SubscriptionStore, 'addSubscription'>;
  readonly catalog: Pick<CatalogStore, 'lockPlan'>;
};

/** That of the customer, where it has one; else the one that is asked for, or the plan's own. Refused by name. */
const currencyOf = ({ currency: customers }: Payer, plan: ChargesJson, wanted: string | undefined): string => {
  const currency = customers ?? wanted ?? plan.currency;
  const refuse = (code: string, message: string) => refuseFaults([{ field: 'currency', code, message }]);
  if (wanted !== undefined && wanted !== currency)
    refuse('not_allowed', `must be ${currency}, which the customer pays in, or left out`);
  const priced = currenciesOf(plan);
  const whose = customers === null ? '' : ', which the customer pays in';
  if (!priced.includes(currency))
    refuse('not_priced', `the plan has no prices in ${currency}${whose}; it has them in ${priced.join(', ')}`);
  return currency;
};

/** The words and dates that the schema lets through. */
const anchorFrom = (asked: string, interval: Interval, startedAt: Instant, timeZone: string): string => {
  if (asked === 'calendar') return calendarAnchor(interval);
  if (asked === 'anniversary') return anchorAt(startedAt, timeZone);
  const anchor = anchorOfDate(asked);
  if (anchor !== undefined) return anchor;
  throw new FailureError('VALIDATION_FAILED', undefined, [
    { field: 'billing_anchor', code: 'not_allowed', message: `there is no ${asked} in the calendar` },
  ]);
};

/** Five years of 366 days. */
const aheadMsMax = 5 * 366 * 86_400_000;

/** Now, where the caller says no time; a time that is past bills what was used since, one to come waits for it. */
export const startSubscription = async (
  { customers, subscriptions, catalog }: StartPorts,
  db: Db,
  {
    customer_id: customer,
    plan: planId,
    currency: wanted,
    started_at: startedText,
    billing_anchor: anchor = 'calendar',
    metadata = {},
  }: Static<typeof NewSubscription>,
  nowMs: number,
): Promise<Subscription> => {
  const faults: Fault[] = [];
  const startedAt = readInstant(startedText, 'started_at', faults) ?? nowMs;
  if (startedAt > nowMs + aheadMsMax)
    faults.push({ field: 'started_at', code: 'out_of_range', message: 'must be at most five years ahead' });
  refuseFaults(faults);
  const payer = await customers.payer(db, customer);
  if (payer === undefined) throw new FailureError('CUSTOMER_NOT_FOUND');
  // Until the subscription is there, no other version becomes active: it takes the one that is active then.
  const plan = await catalog.lockPlan(db, planId, 'subscribe');
  if (!plan) throw new FailureError('PLAN_NOT_FOUND');
  if (plan.kind === 'add_on') throw new FailureError('PLAN_IS_ADD_ON');
  if (plan.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
  const currency = currencyOf(payer, plan.terms, wanted);
  const interval = mainInterval(plan.terms.charges);
  const { timeZone } = payer;
  const cycle: BillingCycle = { interval, anchor: anchorFrom(anchor, interval, startedAt, timeZone), timeZone };
  const subscription = await subscriptions.addSubscription(
    db,
    {
      customerId: payer.id,
      planId: plan.id,
      planVersionId: plan.planVersionId,
      currency,
      startedAt,
      cycle,
      metadata,
    },
    new Date(nowMs),
  );
  if (!subscription) throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
  return subscription;
};
