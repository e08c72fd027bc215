/** Subscriptions: rows of PostgreSQL as subscriptions, with the changes of theirs that stand. */
import { newId } from '#platform/process/ids.ts';
import {
  type ChangeJson,
  changeFromJson,
  changesColumn,
  initialTermsColumns,
  type TermsRow,
  termsFromRow,
} from '#platform/stores/subscription-terms.postgres.ts';
import type { Instant } from '#schemas/period.ts';
import type { CancellationRefund, FinalUsage, SubscriptionLife, TrialEndAction } from '#schemas/subscription-state.ts';
import type { SubscriptionChange, SubscriptionTerms } from '#schemas/subscription-terms.ts';
import type { PlanName } from '../catalog/plan-versions.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';
import { changeRows, insertChanges } from './subscription-changes.postgres.ts';
import { lastChange, planFilter, stateFilter } from './subscription-filters.ts';

/** A change that stands in the ledger and was not undone. */
export type RecordedChange = SubscriptionChange & { readonly id: string; readonly createdAt: Instant };

export type Subscription = ResourceHead &
  Omit<SubscriptionTerms, 'changes'> &
  Omit<SubscriptionLife, 'changes'> & {
    readonly id: string;
    readonly customerId: string;
    readonly currency: string;
    readonly trialEndAction: TrialEndAction | null;
    readonly cancellationReason: string | null;
    readonly cancellationRefund: CancellationRefund | null;
    readonly finalUsage: FinalUsage | null;
    /** The hour of the test clock that its customer lives by; null where that is the hour of all. */
    readonly clockNow: Instant | null;
    /** When it is to be looked at next for what is due; null once nothing more is to come. */
    readonly nextDueAt: Instant | null;
    /** In the order in which they take effect. */
    readonly changes: readonly RecordedChange[];
    /** Of each plan version and add-on that it has, had or will have. */
    readonly planNames: ReadonlyMap<string, PlanName>;
  };

/** From when on it is over, and since when that is known. */
export type Cancellation = {
  readonly canceledAt: Instant;
  readonly endedAt: Instant;
  readonly reason: string | null;
  readonly refund: CancellationRefund;
  readonly finalUsage: FinalUsage;
};

export type NewSubscription = Pick<
  Subscription,
  'customerId' | 'planVersionId' | 'currency' | 'startedAt' | 'endedAt' | 'canceledAt' | 'cycle' | 'metadata' | 'seats'
> &
  Pick<Subscription, 'trialEndsAt' | 'trialEndAction'> & {
    readonly planId: string;
    readonly planCode: string;
    readonly testClockId: string | undefined;
    readonly changes: readonly SubscriptionChange[];
  };

type ChangeRowJson = ChangeJson & { id: string; code: string; created: number };

export type SubscriptionRow = ResourceRow &
  Omit<TermsRow, 'changes'> & {
    id: string;
    customer_id: string;
    plan_id: string;
    plan_code: string;
    currency: string;
    canceled_at: Date | null;
    cancellation_reason: string | null;
    trial_end_action: TrialEndAction | null;
    clock_now: Date | null;
    look_at: Date | null;
    changes: ChangeRowJson[] | null;
  };

export const subscriptionFromRow = (row: SubscriptionRow): Subscription => {
  const changes = row.changes ?? [];
  return {
    ...termsFromRow(row),
    ...headFromRow(row),
    id: row.id,
    customerId: row.customer_id,
    currency: row.currency,
    trialEndAction: row.trial_end_action,
    canceledAt: row.canceled_at?.getTime() ?? null,
    cancellationReason: row.cancellation_reason,
    cancellationRefund: row.cancellation_refund,
    finalUsage: row.cancellation_final_usage,
    clockNow: row.clock_now?.getTime() ?? null,
    nextDueAt: row.look_at?.getTime() ?? null,
    changes: changes.map((json) => ({ ...changeFromJson(json), id: json.id, createdAt: json.created })),
    planNames: new Map([
      [row.plan_version_id, { planId: row.plan_id, planCode: row.plan_code }],
      ...changes.flatMap(({ version, plan, code }): [string, PlanName][] =>
        version ? [[version, { planId: plan, planCode: code }]] : [],
      ),
    ]),
  };
};

