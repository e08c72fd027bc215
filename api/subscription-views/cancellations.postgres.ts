/** Subscriptions that are canceled, at once or at an instant to come, by when that takes effect. */
import type { Instant } from '#schemas/period.ts';
import { type CancellationState, cancellationStates } from '#schemas/subscription-views.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import { earliestHour, hourFilter, type Near } from '../subscriptions/subscription-filters.ts';
import {
  type SubscriptionRow,
  subscriptionColumns,
  subscriptionFromRow,
  subscriptionsFrom,
} from '../subscriptions/subscriptions.postgres.ts';

/** As `cancellationStateAt` has it, of `s` at an instant. */
const isInCancellationState: Readonly<Record<CancellationState, (hour: string) => string>> = {
  scheduled: (hour) => `s.ended_at > ${hour}`,
  effective: (hour) => `s.ended_at <= ${hour}`,
};
const near: Near<CancellationState> = {
  scheduled: { condition: `s.ended_at > ${earliestHour}`, order: 's.ended_at DESC' },
  effective: { order: 's.ended_at DESC' },
};

const cancellationList = defineList({
  name: 'cancellations',
  columns: subscriptionColumns,
  from: subscriptionsFrom,
  countFrom: 'subscriptions s',
  condition: 's.canceled_at IS NOT NULL',
  id: 's.id',
  organization: 's.organization_id',
  gathersFirst: true,
  // Moves where a cancellation is set to another instant before it takes effect.
  sorts: { effective_at: { column: 's.ended_at', type: 'timestamptz' } },
  defaultSort: '-effective_at',
  filters: {
    customer_id: customerFilter('s.customer_id'),
    state: hourFilter(cancellationStates, isInCancellationState, near),
  },
  times: { effective_at: 's.ended_at' },
});

export const cancellationReader = {
  cancellationList,
  cancellations: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<SubscriptionRow>(db, cancellationList, db.organizationId, page);
    return { ...rest, rows: rows.map(subscriptionFromRow) };
  },
  /** By subscription: the invoices that billed what fell due at its end. */
  finalInvoices: async (
    db: Db,
    ended: readonly { readonly id: string; readonly endedAt: Instant }[],
  ): Promise<ReadonlyMap<string, readonly string[]>> => {
    if (ended.length === 0) return new Map();
    const { rows } = await db.query<{ subscription_id: string; invoice_ids: string[] }>(
      `SELECT p.subscription_id, array_agg(DISTINCT p.invoice_id) AS invoice_ids
       FROM unnest($2::text[], $3::timestamptz[]) AS n (subscription_id, ended_at)
         JOIN billing_periods p ON p.subscription_id = n.subscription_id AND p.billing_end >= n.ended_at
       WHERE p.organization_id = $1 AND p.due_at >= n.ended_at AND p.invoice_id IS NOT NULL
         AND p.timing <> 'delta' GROUP BY 1`,
      [db.organizationId, ended.map(({ id }) => id), ended.map(({ endedAt }) => new Date(endedAt))],
    );
    return new Map(rows.map((row) => [row.subscription_id, row.invoice_ids]));
  },
};

export type CancellationReader = typeof cancellationReader;
