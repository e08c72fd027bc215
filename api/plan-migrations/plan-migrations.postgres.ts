/** Migrations of plans as they are asked for and read, and what became of each subscription. */
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Instant } from '#schemas/period.ts';
import {
  type MoveOutcome,
  moveOutcomes,
  type PlanMigrationInstant,
  type PlanMigrationState,
  planMigrationChannel,
  planMigrationStates,
  type SkipReason,
  skipReasons,
} from '#schemas/plan-migration.ts';
import type { ChangeBilling } from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';

export type PlanMigration = {
  readonly id: string;
  readonly planId: string;
  readonly planCode: string;
  /** Null is every version but the one that is moved to. */
  readonly fromVersion: number | null;
  readonly fromVersionIds: readonly string[];
  readonly toPlanId: string;
  readonly toPlanCode: string;
  readonly toVersion: number;
  readonly toVersionId: string;
  readonly at: PlanMigrationInstant;
  readonly bills: ChangeBilling;
  /** Null is everyone's. */
  readonly customerIds: readonly string[] | null;
  readonly currency: string | null;
  /** Nobody is moved before; null is at once. */
  readonly startsAt: Instant | null;
  readonly state: PlanMigrationState;
  readonly total: number;
  readonly moved: number;
  readonly scheduled: number;
  readonly failed: number;
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
  /** Since it goes on without a pause. */
  readonly runningMs: number | null;
  /** How many were done by then. */
  readonly doneBefore: number;
  readonly startedAt: Instant | null;
  readonly endedAt: Instant | null;
  readonly failure: string | null;
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
  readonly requestId: string;
  readonly apiKeyId: string;
};

export type PlanMigrationRow = {
  id: string;
  plan_id: string;
  plan_code: string;
  from_version: number | null;
  from_version_ids: string[];
  to_plan_id: string;
  to_plan_code: string;
  to_version: number;
  to_version_id: string;
  at: PlanMigrationInstant;
  bills: ChangeBilling;
  customer_ids: string[] | null;
  currency: string | null;
  starts_at: Date | null;
  state: PlanMigrationState;
  total: number;
  moved: number;
  scheduled: number;
  failed: number;
  skipped: Partial<Record<SkipReason, number>>;
  running_ms: number | null;
  done_before: number;
  started_at: Date | null;
  ended_at: Date | null;
  failure: string | null;
  version: number;
  created_at: Date;
  updated_at: Date;
  request_id: string;
  api_key_id: string;
};

export const fromRow = (row: PlanMigrationRow): PlanMigration => ({
  id: row.id,
  planId: row.plan_id,
  planCode: row.plan_code,
  fromVersion: row.from_version,
  fromVersionIds: row.from_version_ids,
  toPlanId: row.to_plan_id,
  toPlanCode: row.to_plan_code,
  toVersion: row.to_version,
  toVersionId: row.to_version_id,
  at: row.at,
  bills: row.bills,
  customerIds: row.customer_ids,
  currency: row.currency,
  startsAt: row.starts_at?.getTime() ?? null,
  state: row.state,
  total: row.total,
  moved: row.moved,
  scheduled: row.scheduled,
  failed: row.failed,
  skipped: row.skipped,
  runningMs: row.running_ms,
  doneBefore: row.done_before,
  startedAt: row.started_at?.getTime() ?? null,
  endedAt: row.ended_at?.getTime() ?? null,
  failure: row.failure,
  version: row.version,
  createdAt: row.created_at.getTime(),
  updatedAt: row.updated_at.getTime(),
  requestId: row.request_id,
  apiKeyId: row.api_key_id,
});

const columns = `m.id, m.plan_id, p.code AS plan_code, m.from_version, m.from_version_ids, m.to_plan_id,
  tp.code AS to_plan_code, tv.version_number AS to_version, m.to_version_id, m.at, m.bills, m.customer_ids, m.currency,
  m.starts_at, m.state, m.total, m.moved, m.scheduled, m.failed, m.skipped,
  extract(epoch FROM coalesce(m.ended_at, clock_timestamp()) - m.running_since)::double precision * 1000 AS running_ms,
  m.done_before, m.started_at, m.ended_at, CASE WHEN m.state IN ('paused', 'canceled') THEN m.failure END AS failure,
  m.version, m.created_at, m.updated_at, m.request_id, m.api_key_id`;
const from = `plan_migrations m JOIN plans p ON p.id = m.plan_id JOIN plans tp ON tp.id = m.to_plan_id
  JOIN plan_versions tv ON tv.id = m.to_version_id`;

const migrationList = defineList({
  name: 'plan-migrations',
  columns,
  from,
  countFrom: 'plan_migrations m',
  id: 'm.id',
  organization: 'm.organization_id',
  sorts: { created_at: { column: 'm.created_at', type: 'timestamptz' } },
  filters: { state: { column: 'm.state', choices: planMigrationStates } },
  times: { created_at: 'm.created_at' },
});

/** What became of one subscription. */
export type MovedSubscription = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly outcome: MoveOutcome;
  readonly reason: SkipReason | null;
  readonly detail: string | null;
  readonly fromVersionId: string;
  readonly changeId: string | null;
  readonly effectiveAt: Instant | null;
  readonly createdAt: Instant;
};

type OutcomeRow = {
  subscription_id: string;
  customer_id: string;
  outcome: MoveOutcome;
  reason: SkipReason | null;
  detail: string | null;
  from_version_id: string;
  change_id: string | null;
  effective_at: Date | null;
  created_at: Date;
};

