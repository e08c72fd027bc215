/**
 * Writes and reads the audit log. An entry is written in the transaction of its change, as its last step: the lock of
 * the chain is held briefly.
 */

import { newId } from '../process/ids.ts';
import type { Queryable } from '../stores/postgres.ts';
import { type AuditEntry, auditGenesisHash, auditHash, type ChainedEntry, type Change } from './audit-entry.ts';
import { readStoredDigests } from './stored-digest.ts';

export type Actor = Pick<AuditEntry, 'actor' | 'requestId' | 'result'>;

export type AuditRow = {
  organization_id: string;
  sequence: bigint;
  id: string;
  occurred_at: Date;
  actor: string;
  action: string;
  object_type: string;
  object_id: string;
  before_digest: string | null;
  after_digest: string | null;
  request_id: string | null;
  result: string;
  stored_digest: string | null;
  previous_hash: string;
  hash: string;
};

export const auditColumns =
  'organization_id, sequence, id, occurred_at, actor, action, object_type, object_id, before_digest, after_digest, request_id, result, stored_digest, previous_hash, hash';

export const entryFromRow = (row: AuditRow): ChainedEntry => ({
  id: row.id,
  organizationId: row.organization_id,
  sequence: Number(row.sequence),
  occurredAtMs: row.occurred_at.getTime(),
  actor: row.actor,
  action: row.action,
  objectType: row.object_type,
  objectId: row.object_id,
  beforeDigest: row.before_digest ?? undefined,
  afterDigest: row.after_digest ?? undefined,
  requestId: row.request_id ?? undefined,
  result: row.result,
  storedDigest: row.stored_digest ?? undefined,
  previousHash: row.previous_hash,
  hash: row.hash,
});

const lockHead = async (client: Queryable, organizationId: string): Promise<{ sequence: number; hash: string }> => {
  const { rows } = await client.query<{ last_sequence: bigint; head_hash: string }>(
    `INSERT INTO audit_heads (organization_id, last_sequence, head_hash) VALUES ($1, 0, $2)
     ON CONFLICT (organization_id) DO UPDATE SET last_sequence = audit_heads.last_sequence RETURNING last_sequence, head_hash`,
    [organizationId, auditGenesisHash],
  );
  return { sequence: Number(rows[0]?.last_sequence ?? 0n), hash: rows[0]?.head_hash ?? auditGenesisHash };
};

/** By type and id. Read before the lock of the chain is taken, which others wait for. */
const storedDigestsOf = async (
  client: Queryable,
  changes: readonly Change[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> => {
  const types = Map.groupBy(changes, ({ objectType }) => objectType);
  const digests = new Map<string, ReadonlyMap<string, string>>();
  for (const [type, some] of types)
    digests.set(type, await readStoredDigests(client, type, [...new Set(some.map(({ objectId }) => objectId))]));
  return digests;
};

/**
 * Appends one entry per change, in order, within the caller's transaction, which holds the rows of these objects
 * locked: each entry has the digest of what is stored.
 */
export const appendAudit = async (
  client: Queryable,
  organizationId: string,
  { actor, requestId, result }: Actor,
  changes: readonly Change[],
  nowMs: number,
): Promise<void> => {
  if (changes.length === 0) return;
  const digests = await storedDigestsOf(client, changes);
  let head = await lockHead(client, organizationId);
  const entries = changes.map((change): ChainedEntry => {
    const entry = {
      ...change,
      id: newId('aud'),
      organizationId,
      sequence: head.sequence + 1,
      occurredAtMs: nowMs,
      actor,
      requestId,
      result,
      storedDigest: digests.get(change.objectType)?.get(change.objectId),
    };
    const chained = { ...entry, previousHash: head.hash, hash: auditHash(head.hash, entry) };
    head = chained;
    return chained;
  });
  const column = <T>(of: (entry: ChainedEntry) => T): T[] => entries.map(of);
  await client.query(
    `WITH written AS (
       INSERT INTO audit_log (${auditColumns})
       SELECT $1, e.sequence, e.id, $2, $3, e.action, e.object_type, e.object_id, e.before_digest, e.after_digest, $4, $5, e.stored_digest, e.previous_hash, e.hash
       FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
         AS e (sequence, id, action, object_type, object_id, before_digest, after_digest, stored_digest, previous_hash, hash)
     )
     UPDATE audit_heads SET last_sequence = $16, head_hash = $17 WHERE organization_id = $1`,
    [
      organizationId,
      new Date(nowMs),
      actor,
      requestId ?? null,
      result,
      column(({ sequence }) => sequence),
      column(({ id }) => id),
      column(({ action }) => action),
      column(({ objectType }) => objectType),
      column(({ objectId }) => objectId),
      column(({ beforeDigest }) => beforeDigest ?? null),
      column(({ afterDigest }) => afterDigest ?? null),
      column(({ storedDigest }) => storedDigest ?? null),
      column(({ previousHash }) => previousHash),
      column(({ hash }) => hash),
      head.sequence,
      head.hash,
    ],
  );
};
