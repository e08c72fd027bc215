/** What the quantity of a line was measured of. Pure. */
import type { Period } from '#schemas/period.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';

export type LineQuery = {
  readonly tenant: string;
  readonly meter: MeterVersion;
  /** The names under which the events of the customer came. */
  readonly customers: readonly string[];
  readonly span: Period;
  readonly watermark: bigint;
  /** Of a delta: up to where was counted before. Asked for is then what changed since. */
  readonly since?: bigint | undefined;
};

/** Before all events. */
const earliest = Date.UTC(1990);

/** Levels are carried from the first event on. */
export const readsBefore = ({ meter }: LineQuery): boolean => meter.aggregation === 'weighted_sum';

/** Where the events lie that count. */
export const stretchOf = (query: LineQuery): Period => ({
  start: readsBefore(query) ? earliest : query.span.start,
  end: query.span.end,
});
