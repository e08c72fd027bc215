/** Customers and subscriptions. */
import { newId } from '#platform/process/ids.ts';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Personal } from '#schemas/http/customers.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type Filter, type ListPage } from '../route/lists.ts';

type StoredCustomer = {
  id: string;
  external_id: string;
  /** Only in rows from before personal fields were sealed. */
  name: string | null;
  personal: Buffer | null;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type CustomerRow = Omit<StoredCustomer, 'name' | 'personal'> & { readonly personal: Personal };

export type CustomerNames = { readonly id: string; readonly external_id: string };

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

const customerColumns = 'id, external_id, name, personal, metadata, version, created_at, updated_at';
const subscriptionColumns =
  's.id, s.customer_id, v.plan_id, p.code AS plan_code, s.plan_version_id, s.state, s.started_at, s.ended_at, s.metadata, s.version, s.created_at, s.updated_at';
const subscriptionFrom =
  'subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id JOIN plans p ON p.id = v.plan_id';

/** The column that a customer is looked up in. */
const customerColumn = (idOrExternalId: string): string => lookUpColumn('cus', idOrExternalId, 'external_id');

/** A filter on a customer, by id or external id; one that is not there has nothing. */
export const customerFilter = (column: string): Filter => ({
  column,
  description: 'Id or external id of a customer.',
  test: (value, text) =>
    `${column} = (SELECT c.id FROM customers c WHERE c.organization_id = $1 AND c.${customerColumn(text)} = ${value})`,
});

export const customerList = defineList({
  name: 'customers',
  columns: customerColumns,
  from: 'customers',
  id: 'id',
  organization: 'organization_id',
  sorts: {
    created_at: { column: 'created_at', type: 'timestamptz' },
    external_id: { column: 'external_id', type: 'text' },
  },
  filters: { external_id: { column: 'external_id' } },
  times: { created_at: 'created_at' },
});

const subscriptionList = defineList({
  name: 'subscriptions',
  columns: subscriptionColumns,
  from: subscriptionFrom,
  countFrom: 'subscriptions s',
  id: 's.id',
  organization: 's.organization_id',
  sorts: {
    created_at: { column: 's.created_at', type: 'timestamptz' },
    started_at: { column: 's.started_at', type: 'timestamptz' },
  },
  filters: { customer_id: customerFilter('s.customer_id'), state: { column: 's.state', choices: ['active', 'ended'] } },
  times: { created_at: 's.created_at', started_at: 's.started_at' },
});

const placeOf = (organizationId: string, id: string): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: id,
  key: { kind: 'customer', customerId: id },
});

const toBytes = (personal: Personal): Buffer => Buffer.from(JSON.stringify(personal));

