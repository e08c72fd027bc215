/**
 * What rating gives: one line per charge, with the steps that explain its amount. Shared by rater, invoicer and api.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import {
  type Amount,
  formatAmount,
  formatMinorUnits,
  formatPreciseAmount,
  type PreciseAmount,
  parseAmount,
  parsePreciseAmount,
  parseStoredAmount,
  RoundingMode,
} from '#schemas/money.ts';
import { formatPeriod, type Period, periodFromJson } from '#schemas/period.ts';
import type { PeriodBoundName } from '#schemas/period-bound.ts';
import type { PriceModel } from '#schemas/price/price.ts';
import type { MeasuredPart } from '#schemas/price/usage-parts.ts';
import { type PriceSpan, priceSpanFromJson, priceSpanToJson } from '#schemas/price-span.ts';
import { type Proration, prorationToJson } from '#schemas/proration.ts';
import { formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';

/** Of an organization; stored with every line, so that a line can be computed again whatever came later. */
export type RatingPolicy = { readonly rounding: RoundingMode };

export const defaultRatingPolicy: RatingPolicy = Object.freeze({ rounding: 'half_up' });

/** Which of them an organization can choose: those that favour nobody but at a half. */
export const policyRoundings = [RoundingMode.halfUp, RoundingMode.halfEven] as const;
export type PolicyRounding = (typeof policyRoundings)[number];

export const StepKind = {
  /** The amount of a flat price. */
  flat: 'flat',
  /** A part of it, which `flatAmount` says whole. */
  prorated: 'prorated',
  /** What was charged in advance for a part of it, taken back; below zero. */
  credit: 'credit',
  /** What of a credit is not given back, as credit notes gave it back before; on invoices alone. */
  credited: 'credited',
  /** Units that cost nothing. */
  free: 'free',
  /** Units at one unit amount: a tier, or everything after the free units. */
  units: 'units',
  /** Started packages. */
  packages: 'packages',
  /** Events that all cost the same: `priced` is how many, `units` what they measured. */
  events: 'events',
  /** Amounts that events said: `priced` is their sum. */
  amounts: 'amounts',
  /** A quantity below zero (corrections larger than the usage), charged as zero. */
  belowZero: 'below_zero',
  /** What is missing to the least that is charged, which `flatAmount` says. */
  minimum: 'minimum',
  /** What is more than the most that is charged, which `flatAmount` says; below zero, as it is taken away. */
  maximum: 'maximum',
} as const;
export type StepKind = (typeof StepKind)[keyof typeof StepKind];

/**
 * One term of an amount: `amount` = `priced` x `unitAmount` + `flatAmount`, exactly, but for what brings the sum to a
 * bound, and for a part of a flat amount. The steps of a metered line tile its quantity: each begins where the one
 * before ends, and their units sum to the quantity. With a matrix that is so in each cell.
 */
export type PriceStep = {
  readonly kind: StepKind;
  /**
   * Bounds on the metered quantity, half-open; free units are counted, so a tier begins at its own bound plus the free
   * units.
   */
  readonly from: Quantity;
  readonly to: Quantity | null;
  /** How much of the quantity lies between the bounds. */
  readonly units: Quantity;
  /** How often `unitAmount` is charged: the units themselves, started packages, or 0. */
  readonly priced: Quantity;
  readonly unitAmount: Amount;
  readonly flatAmount: Amount;
  readonly amount: PreciseAmount;
  /** The cell of a matrix by the values that it names; none for the default price. */
  readonly cell?: Readonly<Record<string, string>>;
  /** The time that it is of, where the price changed inside the billing period. */
  readonly span?: Period;
  /** What part of the billing period it is of, where that is not the whole. */
  readonly proration?: Proration;
};

/** What a price function gives; the amounts of `steps` sum exactly to `precise`. */
export type Priced = {
  readonly precise: PreciseAmount;
  /** What is left to charge for after free units and the floor at zero; 1 for a flat price. */
  readonly billableQuantity: Quantity;
  readonly steps: readonly PriceStep[];
};

/** What made a line: the price of a charge, or what holds over all charges of a billing period. */
type LineModel = PriceModel | PeriodBoundName;

export type RatedCharge = Priced & {
  readonly chargeCode: string;
  readonly chargeName: string;
  readonly model: LineModel;
  readonly meter: string | null;
  readonly currency: Currency;
  readonly rounding: RoundingMode;
  /** As metered; 1 for a flat charge. May be below zero after corrections. */
  readonly quantity: Quantity;
  /** `precise` rounded to minor units, once; what is printed and summed. */
  readonly amount: Amount;
  /** Absent of what is charged in arrears. */
  readonly timing?: 'advance' | 'credit' | 'once';
  /** Absent where the plan version's price stood for all of the time. */
  readonly priceSpans?: readonly RatedSpan[];
};

/** A stretch of the time with one price, and what was used in it. */
export type RatedSpan = PriceSpan & {
  readonly quantity: Quantity;
  readonly usageParts?: readonly MeasuredPart[];
  readonly unmeasuredEvents: bigint;
};

