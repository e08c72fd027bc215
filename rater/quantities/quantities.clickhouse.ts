/**
 * Reads usage for billing. Quantities of a whole shard come in one grouped query, or in a few where one would pass the
 * bounds of a request.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import {
  type Quantities,
  type QuantityQuery,
  quantitiesFromRows,
  quantityStatements,
  type StatementRow,
} from '../aggregate/quantity-query.ts';

export const createReadQuantities =
  (clickhouse: ClickHouseClient) =>
  async (wanted: QuantityQuery): Promise<Quantities> => {
    const answers = [];
    for (const statement of quantityStatements(wanted)) {
      answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
    }
    return quantitiesFromRows(answers);
  };

/** The highest stream sequence that is stored of a tenant; 0 where nothing is. */
export const createHighestStored =
  (clickhouse: ClickHouseClient) =>
  async (tenant: string): Promise<bigint> => {
    const query = 'SELECT toString(max(stream_sequence)) AS highest FROM usage_heads WHERE tenant = {tenant:String}';
    const [row] = await readRows<{ highest: string }>(clickhouse, { query, params: { tenant } });
    return BigInt(row?.highest ?? 0);
  };
