/** Reads the audit log; writing is done where the change is. */
import { type AuditRow, auditColumns } from '#platform/audit/audit.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';

const auditList = defineList({
  name: 'audit-log',
  columns: auditColumns,
  from: 'audit_log',
  id: 'id',
  organization: 'organization_id',
  // Entries are made in the order of their sequence, which the primary key holds.
  sorts: { created_at: { column: 'sequence', type: 'bigint' } },
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
  entries: (db: Db, page: ListPage) => listRows<AuditRow>(db, auditList, db.organizationId, page),
};

export type AuditLog = typeof auditLog;
