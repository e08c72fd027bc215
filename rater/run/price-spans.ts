/** Which prices stood in billing periods: as the catalog says it now, or as the lines say that were rated. Pure. */
import assert from 'node:assert/strict';
import type { Charge, ChargeJson } from '#schemas/plan.ts';
import type { PriceOverride, PriceSpan } from '#schemas/price-span.ts';
import { type PricedSpan, priceSpansOf } from '../price/price-timeline.ts';
import { ownPrices, type PriceSpans } from './measures.ts';
import type { BillablePeriod } from './rate-period.ts';

const nameOf = ({ planId, chargeCode, currency }: Pick<PriceOverride, 'planId' | 'chargeCode' | 'currency'>): string =>
  `${planId} ${currency} ${chargeCode}`;

/** By billing period; one of which all charges have their own prices is left out. */
export const standingPriceSpans = (
  periods: readonly BillablePeriod[],
  overrides: readonly PriceOverride[],
): ReadonlyMap<string, PriceSpans> => {
  const byCharge = Map.groupBy(overrides, nameOf);
  const spansOf = (period: BillablePeriod): PriceSpans => {
    const { planId, currency, customerId } = period;
    const found = period.charges.flatMap((charge, index): [string, readonly PricedSpan[]][] => {
      const own = (byCharge.get(nameOf({ planId, currency, chargeCode: charge.code })) ?? []).filter(
        (one) => one.customerId === null || one.customerId === customerId,
      );
      const storedCharge = period.storedCharges[index];
      assert(storedCharge, 'each charge is stored');
      const spans = own.length > 0 ? priceSpansOf({ charge, storedCharge }, period.span, own) : undefined;
      return spans ? [[charge.code, spans]] : [];
    });
    return found.length > 0 ? new Map(found) : ownPrices;
  };
  if (overrides.length === 0) return new Map();
  return new Map(
    periods.map((period) => [period.billingPeriodId, spansOf(period)] as const).filter(([, spans]) => spans.size > 0),
  );
};

/** The prices that a rated line names, with what they are. */
export const namedPriceSpans = (
  spans: readonly PriceSpan[],
  { charge, storedCharge }: { readonly charge: Charge; readonly storedCharge: ChargeJson },
  overrides: ReadonlyMap<string, PriceOverride>,
): PricedSpan[] =>
  spans.map(({ span, tiers, sources }) => {
    const { priceOverrideId: id } = sources;
    if (id === undefined) return { span, tiers, sources, price: charge.price, storedPrice: storedCharge.price };
    const override = overrides.get(id);
    assert(override, `the price override ${id} is gone`);
    return { span, tiers, sources, price: override.price, storedPrice: override.storedPrice };
  });
