/** What goes to a rating worker: plain data that can be structured-cloned, bigints included. */
import type { Currency } from '#schemas/currency.ts';
import type { Period } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';

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
  /** Meter code -> decimal text as the store prints it. A meter that is missing has seen no event: quantity 0. */
  readonly quantities: Readonly<Record<string, string>>;
};

/** Some billing periods that are rated together. How they are cut into shards changes no line. */
export type RatingShard = { readonly policy: RatingPolicy; readonly periods: readonly PeriodToRate[] };
