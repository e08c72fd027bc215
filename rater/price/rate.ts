/**
 * Rating: (quantities, prices, rounding policy) -> rated lines. Nothing else goes in, so the same input gives the same
 * bytes on every machine, with any number of workers in any order.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { roundToMinorUnits } from '#schemas/money.ts';
import type { Charge } from '#schemas/plan.ts';
import type { Price } from '#schemas/price.ts';
import { oneQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, RatedCharge, RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import { priceFlat } from './flat.ts';
import { priceGraduated } from './graduated.ts';
import { pricePackage } from './package.ts';
import { pricePerUnit } from './per-unit.ts';
import type { PeriodToRate, RatingShard } from './rating-task.ts';

/** The only switch over price models. */
export const priceQuantity = (price: Price, quantity: Quantity): Priced => {
  switch (price.model) {
    case 'flat':
      return priceFlat(price, quantity);
    case 'per_unit':
      return pricePerUnit(price, quantity);
    case 'graduated':
      return priceGraduated(price, quantity);
    case 'package':
      return pricePackage(price, quantity);
  }
};

/** One charge of one billing period. The exact amount is rounded here, once, straight to minor units. */
export const rateCharge = (
  charge: Charge,
  quantity: Quantity,
  currency: Currency,
  policy: RatingPolicy,
): RatedCharge => {
  const { precise, billableQuantity, steps } = priceQuantity(charge.price, quantity);
  return {
    chargeCode: charge.code,
    chargeName: charge.name,
    model: charge.price.model,
    meter: charge.meter,
    currency,
    rounding: policy.rounding,
    quantity,
    billableQuantity,
    precise,
    amount: roundToMinorUnits(precise, currency, policy.rounding),
    steps,
  };
};

/**
 * All charges of one billing period, in the order of its plan; a charge of zero gives a line too, so that every charge
 * is accounted for.
 */
export const ratePlan = (period: PeriodToRate, policy: RatingPolicy): RatedLine[] =>
  period.charges.map((charge, index) => ({
    ...rateCharge(charge, quantityOf(period, charge), period.currency, policy),
    billingPeriodId: period.billingPeriodId,
    span: period.span,
    subscriptionId: period.subscriptionId,
    customerId: period.customerId,
    planVersionId: period.planVersionId,
    position: index + 1,
  }));

/** Lines in the order of the shard's billing periods. */
export const rateShard = (shard: RatingShard): RatedLine[] =>
  shard.periods.flatMap((period) => ratePlan(period, shard.policy));

const quantityOf = ({ subscriptionId, quantities }: PeriodToRate, charge: Charge): Quantity => {
  if (charge.meter === null) return oneQuantity;
  // `hasOwn`, because a meter may be called "constructor".
  const text = Object.hasOwn(quantities, charge.meter) ? quantities[charge.meter] : undefined;
  if (text === undefined) return zeroQuantity;
  const quantity = parseQuantity(text);
  // The text comes from our own store, so this is a bug and not a customer's fault; billing it as 0 would hide it.
  assert(
    quantity !== undefined,
    `the quantity of meter ${charge.meter} of subscription ${subscriptionId} is not a decimal: ${text}`,
  );
  return quantity;
};
