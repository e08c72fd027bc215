/** What of customers' balances PostgreSQL has: what is billed to them, what of that waits, and what is owed. */
import type { Currency } from '#schemas/currency.ts';
import { type Amount, amountFromStored } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { selectBilledTo } from '../../rater/run/payer-statements.ts';
import type { Db } from '../route/define-route.ts';
import { type WaitingRow, waitingColumns, waitingFromRow } from '../subscription-views/upcoming.postgres.ts';
import type { WaitingPart } from '../subscription-views/upcoming-parts.ts';

/** A part that is written down and on no issued invoice. */
export type UnbilledPart = WaitingPart & {
  readonly subscriptionId: string;
  /** Whether it was carried over; what was not is on a draft, or on its way to an invoice. */
  readonly isCarried: boolean;
};

/** Of the open invoices of a customer in one currency. */
export type OwedInvoices = {
  readonly customerId: string;
  readonly currency: Currency;
  readonly count: number;
  readonly amountDue: Amount;
  readonly overdueCount: number;
  readonly amountOverdue: Amount;
};

type UnbilledRow = WaitingRow & { carried: boolean };

// Beside what is billed to them now, what was written down to be billed to them before that changed.
const selectSubscriptions = `
SELECT s.id FROM (${selectBilledTo}) b JOIN subscriptions s ON s.customer_id = b.id AND s.organization_id = $1
UNION
SELECT p.subscription_id FROM billing_periods p
WHERE p.payer_id = ANY ($2) AND p.payer_id <> p.customer_id AND p.state = 'open' AND p.organization_id = $1`;

const selectUnbilled = `SELECT p.* FROM unnest($3::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT ${waitingColumns}, coalesce(p.carried_from, p.due_at) AS since, p.carried_at IS NOT NULL AS carried
    FROM billing_periods p
    WHERE p.subscription_id = n.id AND p.organization_id = $1 AND p.payer_id = ANY ($2) AND p.state = 'open'
      AND p.timing <> 'delta'
    OFFSET 0
  ) p`;

const selectOwed = `
SELECT o.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT i.customer_id, i.currency, count(*)::integer AS count, sum(i.amount_due)::text AS amount_due,
      (count(*) FILTER (WHERE i.due_at < $3))::integer AS overdue_count,
      coalesce(sum(i.amount_due) FILTER (WHERE i.due_at < $3), 0)::text AS amount_overdue
    FROM invoice_states i
    WHERE i.organization_id = $1 AND i.customer_id = n.id AND i.state IN ('issued', 'partly_paid')
      AND i.amount_due > 0
    GROUP BY i.customer_id, i.currency OFFSET 0
  ) o`;

type OwedRow = {
  customer_id: string;
  currency: Currency;
  count: number;
  amount_due: string;
  overdue_count: number;
  amount_overdue: string;
};

export const balanceReader = {
  /** The ids of all whose time may be on an invoice of one of the customers, over ones too. */
  billedSubscriptions: async (db: Db, customerIds: readonly string[]): Promise<readonly string[]> => {
    const { rows } = await db.query<{ id: string }>(selectSubscriptions, [db.organizationId, customerIds]);
    return rows.map(({ id }) => id).toSorted();
  },
  /** But for deltas, which are in no view of what lies ahead. */
  unbilled: async (
    db: Db,
    payerIds: readonly string[],
    subscriptionIds: readonly string[],
  ): Promise<readonly UnbilledPart[]> => {
    const { rows } = await db.query<UnbilledRow>(selectUnbilled, [db.organizationId, payerIds, subscriptionIds]);
    return rows.map((row) => ({ ...waitingFromRow(row), isCarried: row.carried }));
  },
  /** By the hour of the customers. */
  owed: async (db: Db, customerIds: readonly string[], now: Instant): Promise<readonly OwedInvoices[]> => {
    const { rows } = await db.query<OwedRow>(selectOwed, [db.organizationId, customerIds, new Date(now)]);
    return rows.map(({ customer_id, currency, count, amount_due, overdue_count, amount_overdue }) => ({
      customerId: customer_id,
      currency,
      count,
      amountDue: amountFromStored(amount_due),
      overdueCount: overdue_count,
      amountOverdue: amountFromStored(amount_overdue),
    }));
  },
};

export type BalanceReader = typeof balanceReader;
