/**
 * Reads usage for billing. Quantities of a whole shard come in one grouped query, or in a few where one would pass the
 * bounds of a request.
 */
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { stopwatch } from '#platform/process/clock.ts';
import { readRows } from '#platform/stores/clickhouse.ts';
import {
  type Quantities,
  type QuantityQuery,
  quantitiesFromRows,
  quantityStatements,
  type StatementAnswer,
  type StatementRow,
} from '../aggregate/quantity-query.ts';
import { createReadFromTotals, type QuantityLimits, type QuantityPorts, quantityLimits } from './read-quantities.ts';

export type ReadQuantities = (wanted: QuantityQuery) => Promise<Quantities>;

/** From events alone: what totals are held against. */
export const createReadFromEvents =
  (clickhouse: ClickHouseClient): ReadQuantities =>
  async (wanted) => {
    const answers: StatementAnswer[] = [];
    for (const statement of quantityStatements(wanted)) {
      answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
    }
    return quantitiesFromRows(answers);
  };

/** From totals where these hold, with the same answer. */
export const createReadQuantities = (
  clickhouse: ClickHouseClient,
  report: QuantityPorts['report'],
  limits: QuantityLimits = quantityLimits,
): ReadQuantities =>
  createReadFromTotals(limits, {
    read: (statement) => readRows(clickhouse, statement),
    stopwatch,
    // What the store refused to do may be of the totals; that it did not answer is of the store.
    isOfTotals: (error) => error instanceof ClickHouseError,
    report,
  });

/** The highest stream sequence that is stored of a tenant; 0 where nothing is. */
export const createHighestStored =
  (clickhouse: ClickHouseClient) =>
  async (tenant: string): Promise<bigint> => {
    const query = 'SELECT toString(max(stream_sequence)) AS highest FROM usage_heads WHERE tenant = {tenant:String}';
    const [row] = await readRows<{ highest: string }>(clickhouse, { query, params: { tenant } });
    return BigInt(row?.highest ?? 0);
  };
