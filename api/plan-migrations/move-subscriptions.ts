/**
 * The use case of working on migrations of plans: a process takes one that nobody works on, looks at some subscriptions
 * of it, and lets others have it, so that many migrations go on side by side. The order of effects:
 *
 *   1. the lease, in the row of the migration
 *   2. for each subscription one transaction, under its lock: the change of its plan, or none; its outcome and the
 *      counts of the migration; and as its last step the entries of the audit log with the outbox
 *   3. the lease given back, with how far the subscriptions were looked at
 *   4. where none is left, one more look for those that came meanwhile, and the end of the migration with its entry
 *
 * A process may die anywhere: what is committed has its outcome, and what has an outcome is not looked at again.
 */
import type { DigestOf } from '#platform/audit/audit-entry.ts';
import type { RecordChange } from '#platform/audit/record-change.ts';
import type { OrganizationClock } from '#platform/process/clock.ts';
import type { OrganizationPostgres, Postgres } from '#platform/stores/postgres.ts';
import { isPassing } from '#platform/stores/retry.ts';
import { causeOf, deathsMax } from '#platform/work/lease-rules.ts';
import { hourOf, termsNow } from '#schemas/subscription-state.ts';
import type { Db } from '../route/define-route.ts';
import { type ApplyPorts, applyChange } from '../subscriptions/apply-change.ts';
import { changedNow } from '../subscriptions/change-instant.ts';
import type { PlanChangePorts } from '../subscriptions/change-subscription-plan.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import type { CandidateStore } from './candidates.postgres.ts';
import type { LeasedMigration, MigrationWork } from './migration-work.postgres.ts';
import { decideMove, type MoveResult, TargetGoneError } from './move-subscription.ts';

export type MovePorts = PlanChangePorts &
  ApplyPorts & {
    readonly subscriptions: Pick<SubscriptionStore, 'lockSubscription'>;
    readonly candidates: CandidateStore;
    readonly work: MigrationWork;
    readonly postgres: Pick<Postgres, 'query' | 'forOrganization'>;
    readonly recordChange: RecordChange;
    readonly digestOf: DigestOf;
    readonly organizationClock: OrganizationClock;
    readonly isLeaseLost: (error: unknown) => boolean;
    /** Each is called at its place; those that come before a commit are in the transaction. */
    readonly leased: () => void;
    readonly beforeCommit: () => void;
    readonly moved: (result: MoveResult) => void;
    readonly beforeEnd: () => void;
    readonly ended: (state: 'completed' | 'paused' | 'canceled') => void;
  };

/** As many subscriptions are looked at in one lease: under a second of work. */
const subscriptionsPerLease = 50;

/** Its change and its outcome, as the transaction has them. */
const moveOne = async (ports: MovePorts, db: Db, migration: LeasedMigration, id: string): Promise<MoveResult> => {
  const before = await ports.subscriptions.lockSubscription(db, id);
  if (!before) throw new Error(`the subscription ${id} is not there`);
  const hourOfAll = ports.organizationClock.nowMs(db.organizationId);
  const now = changedNow(before, hourOf(before, hourOfAll));
  const held = {
    subscriptionId: id,
    customerId: before.customerId,
    fromVersionId: termsNow(before, now).planVersionId,
  };
  const move = await decideMove(ports, db, before, migration, now);
  if (move.outcome === 'skipped') {
    const result = { ...held, outcome: move.outcome, reason: move.reason, detail: move.detail };
    await ports.work.recordOutcome(db, migration, result);
    return result;
  }
  const { after, change } = await applyChange(ports, db, before, 'plan_changed', move.decided, now);
  const known = new Set(before.changes.map((one) => one.id));
  const changeId = after.changes.find((one) => !known.has(one.id))?.id ?? '';
  const result = { ...held, outcome: move.outcome, made: { changeId, effectiveAt: move.effectiveAt } };
  await ports.work.recordOutcome(db, migration, result);
  const { before: digested, after: digestedAfter, ...of } = change;
  await ports.recordChange(
    db,
    { actor: migration.apiKeyId, requestId: migration.requestId, result: 'done' },
    [{ ...of, beforeDigest: ports.digestOf(digested), afterDigest: ports.digestOf(digestedAfter) }],
    hourOfAll,
  );
  return result;
};

