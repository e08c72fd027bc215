/**
 * Rating: (usage, prices, rounding policy) -> rated lines. Nothing else goes in, so the same input gives the same bytes
 * on every machine, with any number of workers in any order.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { roundToMinorUnits, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { PeriodBoundsIn } from '#schemas/period-bound.ts';
import type { Charge } from '#schemas/plan.ts';
import type { Price } from '#schemas/price/price.ts';
import {
  addQuantities,
  oneQuantity,
  parseQuantity,
  type Quantity,
  wholeQuantity,
  zeroQuantity,
} from '#schemas/quantity.ts';
import type { Priced, RatedCharge, RatedLine, RatedSpan, RatingPolicy } from '#schemas/rated-line.ts';
import { type AppliedBound, applyPeriodBounds } from './period-bound.ts';
import { priceSpans } from './price-spans.ts';
import { priceUsage } from './price-usage.ts';
import { priceOfPart, prorateBounds } from './prorate.ts';
import type { ChargeUsage, MeasuredSpan, PartToRate, PeriodToRate } from './rating-task.ts';
import { pricedOf, unitsStep } from './steps.ts';
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

/** By which a period is rounded. */
export const policyOf = ({ rounding }: PeriodToRate, policy: RatingPolicy): RatingPolicy =>
  rounding ? { rounding } : policy;

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
  const { positions, boundPosition, others } = partOf(period);
  const lines = period.charges.map((charge, index) =>
    lineAt(positions?.[index] ?? index + 1, rateChargeOf(period, charge, policy)),
  );
  const bounds = boundsOf(period, policy);
  if (!bounds) return lines;
  const besides = others.map((charge) => rateCounted(period, charge, policy).amount);
  const bound = applyPeriodBounds(bounds, sumAmounts([...lines.map(({ amount }) => amount), ...besides]));
  return bound ? [...lines, lineAt(boundPosition, boundLine(bound, period, policy))] : lines;
};

/** All that a plan version charges, in arrears. */
const wholePlan = ({ charges, proration }: PeriodToRate): PartialPart => ({
  timing: 'arrears',
  positions: undefined,
  boundPosition: charges.length + 1,
  counted: {},
  levels: [{ quantity: 1, proration }],
  others: [],
});

type PartialPart = Omit<PartToRate, 'positions'> & { readonly positions: readonly number[] | undefined };

const partOf = (period: PeriodToRate): PartialPart => period.part ?? wholePlan(period);

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
  if (charge.meter === null) return rateCounted(period, charge, policy);
  const spans = priceSpansOfCharge(period, charge.code);
  if (spans) return rateSpans(period, charge, spans, policy);
  const { quantity, parts } = usageOf(period, charge);
  return lineOf(charge, quantity, priceUsage(charge.price, quantity, parts), period.currency, policy);
};

/**
 * What is flat, or of a number that is known without any usage: of seats, or of add-ons. It is of a whole billing
 * period; each number costs its part of what it costs whole.
 */
const rateCounted = (period: PeriodToRate, charge: Charge, policy: RatingPolicy): RatedCharge => {
  const { timing, counted, levels } = partOf(period);
  const how = Object.hasOwn(counted, charge.code) ? counted[charge.code] : undefined;
  const spans = priceSpansOfCharge(period, charge.code);
  const price = spans?.[0]?.price ?? charge.price;
  const isCredit = timing === 'credit';
  const ofWhole = [{ quantity: 1, proration: period.proration }];
  const steps = (how ? levels : ofWhole).flatMap(({ quantity, proration }) => {
    const units = wholeQuantity(quantity);
    const whole = how === 'times' ? timesFlat(price, units) : priceUsage(price, units);
    return priceOfPart(whole, units, { proration, isCredit }, period.currency, policy.rounding);
  });
  const quantity = wholeQuantity(how ? (levels.at(-1)?.quantity ?? 1) : 1);
  const line = lineOf(charge, quantity, pricedOf(quantity, steps), period.currency, policy);
  return {
    ...line,
    ...(timing !== 'arrears' && { timing }),
    ...(isCredit && { chargeName: `${charge.name} (unused)` }),
    ...(spans && { priceSpans: spans.map((one) => ratedSpanOf(one, quantity)) }),
  };
};

/** A flat amount, so many times. */
const timesFlat = (price: Price, units: Quantity): Priced => {
  assert(price.model === 'flat', 'what is charged so many times is flat');
  return pricedOf(units, [unitsStep(zeroQuantity, null, units, price.amount, zeroAmount)]);
};

/** What no usage goes into has the price of the begin. */
const ratedSpanOf = ({ span, tiers, sources }: MeasuredSpan, quantity: Quantity): RatedSpan => ({
  span,
  tiers,
  sources,
  quantity,
  unmeasuredEvents: 0n,
});

const rateSpans = (
  period: PeriodToRate,
  charge: Charge,
  spans: readonly MeasuredSpan[],
  policy: RatingPolicy,
): RatedCharge => {
  const used = spans.map((one) => ({ ...one, ...readUsage(one.usage, period, charge) }));
  const quantity = used.map((one) => one.quantity).reduce(addQuantities, zeroQuantity);
  return {
    ...lineOf(charge, quantity, priceSpans(used), period.currency, policy),
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
