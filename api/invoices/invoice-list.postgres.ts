/** What lists of invoices can be asked for, over their states and what is a draft: SQL. */

import { InvoiceState } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { type Condition, customerFilter, defineList, type Filter, type ListPage } from '../route/lists.ts';
import { sameHour } from '../subscriptions/subscription-filters.ts';

/**
 * Issued ones and drafts, which have no number; one that was issued from a draft is there once. Each of both is one
 * table, so that a page is read along an index.
 */
const allInvoices = `(
    SELECT s.invoice_id AS id, s.organization_id, s.customer_id, s.series_number, s.issued_at AS at, s.state,
      s.currency, s.total, s.total_floor, s.amount_due, s.issued_at, s.due_at
    FROM invoice_states s
    UNION ALL
    SELECT d.id, d.organization_id, d.customer_id, 0::bigint, d.created_at, 'draft'::text,
      d.currency, NULL::numeric, NULL::bigint, NULL::numeric, NULL::timestamptz, NULL::timestamptz
    FROM invoice_drafts d WHERE d.state = 'draft'
  ) invoices`;

const isOpen = "state IN ('issued', 'partly_paid') AND amount_due > 0";
/** Of totals in one currency. */
const totalFilter = (comparison: '>=' | '<=', what: string): Filter => ({
  column: 'total',
  form: 'decimal',
  needs: 'currency',
  description: `Of issued invoices: only those whose total is ${what} this decimal; with \`currency\`.`,
  // The index is of whole units, and comes first. Of two comparisons the planner would take it that next to none holds,
  // and would sort all that the index finds; of two that are true it takes it that some are.
  test: (value) =>
    `total_floor ${comparison} least(greatest(floor(${value}::numeric), -9e18), 9e18)::bigint
       AND (total ${comparison} ${value}::numeric) IS TRUE`,
});

/** The hours of test clocks: whoever lives by one is late by it. */
const clocksOf = 'test_clocks k WHERE k.organization_id = $1';
const latestClock = `(SELECT max(k.now_at) FROM ${clocksOf})`;
const hourOfCustomer = `(SELECT k.now_at FROM customers c JOIN test_clocks k ON k.id = c.test_clock_id
    WHERE c.id = customer_id)`;

/** At an instant, where a customer lives by no clock of its own. Where nobody does, an index alone answers. */
const isOverdue = (now: string, hours: string): string =>
  hours === 'same'
    ? `${isOpen} AND due_at < ${now}`
    : `${isOpen} AND due_at < greatest(${now}, ${latestClock}) AND due_at < coalesce(${hourOfCustomer}, ${now})`;

const filters = {
  subscription_id: {
    column: 'id',
    test: (value: string) =>
      `id IN (SELECT coalesce(p.invoice_id, p.draft_id) FROM billing_periods p
           WHERE p.subscription_id = ${value} AND num_nonnulls(p.invoice_id, p.draft_id) > 0)`,
  },
  state: { column: 'state', choices: Object.values(InvoiceState) },
  document_number: {
    column: 'id',
    test: (value: string) =>
      `id = ANY (ARRAY(SELECT i.id FROM invoices i WHERE i.organization_id = $1 AND i.document_number = ${value}))`,
  },
  currency: { column: 'currency' },
  open: {
    column: 'state',
    form: 'flag',
    description:
      'Only those of which something is due and nobody has given it up: `issued` or `partly_paid`, with an amount_due.',
    test: (value: string) => `${isOpen} AND ${value}::text IS NOT NULL`,
  },
  overdue: {
    column: 'due_at',
    form: 'flag',
    sort: 'due_at',
    description: 'Only those that are open, and whose due_at is over; the oldest first, where no sort is said.',
    resolve: () => sameHour,
    // The hour comes with the question: `atHour`.
    test: (value: string) => `${value}::text IS NULL`,
  },
  total_min: totalFilter('>=', 'at least'),
  total_max: totalFilter('<=', 'at most'),
} as const;

const shared = {
  columns: 'id, state',
  from: allInvoices,
  id: 'id',
  organization: 'organization_id',
  gathersFirst: true,
  sorts: {
    created_at: { column: 'at', type: 'timestamptz' },
    number: { column: 'series_number', type: 'bigint' },
    // Drafts and what is due on receipt have none.
    due_at: { column: 'due_at', type: 'timestamptz', isNullable: true },
  },
  times: {
    created_at: 'at',
    issued_at: 'issued_at',
    due_at: 'due_at',
    // Of its first billing period; in content version 1 the month stands in the invoice.
    period_start: `coalesce(
        (SELECT i.period_start FROM invoices i WHERE i.id = invoices.id),
        (SELECT min(p.span_start) FROM billing_periods p WHERE p.invoice_id = invoices.id),
        (SELECT min(p.span_start) FROM billing_periods p WHERE p.draft_id = invoices.id))`,
  },
} as const;

export const invoiceList = defineList({
  ...shared,
  name: 'invoices',
  filters: { ...filters, customer_id: customerFilter('customer_id') },
});
export const customerInvoiceList = defineList({ ...shared, filters, name: 'customer-invoices' });

/** Of a customer are its own invoices, and those of whoever is billed for it. */
export const ofCustomer = (value: string): Condition => ({
  name: 'customer_id',
  value,
  text: value,
  test: (id) => `(customer_id = ${id} OR id = ANY (ARRAY(
    SELECT DISTINCT coalesce(p.invoice_id, p.draft_id) FROM billing_periods p WHERE p.customer_id = ${id}
      AND p.payer_id <> p.customer_id AND num_nonnulls(p.invoice_id, p.draft_id) > 0)))`,
});

/** With the hour by which an invoice is overdue. */
export const atHour = (page: ListPage, now: Instant): ListPage => ({
  ...page,
  conditions: page.conditions.map((condition) =>
    condition.name === 'overdue'
      ? {
          ...condition,
          test: (value: string, _text: string, hours: string) =>
            `${value}::text IS NOT NULL AND ${isOverdue(`timestamptz '${new Date(now).toISOString()}'`, hours)}`,
        }
      : condition,
  ),
});
