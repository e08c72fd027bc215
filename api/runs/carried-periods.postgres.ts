/** The billing periods that a run carried over. */
import { type Currency, isCurrency } from '#schemas/currency.ts';
import type { carriedStates } from '#schemas/http/runs.ts';
import { type Amount, parseStoredAmount, zeroAmount } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';

type CarriedState = (typeof carriedStates)[number];

export type CarriedPeriod = {
  readonly billingPeriodId: string;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly span: Period;
  readonly state: CarriedState;
  readonly carriedFrom: Instant;
  readonly carriedAt: Instant;
  readonly currency: Currency;
  readonly invoiceTotal: Amount;
  readonly minimumAmount: Amount;
  readonly invoiceId: string | null;
};

type CarriedRow = {
  billing_period_id: string;
  customer_id: string;
  subscription_id: string;
  span_start: Date;
  span_end: Date;
  state: CarriedState;
  carried_from: Date;
  carried_at: Date;
  currency: string;
  invoice_total: string;
  minimum_amount: string;
  invoice_id: string | null;
};

const carriedList = defineList({
  name: 'carried-periods',
  columns: `billing_period_id, c.customer_id, c.subscription_id, span_start, span_end, state, carried_from, carried_at,
    currency, invoice_total::text, minimum_amount::text, invoice_id`,
  from: `(SELECT n.*, p.subscription_id, p.span_start, p.span_end, p.carried_from,
      coalesce(p.invoice_id, p.draft_id) AS invoice_id,
      CASE WHEN p.carried_at IS NULL THEN p.state ELSE 'carried_over' END AS state
    FROM carried_periods n JOIN billing_periods p ON p.id = n.billing_period_id) c`,
  countFrom: 'carried_periods c',
  id: 'c.billing_period_id',
  organization: 'c.organization_id',
  sorts: { carried_at: { column: 'c.carried_at', type: 'timestamptz' } },
  defaultSort: 'carried_at',
  filters: { customer_id: customerFilter('c.customer_id') },
});

const fromRow = (row: CarriedRow): CarriedPeriod => ({
  billingPeriodId: row.billing_period_id,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  span: { start: row.span_start.getTime(), end: row.span_end.getTime() },
  state: row.state,
  carriedFrom: row.carried_from.getTime(),
  carriedAt: row.carried_at.getTime(),
  currency: isCurrency(row.currency) ? row.currency : 'USD',
  invoiceTotal: parseStoredAmount(row.invoice_total) ?? zeroAmount,
  minimumAmount: parseStoredAmount(row.minimum_amount) ?? zeroAmount,
  invoiceId: row.invoice_id,
});

export const carriedPeriods = {
  carriedList,
  ofRun: async (db: Db, runId: string, page: ListPage) => {
    const of = { 'c.run_id': runId };
    const { rows, ...rest } = await listRows<CarriedRow>(db, carriedList, db.organizationId, page, of);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type CarriedPeriods = typeof carriedPeriods;
