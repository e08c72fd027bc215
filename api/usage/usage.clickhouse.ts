/**
 * Reads usage at a watermark: of one meter in windows and groups, and of subscriptions or customers for all their
 * meters.
 */
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { type ClickHouseStatement, readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { Period } from '#schemas/period.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import {
  type Measured,
  type Quantities,
  type QuantityQuery,
  quantitiesFromRows,
  quantityStatements,
  type StatementRow,
  wholeOf,
} from '../../rater/aggregate/quantity-query.ts';
import { createReadMeterUsage, type ReadPorts, type UsageRead } from '../../rater/totals/read-usage.ts';
import type { AskedUsage } from '../../rater/totals/total-days.ts';
import { coalesceReads } from './coalesce-reads.ts';

type QuantitiesWanted = {
  readonly organizationId: string;
  readonly watermark: bigint;
  /** Names under which the customer's events may have come. */
  readonly customers: readonly string[];
  readonly meters: readonly MeterVersion[];
  readonly period: Period;
};

/**
 * `renames`: how many there had been of customers when the names were read. Of one such moment no two customers have a
 * name in common, so their reads can be made together.
 */
export type RowsWanted = AskedUsage & { readonly renames: number };

export type ReadUsage = {
  /** By meter version id; a meter without events may be missing. */
  readonly quantities: (wanted: QuantitiesWanted) => Promise<ReadonlyMap<string, Measured>>;
  readonly rows: (wanted: RowsWanted) => Promise<UsageRead>;
  /** Whatever is measured for rating. */
  readonly measured: (wanted: QuantityQuery) => Promise<Quantities>;
};

/** What reads share that differ in their customer only. */
type Shape = Omit<RowsWanted, 'customers' | 'readNumbers'>;

/** A read of many customers is still a short one, and a second one keeps the other core at work. */
const together = { readsMax: 2, itemsMax: 50 };

const nameOf = (shape: Shape): string =>
  JSON.stringify(shape, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));

/** A query that takes longer is ended by the server: nobody waits so long for a page. */
const queryMsMax = 25_000;

/** The store ended the query by its time: reading events would take longer still. */
const outOfTime = '159';

/** For who waits for a page. */
export const createReadInTime =
  (clickhouse: ClickHouseClient) =>
  <R>({ query, params, settings = {} }: ClickHouseStatement): Promise<R[]> =>
    whileAvailable(() =>
      readRows<R>(clickhouse, { query, params, settings: { ...settings, max_execution_time: queryMsMax / 1000 } }),
    );

export const createReadUsage = (clickhouse: ClickHouseClient, report: ReadPorts['report']): ReadUsage => {
  const read = createReadInTime(clickhouse);
  const readAlone = createReadMeterUsage({
    read,
    isOfTotals: (error) => error instanceof ClickHouseError && error.code !== outOfTime,
    report,
  });
  /**
   * One statement for the reads of several customers, each by its names. A customer that is asked for twice is read
   * once.
   */
  const readTogether = coalesceReads<Shape, readonly string[], UsageRead>(together, async (shape, items) => {
    const numbers = new Map<string, number>();
    const numberOf = (names: readonly string[]): number => {
      const name = JSON.stringify(names);
      const number = numbers.get(name) ?? numbers.size;
      numbers.set(name, number);
      return number;
    };
    const numberedItems = items.map((names) => ({ names, number: numberOf(names) }));
    if (numbers.size === 1) {
      const answer = await readAlone({ ...shape, customers: items[0] as readonly string[] });
      return items.map(() => answer);
    }
    const numberByName = new Map(
      numberedItems.flatMap(({ names, number }) => names.map((name) => [name, number] as const)),
    );
    const { rows, way } = await readAlone({
      ...shape,
      customers: [...numberByName.keys()],
      readNumbers: [...numberByName.values()],
    });
    const rowsOf = Map.groupBy(rows, ({ group }) => Number(group[0]));
    return numberedItems.map(({ number }) => ({
      rows: (rowsOf.get(number) ?? []).map((row) => ({ ...row, group: row.group.slice(1) })),
      way,
    }));
  });
  const measured = async (wanted: QuantityQuery): Promise<Quantities> => {
    const answers = [];
    for (const statement of quantityStatements(wanted))
      answers.push({ statement, rows: await read<StatementRow>(statement) });
    return quantitiesFromRows(answers);
  };
  return {
    quantities: async ({ organizationId, watermark, customers, meters, period }) => {
      const spans = [{ spanId: 'asked', customers, period }];
      const wanted = { tenant: organizationId, watermark, spans, measures: meters.map(wholeOf) };
      return (await measured(wanted)).get('asked') ?? new Map();
    },
    measured,
    rows: (wanted) => {
      const { customers, ...shape } = wanted;
      return customers === null ? readAlone(wanted) : readTogether(nameOf(shape), shape, customers);
    },
  };
};
