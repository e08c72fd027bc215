/** Which prices stood in billing periods: as the catalog says it now, or as the lines say that were rated. Pure. */
import assert from 'node:assert/strict';
import type { Period } from '#schemas/period.ts';
import type { Charge, ChargeJson } from '#schemas/plan.ts';
import type { PriceOverride, PriceSpan } from '#schemas/price-span.ts';
import { cutBySources } from '../price/cut-by-sources.ts';
import { type PricedSpan, priceSpansOf } from '../price/price-timeline.ts';
import { isReferring, resolvePriceBy, shownPrice } from '../price/resolve-price.ts';
import { type NamedRows, type SourceNames, type SourceRows, sourceNamesOf } from '../price/source-rows.ts';
import type { BillablePeriod } from './measured-periods.ts';
import { ownPrices, type PinnedMeter, type PriceSpans } from './measures.ts';

const nameOf = ({ planId, chargeCode, currency }: Pick<PriceOverride, 'planId' | 'chargeCode' | 'currency'>): string =>
  `${planId} ${currency} ${chargeCode}`;

/** What is charged, and what counts beside it for the bounds. */
const pricedCharges = ({ charges, storedCharges, part, storedOthers = [] }: BillablePeriod) => {
  const stored = [...storedCharges, ...storedOthers];
  return [...charges, ...(part?.others ?? [])].map((charge, index) => {
    const storedCharge = stored[index];
    assert(storedCharge, 'each charge is stored');
    return { charge, storedCharge };
  });
};

/** What decides the prices of billing periods beside their plan versions. */
type Decisive = {
  readonly overrides: readonly PriceOverride[];
  readonly rows: SourceRows;
  /** Of those plan versions. */
  readonly meters: readonly PinnedMeter[];
};

const ownSpan = (time: Period, { price }: Charge, { price: storedPrice }: ChargeJson): PricedSpan => ({
  span: time,
  tiers: 'restart',
  sources: {},
  price,
  storedPrice,
});

/**
 * By billing period; one of which all charges have their own prices is left out. Overrides come first, and each stretch
 * that has one price is cut where that refers to something that changes.
 */
export const standingPriceSpans = (
  periods: readonly BillablePeriod[],
  { overrides, rows, meters }: Decisive,
): ReadonlyMap<string, PriceSpans> => {
  const byCharge = Map.groupBy(overrides, nameOf);
  const meterOf = new Map(meters.map(({ planVersionId, meter }) => [`${planVersionId} ${meter.code}`, meter]));
  const spansOf = (period: BillablePeriod): PriceSpans => {
    const { planId, planVersionId, currency, customerId, span: time } = period;
    const found = pricedCharges(period).flatMap(({ charge, storedCharge }): [string, readonly PricedSpan[]][] => {
      const own = (byCharge.get(nameOf({ planId, currency, chargeCode: charge.code })) ?? []).filter(
        (one) =>
          // One from before the charge got another model is none of it any more.
          one.price.model === charge.price.model && (one.customerId === null || one.customerId === customerId),
      );
      const meter = meterOf.get(`${planVersionId} ${charge.meter}`);
      const spans = own.length > 0 ? priceSpansOf({ charge, storedCharge, meter }, time, own) : undefined;
      const creditUnit = storedCharge.credit_unit ?? null;
      if (!isReferring({ price: charge.price, creditUnit })) return spans ? [[charge.code, spans]] : [];
      const stretches = spans ?? [ownSpan(time, charge, storedCharge)];
      const cut = stretches.flatMap((one) => cutBySources(one, creditUnit, currency, meter, rows));
      return [[charge.code, cut]];
    });
    return found.length > 0 ? new Map(found) : ownPrices;
  };
  return new Map(
    periods.map((period) => [period.billingPeriodId, spansOf(period)] as const).filter(([, spans]) => spans.size > 0),
  );
};

/** What the prices refer to: those of the charges, and of the overrides that may stand in their place. */
export const sourceNamesIn = (periods: readonly BillablePeriod[], overrides: readonly PriceOverride[]): SourceNames => {
  // Many periods have the very charges of few plan versions.
  const lists = new Map(periods.map((period) => [period.charges, period]));
  const charged = [...lists.values()]
    .flatMap(pricedCharges)
    .map(({ charge, storedCharge }) => ({ price: charge.price, creditUnit: storedCharge.credit_unit ?? null }));
  return sourceNamesOf([...charged, ...overrides.map(({ price }) => ({ price, creditUnit: null }))]);
};

/** What is read to know the prices of billing periods. */
export type AskedPrices = {
  readonly planIds: readonly string[];
  readonly customerIds: readonly string[];
  readonly time: Period;
  /** What the prices refer to, once the overrides are known. */
  readonly namesIn: (overrides: readonly PriceOverride[]) => SourceNames;
};
export type ReadPrices = Pick<Decisive, 'overrides' | 'rows'>;

/** A credit takes back the price that was charged. */
const atItsPrice = (period: BillablePeriod): BillablePeriod =>
  period.pricedAt === undefined ? period : { ...period, span: { start: period.pricedAt, end: period.span.end } };

/** What to read, and which prices stood once that is read. At least one period. */
export const pricesToRead = (
  all: readonly BillablePeriod[],
  meters: readonly PinnedMeter[],
): {
  readonly asked: AskedPrices;
  readonly spansBy: (read: ReadPrices, of?: readonly BillablePeriod[]) => ReadonlyMap<string, PriceSpans>;
} => {
  const periods = all.map(atItsPrice);
  const asked = {
    planIds: [...new Set(periods.map(({ planId }) => planId))],
    customerIds: [...new Set(periods.map(({ customerId }) => customerId))],
    time: {
      start: Math.min(...periods.map(({ span }) => span.start)),
      end: Math.max(...periods.map(({ span }) => span.end)),
    },
    namesIn: (overrides: readonly PriceOverride[]) => sourceNamesIn(periods, overrides),
  };
  const spansBy = (read: ReadPrices, of = all) => standingPriceSpans(of.map(atItsPrice), { ...read, meters });
  return { asked, spansBy };
};

/** The prices that a rated line names, with what they are. */
export const namedPriceSpans = (
  spans: readonly PriceSpan[],
  { charge, storedCharge }: { readonly charge: Charge; readonly storedCharge: ChargeJson },
  overrides: ReadonlyMap<string, PriceOverride>,
  rows: NamedRows,
): PricedSpan[] =>
  spans.map(({ span, tiers, sources }) => {
    const { priceOverrideId: id } = sources;
    const override = id === undefined ? undefined : overrides.get(id);
    assert(override || id === undefined, `the price override ${id} is gone`);
    const { price, storedPrice } = override ?? { price: charge.price, storedPrice: storedCharge.price };
    const resolved = resolvePriceBy(price, sources, rows);
    return {
      span,
      tiers,
      sources,
      price: resolved,
      storedPrice: resolved === price ? storedPrice : shownPrice(storedPrice, resolved),
    };
  });