export type RatedLine = RatedCharge & {
  readonly billingPeriodId: string;
  /** The very time that was measured. */
  readonly span: Period;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  /** Place of the charge in its plan version, from 1: the order of the lines on the invoice. */
  readonly position: number;
};

/** Stable key order and canonical decimals: equal steps give equal bytes. */
export const priceStepToJson = (step: PriceStep) => ({
  kind: step.kind,
  from: formatQuantity(step.from),
  to: step.to === null ? null : formatQuantity(step.to),
  units: formatQuantity(step.units),
  priced: formatQuantity(step.priced),
  unit_amount: formatAmount(step.unitAmount),
  flat_amount: formatAmount(step.flatAmount),
  amount: formatPreciseAmount(step.amount),
  ...(step.cell && { cell: step.cell }),
  ...(step.span && { span: formatPeriod(step.span) }),
  ...(step.proration && { proration: prorationToJson(step.proration) }),
});
export type PriceStepJson = ReturnType<typeof priceStepToJson>;

const ratedSpanToJson = (rated: RatedSpan) => ({
  ...priceSpanToJson(rated),
  quantity: formatQuantity(rated.quantity),
  ...(rated.usageParts && { parts: rated.usageParts }),
  unmeasured_events: rated.unmeasuredEvents.toString(),
});
export type RatedSpanJson = ReturnType<typeof ratedSpanToJson>;

/** Stable key order and decimal strings: equal lines give equal bytes under `JSON.stringify`. */
export const ratedLineToJson = (line: RatedLine) => ({
  billing_period_id: line.billingPeriodId,
  span: formatPeriod(line.span),
  subscription_id: line.subscriptionId,
  customer_id: line.customerId,
  plan_version_id: line.planVersionId,
  position: line.position,
  charge_code: line.chargeCode,
  charge_name: line.chargeName,
  model: line.model,
  meter: line.meter,
  ...(line.timing && { timing: line.timing }),
  currency: line.currency,
  rounding: line.rounding,
  quantity: formatQuantity(line.quantity),
  billable_quantity: formatQuantity(line.billableQuantity),
  precise_amount: formatPreciseAmount(line.precise),
  amount: formatMinorUnits(line.amount, line.currency),
  steps: line.steps.map(priceStepToJson),
  ...(line.priceSpans && { price_spans: line.priceSpans.map(ratedSpanToJson) }),
});
export type RatedLineJson = ReturnType<typeof ratedLineToJson>;

/** Reads back what this program stored; anything else in its place is a bug or damage, not a caller's fault. */
export const priceStepFromJson = (json: PriceStepJson): PriceStep => ({
  kind: json.kind,
  from: stored(parseQuantity(json.from), json),
  to: json.to === null ? null : stored(parseQuantity(json.to), json),
  units: stored(parseQuantity(json.units), json),
  priced: stored(parseQuantity(json.priced), json),
  unitAmount: stored(parseAmount(json.unit_amount), json),
  // The fixed parts of many events, in one sum.
  flatAmount: stored(parseStoredAmount(json.flat_amount), json),
  amount: stored(parsePreciseAmount(json.amount), json),
  ...(json.cell && { cell: json.cell }),
  ...(json.span && { span: periodFromJson(json.span) }),
  ...(json.proration && { proration: json.proration }),
});

export const ratedSpanFromJson = (json: RatedSpanJson): RatedSpan => ({
  ...priceSpanFromJson(json),
  quantity: stored(parseQuantity(json.quantity), json),
  ...(json.parts && { usageParts: json.parts }),
  unmeasuredEvents: BigInt(json.unmeasured_events),
});

/** What a stored line has in columns of its own: its JSON from before there were billing periods lacks it. */
export type RatedLinePeriod = Pick<RatedLine, 'billingPeriodId' | 'span'>;

export const ratedLineFromJson = (json: RatedLineJson, { billingPeriodId, span }: RatedLinePeriod): RatedLine => ({
  billingPeriodId,
  span,
  subscriptionId: json.subscription_id,
  customerId: json.customer_id,
  planVersionId: json.plan_version_id,
  position: json.position,
  chargeCode: json.charge_code,
  chargeName: json.charge_name,
  model: json.model,
  meter: json.meter,
  ...(json.timing && { timing: json.timing }),
  currency: json.currency,
  rounding: json.rounding,
  quantity: stored(parseQuantity(json.quantity), json),
  billableQuantity: stored(parseQuantity(json.billable_quantity), json),
  precise: stored(parsePreciseAmount(json.precise_amount), json),
  amount: stored(parseStoredAmount(json.amount), json),
  steps: json.steps.map(priceStepFromJson),
  ...(json.price_spans && { priceSpans: json.price_spans.map(ratedSpanFromJson) }),
});

const stored = <T extends bigint>(value: T | undefined, json: object): T => {
  // The message is written where it is needed alone: this is asked ten times a line.
  if (value === undefined) assert.fail(`a stored decimal can't be read: ${JSON.stringify(json)}`);
  return value;
};
