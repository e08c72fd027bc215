/**
 * What went into a rated line: whoever has it can rate the line again. Its JSON is hashed and the hash stored with the
 * line, under a version: other members are another version, and lines keep the one that they were rated in.
 */
import type { Currency } from '#schemas/currency.ts';
import { formatPeriod, type Period } from '#schemas/period.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';

/** What was measured of one meter over the span. */
type MeasuredInput = {
  readonly meter: string;
  readonly meterVersionId: string;
  /** The names under which the events of the customer came. */
  readonly customers: readonly string[];
  /** As the store gave it; "0" where there was no event. */
  readonly quantity: string;
  /** For a price that asks for more than one quantity. */
  readonly parts?: readonly MeasuredPart[];
  readonly unmeasuredEvents: bigint;
};

/** What was measured of a part of the events: as text, like quantities. `schemas/price/usage-parts.ts` names parts. */
export type MeasuredPart = { readonly part: string; readonly quantity: string; readonly events: string };

export type RatingInput = {
  readonly billingPeriodId: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly position: number;
  /** As it is stored in the plan version, with its price: what a later release writes differently changes no hash. */
  readonly charge: ChargeJson;
  readonly currency: Currency;
  readonly policy: RatingPolicy;
  /** The very time that was measured. */
  readonly span: Period;
  readonly watermark: bigint;
  /** None for a flat charge. */
  readonly measured: readonly MeasuredInput[];
};

export const ratingHashVersion = 1;

/** Never changes: it is a part of every hash of version 1. */
export const ratingInputToJson = (input: RatingInput) => ({
  billing_period_id: input.billingPeriodId,
  subscription_id: input.subscriptionId,
  customer_id: input.customerId,
  plan_version_id: input.planVersionId,
  position: input.position,
  charge: input.charge,
  currency: input.currency,
  rounding_policy: { rounding: input.policy.rounding },
  span: formatPeriod(input.span),
  watermark: input.watermark.toString(),
  measured: input.measured.map(({ meter, meterVersionId, customers, quantity, parts, unmeasuredEvents }) => ({
    meter,
    meter_version_id: meterVersionId,
    customers: [...customers],
    quantity,
    ...(parts && { parts: parts.map(({ part, quantity, events }) => ({ part, quantity, events })) }),
    unmeasured_events: unmeasuredEvents.toString(),
  })),
});
export type RatingInputJson = ReturnType<typeof ratingInputToJson>;
