/** What a shard's charges ask of usage, each thing once, and what was measured of a charge. Pure. */

import assert from 'node:assert/strict';
import type { Charge } from '#schemas/plan.ts';
import { usagePartsOf } from '#schemas/price/price.ts';
import { partNames } from '#schemas/price/usage-parts.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { Measure, Measured } from '../aggregate/quantity-query.ts';
import type { ChargeUsage } from '../price/rating-task.ts';

/** A meter version that a plan version is bound to. */
export type PinnedMeter = { readonly planVersionId: string; readonly meter: MeterVersion };

type ChargedBy = { readonly planVersionId: string; readonly charges: readonly Charge[] };

/** The measures of one charge: of its usage, and of what its events say that they cost. */
type MeasureIds = { readonly meterVersionId: string; readonly usage: string; readonly amounts?: string };

export type Measures = {
  readonly measures: readonly Measure[];
  /** Undefined for a charge that is not metered. `charges` are those of the period, the very array. */
  readonly idsOf: (charges: readonly Charge[], charge: Charge) => MeasureIds | undefined;
  /** By charge code. */
  readonly meterVersionIds: (charges: readonly Charge[]) => Readonly<Record<string, string>>;
};

/** The sum of a property over the events of a meter, exact. */
const amountsOf = (meter: MeterVersion, property: string): MeterVersion => ({
  ...meter,
  aggregation: 'sum',
  property,
  expression: null,
  rounding: null,
  percentile: null,
});

export const measuresOf = (periods: readonly ChargedBy[], pinned: readonly PinnedMeter[]): Measures => {
  const meterOf = new Map(pinned.map(({ planVersionId, meter }) => [`${planVersionId} ${meter.code}`, meter]));
  const measures = new Map<string, Measure>();
  /** Equal questions have one measure, whatever plan asks. */
  const idOf = (measure: Omit<Measure, 'measureId'>, key: string): string => {
    const known = measures.get(key) ?? { ...measure, measureId: `m${measures.size}` };
    measures.set(key, known);
    return known.measureId;
  };
  const idsOfCharge = (planVersionId: string, charge: Charge): MeasureIds | undefined => {
    if (charge.meter === null) return undefined;
    const meter = meterOf.get(`${planVersionId} ${charge.meter}`);
    assert(meter, `plan version ${planVersionId} is bound to a version of meter ${charge.meter}`);
    const { cells, events, amountProperty } = usagePartsOf(charge.price);
    const parts = { ...(cells && { cells }), ...(events && { events }) };
    const partsKey = JSON.stringify(parts, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
    return {
      meterVersionId: meter.versionId,
      usage: idOf({ meter, ...parts }, `${meter.versionId} ${partsKey}`),
      ...(amountProperty !== undefined && {
        amounts: idOf({ meter: amountsOf(meter, amountProperty) }, `${meter.versionId} amounts ${amountProperty}`),
      }),
    };
  };
  type ChargesIds = {
    readonly byCode: ReadonlyMap<string, MeasureIds>;
    readonly meterVersionIds: Readonly<Record<string, string>>;
  };
  const idsByCharges = new Map<readonly Charge[], ChargesIds>();
  for (const { planVersionId, charges } of periods) {
    if (idsByCharges.has(charges)) continue;
    const ids = charges.flatMap((charge) => {
      const found = idsOfCharge(planVersionId, charge);
      return found ? [[charge.code, found] as const] : [];
    });
    idsByCharges.set(charges, {
      byCode: new Map(ids),
      meterVersionIds: Object.fromEntries(ids.map(([code, { meterVersionId }]) => [code, meterVersionId])),
    });
  }
  return {
    measures: [...measures.values()],
    idsOf: (charges, charge) => idsByCharges.get(charges)?.byCode.get(charge.code),
    meterVersionIds: (charges) => idsByCharges.get(charges)?.meterVersionIds ?? {},
  };
};

/** Undefined where no event was measured. */
export const chargeMeasured = (usage: Measured | undefined, amounts: Measured | undefined): ChargeUsage | undefined => {
  if (!usage) return undefined;
  const ofAmounts = amounts && [{ part: partNames.amounts, quantity: amounts.quantity, events: '0' }];
  const parts = ofAmounts ?? usage.parts;
  return {
    quantity: usage.quantity,
    ...(parts && { parts }),
    unmeasuredEvents: usage.unmeasuredEvents + (amounts?.unmeasuredEvents ?? 0n),
  };
};
