/**
 * Migrations as they are worked on. The lease of one is in its row, and has a number: whoever lost it, to a process
 * that took its place or to a pause, finds so in the transaction of each subscription and rolls it back.
 */
import type { RecordChange } from '#platform/audit/record-change.ts';
import type { OrganizationPostgres, Postgres } from '#platform/stores/postgres.ts';
import { isPassing } from '#platform/stores/retry.ts';
import { causeOf } from '#platform/work/lease-rules.ts';
import type { Db } from '../route/define-route.ts';
import type { MoveResult } from './move-subscription.ts';
import { type PlanMigration, planMigrationStore } from './plan-migrations.postgres.ts';

/** One that is held. */
export type LeasedMigration = PlanMigration & {
  /** The number of the lease. */
  readonly lease: number;
  /** Which attempt it is since somebody gave it back, from 1. */
  readonly attempt: number;
  readonly seenUntil: string;
};

export type WaitingMigration = { readonly organizationId: string; readonly id: string };

/** Conditions by which a row is still of whoever holds it: `$2` is its id, `$3` the lease. */
const isHeld = "organization_id = $1 AND id = $2 AND leases = $3 AND state = 'running'";

const heldBy = (db: Db, { id, lease }: LeasedMigration): unknown[] => [db.organizationId, id, lease];

/** The migration was paused or canceled, or is worked on by another process. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

const insertOutcome = `INSERT INTO plan_migration_outcomes (organization_id, migration_id, subscription_id, customer_id,
    outcome, reason, detail, from_version_id, change_id, effective_at, created_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp()) ON CONFLICT DO NOTHING`;

const countOutcome = `UPDATE plan_migrations SET leased_until = clock_timestamp() + make_interval(secs => $4),
    moved = moved + ($5 = 'moved')::integer, scheduled = scheduled + ($5 = 'scheduled')::integer,
    failed = failed + ($5 = 'failed')::integer,
    skipped = CASE WHEN $6::text IS NULL THEN skipped
      ELSE skipped || jsonb_build_object($6, coalesce((skipped ->> $6)::integer, 0) + 1) END
  WHERE ${isHeld}`;

export const createMigrationWork = (leaseSeconds: number) => ({
  /** Those that nobody works on; first the one that waits longest. */
  waiting: async (postgres: Pick<Postgres, 'query'>): Promise<WaitingMigration[]> => {
    const { rows } = await postgres.query<{ organization_id: string; id: string }>(
      'SELECT organization_id, id FROM plan_migrations_waiting()',
      [],
    );
    return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }));
  },
  /** Undefined where somebody else was faster, or it was paused. */
  lease: async (db: OrganizationPostgres, id: string): Promise<LeasedMigration | undefined> => {
    const { rows } = await db.query<{ leases: number; attempts: number; seen_until: string }>(
      `UPDATE plan_migrations SET leased_until = clock_timestamp() + make_interval(secs => $3), leases = leases + 1,
         attempts = attempts + 1,
         state = 'running', started_at = coalesce(started_at, clock_timestamp()),
         running_since = coalesce(running_since, clock_timestamp()),
         done_before = CASE WHEN running_since IS NULL THEN moved + scheduled + failed + coalesce(
           (SELECT sum(k.value::integer) FROM jsonb_each_text(skipped) AS k), 0) ELSE done_before END
       WHERE organization_id = $1 AND id = $2 AND state IN ('queued', 'running')
         AND (leased_until IS NULL OR leased_until < clock_timestamp())
       RETURNING leases, attempts, seen_until`,
      [db.organizationId, id, leaseSeconds],
    );
    const [row] = rows;
    const migration = row && (await planMigrationStore.migration(db, id));
    return migration && { ...migration, lease: row.leases, attempt: row.attempts, seenUntil: row.seen_until };
  },
  /**
   * In the transaction of the change: its outcome, once, and its place in the counts. Throws where the lease is lost.
   */
  recordOutcome: async (db: Db, migration: LeasedMigration, result: MoveResult): Promise<void> => {
    const { subscriptionId, customerId, outcome, reason = null, detail = null, fromVersionId, made } = result;
    const effectiveAt = made ? new Date(made.effectiveAt) : null;
    const inserted = await db.query(insertOutcome, [
      db.organizationId,
      migration.id,
      subscriptionId,
      customerId,
      outcome,
      reason,
      detail,
      fromVersionId,
      made?.changeId ?? null,
      effectiveAt,
    ]);
    const counted = await db.query(countOutcome, [...heldBy(db, migration), leaseSeconds, outcome, reason]);
    if (!inserted.rowCount || !counted.rowCount) throw new LeaseLostError(`the migration ${migration.id} is not held`);
  },
  /** Lets others have it: those up to a subscription were looked at. It has all its attempts before it. */
  giveBack: async (db: OrganizationPostgres, migration: LeasedMigration, seenUntil: string): Promise<void> => {
    await db.query(
      `UPDATE plan_migrations SET leased_until = clock_timestamp(), attempts = 0, seen_until = $4, failure = NULL
       WHERE ${isHeld}`,
      [...heldBy(db, migration), seenUntil],
    );
  },
  /** After a fault it rests. A part that is down costs no attempt: it is nobody's bug. */
  rest: async (db: OrganizationPostgres, migration: LeasedMigration, error: unknown): Promise<void> => {
    await db.query(
      `UPDATE plan_migrations SET leased_until = clock_timestamp() + interval '2 seconds', failure = $4,
         attempts = attempts - $5::integer WHERE ${isHeld}`,
      [...heldBy(db, migration), causeOf(error), isPassing(error) ? 1 : 0],
    );
  },
  /** Its end, or where it stopped by itself, with the entry; false where the lease was lost. */
  settle: (
    db: OrganizationPostgres,
    migration: LeasedMigration,
    state: 'completed' | 'paused' | 'canceled',
    failure: string | null,
    recordChange: RecordChange,
    nowMs: number,
    beforeCommit: () => void,
  ): Promise<boolean> =>
    db.transaction(async ({ query }) => {
      const { rowCount } = await query(
        `UPDATE plan_migrations SET state = $4, failure = $5, leased_until = NULL, attempts = 0,
           ended_at = CASE WHEN $4 <> 'paused' THEN clock_timestamp() END,
           running_since = CASE WHEN $4 <> 'paused' THEN running_since END,
           version = version + 1, updated_at = greatest(updated_at, $6)
         WHERE ${isHeld}`,
        [...heldBy(db, migration), state, failure, new Date(nowMs)],
      );
      if (!rowCount) return false;
      await recordChange(
        { query, organizationId: db.organizationId },
        { actor: 'api', requestId: migration.requestId, result: 'done' },
        [{ action: `plan_migration.${state}`, objectType: 'plan_migration', objectId: migration.id }],
        nowMs,
      );
      beforeCommit();
      return true;
    }),
});

export type MigrationWork = ReturnType<typeof createMigrationWork>;
