/** Reads quantities for a whole shard in one grouped query. */
import type { ClickHouseClient } from '@clickhouse/client';
import { type Quantities, type QuantityQuery, quantitiesFromRows, quantityStatement } from './aggregate/quantity-query.ts';

export const createReadQuantities =
  (clickhouse: ClickHouseClient) =>
  async (wanted: QuantityQuery): Promise<Quantities> => {
    if (wanted.meters.length === 0 || wanted.subscriptions.length === 0) return new Map();
    const { query, params, settings } = quantityStatement(wanted);
    const result = await clickhouse.query({ query, format: 'JSONEachRow', query_params: { ...params }, clickhouse_settings: settings });
    return quantitiesFromRows(await result.json<Record<string, string>>(), wanted.meters);
  };
