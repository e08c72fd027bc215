/** Usage of one customer: every meter, over any half-open span. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/clickhouse.ts';
import { isPassing, UnavailableError } from '#platform/retry.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { type Measured, quantitiesFromRows, quantityStatements, type StatementRow } from '../rater/aggregate/quantity-query.ts';

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
    const answers = [];
    try {
      const subscriptions = [{ subscriptionId: 'all', customers, period }];
      for (const statement of quantityStatements({ tenant: organizationId, watermark: noWatermark, subscriptions, meters })) {
        answers.push({ statement, rows: await readRows<StatementRow>(clickhouse, statement) });
      }
    } catch (error) {
      throw isPassing(error) ? new UnavailableError('clickhouse', error) : error;
    }
    return quantitiesFromRows(answers).get('all') ?? new Map();
  };
