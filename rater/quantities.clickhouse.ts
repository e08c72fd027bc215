/** Reads usage for billing. Quantities of a whole shard come in one grouped query, or in a few where one would pass the bounds of a request. */
import type { ClickHouseClient } from '@clickhouse/client';
import { type Quantities, type QuantityQuery, quantitiesFromRows, quantityStatements } from './aggregate/quantity-query.ts';

export const createReadQuantities =
  (clickhouse: ClickHouseClient) =>
  async (wanted: QuantityQuery): Promise<Quantities> => {
    const answers = [];
    for (const statement of quantityStatements(wanted)) {
      const { query, params, settings } = statement;
      const result = await clickhouse.query({ query, format: 'JSONEachRow', query_params: { ...params }, clickhouse_settings: settings });
      answers.push({ statement, rows: await result.json<Record<string, string>>() });
    }
    return quantitiesFromRows(answers);
  };

/** The highest stream sequence that is stored of a tenant; 0 where nothing is. */
export const createHighestStored =
  (clickhouse: ClickHouseClient) =>
  async (tenant: string): Promise<bigint> => {
    const query = 'SELECT toString(max(stream_sequence)) AS highest FROM usage_events WHERE tenant = {tenant:String}';
    const result = await clickhouse.query({ query, format: 'JSONEachRow', query_params: { tenant } });
    const [row] = await result.json<{ highest: string }>();
    return BigInt(row?.highest ?? 0);
  };
