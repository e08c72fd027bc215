/** Reads quantities for a whole shard: in one grouped query, or in a few where one would pass the bounds of a request. */
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
