/**
 * What totals keep of a meter: cells, each of one group in a quarter of an hour (UTC), and how cells and single events
 * are put together to the results of the meter's fragment. Pure: text.
 */
import type { Aggregation, MeterDefinition } from '#schemas/meter.ts';

export const dayMs = 86_400_000;
export const quarterMs = 900_000;

/** Of a day of a customer more are not kept: reading its events is no dearer then. */
export const cellsMax = 10_000;

/** What the cells of an aggregation hold beside the numbers of their events. */
type Kept = readonly ('value' | 'moment' | 'at' | 'key')[];

/** Null for what has no part that can be put together again and stays small. */
const keptOf: Readonly<Record<Aggregation, Kept | null>> = {
  count: [],
  sum: ['value'],
  max: ['value'],
  min: ['value'],
  average: ['value'],
  latest: ['value', 'at', 'key'],
  weighted_sum: ['value', 'moment'],
  unique: null,
  percentile: null,
};

export const hasTotals = ({ aggregation }: Pick<MeterDefinition, 'aggregation'>): boolean =>
  keptOf[aggregation] !== null;

export const keptCells = ({ aggregation }: Pick<MeterDefinition, 'aggregation'>): Kept => keptOf[aggregation] ?? [];

/**
 * What a cell of a group keeps, over the columns `one`, the value of an event or NULL, `occurred_at` and
 * `idempotency_key`.
 */
export const cellSql = ({ aggregation }: Pick<MeterDefinition, 'aggregation'>): Readonly<Record<string, string>> => {
  const latest = (what: string): string => `argMaxIf(${what}, (occurred_at, idempotency_key), isNotNull(one))`;
  switch (aggregation) {
    case 'max':
    case 'min':
      return { value: `ifNull(${aggregation}(one), toInt256(0))` };
    case 'latest':
      return {
        value: `ifNull(${latest('one')}, toInt256(0))`,
        at: latest('toUnixTimestamp64Milli(occurred_at)'),
        key: latest('idempotency_key'),
      };
    case 'weighted_sum':
      return {
        value: 'ifNull(sum(one), toInt256(0))',
        moment: `ifNull(sum(one * (toUnixTimestamp64Milli(occurred_at) % ${dayMs})), toInt256(0))`,
      };
    case 'sum':
    case 'average':
      return { value: 'ifNull(sum(one), toInt256(0))' };
    default:
      return {};
  }
};

/** What a group keeps of a day, over its cells: `events`, `unmeasured`, and what `cellSql` made. */
export const daySql = ({ aggregation }: Pick<MeterDefinition, 'aggregation'>): Readonly<Record<string, string>> => {
  const isMeasured = 'events > unmeasured';
  switch (aggregation) {
    case 'max':
    case 'min':
      return { value: `${aggregation}If(value, ${isMeasured})` };
    case 'latest':
      return Object.fromEntries(
        ['value', 'at', 'key'].map((name) => [name, `argMaxIf(${name}, (at, key), ${isMeasured})`]),
      );
    case 'weighted_sum':
      return { value: 'sum(value)', moment: 'sum(moment)' };
    case 'sum':
    case 'average':
      return { value: 'sum(value)' };
    default:
      return {};
  }
};

/**
 * The results of the meter's fragment, under its names, over rows of cells and events: `events`, `unmeasured`, `value`
 * (NULL where nothing was measured), and for the latest `latest_at` and `latest_key`.
 */
export const mergedResults = ({ aggregation }: Pick<MeterDefinition, 'aggregation'>): Record<string, string> => {
  const measured = 'toString(sum(events) - sum(unmeasured))';
  switch (aggregation) {
    case 'count':
      return { count: 'toString(sum(events))' };
    case 'max':
    case 'min':
      return { extreme: `toString(${aggregation}(value))` };
    case 'latest':
      return {
        latest: 'toString(argMaxIf(assumeNotNull(value), (latest_at, latest_key), isNotNull(value)))',
        count: measured,
      };
    case 'average':
      return { sum: 'toString(sum(value))', count: measured };
    default:
      return { sum: 'toString(sum(value))' };
  }
};
