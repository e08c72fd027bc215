/** Who the names of events belong to, and which invoices bill their time. */
import { splitNames, usageNames } from '#schemas/names.ts';
import type { Db } from '../route/define-route.ts';
import type { KnownSubscription } from './billed-usage.ts';

const known = `
SELECT id AS name FROM customers WHERE organization_id = $1 AND id = ANY ($2)
UNION ALL SELECT external_id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)`;

// Times as milliseconds: JSON has no instants.
const subscriptions = `
SELECT c.id AS customer_id, c.external_id, s.plan_version_id, s.started_at, s.ended_at, coalesce((
    SELECT json_agg(json_build_array((extract(epoch FROM i.period_start) * 1000)::bigint, (extract(epoch FROM i.period_end) * 1000)::bigint, i.watermark::text)
      ORDER BY i.period_start)
    FROM invoices i WHERE i.subscription_id = s.id AND i.organization_id = $1), '[]') AS invoices
FROM customers c JOIN subscriptions s ON s.customer_id = c.id AND s.organization_id = $1
WHERE c.organization_id = $1 AND c.id IN (
  SELECT id FROM customers WHERE organization_id = $1 AND id = ANY ($2)
  UNION SELECT id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3))
ORDER BY s.id`;

type SubscriptionRow = {
  customer_id: string;
  external_id: string;
  plan_version_id: string;
  started_at: Date;
  ended_at: Date | null;
  invoices: [start: number, end: number, watermark: string][];
};

export const billedUsage = {
  /** Those of the names that are an id or an external id of a customer. */
  knownNames: async (db: Db, names: readonly string[]): Promise<ReadonlySet<string>> => {
    const { ids, externalIds } = splitNames(names);
    const { rows } = await db.query<{ name: string }>(known, [db.organizationId, ids, externalIds]);
    return new Set(rows.map(({ name }) => name));
  },
  /** All subscriptions of the customers that have one of the names. */
  subscriptionsOf: async (db: Db, names: readonly string[]): Promise<KnownSubscription[]> => {
    const { ids, externalIds } = splitNames(names);
    const { rows } = await db.query<SubscriptionRow>(subscriptions, [db.organizationId, ids, externalIds]);
    return rows.map((row) => ({
      names: usageNames(row.customer_id, row.external_id),
      planVersionId: row.plan_version_id,
      startedAt: row.started_at.getTime(),
      endedAt: row.ended_at?.getTime() ?? null,
      invoices: row.invoices.map(([start, end, watermark]) => ({ start, end, watermark: BigInt(watermark) })),
    }));
  },
};

export type BilledUsage = typeof billedUsage;