const outcomeFromRow = (row: OutcomeRow): MovedSubscription => ({
  subscriptionId: row.subscription_id,
  customerId: row.customer_id,
  outcome: row.outcome,
  reason: row.reason,
  detail: row.detail,
  fromVersionId: row.from_version_id,
  changeId: row.change_id,
  effectiveAt: row.effective_at?.getTime() ?? null,
  createdAt: row.created_at.getTime(),
});

const outcomeList = defineList({
  name: 'plan-migration-outcomes',
  columns: `o.subscription_id, o.customer_id, o.outcome, o.reason, o.detail, o.from_version_id, o.change_id,
    o.effective_at, o.created_at`,
  from: 'plan_migration_outcomes o',
  id: 'o.subscription_id',
  organization: 'o.organization_id',
  sorts: { created_at: { column: 'o.created_at', type: 'timestamptz' } },
  defaultSort: 'created_at',
  filters: {
    outcome: { column: 'o.outcome', choices: moveOutcomes },
    reason: { column: 'o.reason', choices: skipReasons },
    customer_id: customerFilter('o.customer_id'),
  },
});

export type NewPlanMigration = Pick<
  PlanMigration,
  | 'planId'
  | 'fromVersion'
  | 'fromVersionIds'
  | 'toPlanId'
  | 'toVersionId'
  | 'at'
  | 'bills'
  | 'customerIds'
  | 'currency'
  | 'startsAt'
  | 'total'
  | 'requestId'
  | 'apiKeyId'
>;

const migrationOf = async (db: Db, id: string): Promise<PlanMigration | undefined> => {
  const { rows } = await db.query<PlanMigrationRow>(
    `SELECT ${columns} FROM ${from} WHERE m.organization_id = $1 AND m.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && fromRow(rows[0]);
};

export const planMigrationStore = {
  migrationList,
  outcomeList,
  migration: migrationOf,
  /** As it is when its row is locked. */
  lockMigration: async (db: Db, id: string): Promise<PlanMigration | undefined> => {
    await db.query('SELECT 1 FROM plan_migrations WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      db.organizationId,
      id,
    ]);
    return migrationOf(db, id);
  },
  migrationState: async (db: Db, id: string): Promise<PlanMigrationState | undefined> => {
    const { rows } = await db.query<{ state: PlanMigrationState }>(
      'SELECT state FROM plan_migrations WHERE organization_id = $1 AND id = $2',
      [db.organizationId, id],
    );
    return rows[0]?.state;
  },
  /** The one of the plan that is under way. */
  openMigration: async (db: Db, planId: string): Promise<string | undefined> => {
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM plan_migrations
       WHERE organization_id = $1 AND plan_id = $2 AND state IN ('queued', 'running', 'paused')`,
      [db.organizationId, planId],
    );
    return rows[0]?.id;
  },
  /** Undefined where one of the plan is under way, whoever asks at the same moment. */
  addMigration: async (db: Db, migration: NewPlanMigration, now: Date): Promise<PlanMigration | undefined> => {
    const id = newId('pmg');
    const { rowCount } = await db.query(
      `INSERT INTO plan_migrations (id, organization_id, plan_id, from_version, from_version_ids, to_plan_id,
         to_version_id, at, bills, customer_ids, currency, starts_at, leased_until, state, total, version, created_at,
         updated_at, request_id, api_key_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $16, $16, 'queued', $12, 1, $13, $13, $14, $15)
       ON CONFLICT (organization_id, plan_id) WHERE state IN ('queued', 'running', 'paused') DO NOTHING`,
      [
        id,
        db.organizationId,
        migration.planId,
        migration.fromVersion,
        migration.fromVersionIds,
        migration.toPlanId,
        migration.toVersionId,
        migration.at,
        migration.bills,
        migration.customerIds,
        migration.currency,
        migration.total,
        now,
        migration.requestId,
        migration.apiKeyId,
        migration.startsAt === null ? null : new Date(migration.startsAt),
      ],
    );
    if (!rowCount) return undefined;
    await notify(db, planMigrationChannel);
    return migrationOf(db, id);
  },
  /** Of one that is locked. Whoever works on it has lost its lease: what it has begun is rolled back. */
  changeState: async (
    db: Db,
    id: string,
    state: 'queued' | 'paused' | 'canceled',
    now: Date,
  ): Promise<PlanMigration | undefined> => {
    await db.query(
      `UPDATE plan_migrations SET state = $3, ended_at = CASE WHEN $3 = 'canceled' THEN $4::timestamptz END,
         failure = NULL, leased_until = starts_at, attempts = 0, running_since = CASE WHEN $3 = 'canceled' THEN running_since END,
         version = version + 1, updated_at = greatest(updated_at, $4)
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, state, now],
    );
    if (state === 'queued') await notify(db, planMigrationChannel);
    return migrationOf(db, id);
  },
  migrations: async (db: Db, planId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<PlanMigrationRow>(db, migrationList, db.organizationId, page, {
      'm.plan_id': planId,
    });
    return { ...rest, rows: rows.map(fromRow) };
  },
  outcomes: async (db: Db, migrationId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<OutcomeRow>(db, outcomeList, db.organizationId, page, {
      'o.migration_id': migrationId,
    });
    return { ...rest, rows: rows.map(outcomeFromRow) };
  },
};

export type PlanMigrationStore = typeof planMigrationStore;
