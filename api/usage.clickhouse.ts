/** Usage of one customer: every meter, over any half-open span. */
import type { ClickHouseClient } from '@clickhouse/client';
import { isPassing, UnavailableError } from '#platform/retry.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { type Measured, quantitiesFromRows, quantityStatement } from '../rater/aggregate/quantity-query.ts';

/** Everything that is stored; sequences of JetStream are far below. */
const noWatermark = 2n ** 63n;

export type ReadUsage = (
  organizationId: string,
  customers: readonly string[],
  meters: readonly Meter[],
  period: Period,
) => Promise<ReadonlyMap<string, Measured>>;

export const createReadUsage =
  (clickhouse: ClickHouseClient): ReadUsage =>
  async (organizationId, customers, meters, period) => {
    if (meters.length === 0) return new Map();
    const { query, params, settings } = quantityStatement({
      tenant: organizationId,
      watermark: noWatermark,
      subscriptions: [{ subscriptionId: 'all', customers, period }],
      meters,
    });
    try {
      const result = await clickhouse.query({ query, format: 'JSONEachRow', query_params: { ...params }, clickhouse_settings: settings });
      return quantitiesFromRows(await result.json<Record<string, string>>(), meters).get('all') ?? new Map();
    } catch (error) {
      throw isPassing(error) ? new UnavailableError('clickhouse', error) : error;
    }
  };
