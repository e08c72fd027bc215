/**
 * A customer's quantities over a span: at a watermark that is named, measured at that one; else at one of less than a
 * second ago, by what is kept of usage.
 */
import type { Period } from '#schemas/period.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { type Measured, wholeOf } from '../../rater/aggregate/quantity-query.ts';
import type { LiveUsage } from '../../rater/live/live-usage.ts';
import type { Db } from '../route/define-route.ts';
import type { ReadUsage } from './usage.clickhouse.ts';
import type { ReadWatermark } from './watermark.postgres.ts';

export type QuantityPorts = {
  readonly readUsage: Pick<ReadUsage, 'quantities'>;
  readonly liveUsage: LiveUsage;
  readonly readWatermark: ReadWatermark;
};

export type QuantitiesOf = {
  /** Names under which the customer's events may have come. */
  readonly customers: readonly string[];
  readonly meters: readonly MeterVersion[];
  /** Undefined where nothing is measured. */
  readonly period: Period | undefined;
};

/** By meter version id; a meter without events may be missing. */
export type QuantitiesAt = { readonly watermark: bigint; readonly usage: ReadonlyMap<string, Measured> };

export const quantitiesAt = async (
  { readUsage, liveUsage, readWatermark }: QuantityPorts,
  db: Db,
  { customers, meters, period }: QuantitiesOf,
  watermark: bigint | undefined,
): Promise<QuantitiesAt> => {
  const { organizationId } = db;
  if (watermark !== undefined) {
    const usage = period && (await readUsage.quantities({ organizationId, watermark, customers, meters, period }));
    return { watermark, usage: usage ?? new Map() };
  }
  const spans = period ? [{ spanId: 'asked', customers, period }] : [];
  const live = await liveUsage(organizationId, { spans, measures: meters.map(wholeOf) }, () => readWatermark(db));
  return { watermark: live.watermark, usage: live.quantities.get('asked') ?? new Map() };
};
