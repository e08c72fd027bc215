/** What a shard's charges ask of usage, each thing once, and over which time. Pure. */

import assert from 'node:assert/strict';
import { type Period, samePeriod } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import { type Price, usagePartsOf } from '#schemas/price/price.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { type Measure, type Measured, measureKey, type Quantities } from '../aggregate/quantity-query.ts';
import type { PricedSpan } from '../price/price-timeline.ts';
import type { ChargeUsage } from '../price/rating-task.ts';

/** A meter version that a plan version is bound to. */
export type PinnedMeter = { readonly planVersionId: string; readonly meter: MeterVersion };

/** By charge code, for charges of which another price than their own stands for some of the time. */
export type PriceSpans = ReadonlyMap<string, readonly PricedSpan[]>;

export const ownPrices: PriceSpans = new Map();

type ChargedPeriod = {
  readonly billingPeriodId: string;
  readonly span: Period;
  readonly planVersionId: string;
  /** The very array for each period of a plan version. */
  readonly charges: readonly Charge[];
  readonly priceSpans: PriceSpans;
};

/** What one charge asks of which meter version. */
type MeasureIds = { readonly meterVersionId: string; readonly measureId: string };

/** A stretch of a billing period that is measured by itself. */
type AskedSpan = { readonly spanId: string; readonly billingPeriodId: string; readonly period: Period };

export type Measures = {
  readonly measures: readonly Measure[];
  readonly spans: readonly AskedSpan[];
  /** By charge code. */
  readonly meterVersionIds: (charges: readonly Charge[]) => Readonly<Record<string, string>>;
  /** What was measured of a charge over the whole of a period, or while one of its prices stood. */
  readonly usageIn: (quantities: Quantities) => UsageReader;
};
export type UsageReader = (period: ChargedPeriod, charge: Charge, priced?: PricedSpan) => ChargeUsage | undefined;

const spanIdOf = ({ billingPeriodId, span }: ChargedPeriod, part: Period): string =>
  samePeriod(span, part) ? billingPeriodId : `${billingPeriodId} ${part.start} ${part.end}`;

/** Equal questions have one measure, whatever plan asks. */
const createMeasures = (pinned: readonly PinnedMeter[]) => {
  const meterOf = new Map(pinned.map(({ planVersionId, meter }) => [`${planVersionId} ${meter.code}`, meter]));
  const measures = new Map<string, Omit<Measure, 'spanIds'>>();
  // By the very object: many periods have the prices of few plan versions.
  const known = new WeakMap<Price, Map<string, MeasureIds>>();
  const find = (planVersionId: string, code: string, price: Price): MeasureIds => {
    const meter = meterOf.get(`${planVersionId} ${code}`);
    assert(meter, `plan version ${planVersionId} is bound to a version of meter ${code}`);
    const parts = usagePartsOf(price);
    const key = measureKey({ meter, ...parts });
    const measure = measures.get(key) ?? { meter, ...parts, measureId: `m${measures.size}` };
    measures.set(key, measure);
    return { meterVersionId: meter.versionId, measureId: measure.measureId };
  };
  const idsOf = (planVersionId: string, code: string, price: Price): MeasureIds => {
    const byMeter = known.get(price) ?? new Map<string, MeasureIds>();
    known.set(price, byMeter);
    const name = `${planVersionId} ${code}`;
    const ids = byMeter.get(name) ?? find(planVersionId, code, price);
    byMeter.set(name, ids);
    return ids;
  };
  return { measures, idsOf };
};

export const measuresOf = (periods: readonly ChargedPeriod[], pinned: readonly PinnedMeter[]): Measures => {
  const { measures, idsOf } = createMeasures(pinned);
  const spanIds = new Map<string, Set<string>>();
  const spans = new Map<string, AskedSpan>();
  const meterVersions = new Map<readonly Charge[], Record<string, string>>();
  const ask = (period: ChargedPeriod, code: string, price: Price, part: Period): MeasureIds => {
    const ids = idsOf(period.planVersionId, code, price);
    const spanId = spanIdOf(period, part);
    spans.set(spanId, { spanId, billingPeriodId: period.billingPeriodId, period: part });
    spanIds.set(ids.measureId, (spanIds.get(ids.measureId) ?? new Set()).add(spanId));
    return ids;
  };
  for (const period of periods) {
    const versions: Record<string, string> = {};
    for (const { code, meter, price } of period.charges) {
      if (meter === null) continue;
      const priced = period.priceSpans.get(code) ?? [{ price, span: period.span }];
      for (const { price: one, span } of priced) versions[code] = ask(period, meter, one, span).meterVersionId;
    }
    if (!meterVersions.has(period.charges)) meterVersions.set(period.charges, versions);
  }
  return {
    measures: [...measures.values()].map((measure) => ({ ...measure, spanIds: spanIds.get(measure.measureId) })),
    spans: [...spans.values()],
    meterVersionIds: (charges) => meterVersions.get(charges) ?? {},
    usageIn: (quantities) => (period, charge, priced) => {
      if (charge.meter === null) return undefined;
      const { price, span } = priced ?? { price: charge.price, span: period.span };
      const { measureId } = idsOf(period.planVersionId, charge.meter, price);
      return chargeUsage(quantities.get(spanIdOf(period, span))?.get(measureId));
    },
  };
};

/** Undefined where no event was measured. */
const chargeUsage = (measured: Measured | undefined): ChargeUsage | undefined =>
  measured && {
    quantity: measured.quantity,
    ...(measured.parts && { parts: measured.parts }),
    unmeasuredEvents: measured.unmeasuredEvents,
  };
