/** What a shard's charges ask of usage, each thing once, and what was measured of a charge. Pure. */

import assert from 'node:assert/strict';
import type { Charge } from '#schemas/plan.ts';
import { usagePartsOf } from '#schemas/price/price.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { Measure, Measured } from '../aggregate/quantity-query.ts';
import type { ChargeUsage } from '../price/rating-task.ts';

/** A meter version that a plan version is bound to. */
export type PinnedMeter = { readonly planVersionId: string; readonly meter: MeterVersion };

type ChargedBy = { readonly planVersionId: string; readonly charges: readonly Charge[] };

/** What one charge asks of which meter version. */
type MeasureIds = { readonly meterVersionId: string; readonly measureId: string };

export type Measures = {
  readonly measures: readonly Measure[];
  /** Undefined for a charge that is not metered. `charges` are those of the period, the very array. */
  readonly idsOf: (charges: readonly Charge[], charge: Charge) => MeasureIds | undefined;
  /** By charge code. */
  readonly meterVersionIds: (charges: readonly Charge[]) => Readonly<Record<string, string>>;
};

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
    const parts = usagePartsOf(charge.price);
    const key = JSON.stringify(parts, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
    return {
      meterVersionId: meter.versionId,
      measureId: idOf({ meter, ...parts }, `${meter.versionId} ${key}`),
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
export const chargeUsage = (measured: Measured | undefined): ChargeUsage | undefined =>
  measured && {
    quantity: measured.quantity,
    ...(measured.parts && { parts: measured.parts }),
    unmeasuredEvents: measured.unmeasuredEvents,
  };
