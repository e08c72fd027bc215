/** The use case of a new subscription: from when on, of whom, to what. */
import type { Static } from 'typebox';
import type { World } from '#schemas/api-key.ts';
import { anchorAt, anchorOfDate, type BillingCycle, calendarAnchor } from '#schemas/billing-cycle.ts';
import { mainInterval } from '#schemas/charge-schedule.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewSubscription } from '#schemas/http/subscriptions.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant } from '#schemas/period.ts';
import { type ChargesJson, currenciesOf } from '#schemas/plan.ts';
import type { TrialEndAction } from '#schemas/subscription-state.ts';
import type { SubscriptionChange } from '#schemas/subscription-terms.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore, Payer } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { addOnNamed, requireGoesWith, requireQuantity } from './change-add-ons.ts';
import { aheadMsMax } from './change-instant.ts';
import { requireActive, requirePricedIn } from './change-subscription-plan.ts';
import type {
  NewSubscription as NewSubscriptionRow,
  Subscription,
  SubscriptionStore,
} from './subscriptions.postgres.ts';

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

type Trial = { readonly endsAt: Instant; readonly endAction: TrialEndAction };

/** Days are of the calendar and the clock of the zone. */
const trialOf = (asked: Asked['trial'], startedAt: Instant, timeZone: string, faults: Fault[]): Trial | undefined => {
  if (asked === undefined) return undefined;
  const { ends_at: endsText, days, end_action: endAction = 'activate' } = asked;
  const refuse = (name: string, code: string, message: string): undefined => {
    faults.push({ field: `trial.${name}`, code, message });
    return undefined;
  };
  if (endsText === undefined && days === undefined) return refuse('ends_at', 'missing', 'must be there, or days');
  if (endsText !== undefined && days !== undefined)
    return refuse('days', 'not_allowed', 'must not stand beside ends_at');
  const start = Temporal.Instant.fromEpochMilliseconds(startedAt).toZonedDateTimeISO(timeZone);
  const endsAt =
    days === undefined ? readInstant(endsText, 'trial.ends_at', faults) : start.add({ days }).epochMilliseconds;
  if (endsAt === undefined) return undefined;
  if (endsAt <= startedAt) return refuse('ends_at', 'out_of_range', 'must be after the start of the subscription');
  if (endsAt > startedAt + aheadMsMax)
    return refuse('ends_at', 'out_of_range', 'must be at most five years after the start of the subscription');
  return { endsAt, endAction };
};

/** What the ledger begins with: the add-ons, and a pause where the trial ends with one. */
const firstChanges = async (
  ports: Pick<StartPorts, 'catalog'>,
  db: Db,
  asked: Asked,
  { planCode, currency, startedAt }: { planCode: string; currency: string; startedAt: Instant },
  trial: Trial | undefined,
): Promise<SubscriptionChange[]> => {
  const changes: SubscriptionChange[] = [];
  const faults: Fault[] = [];
  for (const [index, { plan: name, quantity = 1 }] of (asked.add_ons ?? []).entries()) {
    const field = `add_ons[${index}]`;
    const { id, code, terms, planVersionId, state } = await addOnNamed(ports, db, name);
    if (state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE', `The add-on ${code} has no active version.`);
    requireQuantity(terms, quantity, `${field}.quantity`);
    requirePricedIn(terms, currency, `${field}.plan`);
    requireGoesWith(terms, code, [planCode]);
    if (changes.some((one) => one.kind === 'add_on' && one.addOnId === id))
      faults.push({ field: `${field}.plan`, code: 'duplicate', message: 'is in the list already' });
    changes.push({ kind: 'add_on', addOnId: id, planVersionId, quantity, effectiveAt: startedAt, bills: 'next' });
  }
  refuseFaults(faults);
  if (trial?.endAction === 'pause')
    changes.push({ kind: 'pause', usage: 'unbilled', effectiveAt: trial.endsAt, bills: 'next' });
  return changes;
};

export type AskedSubscription = Static<typeof NewSubscription>;
type Asked = AskedSubscription;

/** A subscription as it would be made, and the hour of its customer. */
export type DecidedStart = { readonly subscription: NewSubscriptionRow; readonly nowMs: Instant };

/**
 * Now, where the caller says no time; a time that is past bills what was used since, one to come waits for it. With
 * `lock` the customer stays as it is until the transaction ends.
 */
export const decideStart = async (
  { customers, catalog }: Pick<StartPorts, 'customers' | 'catalog'>,
  db: Db,
  asked: Asked,
  { hourMs, world, lock }: { readonly hourMs: Instant; readonly world: World; readonly lock?: 'lock' },
): Promise<DecidedStart> => {
  const { customer_id: customer, billing_anchor: anchor = 'calendar', seats = 1, metadata = {} } = asked;
  // Both in one round trip. Until the subscription is there, no other version becomes active: it takes the one that is
  // active then.
  const [payerFound, planFound] = await Promise.all([
    customers.payer(db, customer, lock),
    catalog.lockPlan(db, asked.plan, 'subscribe'),
  ]);
  const payer = found(payerFound, 'CUSTOMER_NOT_FOUND');
  if (payer.clock && world !== 'test') throw new FailureError('TEST_CLOCK_NEEDS_SANDBOX');
  if (lock && payer.isArchived) throw new FailureError('CUSTOMER_ARCHIVED');
  const nowMs = payer.clock?.now ?? hourMs;
  const faults: Fault[] = [];
  const startedAt = readInstant(asked.started_at, 'started_at', faults) ?? nowMs;
  if (startedAt > nowMs + aheadMsMax)
    faults.push({ field: 'started_at', code: 'out_of_range', message: 'must be at most five years ahead' });
  const { timeZone } = payer;
  const trial = trialOf(asked.trial, startedAt, timeZone, faults);
  refuseFaults(faults);
  const plan = requireActive(planFound);
  if (plan.kind === 'add_on') throw new FailureError('PLAN_IS_ADD_ON');
  const currency = currencyOf(payer, plan.terms, asked.currency);
  const interval = mainInterval(plan.terms.charges);
  const anchored = trial?.endsAt ?? startedAt;
  const cycle: BillingCycle = { interval, anchor: anchorFrom(anchor, interval, anchored, timeZone), timeZone };
  const begin = { planCode: plan.code, currency, startedAt };
  const isCanceled = trial?.endAction === 'cancel';
  const subscription = {
    customerId: payer.id,
    testClockId: payer.clock?.id,
    planId: plan.id,
    planCode: plan.code,
    planVersionId: plan.planVersionId,
    currency,
    startedAt,
    endedAt: isCanceled ? trial.endsAt : null,
    canceledAt: isCanceled ? nowMs : null,
    trialEndsAt: trial?.endsAt ?? null,
    trialEndAction: trial?.endAction ?? null,
    cycle,
    seats,
    changes: await firstChanges({ catalog }, db, asked, begin, trial),
    metadata,
  };
  return { subscription, nowMs };
};

export const startSubscription = async (
  ports: StartPorts,
  db: Db,
  asked: Asked,
  at: { readonly hourMs: Instant; readonly world: World },
  whileLast?: (id: string) => void,
): Promise<Subscription> => {
  const { subscription, nowMs } = await decideStart(ports, db, asked, { ...at, lock: 'lock' });
  return found(
    await ports.subscriptions.addSubscription(db, subscription, new Date(nowMs), whileLast),
    'SUBSCRIPTION_ALREADY_ACTIVE',
  );
};
