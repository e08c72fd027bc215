/** Reads the audit log; writing is done where the change is. */
import { type AuditRow, auditColumns, entryFromRow } from '#platform/audit/audit.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';

const auditList = defineList({
  // Not `audit-log` any more: cursors from before name a sequence, and begin anew.
  name: 'audit-log-by-time',
  columns: auditColumns,
  from: 'audit_log',
  id: 'id',
  organization: 'organization_id',
  // Sequences count in a lane, and lanes have no order between them. What is committed while somebody turns pages may
  // come to stand on a page that was read; nothing that was there moves.
  sorts: { created_at: { column: 'occurred_at', type: 'timestamptz' } },
  filters: {
    object_type: { column: 'object_type' },
    object_id: { column: 'object_id' },
    action: { column: 'action' },
    actor: { column: 'actor' },
    request_id: { column: 'request_id' },
  },
  times: { created_at: 'occurred_at' },
});

export const auditLog = {
  auditList,
  entries: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<AuditRow>(db, auditList, db.organizationId, page);
    return { ...rest, rows: rows.map(entryFromRow) };
  },
};

export type AuditLog = typeof auditLog;
