/** The outbox of amendments: what is committed and does not hold yet, and how far each has come. */
import { recordChange } from '#platform/audit/record-change.ts';
import type { OrganizationPostgres, Queryable } from '#platform/stores/postgres.ts';
import { type AmendedJson, amendedEventsSql, payloadOf, placeOf } from '#schemas/amended-events.ts';
import type { OutgoingAmendment } from '#schemas/amendment.ts';

export type PendingAmendment = OutgoingAmendment & {
  /** The last sequence that the stream gave it, and when. */
  readonly publishedSequence: bigint | undefined;
  readonly publishedAtMs: number | undefined;
};

type PendingRow = {
  readonly id: string;
  readonly idempotency_key: string;
  readonly created_at: Date;
  readonly published_sequence: bigint | null;
  readonly published_at: Date | null;
  readonly removed: readonly AmendedJson[];
  readonly added: AmendedJson | null;
};

const pendingStatement = `SELECT a.id, a.idempotency_key, a.created_at, a.published_sequence, a.published_at,
    ${amendedEventsSql}
  FROM amendments a WHERE a.organization_id = $1 AND a.stream_sequence IS NULL
    AND NOT EXISTS (SELECT 1 FROM amendments b
      WHERE b.organization_id = $1 AND b.idempotency_key = a.idempotency_key
        AND b.number < a.number AND b.stream_sequence IS NULL)
  ORDER BY a.created_at, a.id LIMIT $2`;

const fromRow = (organizationId: string, row: PendingRow): PendingAmendment => ({
  id: row.id,
  organizationId,
  idempotencyKey: row.idempotency_key,
  createdAtMs: row.created_at.getTime(),
  removed: row.removed.map(placeOf),
  added: row.added ? payloadOf(row.added) : undefined,
  publishedSequence: row.published_sequence ?? undefined,
  publishedAtMs: row.published_at?.getTime(),
});

export const amendmentOutbox = {
  /** Whose amendments wait. */
  organizations: (postgres: Queryable) => async (): Promise<string[]> => {
    const { rows } = await postgres.query<{ organization_id: string }>(
      'SELECT organization_id FROM organizations_with_pending_amendments()',
    );
    return rows.map(({ organization_id: id }) => id);
  },
  /**
   * Those whose turn it is, oldest first: an amendment waits until the one before it holds, or for a moment both events
   * would stand.
   */
  pending: async (db: OrganizationPostgres, limit: number): Promise<PendingAmendment[]> => {
    const { rows } = await db.query<PendingRow>(pendingStatement, [db.organizationId, limit]);
    return rows.map((row) => fromRow(db.organizationId, row));
  },
  published: async (db: OrganizationPostgres, sequences: ReadonlyMap<string, bigint>, now: Date): Promise<void> => {
    await db.query(
      `UPDATE amendments a SET published_sequence = n.sequence, published_at = $2
       FROM unnest($3::text[], $4::bigint[]) AS n (id, sequence)
       WHERE a.organization_id = $1 AND a.id = n.id AND a.stream_sequence IS NULL`,
      [db.organizationId, now, [...sequences.keys()], [...sequences.values()]],
    );
  },
  /** With the entry of each in the audit log: from here on it does not change any more. */
  applied: (db: OrganizationPostgres, sequences: ReadonlyMap<string, bigint>, now: Date): Promise<void> =>
    db.transaction(async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `UPDATE amendments a SET stream_sequence = n.sequence, applied_at = $2
         FROM unnest($3::text[], $4::bigint[]) AS n (id, sequence)
       WHERE a.organization_id = $1 AND a.id = n.id AND a.stream_sequence IS NULL RETURNING a.id`,
        [db.organizationId, now, [...sequences.keys()], [...sequences.values()]],
      );
      const changes = rows.map(({ id }) => ({ action: 'amendment.applied', objectType: 'amendment', objectId: id }));
      await recordChange(
        { query: client.query, organizationId: db.organizationId },
        { actor: 'relay', requestId: undefined, result: 'done' },
        changes,
        now.getTime(),
      );
    }),
};

export type AmendmentOutbox = typeof amendmentOutbox;