/** What a fault that is no passing one leaves: the subscription is as it was, and is looked at no more. */
const failOne = async (ports: MovePorts, db: Db, migration: LeasedMigration, id: string, error: unknown) => {
  const subscription = await ports.subscriptions.subscription(db, id);
  const result: MoveResult = {
    subscriptionId: id,
    customerId: subscription?.customerId ?? '',
    fromVersionId: migration.fromVersionIds[0] ?? '',
    outcome: 'failed',
    detail: causeOf(error),
  };
  await ports.work.recordOutcome(db, migration, result);
  return result;
};

const moveInTransaction = async (
  ports: MovePorts,
  db: OrganizationPostgres,
  migration: LeasedMigration,
  id: string,
): Promise<void> => {
  const { organizationId } = db;
  const inTransaction = (work: (transaction: Db) => Promise<MoveResult>): Promise<MoveResult> =>
    db.transaction(async ({ query }) => {
      const result = await work({ query, organizationId });
      ports.beforeCommit();
      return result;
    });
  try {
    ports.moved(await inTransaction((transaction) => moveOne(ports, transaction, migration, id)));
  } catch (error) {
    if (isPassing(error) || error instanceof TargetGoneError || ports.isLeaseLost(error)) throw error;
    ports.moved(await inTransaction((transaction) => failOne(ports, transaction, migration, id, error)));
  }
};

/** Looks at the next subscriptions; resolves with whether there were any, or may be more. */
const moveSome = async (ports: MovePorts, db: OrganizationPostgres, migration: LeasedMigration): Promise<boolean> => {
  const { id, seenUntil: behind } = migration;
  const page = await ports.candidates.candidatesBehind(db, migration, behind, subscriptionsPerLease, id);
  const ids =
    page.seenUntil === undefined
      ? await ports.candidates.candidatesMissed(db, migration, subscriptionsPerLease, id)
      : page.ids;
  for (const one of ids) await moveInTransaction(ports, db, migration, one);
  if (ids.length === 0 && page.seenUntil === undefined) return false;
  await ports.work.giveBack(db, migration, page.seenUntil ?? behind);
  return true;
};

const settle = async (
  ports: MovePorts,
  db: OrganizationPostgres,
  migration: LeasedMigration,
  state: 'completed' | 'paused' | 'canceled',
  failure: string | null,
): Promise<void> => {
  const now = ports.organizationClock.nowMs(db.organizationId);
  if (await ports.work.settle(db, migration, state, failure, ports.recordChange, now, ports.beforeEnd))
    ports.ended(state);
};

const workOn = async (ports: MovePorts, db: OrganizationPostgres, migration: LeasedMigration): Promise<void> => {
  if (migration.attempt > deathsMax)
    return settle(
      ports,
      db,
      migration,
      'paused',
      `It was tried ${deathsMax} times in vain, or ended the process that worked on it.`,
    );
  try {
    if (!(await moveSome(ports, db, migration))) await settle(ports, db, migration, 'completed', null);
  } catch (error) {
    if (ports.isLeaseLost(error)) return;
    if (error instanceof TargetGoneError)
      return settle(ports, db, migration, 'canceled', 'The version that is moved to is not active any more.');
    await ports.work.rest(db, migration, error).catch(() => {});
    throw error;
  }
};

/** Works on the next migration that waits; resolves with whether there was one. */
export const moveSubscriptions = async (ports: MovePorts): Promise<boolean> => {
  for (const { organizationId, id } of await ports.work.waiting(ports.postgres)) {
    const db = ports.postgres.forOrganization(organizationId);
    const migration = await ports.work.lease(db, id);
    if (!migration) continue;
    ports.leased();
    await workOn(ports, db, migration);
    return true;
  }
  return false;
};
