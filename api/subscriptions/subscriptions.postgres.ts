/** Subscriptions: rows of PostgreSQL as subscriptions. */
import { newId } from '#platform/process/ids.ts';
import { type BillingCycleRow, billingCycleFromRow } from '#schemas/billing-cycle.ts';
import { FailureError } from '#schemas/failures.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import type { BilledTime } from '#schemas/subscription.ts';
import { type SubscriptionLife, subscriptionStates } from '#schemas/subscription-state.ts';
import { customerFilter } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type Filter, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type Subscription = ResourceHead &
  BilledTime &
  SubscriptionLife & {
    readonly id: string;
    readonly customerId: string;
    readonly planId: string;
    readonly planCode: string;
    readonly planVersionId: string;
    readonly currency: string;
    readonly cancellationReason: string | null;
  };

/** From when on it is over, and since when that is known. */
export type Cancellation = {
  readonly canceledAt: Instant;
  readonly endedAt: Instant;
  readonly reason: string | null;
};

export type NewSubscription = Pick<
  Subscription,
  'customerId' | 'planId' | 'planVersionId' | 'currency' | 'startedAt' | 'cycle' | 'metadata'
>;

type SubscriptionRow = ResourceRow &
  BillingCycleRow & {
    id: string;
    customer_id: string;
    plan_id: string;
    plan_code: string;
    plan_version_id: string;
    currency: string;
    started_at: Date;
    ended_at: Date | null;
    canceled_at: Date | null;
    cancellation_reason: string | null;
  };

const fromRow = (row: SubscriptionRow): Subscription => ({
  id: row.id,
  customerId: row.customer_id,
  planId: row.plan_id,
  planCode: row.plan_code,
  planVersionId: row.plan_version_id,
  currency: row.currency,
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  canceledAt: row.canceled_at?.getTime() ?? null,
  cancellationReason: row.cancellation_reason,
  cycle: billingCycleFromRow(row),
  ...headFromRow(row),
});

const columns = `s.id, s.customer_id, v.plan_id, p.code AS plan_code, s.plan_version_id, s.currency,
  s.started_at, s.ended_at, s.canceled_at, s.cancellation_reason, s.interval_unit, s.interval_count, s.billing_anchor,
  s.time_zone, s.metadata, s.version, s.created_at, s.updated_at`;
const from = 'subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id JOIN plans p ON p.id = v.plan_id';

// As `subscriptionStateAt` has it.
const stateAsked = `(CASE WHEN s.ended_at <= clock_timestamp()
    THEN CASE WHEN s.canceled_at IS NULL THEN 'ended' ELSE 'canceled' END
  WHEN s.started_at > clock_timestamp() THEN 'pending' ELSE 'active' END)`;

const planFilter: Filter = {
  column: 's.plan_version_id',
  description: 'Id or code of a plan, whatever version of it.',
  test: (value, text) =>
    `s.plan_version_id IN (SELECT n.id FROM plan_versions n JOIN plans l ON l.id = n.plan_id
      WHERE l.organization_id = $1 AND l.${lookUpColumn('pln', text, 'code')} = ${value})`,
};

const subscriptionList = defineList({
  name: 'subscriptions',
  columns,
  from,
  countFrom: 'subscriptions s',
  id: 's.id',
  organization: 's.organization_id',
  sorts: {
    created_at: { column: 's.created_at', type: 'timestamptz' },
    started_at: { column: 's.started_at', type: 'timestamptz' },
  },
  filters: {
    customer_id: customerFilter('s.customer_id'),
    state: { column: stateAsked, choices: subscriptionStates },
    plan: planFilter,
  },
  times: { created_at: 's.created_at', started_at: 's.started_at' },
});

const subscriptionOf = async (db: Db, id: string): Promise<Subscription | undefined> => {
  const { rows } = await db.query<SubscriptionRow>(
    `SELECT ${columns} FROM ${from} WHERE s.organization_id = $1 AND s.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && fromRow(rows[0]);
};

export const subscriptionStore = {
  subscriptionList,
  /**
   * Undefined where the customer has a subscription to the plan that is not over when the new one begins. The
   * customer's row is locked, so of two at once one wins.
   */
  addSubscription: async (db: Db, subscription: NewSubscription, now: Date): Promise<Subscription | undefined> => {
    const customers = await db.query<{ archived_at: Date | null }>(
      'SELECT archived_at FROM customers WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE',
      [db.organizationId, subscription.customerId],
    );
    if (customers.rows[0]?.archived_at) throw new FailureError('CUSTOMER_ARCHIVED');
    const active = await db.query(
      `SELECT 1 FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id
       WHERE s.customer_id = $1 AND v.plan_id = $2 AND (s.ended_at IS NULL OR s.ended_at > $3)`,
      [subscription.customerId, subscription.planId, new Date(subscription.startedAt)],
    );
    if (active.rowCount) return undefined;
    const id = newId('sub');
    await db.query(
      `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
         interval_unit, interval_count, billing_anchor, time_zone, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8, $9, $10, $11, 1, $12, $12)`,
      [
        id,
        db.organizationId,
        subscription.customerId,
        subscription.planVersionId,
        subscription.currency,
        new Date(subscription.startedAt),
        subscription.cycle.interval.unit,
        subscription.cycle.interval.count,
        subscription.cycle.anchor,
        subscription.cycle.timeZone,
        subscription.metadata,
        now,
      ],
    );
    return subscriptionOf(db, id);
  },
  subscription: subscriptionOf,
  /** As it is when its row is locked. */
  lockSubscription: async (db: Db, id: string): Promise<Subscription | undefined> => {
    await db.query('SELECT 1 FROM subscriptions WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      db.organizationId,
      id,
    ]);
    return subscriptionOf(db, id);
  },
  changeSubscription: async (
    db: Db,
    id: string,
    metadata: Record<string, string>,
    now: Date,
  ): Promise<Subscription | undefined> => {
    await db.query(
      `UPDATE subscriptions SET metadata = $3, version = version + 1, updated_at = $4
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, metadata, now],
    );
    return subscriptionOf(db, id);
  },
  /** Null takes one back. */
  changeCancellation: async (
    db: Db,
    id: string,
    cancellation: Cancellation | null,
    now: Date,
  ): Promise<Subscription | undefined> => {
    await db.query(
      `UPDATE subscriptions SET canceled_at = $3, ended_at = $4, cancellation_reason = $5, version = version + 1,
         updated_at = $6
       WHERE organization_id = $1 AND id = $2`,
      [
        db.organizationId,
        id,
        cancellation && new Date(cancellation.canceledAt),
        cancellation && new Date(cancellation.endedAt),
        cancellation?.reason,
        now,
      ],
    );
    return subscriptionOf(db, id);
  },
  subscriptions: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<SubscriptionRow>(db, subscriptionList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type SubscriptionStore = typeof subscriptionStore;
