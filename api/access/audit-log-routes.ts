/** `/v1/audit-log`: read only. */

import type { ChainedEntry } from '#platform/audit/audit-entry.ts';
import { AuditEntry } from '#schemas/http/audit-log.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import type { AuditLog } from './audit-log.postgres.ts';

export type AuditLogPorts = {
  readonly auditLog: AuditLog;
};

export const entryJson = (entry: ChainedEntry) => ({
  id: entry.id,
  canonical_version: entry.canonicalVersion,
  lane: entry.lane,
  sequence: entry.sequence,
  occurred_at: formatInstant(entry.occurredAtMs),
  actor: entry.actor,
  action: entry.action,
  object_type: entry.objectType,
  object_id: entry.objectId,
  object_sequence: entry.objectSequence,
  before_digest: entry.beforeDigest ?? null,
  after_digest: entry.afterDigest ?? null,
  request_id: entry.requestId ?? null,
  result: entry.result,
  stored_digest: entry.storedDigest ?? null,
  previous_hash: entry.previousHash,
  hash: entry.hash,
});

export const auditLogRoutes = ({ list }: Routes, { auditLog }: AuditLogPorts): void => {
  list(
    {
      url: '/v1/audit-log',
      operation: 'listAuditLog',
      tag: 'Audit log',
      summary: 'List the changes of all objects, chained by hash',
      scope: 'read:audit-log',
      list: auditLog.auditList,
      answers: { 200: listSchema(AuditEntry) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await auditLog.entries(db, query), entryJson),
  );
};
