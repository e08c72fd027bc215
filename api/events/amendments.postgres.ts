/**
 * Amendments: what was asked for, in the order of each key, and how far each has come on its way through the stream.
 */
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import { type AmendedJson, amendedEventsSql, payloadOf, placeOf } from '#schemas/amended-events.ts';
import type { AmendmentAction, EventPayload, EventPlace } from '#schemas/amendment.ts';
import { amendmentsChannel, keyDigest, replacementKey } from '#schemas/amendment.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';

export type Amendment = {
  readonly id: string;
  readonly idempotencyKey: string;
  readonly number: number;
  readonly action: AmendmentAction;
  readonly reason: string;
  readonly createdAt: Instant;
  /** From which sequence of the stream on it holds; null as long as it does not. */
  readonly streamSequence: bigint | null;
  readonly appliedAt: Instant | null;
  readonly removed: readonly EventPlace[];
  /** Null for `void`. */
  readonly added: (EventPlace & EventPayload) | null;
};

type AmendmentRow = {
  id: string;
  idempotency_key: string;
  number: number;
  action: AmendmentAction;
  reason: string;
  created_at: Date;
  stream_sequence: bigint | null;
  applied_at: Date | null;
  removed: readonly AmendedJson[];
  added: AmendedJson | null;
};

const fromRow = (row: AmendmentRow): Amendment => ({
  id: row.id,
  idempotencyKey: row.idempotency_key,
  number: row.number,
  action: row.action,
  reason: row.reason,
  createdAt: row.created_at.getTime(),
  streamSequence: row.stream_sequence,
  appliedAt: row.applied_at?.getTime() ?? null,
  removed: row.removed.map(placeOf),
  added: row.added && { ...placeOf(row.added), ...payloadOf(row.added) },
});

export type NewAmendment = {
  readonly idempotencyKey: string;
  readonly number: number;
  readonly action: AmendmentAction;
  readonly reason: string;
  readonly removed: readonly EventPlace[];
  readonly added: EventPayload | undefined;
};

const columns = `a.id, a.idempotency_key, a.number, a.action, a.reason, a.created_at, a.stream_sequence, a.applied_at,
  ${amendedEventsSql}`;

const amendmentList = defineList({
  name: 'amendments',
  columns,
  from: 'amendments a',
  id: 'a.id',
  organization: 'a.organization_id',
  sorts: { created_at: { column: 'a.created_at', type: 'timestamptz' } },
  filters: {
    idempotency_key: { column: 'a.idempotency_key' },
    action: { column: 'a.action', choices: ['void', 'replace'] },
    state: {
      column: 'a.stream_sequence',
      choices: ['pending', 'applied'],
      test: (value) => `(a.stream_sequence IS NULL) = (${value} = 'pending')`,
    },
  },
  times: { created_at: 'a.created_at' },
});

const insertAmendments = `INSERT INTO amendments
    (id, organization_id, idempotency_key, number, action, reason, created_at)
  SELECT id, $1, key, number, action, reason, $2
  FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::text[]) AS n (id, key, number, action, reason)`;
const insertEvents = `INSERT INTO amended_events
    (organization_id, amendment_id, effect, position, event, customer, occurred_at, row_digest, properties)
  SELECT $1, id, effect, position, event, customer, occurred_at, decode(digest, 'hex'), properties::json
  FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::text[])
    AS n (id, effect, position, event, customer, occurred_at, digest, properties)`;

type AmendedRow = EventPlace & {
  readonly id: string;
  readonly effect: string;
  readonly position: number;
  readonly properties: string | null;
};

const amendedRows = (
  organizationId: string,
  id: string,
  { idempotencyKey, removed, added }: NewAmendment,
): AmendedRow[] => [
  ...removed.map((place, position) => ({ ...place, id, effect: 'removed', position, properties: null })),
  ...(added
    ? [
        {
          ...added,
          id,
          effect: 'added',
          position: 0,
          properties: JSON.stringify(added.properties),
          digest: keyDigest(organizationId, replacementKey(idempotencyKey, id)),
        },
      ]
    : []),
];

export const amendmentStore = {
  amendmentList,
  amendments: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<AmendmentRow>(db, amendmentList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  amendment: async (db: Db, id: string): Promise<Amendment | undefined> => {
    const { rows } = await db.query<AmendmentRow>(
      `SELECT ${columns} FROM amendments a WHERE a.organization_id = $1 AND a.id = $2`,
      [db.organizationId, id],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** All of one key, in order. */
  amendmentsOf: async (db: Db, idempotencyKey: string): Promise<Amendment[]> => {
    const { rows } = await db.query<AmendmentRow>(
      `SELECT ${columns} FROM amendments a WHERE a.organization_id = $1 AND a.idempotency_key = $2 ORDER BY a.number`,
      [db.organizationId, idempotencyKey],
    );
    return rows.map(fromRow);
  },
  /**
   * The last amendment of each of the keys that has one. No other of the organization is added until the transaction
   * ends: amendments of one key follow each other. One lock for all keys, as a lock for each of a thousand would fill
   * the table of locks that all connections share; the audit log keeps an organization's changes in line anyway.
   */
  lockLast: async (db: Db, idempotencyKeys: readonly string[]): Promise<ReadonlyMap<string, Amendment>> => {
    await db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [`amendments ${db.organizationId}`]);
    const { rows } = await db.query<AmendmentRow>(
      `SELECT DISTINCT ON (a.idempotency_key) ${columns} FROM amendments a
       WHERE a.organization_id = $1 AND a.idempotency_key = ANY ($2)
       ORDER BY a.idempotency_key, a.number DESC`,
      [db.organizationId, idempotencyKeys],
    );
    return new Map(rows.map((row) => [row.idempotency_key, fromRow(row)]));
  },
  /** Adds them, in order, and wakes the relay once they are committed. */
  addAmendments: async (db: Db, amendments: readonly NewAmendment[], now: Date): Promise<Amendment[]> => {
    const ids = amendments.map(() => newId('amd'));
    await db.query(insertAmendments, [
      ...[
        db.organizationId,
        now,
        ids,
        amendments.map(({ idempotencyKey }) => idempotencyKey),
        amendments.map(({ number }) => number),
      ],
      ...[amendments.map(({ action }) => action), amendments.map(({ reason }) => reason)],
    ]);
    const events = amendments.flatMap((amendment, index) =>
      amendedRows(db.organizationId, ids[index] as string, amendment),
    );
    const column = <T>(of: (row: AmendedRow) => T): T[] => events.map(of);
    await db.query(insertEvents, [
      ...[
        db.organizationId,
        column(({ id }) => id),
        column(({ effect }) => effect),
        column(({ position }) => position),
      ],
      ...[
        column(({ event }) => event),
        column(({ customer }) => customer),
        column(({ occurredAtMs }) => new Date(occurredAtMs)),
      ],
      ...[column(({ digest }) => digest.toString('hex')), column(({ properties }) => properties)],
    ]);
    await notify(db, amendmentsChannel);
    const { rows } = await db.query<AmendmentRow>(
      `SELECT ${columns} FROM amendments a WHERE a.organization_id = $1 AND a.id = ANY ($2)
       ORDER BY array_position($2, a.id)`,
      [db.organizationId, ids],
    );
    return rows.map(fromRow);
  },
};

export type AmendmentStore = typeof amendmentStore;
