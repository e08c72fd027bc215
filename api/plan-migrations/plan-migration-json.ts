/** Migrations of plans, their outcomes and their previews as callers see them. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import { skipReasons } from '#schemas/plan-migration.ts';
import type { Plan } from '../catalog/catalog.postgres.ts';
import type { MovedSubscription, PlanMigration } from './plan-migrations.postgres.ts';
import type { MigrationPreview } from './preview-migration.ts';

const timeToJson = (instant: number | null): string | null => (instant === null ? null : formatInstant(instant));

/** For a progress bar: to the thousandth is enough, and a share of 1 is said of what is done alone. */
const thousandths = (value: number): number => Math.floor(value * 1000) / 1000;

const skippedToJson = ({ skipped }: Pick<PlanMigration, 'skipped'>) =>
  skipReasons.flatMap((reason) => {
    const count = skipped[reason] ?? 0;
    return count > 0 ? [{ reason, count }] : [];
  });

export const progressOf = (
  migration: Pick<
    PlanMigration,
    'state' | 'total' | 'moved' | 'scheduled' | 'failed' | 'skipped' | 'doneBefore' | 'runningMs'
  >,
) => {
  const { state, moved, scheduled, failed, doneBefore, runningMs } = migration;
  const done = moved + scheduled + failed + skippedToJson(migration).reduce((sum, { count }) => sum + count, 0);
  const isEnded = state === 'completed' || state === 'canceled';
  const total = state === 'completed' ? done : Math.max(migration.total, done);
  const since = done - doneBefore;
  const perSecond = runningMs !== null && runningMs > 0 && since > 0 ? since / (runningMs / 1000) : null;
  const left = perSecond === null || state === 'paused' ? null : thousandths((total - done) / perSecond);
  return {
    done,
    total,
    share: total === 0 ? (isEnded ? 1 : 0) : thousandths(done / total),
    subscriptions_per_second: perSecond === null ? null : thousandths(perSecond),
    remaining_seconds: isEnded ? 0 : left,
  };
};

/** What was asked for, and does not change. */
const askedToJson = (
  migration: Pick<PlanMigration, 'fromVersion' | 'at' | 'bills' | 'customerIds' | 'currency' | 'startsAt'>,
) => ({
  from_version: migration.fromVersion,
  starts_at: timeToJson(migration.startsAt),
  at: migration.at,
  invoice: migration.bills,
  filter: { customer_ids: migration.customerIds, currency: migration.currency },
});

/** For the digest of an entry: what goes on by itself is no part of the change. */
export const lastingJson = (migration: PlanMigration) => ({
  id: migration.id,
  plan_id: migration.planId,
  plan_code: migration.planCode,
  ...askedToJson(migration),
  to: {
    plan_id: migration.toPlanId,
    plan_code: migration.toPlanCode,
    plan_version_id: migration.toVersionId,
    version_number: migration.toVersion,
  },
  version: migration.version,
  created_at: formatInstant(migration.createdAt),
});

export const planMigrationJson = (migration: PlanMigration) => ({
  ...lastingJson(migration),
  state: migration.state,
  progress: progressOf(migration),
  counts: {
    moved: migration.moved,
    scheduled: migration.scheduled,
    failed: migration.failed,
    skipped: skippedToJson(migration),
  },
  failure: migration.failure,
  started_at: timeToJson(migration.startedAt),
  ended_at: timeToJson(migration.endedAt),
  updated_at: formatInstant(migration.updatedAt),
});

export const outcomeJson = (moved: MovedSubscription) => ({
  subscription_id: moved.subscriptionId,
  customer_id: moved.customerId,
  outcome: moved.outcome,
  reason: moved.reason,
  detail: moved.detail,
  from_plan_version_id: moved.fromVersionId,
  change_id: moved.changeId,
  effective_at: timeToJson(moved.effectiveAt),
  created_at: formatInstant(moved.createdAt),
});

export const previewJson = (source: Plan, preview: MigrationPreview) => {
  const { asked, total, judged, willMove, skipped, versions, samples } = preview;
  return {
    plan_id: source.id,
    plan_code: source.code,
    ...askedToJson(asked),
    to: {
      plan_id: asked.to.id,
      plan_code: asked.to.code,
      plan_version_id: asked.to.planVersionId,
      version_number: asked.to.versionNumber,
    },
    subscriptions: { total, judged, will_move: willMove, skipped },
    versions: versions.map((version) => ({
      version_number: version.versionNumber,
      plan_version_id: version.planVersionId,
      subscriptions: version.subscriptions,
      differences: version.differences,
    })),
    samples: samples.map((one) => ({
      subscription_id: one.subscriptionId,
      customer_id: one.customerId,
      currency: one.currency,
      seats: one.seats,
      from_version: one.fromVersion,
      effective_at: formatInstant(one.effectiveAt),
      before: one.before,
      after: one.after,
    })),
  };
};
