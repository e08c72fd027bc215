/** What customers are called by, as rows of PostgreSQL: ids, external ids, and those that they had before. */
import {
  customerIdOf,
  customerNamed,
  externalIdsOf,
  lockNamesOf,
  selectIdsNamed,
} from '#platform/stores/customer-names.ts';
import { splitNames, usageNames } from '#schemas/names.ts';
import type { Db } from '../route/define-route.ts';

/** What a customer may be called by. */
export type CustomerNames = {
  readonly id: string;
  readonly externalId: string;
  /** Under which its events come, as `usageNames` has them. */
  readonly names: readonly string[];
};

/** The newest billing run, and whether one is under way. */
export type BillingNow = { readonly newest: string | null; readonly isRunning: boolean };

type NamesRow = { id: string; external_id: string; external_ids: string[] };
const namesFromRow = ({ id, external_id, external_ids }: NamesRow): CustomerNames => ({
  id,
  externalId: external_id,
  names: usageNames(id, external_ids),
});
/** With the names that there were up to a rename, where that is given. */
const namesColumns = (until: string): string => `c.id, c.external_id,
  ${externalIdsOf('c', `coalesce(${until}, 2147483647)`)} AS external_ids`;

/** A name, by whoever wrote it at the same moment. */
export const isTaken = (error: unknown): boolean => (error as { readonly code?: unknown } | null)?.code === '23505';

/** Of a customer that is there: its external ids, from the earliest on. */
export const externalIdsNow = async (db: Db, id: string): Promise<string[]> => {
  const { rows } = await db.query<{ external_ids: string[] }>(
    `SELECT ${externalIdsOf('c')} AS external_ids FROM customers c WHERE c.organization_id = $1 AND c.id = $2`,
    [db.organizationId, id],
  );
  return rows[0]?.external_ids ?? [];
};

/** Each name with the id of who is called by it; the parameters are `namedParameters`. */
export const selectNamed = `
SELECT id AS name, id FROM customers WHERE organization_id = $1 AND id = ANY ($2)
UNION ALL SELECT external_id, id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)
UNION ALL SELECT name, customer_id FROM customer_aliases WHERE organization_id = $1 AND name = ANY ($3)`;

export const namedParameters = ({ organizationId }: Db, names: readonly string[]): unknown[] => {
  const { ids, externalIds } = splitNames(names);
  return [organizationId, ids, externalIds];
};

