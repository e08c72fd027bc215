/** What is measured and logged of migrations of plans, apart from the use case. */
import type { Log } from '#platform/process/log.ts';
import type { Metrics } from '#platform/process/metrics.ts';
import type { MoveResult } from './move-subscription.ts';
import type { MovePorts } from './move-subscriptions.ts';

export const observeMoves = (
  metrics: Metrics,
  log: Log,
): Pick<MovePorts, 'moved' | 'ended'> & { readonly fault: (error: unknown) => void } => {
  const subscriptions = metrics.counter(
    'millrace_plan_migration_subscriptions_total',
    'Subscriptions that migrations of plans looked at, by what became of them',
    ['outcome'],
  );
  const ends = metrics.counter(
    'millrace_plan_migrations_total',
    'Migrations of plans that ended or stopped by themselves, by their state',
    ['state'],
  );
  const faults = metrics.counter(
    'millrace_plan_migration_faults_total',
    'Work on migrations of plans that has to be done again',
  );
  return {
    moved: ({ subscriptionId, outcome, detail }: MoveResult): void => {
      subscriptions.labels(outcome).inc();
      if (outcome === 'failed')
        log.error({ subscription_id: subscriptionId, cause: detail }, 'a subscription could not be moved');
    },
    ended: (state): void => {
      ends.labels(state).inc();
      log.info({ state }, 'a migration of a plan came to rest');
    },
    fault: (error): void => {
      faults.inc();
      log.warn({ err: error }, 'moving subscriptions has to be tried again');
    },
  };
};
