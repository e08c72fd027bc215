/**
 * Rating: (usage, prices, rounding policy) -> rated lines. Nothing else goes in, so the same input gives the same bytes
 * on every machine, with any number of workers in any order.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { roundToMinorUnits, sumAmounts } from '#schemas/money.ts';
import type { PeriodBoundsIn } from '#schemas/period-bound.ts';
import type { Charge } from '#schemas/plan.ts';
import { addQuantities, oneQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, RatedCharge, RatedLine, RatingPolicy } from '#schemas/rated-line.ts';
import { type AppliedBound, applyPeriodBounds } from './period-bound.ts';
import { priceSpans } from './price-spans.ts';
import { priceUsage } from './price-usage.ts';
import { prorate, prorateBounds } from './prorate.ts';
import type { ChargeUsage, MeasuredSpan, PeriodToRate } from './rating-task.ts';
import { noParts, type Part, type Parts } from './usage.ts';

/** What was used of a charge. */
type Usage = { readonly quantity: Quantity; readonly parts?: Parts };

/** One charge of one billing period. */
export const rateCharge = (
  charge: Charge,
  { quantity, parts }: Usage,
  currency: Currency,
  policy: RatingPolicy,
): RatedCharge => lineOf(charge, quantity, priceUsage(charge.price, quantity, parts), currency, policy);

/** The exact amount is rounded here, once, straight to minor units. */
const lineOf = (
  charge: Charge,
  quantity: Quantity,
  { precise, billableQuantity, steps }: Priced,
  currency: Currency,
  policy: RatingPolicy,
): RatedCharge => {
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
 * is accounted for. Behind them stands the line of what holds over all of them, where that changes their sum.
 */
export const ratePlan = (period: PeriodToRate, policy: RatingPolicy): RatedLine[] => {
  const lineAt = (position: number, rated: RatedCharge): RatedLine => ({
    ...rated,
    billingPeriodId: period.billingPeriodId,
    span: period.span,
    subscriptionId: period.subscriptionId,
    customerId: period.customerId,
    planVersionId: period.planVersionId,
    position,
  });
  const lines = period.charges.map((charge, index) => lineAt(index + 1, rateChargeOf(period, charge, policy)));
  const bounds = boundsOf(period, policy);
  const bound = bounds && applyPeriodBounds(bounds, sumAmounts(lines.map(({ amount }) => amount)));
  return bound ? [...lines, lineAt(lines.length + 1, boundLine(bound, period, policy))] : lines;
};

/** Of the very time: a part of a billing period has a part of what the whole costs at least and at most. */
export const boundsOf = (
  { bounds, proration, currency }: PeriodToRate,
  { rounding }: RatingPolicy,
): PeriodBoundsIn | undefined => (bounds && proration ? prorateBounds(bounds, proration, currency, rounding) : bounds);

const boundLine = (
  { code, bound, priced }: AppliedBound,
  { currency, proration }: PeriodToRate,
  policy: RatingPolicy,
): RatedCharge => ({
  ...priced,
  ...(proration && { steps: priced.steps.map((step) => ({ ...step, proration })) }),
  chargeCode: code,
  chargeName: bound.name,
  model: code,
  meter: null,
  currency,
  rounding: policy.rounding,
  quantity: oneQuantity,
  amount: roundToMinorUnits(priced.precise, currency, policy.rounding),
});

const rateChargeOf = (period: PeriodToRate, charge: Charge, policy: RatingPolicy): RatedCharge => {
  const spans = priceSpansOfCharge(period, charge.code);
  if (spans) return rateSpans(period, charge, spans, policy);
  const { quantity, parts } = usageOf(period, charge);
  const priced = priceUsage(charge.price, quantity, parts);
  return lineOf(charge, quantity, ofPart(period, charge, priced, policy), period.currency, policy);
};

/** What is flat is of a whole billing period; what was used was used. */
const ofPart = (
  { proration, currency }: PeriodToRate,
  { meter }: Charge,
  priced: Priced,
  { rounding }: RatingPolicy,
): Priced => (proration && meter === null ? prorate(priced, proration, currency, rounding) : priced);

const rateSpans = (
  period: PeriodToRate,
  charge: Charge,
  spans: readonly MeasuredSpan[],
  policy: RatingPolicy,
): RatedCharge => {
  const used = spans.map((one) => ({ ...one, ...readUsage(one.usage, period, charge) }));
  const quantity = used.map((one) => one.quantity).reduce(addQuantities, zeroQuantity);
  return {
    ...lineOf(charge, quantity, ofPart(period, charge, priceSpans(used), policy), period.currency, policy),
    priceSpans: used.map(({ span, tiers, sources, usage, quantity: ofSpan }) => ({
      span,
      tiers,
      sources,
      quantity: ofSpan,
      ...(usage?.parts && { usageParts: usage.parts }),
      unmeasuredEvents: usage?.unmeasuredEvents ?? 0n,
    })),
  };
};

/** `hasOwn`, because a charge may be called "constructor". */
export const priceSpansOfCharge = ({ priceSpans: spans }: PeriodToRate, code: string) =>
  spans && Object.hasOwn(spans, code) ? spans[code] : undefined;

// The texts come from our own store, so this is a bug and not a customer's fault; billing it as 0 would hide it.
const stored = (text: string, { subscriptionId }: PeriodToRate, charge: Charge): Quantity => {
  const quantity = parseQuantity(text);
  if (quantity !== undefined) return quantity;
  return assert.fail(
    `the quantity of charge ${charge.code} of subscription ${subscriptionId} is not a decimal: ${text}`,
  );
};

const usageOf = (period: PeriodToRate, charge: Charge): Usage =>
  readUsage(Object.hasOwn(period.usage, charge.code) ? period.usage[charge.code] : undefined, period, charge);

const readUsage = (usage: ChargeUsage | undefined, period: PeriodToRate, charge: Charge): Required<Usage> => {
  if (charge.meter === null) return { quantity: oneQuantity, parts: noParts };
  if (usage === undefined) return { quantity: zeroQuantity, parts: noParts };
  const parts = usage.parts?.map(({ part, quantity, events }): [string, Part] => [
    part,
    { quantity: stored(quantity, period, charge), events: BigInt(events) },
  ]);
  return { quantity: stored(usage.quantity, period, charge), parts: parts ? new Map(parts) : noParts };
};