export const createAccountStore = (vault: Vault) => {
  const opened = async (db: Db, stored: readonly StoredCustomer[]): Promise<CustomerRow[]> => {
    const sealed = stored.flatMap(({ id, personal }) =>
      personal ? [{ place: placeOf(db.organizationId, id), sealed: personal }] : [],
    );
    const clear = (await vault.openMany(db, sealed)).values();
    return stored.map(({ name, personal, ...row }) => ({
      ...row,
      personal: personal ? (JSON.parse((clear.next().value as Buffer).toString()) as Personal) : { name: name ?? '' },
    }));
  };
  const one = async (db: Db, stored: StoredCustomer | undefined): Promise<CustomerRow | undefined> =>
    stored && (await opened(db, [stored]))[0];

  return {
    customerList,
    subscriptionList,
    /** Undefined where the external id is taken. */
    addCustomer: async (
      db: Db,
      customer: { externalId: string; personal: Personal; metadata: Record<string, string> },
      now: Date,
    ): Promise<CustomerRow | undefined> => {
      const id = newId('cus');
      const personal = await vault.seal(db, placeOf(db.organizationId, id), toBytes(customer.personal));
      const { rows } = await db.query<StoredCustomer>(
        `INSERT INTO customers (id, organization_id, external_id, personal, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, external_id) DO NOTHING RETURNING ${customerColumns}`,
        [id, db.organizationId, customer.externalId, personal, customer.metadata, now],
      );
      return one(db, rows[0]);
    },
    /** By id or external id; `lock` holds the row until the transaction ends. */
    customer: async (db: Db, idOrExternalId: string, lock?: 'lock'): Promise<CustomerRow | undefined> => {
      const { rows } = await db.query<StoredCustomer>(
        `SELECT ${customerColumns} FROM customers
         WHERE organization_id = $1 AND ${customerColumn(idOrExternalId)} = $2${lock ? ' FOR NO KEY UPDATE' : ''}`,
        [db.organizationId, idOrExternalId],
      );
      return one(db, rows[0]);
    },
    /** The id of a customer by its id or external id. */
    customerId: async (db: Db, idOrExternalId: string): Promise<string | undefined> => {
      const { rows } = await db.query<{ id: string }>(
        `SELECT id FROM customers WHERE organization_id = $1 AND ${customerColumn(idOrExternalId)} = $2`,
        [db.organizationId, idOrExternalId],
      );
      return rows[0]?.id;
    },
    /** Id and external id of a customer, by either, without opening what is sealed. */
    customerNames: async (db: Db, idOrExternalId: string): Promise<CustomerNames | undefined> => {
      const { rows } = await db.query<CustomerNames>(
        `SELECT id, external_id FROM customers WHERE organization_id = $1 AND ${customerColumn(idOrExternalId)} = $2`,
        [db.organizationId, idOrExternalId],
      );
      return rows[0];
    },
    changeCustomer: async (
      db: Db,
      id: string,
      { personal, metadata }: { personal: Personal; metadata: Record<string, string> },
      now: Date,
    ): Promise<CustomerRow> => {
      const sealed = await vault.seal(db, placeOf(db.organizationId, id), toBytes(personal));
      const { rows } = await db.query<StoredCustomer>(
        `UPDATE customers SET name = NULL, personal = $3, metadata = $4, version = version + 1, updated_at = $5
         WHERE organization_id = $1 AND id = $2 RETURNING ${customerColumns}`,
        [db.organizationId, id, sealed, metadata, now],
      );
      return (await opened(db, rows))[0] as CustomerRow;
    },
    customers: async (db: Db, page: ListPage) => {
      const { rows, ...rest } = await listRows<StoredCustomer>(db, customerList, db.organizationId, page);
      return { ...rest, rows: await opened(db, rows) };
    },
    /**
     * Undefined where the customer has an active subscription to the plan. The customer's row is locked, so of two at
     * once one wins.
     */
    addSubscription: async (db: Db, subscription: NewSubscription, now: Date): Promise<SubscriptionRow | undefined> => {
      await db.query('SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
        db.organizationId,
        subscription.customerId,
      ]);
      const active = await db.query(
        `SELECT 1 FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id WHERE s.customer_id = $1 AND v.plan_id = $2 AND s.state = 'active'`,
        [subscription.customerId, subscription.planId],
      );
      if (active.rowCount) return undefined;
      const id = newId('sub');
      await db.query(
        `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, state, started_at, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 'active', $5, $6, 1, $7, $7)`,
        [
          id,
          db.organizationId,
          subscription.customerId,
          subscription.planVersionId,
          subscription.startedAt,
          subscription.metadata,
          now,
        ],
      );
      return subscriptionOf(db, id);
    },
    subscription: (db: Db, id: string): Promise<SubscriptionRow | undefined> => subscriptionOf(db, id),
    /** The row as it is when it is locked. */
    lockSubscription: async (db: Db, id: string): Promise<SubscriptionRow | undefined> => {
      await db.query('SELECT 1 FROM subscriptions WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
        db.organizationId,
        id,
      ]);
      return subscriptionOf(db, id);
    },
    changeSubscription: async (
      db: Db,
      id: string,
      metadata: Record<string, string>,
      now: Date,
    ): Promise<SubscriptionRow | undefined> => {
      await db.query(
        'UPDATE subscriptions SET metadata = $3, version = version + 1, updated_at = $4 WHERE organization_id = $1 AND id = $2',
        [db.organizationId, id, metadata, now],
      );
      return subscriptionOf(db, id);
    },
    subscriptions: (db: Db, page: ListPage) => listRows<SubscriptionRow>(db, subscriptionList, db.organizationId, page),
  };
};

const subscriptionOf = async (
  db: Queryable & { organizationId: string },
  id: string,
): Promise<SubscriptionRow | undefined> => {
  const { rows } = await db.query<SubscriptionRow>(
    `SELECT ${subscriptionColumns} FROM ${subscriptionFrom} WHERE s.organization_id = $1 AND s.id = $2`,
    [db.organizationId, id],
  );
  return rows[0];
};

export type AccountStore = ReturnType<typeof createAccountStore>;
