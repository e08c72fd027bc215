/** Customers and subscriptions. */
import { newId } from '#platform/ids.ts';
import type { Postgres } from '#platform/postgres.ts';
import { listRows } from './list-rows.postgres.ts';
import type { Page } from './lists.ts';

export type CustomerRow = {
  id: string;
  external_id: string;
  name: string;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type SubscriptionRow = {
  id: string;
  customer_id: string;
  plan_id: string;
  plan_code: string;
  plan_version_id: string;
  state: string;
  started_at: Date;
  ended_at: Date | null;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type NewSubscription = {
  readonly customerId: string;
  readonly planId: string;
  readonly planVersionId: string;
  readonly startedAt: Date;
  readonly metadata: Record<string, string>;
};

const customerColumns = 'id, external_id, name, metadata, version, created_at, updated_at';
const subscriptionColumns =
  's.id, s.customer_id, v.plan_id, p.code AS plan_code, s.plan_version_id, s.state, s.started_at, s.ended_at, s.metadata, s.version, s.created_at, s.updated_at';
const subscriptionFrom = 'subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id JOIN plans p ON p.id = v.plan_id';

export const createAccountStore = (postgres: Postgres) => ({
  /** Undefined where the external id is taken. */
  addCustomer: async (
    organizationId: string,
    customer: { externalId: string; name: string; metadata: Record<string, string> },
    now: Date,
  ): Promise<CustomerRow | undefined> => {
    const { rows } = await postgres.query<CustomerRow>(
      `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, external_id) DO NOTHING RETURNING ${customerColumns}`,
      [newId('cus'), organizationId, customer.externalId, customer.name, customer.metadata, now],
    );
    return rows[0];
  },
  /** By id or external id. */
  customer: async (organizationId: string, id: string): Promise<CustomerRow | undefined> => {
    const { rows } = await postgres.query<CustomerRow>(
      `SELECT ${customerColumns} FROM customers WHERE organization_id = $1 AND (id = $2 OR external_id = $2)`,
      [organizationId, id],
    );
    return rows[0];
  },
  customers: (organizationId: string, page: Page) =>
    listRows<CustomerRow>(
      postgres,
      { columns: customerColumns, from: 'customers', id: 'id', organization: 'organization_id' },
      organizationId,
      {},
      page,
    ),
  /** Undefined where the customer has an active subscription to the plan. The customer's row is locked, so of two at once one wins. */
  addSubscription: (organizationId: string, subscription: NewSubscription, now: Date): Promise<SubscriptionRow | undefined> =>
    postgres.transaction(async (client) => {
      await client.query('SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
        organizationId,
        subscription.customerId,
      ]);
      const active = await client.query(
        `SELECT 1 FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id WHERE s.customer_id = $1 AND v.plan_id = $2 AND s.state = 'active'`,
        [subscription.customerId, subscription.planId],
      );
      if (active.rowCount) return undefined;
      const id = newId('sub');
      await client.query(
        `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, state, started_at, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'active', $5, $6, 1, $7, $7)`,
        [id, organizationId, subscription.customerId, subscription.planVersionId, subscription.startedAt, subscription.metadata, now],
      );
      const { rows } = await client.query<SubscriptionRow>(`SELECT ${subscriptionColumns} FROM ${subscriptionFrom} WHERE s.id = $1`, [id]);
      return rows[0];
    }),
  subscription: async (organizationId: string, id: string): Promise<SubscriptionRow | undefined> => {
    const { rows } = await postgres.query<SubscriptionRow>(
      `SELECT ${subscriptionColumns} FROM ${subscriptionFrom} WHERE s.organization_id = $1 AND s.id = $2`,
      [organizationId, id],
    );
    return rows[0];
  },
  subscriptions: (organizationId: string, filter: { customerId: string | undefined }, page: Page) =>
    listRows<SubscriptionRow>(
      postgres,
      { columns: subscriptionColumns, from: subscriptionFrom, id: 's.id', organization: 's.organization_id' },
      organizationId,
      { 's.customer_id': filter.customerId },
      page,
    ),
});

export type AccountStore = ReturnType<typeof createAccountStore>;
