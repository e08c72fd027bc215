/**
 * What went into a rated line: whoever has it can rate the line again. Its JSON is hashed and the hash stored with the
 * line, under a version: other members are another version, and lines keep the one that they were rated in.
 */
import type { Currency } from '#schemas/currency.ts';
import { type Amount, formatMinorUnits } from '#schemas/money.ts';
import { formatPeriod, type Period } from '#schemas/period.ts';
import type { BoundChargeJson } from '#schemas/period-bound.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import type { PriceJson } from '#schemas/price/price.ts';
import type { MeasuredPart } from '#schemas/price/usage-parts.ts';
import { type PriceSpan, priceSpanToJson } from '#schemas/price-span.ts';
import { type ProratedLevel, type Proration, prorationToJson } from '#schemas/proration.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';

/** What was measured of one meter over the span. */
type MeasuredInput = {
  readonly meter: string;
  readonly meterVersionId: string;
  /** Of a price span. */
  readonly span?: Period;
  /** The names under which the events of the customer came. */
  readonly customers: readonly string[];
  /** As the store gave it; "0" where there was no event. */
  readonly quantity: string;
  /** For a price that asks for more than one quantity. */
  readonly parts?: readonly MeasuredPart[];
  readonly unmeasuredEvents: bigint;
};

export type RatingInput = {
  readonly billingPeriodId: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly position: number;
  /** As it is stored in the plan version, with its price: what a later release writes differently changes no hash. */
  readonly charge: ChargeJson | BoundChargeJson;
  /** The sum of the lines of the charges, for a line that holds over all of them. */
  readonly charged?: Amount;
  readonly currency: Currency;
  /** The prices that the line was rated by, where these are not that of the charge for all of the time. */
  readonly priceSpans?: readonly InputSpan[];
  readonly policy: RatingPolicy;
  /** Absent of what is charged in arrears. */
  readonly timing?: 'advance' | 'credit' | 'once';
  /** The numbers of seats or add-ons that were charged for, of a charge that is priced by them. */
  readonly levels?: readonly ProratedLevel[];
  /** What part of the billing period was charged, of what is of a whole one. */
  readonly proration?: Proration;
  /** The very time that was measured. */
  readonly span: Period;
  readonly watermark: bigint;
  /** None for a flat charge; of price spans one each, in their order. */
  readonly measured: readonly MeasuredInput[];
};

/** A price as it is stored, and the time in which it stood. */
type InputSpan = PriceSpan & { readonly storedPrice: PriceJson };

export const ratingHashVersion = 1;

/**
 * Never changes: it is a part of every hash of version 1. A member that a line may lack is no part of its hash then.
 */
export const ratingInputToJson = (input: RatingInput) => ({
  billing_period_id: input.billingPeriodId,
  subscription_id: input.subscriptionId,
  customer_id: input.customerId,
  plan_version_id: input.planVersionId,
  position: input.position,
  charge: input.charge,
  ...(input.charged !== undefined && { charged: formatMinorUnits(input.charged, input.currency) }),
  currency: input.currency,
  ...(input.priceSpans && {
    price_spans: input.priceSpans.map((one) => ({ ...priceSpanToJson(one), price: one.storedPrice })),
  }),
  rounding_policy: { rounding: input.policy.rounding },
  ...(input.timing && { timing: input.timing }),
  ...(input.levels && {
    levels: input.levels.map(({ quantity, proration }) => ({
      quantity,
      ...(proration && { proration: prorationToJson(proration) }),
    })),
  }),
  ...(input.proration && { proration: prorationToJson(input.proration) }),
  span: formatPeriod(input.span),
  watermark: input.watermark.toString(),
  measured: input.measured.map(({ meter, meterVersionId, span, customers, quantity, parts, unmeasuredEvents }) => ({
    meter,
    meter_version_id: meterVersionId,
    ...(span && { span: formatPeriod(span) }),
    customers: [...customers],
    quantity,
    ...(parts && { parts: parts.map(({ part, quantity, events }) => ({ part, quantity, events })) }),
    unmeasured_events: unmeasuredEvents.toString(),
  })),
});
export type RatingInputJson = ReturnType<typeof ratingInputToJson>;
