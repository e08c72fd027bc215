/**
 * Holds the objects against the audit log: a row that came or changed without an entry was written by nobody who may. An object's version counts its changes,
 * so it has as many entries. Rows from before there was an audit log have none and are left out.
 */
import type { Queryable } from '#platform/postgres.ts';
import type { FaultyRow } from './verify-chains.postgres.ts';

type Objects = {
  readonly table: string;
  readonly objectType: string;
  readonly created: string;
  /** Its version counts its entries. */
  readonly versioned: boolean;
  readonly createdAt: string;
};

const of = (table: string, objectType: string, versioned = true): Objects => ({
  ...{ table, objectType, versioned, created: `${objectType}.created`, createdAt: 'created_at' },
});

const objects: readonly Objects[] = [
  of('api_keys', 'api_key'),
  of('meters', 'meter'),
  of('plans', 'plan'),
  of('customers', 'customer'),
  of('subscriptions', 'subscription'),
  of('billing_runs', 'billing_run', false),
  of('amendments', 'amendment', false),
  { table: 'invoices', objectType: 'invoice', versioned: false, created: 'invoice.issued', createdAt: 'issued_at' },
];

// Entries are gathered once per kind: for each row of a large table a look of its own would take many times as long. $1 is the organization; keys of a
// sandbox are kept by keys of its live world too, and their entries stand there.
const statement = ({ table, objectType, created, versioned, createdAt }: Objects): string => {
  const digest = objectType === 'invoice' ? ', max(after_digest) AS digest' : '';
  const isAtOdds = [
    'e.created IS NOT TRUE',
    ...(versioned ? ['e.changes <> t.version'] : []),
    ...(objectType === 'invoice' ? ['e.digest IS DISTINCT FROM t.hash'] : []),
  ].join(' OR ');
  return `WITH entries AS (
      SELECT object_id, count(*) AS changes, bool_or(action = '${created}') AS created${digest} FROM audit_log
      WHERE organization_id IN (SELECT unnest(ARRAY[o.id, o.sandbox_of]) FROM organizations o WHERE o.id = $1) AND object_type = '${objectType}'
      GROUP BY object_id
    )
    SELECT t.id FROM ${table} t LEFT JOIN entries e ON e.object_id = t.id
    WHERE t.organization_id = $1 AND t.${createdAt} >= $2 AND (${isAtOdds}) ORDER BY t.id LIMIT 1`;
};

/** Since the first entry; where there is none, not one row may have come since there is a log. */
const selectSince = `SELECT coalesce(
    (SELECT occurred_at FROM audit_log WHERE organization_id = $1 ORDER BY sequence LIMIT 1),
    (SELECT applied_at FROM schema_migrations WHERE name = '0002_platform.sql')
  ) AS since`;

/** The first row of each kind whose entries do not account for it. */
export const verifyChanges = async (db: Queryable, organizationId: string): Promise<FaultyRow[]> => {
  const { rows } = await db.query<{ since: Date }>(selectSince, [organizationId]);
  const faults: FaultyRow[] = [];
  for (const kind of objects) {
    const found = await db.query<{ id: string }>(statement(kind), [organizationId, rows[0]?.since]);
    faults.push(...found.rows.map(({ id }) => ({ number: undefined, id, reason: 'change_without_entry' })));
  }
  return faults;
};
