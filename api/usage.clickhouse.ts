/** Reads usage at a watermark: of one meter in windows and groups, and of subscriptions or customers for all their meters. */
import type { ClickHouseClient } from '@clickhouse/client';
import { type ClickHouseStatement, readRows } from '#platform/clickhouse.ts';
import { isPassing, UnavailableError } from '#platform/retry.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { type Measured, quantitiesFromRows, quantityStatements, type StatementRow } from '../rater/aggregate/quantity-query.ts';
import { type UsageRow, type UsageWanted, usageFromRows, usageStatement } from '../rater/aggregate/usage-query.ts';

export type QuantitiesWanted = {
  readonly organizationId: string;
  readonly watermark: bigint;
  /** Names under which the customer's events may have come. */
  readonly customers: readonly string[];
  readonly meters: readonly Meter[];
  readonly period: Period;
};

export type ReadUsage = {
  /** By meter code; a meter without events may be missing. */
  readonly quantities: (wanted: QuantitiesWanted) => Promise<ReadonlyMap<string, Measured>>;
  readonly rows: (wanted: UsageWanted) => Promise<UsageRow[]>;
};

/** A query that takes longer is ended by the server: nobody waits so long for a page. */
const queryMsMax = 25_000;

export const createReadUsage = (clickhouse: ClickHouseClient): ReadUsage => {
  const read = async <R>({ query, params, settings = {} }: ClickHouseStatement): Promise<R[]> => {
    try {
      return await readRows<R>(clickhouse, { query, params, settings: { ...settings, max_execution_time: queryMsMax / 1000 } });
    } catch (error) {
      throw isPassing(error) ? new UnavailableError('clickhouse', error) : error;
    }
  };
  return {
    quantities: async ({ organizationId, watermark, customers, meters, period }) => {
      const subscriptions = [{ subscriptionId: 'all', customers, period }];
      const answers = [];
      for (const statement of quantityStatements({ tenant: organizationId, watermark, subscriptions, meters }))
        answers.push({ statement, rows: await read<StatementRow>(statement) });
      return quantitiesFromRows(answers).get('all') ?? new Map();
    },
    rows: async (wanted) => usageFromRows(wanted, await read(usageStatement(wanted))),
  };
};
