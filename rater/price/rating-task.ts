/** What goes to a rating worker: plain data that can be structured-cloned, bigints included. */
import type { Currency } from '#schemas/currency.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import type { RoundingMode } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import type { PeriodBoundsIn } from '#schemas/period-bound.ts';
import type { Charge, ChargeJson } from '#schemas/plan.ts';
import type { MeasuredPart } from '#schemas/price/usage-parts.ts';
import type { ProratedLevel, Proration } from '#schemas/proration.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import type { PricedSpan } from './price-timeline.ts';

/** Whole numbers and decimals as text, as the store prints them. */
export type ChargeUsage = {
  readonly quantity: string;
  /** Events without a usable value: counted on the line, so that a quantity never shrinks in silence. */
  readonly unmeasuredEvents?: bigint;
  /** What the price asks for beyond the quantity, by the names of `partNames`. */
  readonly parts?: readonly MeasuredPart[];
};

/** What of a plan version is charged in a billing period, and how. */
export type PartToRate = {
  /** A credit takes back what was charged. */
  readonly timing: PartTiming;
  /** The place of each charge in its version, from 1; and that of a line over all of them. */
  readonly positions: readonly number[];
  readonly boundPosition: number;
  /** By charge code: whether its price is of that many units, or charged that many times. */
  readonly counted: Readonly<Record<string, 'units' | 'times'>>;
  /** The numbers over the time; a single 1 where nothing is counted. */
  readonly levels: readonly ProratedLevel[];
  /** What is charged for the same time in other parts, and counts for what a period costs at least and at most. */
  readonly others: readonly Charge[];
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
  /** What of the plan version is charged, and how; absent where that is all of it, in arrears. */
  readonly part?: PartToRate | undefined;
  /** Over all charges; absent where there is none. */
  readonly bounds?: PeriodBoundsIn;
  /** Absent where the whole billing period is charged. */
  readonly proration?: Proration | undefined;
  /** Of a delta: how what it corrects was rounded, in place of the policy of now. */
  readonly rounding?: RoundingMode;
  /** By charge code. A charge that is missing has seen no event: quantity 0. */
  readonly usage: Readonly<Record<string, ChargeUsage>>;
  /** By charge code, where another price than that of the charge stands for some of the time. */
  readonly priceSpans?: Readonly<Record<string, readonly MeasuredSpan[]>>;
};

/** A price that stands for a while, and what was used meanwhile; undefined where that was nothing. */
export type MeasuredSpan = PricedSpan & { readonly usage: ChargeUsage | undefined };

/** A billing period with all that goes into the hashes of its lines. */
export type MeasuredPeriod = PeriodToRate & {
  /** `charges` as they are stored, in the same order. */
  readonly storedCharges: readonly ChargeJson[];
  /** The names under which the events of the customer came. */
  readonly customers: readonly string[];
  /** By charge code, of metered charges; the same for all periods of a plan version. */
  readonly meterVersionIds: Readonly<Record<string, string>>;
};

/** Some billing periods that are rated together, at one watermark. How they are cut into shards changes no line. */
export type MeasuredShard = {
  readonly policy: RatingPolicy;
  readonly watermark: bigint;
  readonly periods: readonly MeasuredPeriod[];
};