const ledgerColumn = changesColumn(
  ", 'id', g.id, 'code', gp.code, 'created', (extract(epoch FROM g.created_at) * 1000)::bigint",
  ' LEFT JOIN plans gp ON gp.id = gv.plan_id',
);
/** By the hour of all, or by a test clock. Row-level security lets no index answer for a coalesce. */
const nextDueAt = '(CASE WHEN s.next_due_at IS NULL THEN s.clocked_due_at ELSE s.next_due_at END)';
export const subscriptionColumns = `s.id, s.customer_id, v.plan_id, p.code AS plan_code, s.currency, s.canceled_at,
  s.cancellation_reason, s.trial_end_action,
  (SELECT k.now_at FROM test_clocks k WHERE k.id = s.test_clock_id) AS clock_now,
  ${nextDueAt} AS look_at, ${initialTermsColumns},
  s.metadata, s.version, s.created_at, s.updated_at, ${ledgerColumn}`;
export const subscriptionsFrom =
  'subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id JOIN plans p ON p.id = v.plan_id';

const subscriptionList = defineList({
  name: 'subscriptions',
  columns: subscriptionColumns,
  from: subscriptionsFrom,
  countFrom: 'subscriptions s',
  id: 's.id',
  organization: 's.organization_id',
  gathersFirst: true,
  sorts: {
    created_at: { column: 's.created_at', type: 'timestamptz' },
    started_at: { column: 's.started_at', type: 'timestamptz' },
    // Moves on when a subscription is billed.
    next_due_at: { column: nextDueAt, type: 'timestamptz', isNullable: true },
  },
  filters: { customer_id: customerFilter('s.customer_id'), state: stateFilter, plan: planFilter },
  times: { created_at: 's.created_at', started_at: 's.started_at', next_due_at: nextDueAt },
});

