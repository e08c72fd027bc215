/** A coupon as it was asked for -> its content, or all faults. Pure. */
import type { Static } from 'typebox';
import type { AppliesTo, CouponValue } from '#schemas/coupon.ts';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { Fault } from '#schemas/fault.ts';
import type { GivenCoupon } from '#schemas/http/coupons.ts';
import { amountScale, fitsDigits, isWholeMinorUnits, parseAmount } from '#schemas/money.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { parsePercentage } from '#schemas/tax-rate.ts';
import { readInstant } from '../route/resource-fields.ts';
import type { CouponContent } from './coupons.postgres.ts';

type Given = Omit<Static<typeof GivenCoupon>, 'code'>;
type Refuse = (field: string, code: string, message: string) => undefined;

const integerDigitsMax = 13;
const ofKind = { percentage: ['percentage'], amount: ['amount', 'currency'], free_units: ['free_units'] } as const;
const valueFields = ['percentage', 'amount', 'currency', 'free_units'] as const;

const readPercentage = (text: string, refuse: Refuse): CouponValue | undefined => {
  const percentage = parsePercentage(text);
  return percentage === undefined || percentage === 0n
    ? refuse('percentage', 'out_of_range', 'must be more than 0 and at most 100')
    : { kind: 'percentage', percentage };
};

const readAmount = (text: string, currency: Currency, refuse: Refuse): CouponValue | undefined => {
  const amount = parseAmount(text);
  if (amount === undefined) return refuse('amount', 'not_a_decimal', 'must be a decimal such as "25.00"');
  if (amount <= 0n) return refuse('amount', 'out_of_range', 'must be more than zero');
  if (!fitsDigits(amount, { integerDigits: integerDigitsMax, decimals: amountScale }))
    return refuse('amount', 'out_of_range', `must have at most ${integerDigitsMax} digits before the point`);
  if (!isWholeMinorUnits(amount, currency))
    return refuse(
      'amount',
      'too_precise',
      `must have at most ${minorUnitsOf(currency)} digits after the point, as ${currency} has`,
    );
  return { kind: 'amount', amount, currency };
};

const readFreeUnits = (text: string, { applies_to }: Given, refuse: Refuse): CouponValue | undefined => {
  if ((applies_to?.charges ?? []).length !== 1)
    refuse('applies_to.charges', 'out_of_range', 'must name the one charge of which units are free');
  const freeUnits = parseQuantity(text);
  if (freeUnits === undefined) return refuse('free_units', 'not_a_decimal', 'must be a decimal such as "1000"');
  return freeUnits > 0n
    ? { kind: 'free_units', freeUnits }
    : refuse('free_units', 'out_of_range', 'must be more than zero');
};

const readValue = (given: Given, refuse: Refuse): CouponValue | undefined => {
  const own: readonly string[] = ofKind[given.kind];
  for (const field of valueFields) {
    const isThere = given[field] !== undefined;
    if (own.includes(field) && !isThere) refuse(field, 'missing', `must be there of the kind ${given.kind}`);
    if (!own.includes(field) && isThere) refuse(field, 'not_allowed', `must not be there of the kind ${given.kind}`);
  }
  if (given.kind === 'percentage')
    return given.percentage === undefined ? undefined : readPercentage(given.percentage, refuse);
  if (given.kind === 'free_units')
    return given.free_units === undefined ? undefined : readFreeUnits(given.free_units, given, refuse);
  const { amount, currency } = given;
  return amount === undefined || currency === undefined ? undefined : readAmount(amount, currency as Currency, refuse);
};

const readPeriods = ({ duration, duration_periods: periods }: Given, refuse: Refuse): number | null => {
  if (duration === 'repeating' && periods === undefined)
    refuse('duration_periods', 'missing', 'must be there beside the duration repeating');
  if (duration !== 'repeating' && periods !== undefined)
    refuse('duration_periods', 'not_allowed', 'must stand beside the duration repeating alone');
  return periods ?? null;
};

const readScope = (
  { charges = [], plans = [], kinds = [] }: NonNullable<Given['applies_to']>,
  planIds: ReadonlyMap<string, string>,
  refuse: Refuse,
): AppliesTo => ({
  chargeCodes: charges,
  planIds: [
    ...new Set(
      plans.flatMap(
        (name, index) =>
          planIds.get(name) ?? refuse(`applies_to.plans[${index}]`, 'not_found', 'must be a plan that is there') ?? [],
      ),
    ),
  ],
  chargeKinds: kinds,
});

/** `planIds` are those of the plans that it names, by these names. Faults come with no content. */
export const readCoupon = (
  given: Given,
  planIds: ReadonlyMap<string, string>,
  faults: Fault[],
): CouponContent | undefined => {
  const before = faults.length;
  const refuse: Refuse = (field, code, message) => {
    faults.push({ field, code, message });
    return undefined;
  };
  const value = readValue(given, refuse);
  const durationPeriods = readPeriods(given, refuse);
  const appliesTo = readScope(given.applies_to ?? {}, planIds, refuse);
  const redeemBy = readInstant(given.redeem_by, 'redeem_by', faults) ?? null;
  const expiresAt = readInstant(given.expires_at, 'expires_at', faults) ?? null;
  if (value === undefined || faults.length > before) return undefined;
  return {
    name: given.name,
    value,
    duration: given.duration,
    durationPeriods,
    appliesTo,
    maxRedemptions: given.max_redemptions ?? null,
    maxRedemptionsPerCustomer: given.max_redemptions_per_customer ?? null,
    isForFirstTime: given.first_time_customers_only ?? false,
    redeemBy,
    expiresAt,
    metadata: given.metadata ?? {},
  };
};
