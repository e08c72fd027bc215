/** Customers: rows of PostgreSQL, whose personal fields are sealed, as customers. */
import { newId } from '#platform/process/ids.ts';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { Personal } from '#schemas/http/customers.ts';
import { lookUpColumn, splitNames } from '#schemas/names.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type Filter, type ListPage, nameFilter } from '../route/lists.ts';
import { headFromRow, type ResourceHead } from '../route/resource-fields.ts';

type StoredCustomer = {
  id: string;
  external_id: string;
  /** Only in rows from before personal fields were sealed. */
  name: string | null;
  personal: Buffer | null;
  currency: string | null;
  time_zone: string;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type Customer = ResourceHead & {
  readonly id: string;
  readonly externalId: string;
  readonly personal: Personal;
  /** What it pays in; null where that is a matter of each plan. */
  readonly currency: string | null;
  /** IANA. */
  readonly timeZone: string;
};

/** What of a customer changes. */
type CustomerContent = Pick<Customer, 'personal' | 'currency' | 'timeZone' | 'metadata'>;

/** Who subscribes. */
export type Payer = Pick<Customer, 'id' | 'currency' | 'timeZone'>;

/** What a customer may be called by. */
export type CustomerNames = { readonly id: string; readonly externalId: string };

const customerColumns =
  'id, external_id, name, personal, currency, time_zone, metadata, version, created_at, updated_at';

/** The column that a customer is looked up in. */
const customerColumn = (idOrExternalId: string): string => lookUpColumn('cus', idOrExternalId, 'external_id');

/** A filter on a customer. */
export const customerFilter = (column: string): Filter => nameFilter(column, 'cus', 'external_id', 'customers');

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

const placeOf = (organizationId: string, id: string): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: id,
  key: { kind: 'customer', customerId: id },
});

const toBytes = (personal: Personal): Buffer => Buffer.from(JSON.stringify(personal));

export const createCustomerStore = (vault: Vault) => {
  const opened = async (db: Db, stored: readonly StoredCustomer[]): Promise<Customer[]> => {
    const sealed = stored.flatMap(({ id, personal }) =>
      personal ? [{ place: placeOf(db.organizationId, id), sealed: personal }] : [],
    );
    const clear = (await vault.openMany(db, sealed)).values();
    return stored.map(({ id, external_id, name, personal, currency, time_zone, ...row }) => ({
      id,
      externalId: external_id,
      currency,
      timeZone: time_zone,
      ...headFromRow(row),
      personal: personal ? (JSON.parse((clear.next().value as Buffer).toString()) as Personal) : { name: name ?? '' },
    }));
  };
  const one = async (db: Db, stored: StoredCustomer | undefined): Promise<Customer | undefined> =>
    stored && (await opened(db, [stored]))[0];

  return {
    customerList,
    /** Undefined where the external id is taken. */
    addCustomer: async (
      db: Db,
      customer: CustomerContent & { readonly externalId: string },
      now: Date,
    ): Promise<Customer | undefined> => {
      const id = newId('cus');
      const personal = await vault.seal(db, placeOf(db.organizationId, id), toBytes(customer.personal));
      const { rows } = await db.query<StoredCustomer>(
        `INSERT INTO customers (id, organization_id, external_id, personal, currency, time_zone, metadata, version,
           created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT (organization_id, external_id) DO NOTHING
         RETURNING ${customerColumns}`,
        [
          id,
          db.organizationId,
          customer.externalId,
          personal,
          customer.currency,
          customer.timeZone,
          customer.metadata,
          now,
        ],
      );
      return one(db, rows[0]);
    },
    /** By id or external id; `lock` holds the row until the transaction ends. */
    customer: async (db: Db, idOrExternalId: string, lock?: 'lock'): Promise<Customer | undefined> => {
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
    /** The ids of customers by the names that they are called by; names of nobody are missing. */
    customerIds: async (db: Db, names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
      const { ids, externalIds } = splitNames(names);
      const { rows } = await db.query<{ name: string; id: string }>(
        `SELECT id AS name, id FROM customers WHERE organization_id = $1 AND id = ANY ($2)
         UNION ALL SELECT external_id, id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)`,
        [db.organizationId, ids, externalIds],
      );
      return new Map(rows.map(({ name, id }) => [name, id]));
    },
    /** By id or external id, without opening what is sealed. */
    payer: async (db: Db, idOrExternalId: string): Promise<Payer | undefined> => {
      const { rows } = await db.query<Payer>(
        `SELECT id, currency, time_zone AS "timeZone" FROM customers
         WHERE organization_id = $1 AND ${customerColumn(idOrExternalId)} = $2`,
        [db.organizationId, idOrExternalId],
      );
      return rows[0];
    },
    /** Id and external id of a customer, by either, without opening what is sealed. */
    customerNames: async (db: Db, idOrExternalId: string): Promise<CustomerNames | undefined> => {
      const { rows } = await db.query<{ id: string; external_id: string }>(
        `SELECT id, external_id FROM customers WHERE organization_id = $1 AND ${customerColumn(idOrExternalId)} = $2`,
        [db.organizationId, idOrExternalId],
      );
      return rows[0] && { id: rows[0].id, externalId: rows[0].external_id };
    },
    changeCustomer: async (
      db: Db,
      id: string,
      { personal, currency, timeZone, metadata }: CustomerContent,
      now: Date,
    ): Promise<Customer> => {
      const sealed = await vault.seal(db, placeOf(db.organizationId, id), toBytes(personal));
      const { rows } = await db.query<StoredCustomer>(
        `UPDATE customers SET name = NULL, personal = $3, metadata = $4, version = version + 1, updated_at = $5,
           currency = $6, time_zone = $7
         WHERE organization_id = $1 AND id = $2 RETURNING ${customerColumns}`,
        [db.organizationId, id, sealed, metadata, now, currency, timeZone],
      );
      return (await opened(db, rows))[0] as Customer;
    },
    customers: async (db: Db, page: ListPage) => {
      const { rows, ...rest } = await listRows<StoredCustomer>(db, customerList, db.organizationId, page);
      return { ...rest, rows: await opened(db, rows) };
    },
  };
};

export type CustomerStore = ReturnType<typeof createCustomerStore>;
