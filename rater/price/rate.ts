/**
 * Rating: (usage, prices, rounding policy) -> rated lines. Nothing else goes in, so the same input gives the same bytes
 * on every machine, with any number of workers in any order.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { roundToMinorUnits } from '#schemas/money.ts';
import type { Charge } from '#schemas/plan.ts';
import { oneQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { RatedCharge, RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import { priceUsage } from './price-usage.ts';
import type { ChargeUsage, PeriodToRate } from './rating-task.ts';
import { noParts, type Part, type Parts } from './usage.ts';

/** What was used of a charge. */
type Usage = { readonly quantity: Quantity; readonly parts?: Parts };

/** One charge of one billing period. The exact amount is rounded here, once, straight to minor units. */
export const rateCharge = (
  charge: Charge,
  { quantity, parts }: Usage,
  currency: Currency,
  policy: RatingPolicy,
): RatedCharge => {
  const { precise, billableQuantity, steps } = priceUsage(charge.price, quantity, parts);
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
    ...rateCharge(charge, usageOf(period, charge), period.currency, policy),
    billingPeriodId: period.billingPeriodId,
    span: period.span,
    subscriptionId: period.subscriptionId,
    customerId: period.customerId,
    planVersionId: period.planVersionId,
    position: index + 1,
  }));

// The texts come from our own store, so this is a bug and not a customer's fault; billing it as 0 would hide it.
const stored = (text: string, { subscriptionId }: PeriodToRate, charge: Charge): Quantity => {
  const quantity = parseQuantity(text);
  if (quantity !== undefined) return quantity;
  return assert.fail(
    `the quantity of charge ${charge.code} of subscription ${subscriptionId} is not a decimal: ${text}`,
  );
};

const usageOf = (period: PeriodToRate, charge: Charge): Usage => {
  if (charge.meter === null) return { quantity: oneQuantity };
  // `hasOwn`, because a charge may be called "constructor".
  const usage: ChargeUsage | undefined = Object.hasOwn(period.usage, charge.code)
    ? period.usage[charge.code]
    : undefined;
  if (usage === undefined) return { quantity: zeroQuantity };
  const parts = usage.parts?.map(({ part, quantity, events }): [string, Part] => [
    part,
    { quantity: stored(quantity, period, charge), events: BigInt(events) },
  ]);
  return { quantity: stored(usage.quantity, period, charge), parts: parts ? new Map(parts) : noParts };
};
