/**
 * Billing periods with all that is measured of them: what is asked of usage, and what comes of the answer. The same
 * periods and the same quantities give the same, whoever asks. Pure.
 */
import type { Currency } from '#schemas/currency.ts';
import type { RoundingMode } from '#schemas/money.ts';
import { usageNames } from '#schemas/names.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { PeriodBoundsIn } from '#schemas/period-bound.ts';
import type { Charge, ChargeJson } from '#schemas/plan.ts';
import type { Proration } from '#schemas/proration.ts';
import type { Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';
import type { PricedSpan } from '../price/price-timeline.ts';
import type { ChargeUsage, MeasuredPeriod, PartToRate } from '../price/rating-task.ts';
import { measuresOf, ownPrices, type PinnedMeter, type PriceSpans, type UsageReader } from './measures.ts';

/** A billing period with what its plan version charges for. */
export type BillablePeriod = {
  readonly billingPeriodId: string;
  readonly span: Period;
  /** Undefined where what is of a whole billing period is charged whole. */
  readonly proration: Proration | undefined;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly customerExternalIds: readonly string[];
  readonly planId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
  readonly charges: readonly Charge[];
  /** The same as they are stored. */
  readonly storedCharges: readonly ChargeJson[];
  /** Those beside which the bounds are held, of `part.others`. */
  readonly storedOthers?: readonly ChargeJson[];
  /** Over all charges. */
  readonly bounds: PeriodBoundsIn;
  /** When the price stood that a credit takes back; absent of all else, whose price is that of its span. */
  readonly pricedAt?: Instant;
  /** Absent where every charge of the version is charged, in arrears. */
  readonly part?: PartToRate | undefined;
  /** Of a delta or a credit: the billed period whose prices it goes by. */
  readonly pricedAs?: string;
  /** Of a delta: how what it corrects was rounded. */
  readonly rounding?: RoundingMode;
};

/** A billing period with the prices that stood in it. */
type PricedPeriod = BillablePeriod & { readonly priceSpans: PriceSpans };

const usageOf = (period: PricedPeriod, usageIn: UsageReader): Pick<MeasuredPeriod, 'usage' | 'priceSpans'> => {
  const { charges, priceSpans } = period;
  const usage = charges.flatMap((charge) => {
    const found = priceSpans.has(charge.code) ? undefined : usageIn(period, charge);
    return found ? [[charge.code, found] as const] : [];
  });
  if (priceSpans.size === 0) return { usage: Object.fromEntries(usage) };
  const spansOf = (of: readonly Charge[], usageOfSpan: (charge: Charge, span: PricedSpan) => ChargeUsage | undefined) =>
    of.flatMap((charge) => {
      const priced = priceSpans.get(charge.code);
      return priced
        ? [[charge.code, priced.map((span) => ({ ...span, usage: usageOfSpan(charge, span) }))] as const]
        : [];
    });
  const spans = spansOf(charges, (charge, span) => usageIn(period, charge, span));
  // No usage goes into those.
  const ofOthers = spansOf(period.part?.others ?? [], () => undefined);
  return { usage: Object.fromEntries(usage), priceSpans: Object.fromEntries([...spans, ...ofOthers]) };
};

/** What to ask of usage, and the periods once it is answered. */
export const periodsToMeasure = (
  billable: readonly BillablePeriod[],
  meters: readonly PinnedMeter[],
  priceSpans: ReadonlyMap<string, PriceSpans>,
): {
  readonly query: Pick<QuantityQuery, 'spans' | 'measures'>;
  readonly measured: (quantities: Quantities) => MeasuredPeriod[];
} => {
  const periods = billable.map((period) => ({
    ...period,
    priceSpans: priceSpans.get(period.billingPeriodId) ?? ownPrices,
  }));
  const measures = measuresOf(periods, meters);
  const customersOf = new Map(
    periods.map((period) => [period.billingPeriodId, usageNames(period.customerId, period.customerExternalIds)]),
  );
  const measured = (quantities: Quantities): MeasuredPeriod[] => {
    const usageIn = measures.usageIn(quantities);
    return periods.map((period) => ({
      billingPeriodId: period.billingPeriodId,
      span: period.span,
      subscriptionId: period.subscriptionId,
      customerId: period.customerId,
      planVersionId: period.planVersionId,
      currency: period.currency,
      charges: period.charges,
      storedCharges: period.storedCharges,
      bounds: period.bounds,
      ...(period.proration && { proration: period.proration }),
      ...(period.part && { part: period.part }),
      ...(period.rounding && { rounding: period.rounding }),
      customers: customersOf.get(period.billingPeriodId) ?? [],
      meterVersionIds: measures.meterVersionIds(period.charges),
      ...usageOf(period, usageIn),
    }));
  };
  return {
    query: {
      spans: measures.spans.map(({ spanId, billingPeriodId, period }) => ({
        spanId,
        customers: customersOf.get(billingPeriodId) ?? [],
        period,
      })),
      measures: measures.measures,
    },
    measured,
  };
};