const subscriptionOf = async (db: Db, id: string): Promise<Subscription | undefined> => {
  const { rows } = await db.query<SubscriptionRow>(
    `SELECT ${subscriptionColumns} FROM ${subscriptionsFrom} WHERE s.organization_id = $1 AND s.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && subscriptionFromRow(rows[0]);
};

/** A subscription `s` of a customer that has a plan at an instant or behind it: all three as SQL. */
export const toPlanAt = (customer: string, plan: string, instant: string): string =>
  `SELECT 1 FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id
  WHERE s.customer_id = ${customer} AND (s.ended_at IS NULL OR s.ended_at > ${instant})
    AND CASE WHEN s.has_changes
      THEN coalesce(${lastChange('gv.plan_id', "'plan'", instant)}, v.plan_id) = ${plan} OR EXISTS (
        SELECT 1 FROM subscription_changes g JOIN plan_versions gv ON gv.id = g.plan_version_id
        WHERE g.subscription_id = s.id AND g.undone_at IS NULL AND g.kind = 'plan' AND g.effective_at > ${instant}
          AND gv.plan_id = ${plan})
      ELSE v.plan_id = ${plan} END`;

const toPlan = toPlanAt('$1', '$2', '$3');

/** As it was made, before anything changes it. */
const begun = (id: string, subscription: NewSubscription, now: Instant): Subscription => {
  const { planId, planCode, testClockId, ...rest } = subscription;
  return {
    ...rest,
    id,
    refundsAtEnd: true,
    cancellationReason: null,
    cancellationRefund: subscription.canceledAt === null ? null : 'prorated',
    finalUsage: null,
    clockNow: testClockId === undefined ? null : now,
    nextDueAt: subscription.startedAt,
    changes: [],
    planNames: new Map([[subscription.planVersionId, { planId, planCode }]]),
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
};

export const subscriptionStore = {
  subscriptionList,
  /**
   * Undefined where the customer has a subscription to the plan that is not over when the new one begins. The caller
   * has locked the customer's row, so of two at once one wins. `whileLast` is called with its id while the last
   * statement that writes it is on its way.
   */
  addSubscription: async (
    db: Db,
    subscription: NewSubscription,
    now: Date,
    whileLast: (id: string) => void = () => {},
  ): Promise<Subscription | undefined> => {
    const { customerId, planId, startedAt, endedAt, canceledAt, trialEndsAt, cycle, changes } = subscription;
    const id = newId('sub');
    const adding = db.query(
      `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
         interval_unit, interval_count, billing_anchor, time_zone, metadata, version, created_at, updated_at, seats,
         has_changes, trial_ends_at, trial_end_action, ended_at, canceled_at, cancellation_refund, test_clock_id,
         next_due_at, clocked_due_at)
       SELECT $4, $5, $1, $6, $7, 'active', $3, $8, $9, $10, $11, $12, 1, $13, $13, $14, $15, $16, $17, $18, $19,
         $20, $21::text, CASE WHEN $21 IS NULL THEN $3::timestamptz END,
         CASE WHEN $21 IS NOT NULL THEN $3::timestamptz END
       WHERE NOT EXISTS (${toPlan})`,
      [
        customerId,
        planId,
        new Date(startedAt),
        id,
        db.organizationId,
        subscription.planVersionId,
        subscription.currency,
        cycle.interval.unit,
        cycle.interval.count,
        cycle.anchor,
        cycle.timeZone,
        subscription.metadata,
        now,
        subscription.seats,
        changes.length > 0,
        trialEndsAt === null ? null : new Date(trialEndsAt),
        subscription.trialEndAction,
        endedAt === null ? null : new Date(endedAt),
        canceledAt === null ? null : new Date(canceledAt),
        canceledAt === null ? null : 'prorated',
        subscription.testClockId,
      ],
    );
    if (changes.length === 0) whileLast(id);
    if (!(await adding).rowCount) return undefined;
    if (changes.length === 0) return begun(id, subscription, now.getTime());
    const changing = db.query(insertChanges, [db.organizationId, id, now, JSON.stringify(changeRows(changes))]);
    whileLast(id);
    await changing;
    return subscriptionOf(db, id);
  },
  subscription: subscriptionOf,
  /** Those of the ids, in no order. */
  subscriptionsById: async (db: Db, ids: readonly string[]): Promise<Subscription[]> => {
    const { rows } = await db.query<SubscriptionRow>(
      `SELECT ${subscriptionColumns} FROM ${subscriptionsFrom} WHERE s.organization_id = $1 AND s.id = ANY ($2)`,
      [db.organizationId, ids],
    );
    return rows.map(subscriptionFromRow);
  },
  /** As it is when its row is locked. */
  lockSubscription: async (db: Db, id: string): Promise<Subscription | undefined> => {
    await db.query('SELECT 1 FROM subscriptions WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      db.organizationId,
      id,
    ]);
    return subscriptionOf(db, id);
  },
  /**
   * Whether its customer has another subscription that has the plan at the instant or behind it. The customer's row is
   * locked, so that none comes meanwhile.
   */
  hasOtherToPlan: async (db: Db, { id, customerId }: Subscription, planId: string, at: Instant): Promise<boolean> => {
    await db.query('SELECT 1 FROM customers WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      db.organizationId,
      customerId,
    ]);
    const { rowCount } = await db.query(`${toPlan} AND s.id <> $4`, [customerId, planId, new Date(at), id]);
    return Boolean(rowCount);
  },
  changeSubscription: async (
    db: Db,
    id: string,
    metadata: Record<string, string>,
    now: Date,
  ): Promise<Subscription | undefined> => {
    await db.query(
      `UPDATE subscriptions SET metadata = $3, version = version + 1, updated_at = greatest(updated_at, $4)
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, metadata, now],
    );
    return subscriptionOf(db, id);
  },
  /** Its end is looked at when it comes. A trial that would have ended it goes over into what is billed. */
  changeCancellation: async (
    db: Db,
    id: string,
    cancellation: Cancellation | null,
    now: Date,
  ): Promise<Subscription | undefined> => {
    await db.query(
      `UPDATE subscriptions SET canceled_at = $3, ended_at = $4, cancellation_reason = $5, cancellation_refund = $6,
         cancellation_final_usage = $8,
         next_due_at = CASE WHEN test_clock_id IS NULL THEN least(next_due_at, $4) END,
         clocked_due_at = CASE WHEN test_clock_id IS NOT NULL THEN least(clocked_due_at, $4) END,
         trial_end_action = CASE WHEN trial_end_action = 'cancel' AND trial_ends_at IS DISTINCT FROM $4
           THEN 'activate' ELSE trial_end_action END,
         version = version + 1, updated_at = greatest(updated_at, $7)
       WHERE organization_id = $1 AND id = $2`,
      [
        db.organizationId,
        id,
        cancellation && new Date(cancellation.canceledAt),
        cancellation && new Date(cancellation.endedAt),
        cancellation?.reason,
        cancellation?.refund,
        now,
        cancellation?.finalUsage,
      ],
    );
    return subscriptionOf(db, id);
  },
  subscriptions: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<SubscriptionRow>(db, subscriptionList, db.organizationId, page);
    return { ...rest, rows: rows.map(subscriptionFromRow) };
  },
};

export type SubscriptionStore = typeof subscriptionStore;
