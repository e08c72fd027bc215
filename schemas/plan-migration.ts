/** Migrations of plans: what they can be asked for, where they stand, and what becomes of each subscription. */
export const planMigrationStates = ['queued', 'running', 'paused', 'completed', 'canceled'] as const;
export type PlanMigrationState = (typeof planMigrationStates)[number];

export const planMigrationInstants = ['now', 'period_end'] as const;
export type PlanMigrationInstant = (typeof planMigrationInstants)[number];

/** Changed, and the change holds or comes; or left as it was, by a rule or by a fault. */
export const moveOutcomes = ['moved', 'scheduled', 'skipped', 'failed'] as const;
export type MoveOutcome = (typeof moveOutcomes)[number];

/** Why a subscription stays as it is. */
export const skipReasons = [
  'add_on_misfit',
  'already_has_plan',
  'change_pending',
  'changed_meanwhile',
  'currency_not_priced',
  'ends_before',
  'over',
] as const;
export type SkipReason = (typeof skipReasons)[number];

export const migrationCustomersMax = 1_000;
/** Who is named in a preview one by one. */
export const sampledSubscriptionsMax = 20;
/** How many subscriptions a preview judges; of more it judges the first. */
export const previewedSubscriptionsMax = 10_000;

/** A notice goes out on it when a migration waits to be worked on. */
export const planMigrationChannel = 'plan_migrations';