export const customerNameStore = {
  /** The id of a customer by its id or external id. */
  customerId: async (db: Db, idOrExternalId: string): Promise<string | undefined> => {
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM customers c WHERE c.organization_id = $1 AND c.id = ${customerNamed(idOrExternalId, '$2')}`,
      [db.organizationId, idOrExternalId],
    );
    return rows[0]?.id;
  },
  /** The ids of customers by the names that they are called by; names of nobody are missing. */
  customerIds: async (db: Db, names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    const { rows } = await db.query<{ name: string; id: string }>(selectNamed, namedParameters(db, names));
    return new Map(rows.map(({ name, id }) => [name, id]));
  },
  /**
   * What a customer is called by, by any of its names, without opening what is sealed; given a number of renames, as
   * it was called after so many.
   */
  customerNames: async (db: Db, idOrExternalId: string, renames?: number): Promise<CustomerNames | undefined> => {
    const { rows } = await db.query<NamesRow>(
      `SELECT ${namesColumns('$3::integer')} FROM customers c
       WHERE c.organization_id = $1 AND c.id = ${customerNamed(idOrExternalId, '$2')}`,
      [db.organizationId, idOrExternalId, renames ?? null],
    );
    return rows[0] && namesFromRow(rows[0]);
  },
  /** Who is called by one of the names, each customer once; with the names that it had after so many renames. */
  customersNamed: async (db: Db, names: readonly string[], renames?: number): Promise<CustomerNames[]> => {
    const { rows } = await db.query<NamesRow>(
      `SELECT ${namesColumns('$4::integer')} FROM customers c WHERE c.organization_id = $1
         AND c.id IN (${selectIdsNamed})`,
      [...namedParameters(db, names), renames ?? null],
    );
    return rows.map(namesFromRow);
  },
  /** How often customers of the organization were renamed. */
  renames: async (db: Db): Promise<number> => {
    const { rows } = await db.query<{ renames: number }>(
      `SELECT coalesce(max(number), 0) AS renames FROM customer_aliases WHERE organization_id = $1 AND number > 0`,
      [db.organizationId],
    );
    return rows[0]?.renames ?? 0;
  },
  /** Customers that were renamed, by their ids, behind one of them. */
  renamedCustomers: async (db: Db, after: string, renames: number, limit: number): Promise<CustomerNames[]> => {
    const { rows } = await db.query<NamesRow>(
      `SELECT ${namesColumns('$3::integer')} FROM (
         SELECT DISTINCT a.customer_id FROM customer_aliases a
         WHERE a.organization_id = $1 AND a.customer_id > $2 ORDER BY a.customer_id LIMIT $4
       ) r JOIN customers c ON c.organization_id = $1 AND c.id = r.customer_id ORDER BY c.id`,
      [db.organizationId, after, renames, limit],
    );
    return rows.map(namesFromRow);
  },
  /** Whether usage of the customer is billed that occurred at the instant or later. */
  usageBilled: async (db: Db, id: string, from: Date): Promise<boolean> => {
    const { rows } = await db.query<{ is_billed: boolean }>(
      `SELECT EXISTS (
         SELECT 1 FROM subscriptions s JOIN billing_periods p ON p.organization_id = $1 AND p.subscription_id = s.id
         WHERE s.organization_id = $1 AND s.customer_id = $2 AND p.state = 'billed' AND p.timing = 'arrears'
           AND p.counted IS NOT TRUE AND p.span_end > $3) AS is_billed`,
      [db.organizationId, id, from],
    );
    return rows[0]?.is_billed ?? false;
  },
  /** Of a failed run, shards that had been cut before are rated and issued all the same. */
  billingNow: async (db: Db): Promise<BillingNow> => {
    const { rows } = await db.query<{ newest: string | null; is_running: boolean }>(
      `SELECT (SELECT r.id FROM billing_runs r WHERE r.organization_id = $1 AND r.kind = 'billing'
           ORDER BY r.created_at DESC, r.id DESC LIMIT 1) AS newest,
         EXISTS (SELECT 1 FROM billing_runs r WHERE r.organization_id = $1 AND r.kind = 'billing' AND (
           r.state IN ('queued', 'running') OR (r.state = 'failed' AND EXISTS (
             SELECT 1 FROM billing_run_shards s WHERE s.run_id = r.id AND s.state IN ('queued', 'rated'))))
         ) AS is_running`,
      [db.organizationId],
    );
    return { newest: rows[0]?.newest ?? null, isRunning: rows[0]?.is_running ?? false };
  },
  /** Until the transaction ends no other rename of the organization is made, and no run begins to bill. */
  lockNames: async (db: Db): Promise<void> => {
    await db.query(lockNamesOf('$1'), [db.organizationId]);
  },
  /**
   * Gives a customer another external id, and keeps the one that it has as an alias; resolves with whether the name
   * was free. The names are locked. Who makes a customer of that name at the same moment
   * does not, so the name may turn out to be taken when it is written; the transaction is of no more use then.
   */
  renameCustomer: async (db: Db, id: string, externalId: string, now: Date): Promise<boolean> => {
    const { rows } = await db.query<{ holder: string | null }>(`SELECT ${customerIdOf('$2')} AS holder`, [
      db.organizationId,
      externalId,
    ]);
    const holder = rows[0]?.holder ?? id;
    if (holder !== id) return false;
    try {
      await db.query('UPDATE customers SET external_id = $3, updated_at = $4 WHERE organization_id = $1 AND id = $2', [
        db.organizationId,
        id,
        externalId,
        now,
      ]);
    } catch (error) {
      if (isTaken(error)) return false;
      throw error;
    }
    return true;
  },
};
