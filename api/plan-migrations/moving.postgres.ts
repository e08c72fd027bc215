/** Migrations of plans at work: the loop of a process, with connections of its own. */
import type { DigestOf } from '#platform/audit/audit-entry.ts';
import { recordChange } from '#platform/audit/record-change.ts';
import { type OrganizationClock, stopwatch } from '#platform/process/clock.ts';
import type { FailPoint } from '#platform/process/fail-point.ts';
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import { listenTo } from '#platform/stores/notices.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import { planMigrationChannel } from '#schemas/plan-migration.ts';
import { catalogStore } from '../catalog/catalog.postgres.ts';
import { subscriptionChangeStore } from '../subscriptions/subscription-changes.postgres.ts';
import { subscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { candidateStore } from './candidates.postgres.ts';
import { createMigrationWork, LeaseLostError } from './migration-work.postgres.ts';
import { type MovePorts, moveSubscriptions } from './move-subscriptions.ts';
import { observeMoves } from './observe-moves.ts';

export type MovingOptions = {
  readonly databaseUrl: string;
  readonly leaseSeconds: number;
  readonly pollMs: number;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly failPoint: FailPoint | undefined;
  readonly digestOf: DigestOf;
  readonly organizationClock: OrganizationClock;
};

/** One works, and one is there for whoever waits for its answer. */
const poolMax = 2;
const statementMsMax = 30_000;
/** Shorter than that of a request: who changes a subscription by hand goes first. */
const lockMsMax = 3_000;
const transactionSettings = ['SET LOCAL plan_cache_mode = force_generic_plan'];
/** It works for half of the time at most, and leaves the rest of a core and of the database to requests. */
const restMsMin = 10;

export const startMoving = (options: MovingOptions): { readonly stop: () => Promise<void> } => {
  const { databaseUrl, leaseSeconds, pollMs, log, metrics, failPoint, digestOf, organizationClock } = options;
  const postgres = connectPostgres(databaseUrl, { poolMax, log, statementMsMax, lockMsMax, transactionSettings });
  const { fault, ...observed } = observeMoves(metrics, log);
  const ports: MovePorts = {
    subscriptions: subscriptionStore,
    subscriptionChanges: subscriptionChangeStore,
    catalog: catalogStore,
    candidates: candidateStore,
    work: createMigrationWork(leaseSeconds),
    postgres,
    recordChange,
    digestOf,
    organizationClock,
    isLeaseLost: (error) => error instanceof LeaseLostError,
    leased: () => failPoint?.pass('migration.after_lease'),
    beforeCommit: () => failPoint?.pass('migration.before_commit'),
    moved: (result) => {
      observed.moved(result);
      failPoint?.pass('migration.after_move');
    },
    beforeEnd: () => failPoint?.pass('migration.before_end'),
    ended: (state) => {
      observed.ended(state);
      failPoint?.pass('migration.after_end');
    },
  };
  const work = async (): Promise<boolean | number> => {
    const elapsedMs = stopwatch();
    return (await moveSubscriptions(ports)) && Math.max(restMsMin, elapsedMs());
  };
  const loop = startJobLoop({ work, lanes: 1, pollMs, onFault: fault });
  const listening = listenTo(databaseUrl, { [planMigrationChannel]: loop.wake }, log);
  return {
    stop: async () => {
      await Promise.all([listening.stop(), loop.stop()]);
      await postgres.close();
    },
  };
};
