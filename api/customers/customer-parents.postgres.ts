/** Parents and children of customers, as rows of PostgreSQL. */
import { customerNamed } from '#platform/stores/customer-names.ts';
import { customerLevelsMax as levelsMax } from '#schemas/http/customers.ts';
import type { Db } from '../route/define-route.ts';

/** A customer that others may belong to, with those above it. */
export type Parent = {
  readonly id: string;
  readonly currency: string | null;
  readonly isArchived: boolean;
  readonly testClockId: string | null;
  /** Itself and all above it; one more than is allowed is enough to know. */
  readonly line: readonly string[];
};

type ParentRow = { id: string; currency: string | null; archived_at: Date | null; test_clock_id: string | null };

export const parentStore = {
  /**
   * Until the end of the transaction nobody else of the organization puts a customer under another, or does what is
   * held against that. Asked for in a statement of its own: those after it see what the holder before committed.
   */
  lockParents: async (db: Db): Promise<void> => {
    await db.query("SELECT pg_advisory_xact_lock(hashtextextended('parents of customers ' || $1, 0))", [
      db.organizationId,
    ]);
  },
  /** By id or external id. */
  parent: async (db: Db, name: string): Promise<Parent | undefined> => {
    const { rows } = await db.query<ParentRow>(
      `WITH RECURSIVE line AS (
         SELECT c.id, c.currency, c.archived_at, c.test_clock_id, c.parent_id, 1 AS level FROM customers c
         WHERE c.organization_id = $1 AND c.id = ${customerNamed(name, '$2')}
         UNION ALL
         SELECT c.id, c.currency, c.archived_at, c.test_clock_id, c.parent_id, l.level + 1 FROM line l
         JOIN customers c ON c.organization_id = $1 AND c.id = l.parent_id
         WHERE l.level <= $3
       )
       SELECT id, currency, archived_at, test_clock_id FROM line ORDER BY level`,
      [db.organizationId, name, levelsMax],
    );
    const [first] = rows;
    return (
      first && {
        id: first.id,
        currency: first.currency,
        isArchived: first.archived_at !== null,
        testClockId: first.test_clock_id,
        line: rows.map(({ id }) => id),
      }
    );
  },
  /** How many levels there are below a customer: 0 where it has no children. */
  levelsBelow: async (db: Db, id: string): Promise<number> => {
    const { rows } = await db.query<{ levels: number }>(
      `WITH RECURSIVE below AS (
         SELECT $2::text AS id, 0 AS level
         UNION ALL
         SELECT c.id, b.level + 1 FROM below b JOIN customers c ON c.organization_id = $1 AND c.parent_id = b.id
         WHERE b.level < $3
       )
       SELECT max(level) AS levels FROM below`,
      [db.organizationId, id, levelsMax],
    );
    return rows[0]?.levels ?? 0;
  },
  /** A currency of its children that is another one. */
  otherCurrencyBelow: async (db: Db, id: string, currency: string): Promise<string | undefined> => {
    const { rows } = await db.query<{ currency: string }>(
      'SELECT currency FROM customers WHERE organization_id = $1 AND parent_id = $2 AND currency <> $3 LIMIT 1',
      [db.organizationId, id, currency],
    );
    return rows[0]?.currency;
  },
  /** Whether it belongs to another one, or another one to it. */
  hasRelatives: async (db: Db, id: string): Promise<boolean> => {
    const { rowCount } = await db.query(
      `SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 AND parent_id IS NOT NULL
       UNION ALL (SELECT 1 FROM customers WHERE organization_id = $1 AND parent_id = $2 LIMIT 1)`,
      [db.organizationId, id],
    );
    return Boolean(rowCount);
  },
  /** The test clock that a customer lives by. */
  testClockOf: async (db: Db, id: string): Promise<string | null> => {
    const { rows } = await db.query<{ test_clock_id: string | null }>(
      'SELECT test_clock_id FROM customers WHERE organization_id = $1 AND id = $2',
      [db.organizationId, id],
    );
    return rows[0]?.test_clock_id ?? null;
  },
  /** Whether it has a child that is not archived. */
  hasCurrentChild: async (db: Db, id: string): Promise<boolean> => {
    const { rowCount } = await db.query(
      'SELECT 1 FROM customers WHERE organization_id = $1 AND parent_id = $2 AND archived_at IS NULL LIMIT 1',
      [db.organizationId, id],
    );
    return rowCount === 1;
  },
};

export type ParentStore = typeof parentStore;
