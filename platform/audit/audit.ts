/** The rows of the audit log. They are written in one place, record-change.ts. */
import type { AuditEntry, ChainedEntry } from './audit-entry.ts';

export type Actor = Pick<AuditEntry, 'actor' | 'requestId' | 'result'>;

export type AuditRow = {
  organization_id: string;
  canonical_version: number;
  lane: number;
  sequence: bigint;
  id: string;
  occurred_at: Date;
  actor: string;
  action: string;
  object_type: string;
  object_id: string;
  object_sequence: bigint;
  before_digest: string | null;
  after_digest: string | null;
  request_id: string | null;
  result: string;
  stored_digest: string | null;
  previous_hash: string;
  hash: string;
};

export const auditColumns = `organization_id, canonical_version, lane, sequence, id, occurred_at, actor, action,
  object_type, object_id, object_sequence, before_digest, after_digest, request_id, result, stored_digest,
  previous_hash, hash`;

export const entryFromRow = (row: AuditRow): ChainedEntry => ({
  id: row.id,
  organizationId: row.organization_id,
  canonicalVersion: row.canonical_version,
  lane: row.lane,
  sequence: Number(row.sequence),
  occurredAtMs: row.occurred_at.getTime(),
  actor: row.actor,
  action: row.action,
  objectType: row.object_type,
  objectId: row.object_id,
  objectSequence: Number(row.object_sequence),
  beforeDigest: row.before_digest ?? undefined,
  afterDigest: row.after_digest ?? undefined,
  requestId: row.request_id ?? undefined,
  result: row.result,
  storedDigest: row.stored_digest ?? undefined,
  previousHash: row.previous_hash,
  hash: row.hash,
});
