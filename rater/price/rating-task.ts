/** What goes to a rating worker: plain data that can be structured-cloned, bigints included. */
import type { Currency } from '#schemas/currency.ts';
import type { Period } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';

/** Whole numbers and decimals as text, as the store prints them. */
export type ChargeUsage = {
  readonly quantity: string;
  /** What the price asks for beyond the quantity, by the names of `partNames`. */
  readonly parts?: readonly { readonly part: string; readonly quantity: string; readonly events: string }[];
};

export type PeriodToRate = {
  readonly billingPeriodId: string;
  /** The very time that was measured. */
  readonly span: Period;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
  /** In the order of the plan version, which is the order of the invoice lines. */
  readonly charges: readonly Charge[];
  /** By charge code. A charge that is missing has seen no event: quantity 0. */
  readonly usage: Readonly<Record<string, ChargeUsage>>;
};

/** Some billing periods that are rated together. How they are cut into shards changes no line. */
export type RatingShard = { readonly policy: RatingPolicy; readonly periods: readonly PeriodToRate[] };
