/** The use cases of what a subscription is charged once beside its plan: adding it, and taking it back. */
import type { Static } from 'typebox';
import { periodAt } from '#schemas/billing-cycle.ts';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewOneTimeCharge as NewOneTimeChargeSchema } from '#schemas/http/one-time-charges.ts';
import { formatInstant } from '#schemas/instant.ts';
import { type Amount, amountScale, fitsDigits, isWholeMinorUnits, parseAmount, zeroAmount } from '#schemas/money.ts';
import { oneTimeIntegerDigitsMax } from '#schemas/one-time-charge.ts';
import type { Instant } from '#schemas/period.ts';
import { cycleNow } from '#schemas/subscription-state.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import { aheadMsMax, requireAllowed } from './change-instant.ts';
import type { OneTimeCharge, OneTimeChargeStore } from './one-time-charges.postgres.ts';
import type { SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Subscription } from './subscriptions.postgres.ts';

export type OneTimeChargePorts = {
  readonly oneTimeCharges: Pick<OneTimeChargeStore, 'addCharge' | 'removeCharge'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'>;
};

type Asked = Static<typeof NewOneTimeChargeSchema>;
type Cost = Pick<OneTimeCharge, 'amount' | 'unitAmount' | 'quantity'>;

const fits = (amount: Amount): boolean =>
  fitsDigits(amount, { integerDigits: oneTimeIntegerDigitsMax, decimals: amountScale });

/** Money as it is printed; undefined with a fault. */
const readMoney = (text: string, field: string, currency: Currency, faults: Fault[]): Amount | undefined => {
  const refuse = (code: string, message: string): undefined => {
    faults.push({ field, code, message });
    return undefined;
  };
  const amount = parseAmount(text);
  if (amount === undefined) return refuse('not_a_decimal', 'must be a decimal such as "250.00"');
  if (amount === zeroAmount) return refuse('not_positive', 'must be more than zero');
  if (!isWholeMinorUnits(amount, currency))
    return refuse(
      'too_precise',
      `must have at most ${minorUnitsOf(currency)} digits after the point, as ${currency} has`,
    );
  if (!fits(amount))
    return refuse('out_of_range', `must have at most ${oneTimeIntegerDigitsMax} digits before the point`);
  return amount;
};

const readCost = (
  { amount: amountText, unit_amount: unitText, quantity }: Asked,
  currency: Currency,
  faults: Fault[],
): Cost | undefined => {
  const refuse = (field: string, code: string, message: string): undefined => {
    faults.push({ field, code, message });
    return undefined;
  };
  if (amountText !== undefined) {
    if (unitText !== undefined) refuse('unit_amount', 'not_allowed', 'must not stand beside amount');
    if (quantity !== undefined) refuse('quantity', 'not_allowed', 'must not stand beside amount');
    const amount = readMoney(amountText, 'amount', currency, faults);
    return amount === undefined ? undefined : { amount, unitAmount: null, quantity: null };
  }
  if (unitText === undefined && quantity === undefined)
    return refuse('amount', 'missing', 'must be there, or unit_amount and quantity');
  if (unitText === undefined) return refuse('unit_amount', 'missing', 'must be there beside quantity');
  if (quantity === undefined) refuse('quantity', 'missing', 'must be there beside unit_amount');
  const unitAmount = readMoney(unitText, 'unit_amount', currency, faults);
  if (unitAmount === undefined || quantity === undefined) return undefined;
  const amount = (unitAmount * BigInt(quantity)) as Amount;
  if (!fits(amount))
    return refuse(
      'unit_amount',
      'out_of_range',
      `must have, times quantity, at most ${oneTimeIntegerDigitsMax} digits before the point`,
    );
  return { amount, unitAmount, quantity };
};

/** Behind all time that is written down, and at the end of the subscription at the latest. */
const chargeInstant = (
  subscription: Subscription,
  at: string,
  now: Instant,
  cutUntil: Instant | undefined,
  faults: Fault[],
): Instant => {
  const { startedAt, endedAt } = subscription;
  const first = Math.max(now, startedAt, (cutUntil ?? Number.NEGATIVE_INFINITY) + 1);
  const last = endedAt ?? Number.POSITIVE_INFINITY;
  if (at === 'now') return Math.min(first, last);
  if (at === 'period_end') return Math.min(periodAt(cycleNow(subscription, first), first).end, last);
  const instant = readInstant(at, 'at', faults) ?? first;
  const refuse = (message: string) => faults.push({ field: 'at', code: 'out_of_range', message });
  if (instant < first) refuse(`must not be before ${formatInstant(first)}`);
  if (instant > now + aheadMsMax) refuse('must be at most five years ahead');
  if (instant > last) refuse(`must not be after the end of the subscription at ${formatInstant(last)}`);
  return instant;
};

/** Under the lock of the subscription. */
export const addOneTimeCharge = async (
  { oneTimeCharges, subscriptionChanges }: OneTimeChargePorts,
  db: Db,
  subscription: Subscription,
  asked: Asked,
  now: Instant,
): Promise<OneTimeCharge> => {
  requireAllowed(subscription, 'add_charge', now);
  const { name, at = 'now', invoice: bills = 'next', tax_category: taxCategory = null, metadata = {} } = asked;
  const faults: Fault[] = [];
  const cost = readCost(asked, subscription.currency as Currency, faults);
  const cutUntil = await subscriptionChanges.cutUntil(db, subscription.id);
  const effectiveAt = chargeInstant(subscription, at, now, cutUntil, faults);
  refuseFaults(faults);
  const charge = {
    ...(cost as Cost),
    subscriptionId: subscription.id,
    name,
    taxCategory,
    effectiveAt,
    bills,
    metadata,
  };
  return found(await oneTimeCharges.addCharge(db, charge, new Date(now)), 'ONE_TIME_CHARGE_NOT_FOUND');
};

const whyNot = ({ billingPeriodId, invoiceId, removedAt }: OneTimeCharge): string => {
  if (removedAt !== null) return `The charge was removed at ${formatInstant(removedAt)}.`;
  const where = invoiceId === null ? 'which is to be invoiced' : `which the invoice ${invoiceId} bills`;
  return `The charge is written down as the billing period ${billingPeriodId}, ${where}.`;
};

/** Under the lock of the subscription. */
export const removeOneTimeCharge = async (
  { oneTimeCharges }: Pick<OneTimeChargePorts, 'oneTimeCharges'>,
  db: Db,
  charge: OneTimeCharge,
  now: Instant,
): Promise<OneTimeCharge> => {
  if (charge.state !== 'pending') throw new FailureError('ONE_TIME_CHARGE_NOT_PENDING', whyNot(charge));
  const removed = await oneTimeCharges.removeCharge(db, charge.subscriptionId, charge.id, new Date(now));
  return found(removed, 'ONE_TIME_CHARGE_NOT_FOUND');
};
