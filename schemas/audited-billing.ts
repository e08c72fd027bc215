/** Runs, invoices and subscriptions as they are digested, in the forms that entries of each time have. */
import type { AuditedObject, ChildRows } from '#schemas/audited-object.ts';
import type { ColumnForm } from '#schemas/resources.ts';

/** Of runs from before there were billing periods. */
const billingRunOfForm1 = {
  table: 'billing_runs',
  organization: 'organization_id',
  created: ['billing_run.created'],
  createdAt: 'created_at',
  isVersioned: false,
  columns: {
    id: 'text',
    organization_id: 'text',
    period_start: 'instant',
    period_end: 'instant',
    customer_id: 'text',
    subscription_id: 'text',
    created_at: 'instant',
    request_id: 'text',
    api_key_id: 'text',
  },
  settling: {
    columns: { state: 'text', watermark: 'text', already_issued: 'text', failure: 'text', updated_at: 'instant' },
    when: "t.state IN ('completed', 'failed')",
  },
  children: [
    {
      table: 'billing_run_shards',
      parent: 'run_id',
      order: ['shard_number'],
      columns: {
        run_id: 'text',
        shard_number: 'text',
        subscription_ids: 'text',
        state: 'text',
        leased_until: 'instant',
        attempts: 'text',
        issued: 'text',
        already_issued: 'text',
        rated_ms: 'text',
        issued_ms: 'text',
        failure: 'text',
        lines_digest: 'text',
      },
      // Other shards of a run that failed are worked off all the same.
      when: "t.state = 'completed'",
    },
  ],
} as const satisfies AuditedObject;

/** Of runs from before some of them rated without issuing. */
const billingRunOfForm2 = {
  ...billingRunOfForm1,
  form: 2,
  settling: {
    ...billingRunOfForm1.settling,
    columns: { ...billingRunOfForm1.settling.columns, leased_until: 'instant' },
  },
  children: [
    {
      ...billingRunOfForm1.children[0],
      columns: {
        run_id: 'text',
        shard_number: 'text',
        subscription_ids: 'text',
        billing_period_ids: 'text',
        state: 'text',
        leased_until: 'instant',
        attempts: 'text',
        issued: 'text',
        already_issued: 'text',
        rated_ms: 'text',
        issued_ms: 'text',
        failure: 'text',
        lines_digest: 'text',
      },
    },
  ],
} as const satisfies AuditedObject;

/** Of invoices of content version 1. */
const invoiceOfForm1 = {
  table: 'invoices',
  organization: 'organization_id',
  created: ['invoice.issued'],
  createdAt: 'issued_at',
  isVersioned: false,
  columns: {
    id: 'text',
    organization_id: 'text',
    series_number: 'text',
    kind: 'text',
    customer_id: 'text',
    subscription_id: 'text',
    plan_version_id: 'text',
    run_id: 'text',
    period_start: 'instant',
    period_end: 'instant',
    watermark: 'text',
    currency: 'text',
    subtotal: 'text',
    total: 'text',
    issued_at: 'instant',
    previous_hash: 'text',
    hash: 'text',
  },
  // Its lines are in its hash (invoicer/invoices/invoice-hash.ts), which the entry holds too.
  children: [],
} as const satisfies AuditedObject;

/** Of runs from before there were runs of all that is due. */
const billingRunOfForm3 = {
  ...billingRunOfForm2,
  form: 3,
  created: ['billing_run.created', 'rating_run.created'],
  columns: { ...billingRunOfForm2.columns, kind: 'text' },
} as const satisfies AuditedObject;

export const auditedBillingRun = {
  ...billingRunOfForm3,
  form: 4,
  earlier: [billingRunOfForm3, billingRunOfForm2, billingRunOfForm1],
  columns: { ...billingRunOfForm3.columns, due_until: 'instant', arrears_until: 'instant', test_clock_id: 'text' },
} as const satisfies AuditedObject;

/** Of invoices from before what is charged in advance was billed. */
const periodsOfForm2 = {
  table: 'billing_periods',
  parent: 'invoice_id',
  order: ['id'],
  columns: {
    id: 'text',
    organization_id: 'text',
    subscription_id: 'text',
    customer_id: 'text',
    plan_version_id: 'text',
    billing_start: 'instant',
    billing_end: 'instant',
    segment: 'text',
    span_start: 'instant',
    span_end: 'instant',
    state: 'text',
    watermark: 'text',
    invoice_id: 'text',
    created_at: 'instant',
  },
} as const satisfies ChildRows;

const invoiceOfForm2 = {
  ...invoiceOfForm1,
  form: 2,
  columns: {
    id: 'text',
    organization_id: 'text',
    series_number: 'text',
    kind: 'text',
    content_version: 'text',
    customer_id: 'text',
    subscription_id: 'text',
    plan_version_id: 'text',
    run_id: 'text',
    period_start: 'instant',
    period_end: 'instant',
    watermark: 'text',
    currency: 'text',
    subtotal: 'text',
    total: 'text',
    issued_at: 'instant',
    previous_hash: 'text',
    hash: 'text',
  },
  // Its lines are in its hash (invoicer/invoices/invoice-hash.ts), which the entry holds too.
  children: [periodsOfForm2],
} as const satisfies AuditedObject;

/** Of invoices from before their rows were digested as they are sent. */
const invoiceOfForm3 = {
  ...invoiceOfForm2,
  form: 3,
  children: [
    {
      ...periodsOfForm2,
      columns: {
        ...periodsOfForm2.columns,
        item: 'text',
        timing: 'text',
        interval_unit: 'text',
        interval_count: 'text',
        counted: 'text',
        quantities: 'text',
        priced_at: 'instant',
        due_at: 'instant',
      },
    },
  ],
} as const satisfies AuditedObject;

export const auditedInvoice = {
  ...invoiceOfForm3,
  form: 4,
  asSent: true,
  earlier: [invoiceOfForm3, invoiceOfForm2, invoiceOfForm1],
} as const satisfies AuditedObject;

/** `before` is of subscriptions from before they had billing periods of their own. */
export const auditedSubscription = (before: AuditedObject): AuditedObject => {
  const { earlier = [], ...ofForm2 } = before;
  const form = before.form ?? 1;
  const columns: Readonly<Record<string, ColumnForm>> = {
    ...before.columns,
    interval_unit: 'text',
    interval_count: 'text',
    billing_anchor: 'text',
    time_zone: 'text',
    canceled_at: 'instant',
    cancellation_reason: 'text',
  };
  const beforeChanges = { ...ofForm2, form: form + 1, columns };
  return {
    ...beforeChanges,
    form: form + 2,
    earlier: [beforeChanges, ofForm2, ...earlier],
    columns: {
      ...columns,
      seats: 'text',
      has_changes: 'text',
      trial_ends_at: 'instant',
      trial_end_action: 'text',
      cancellation_refund: 'text',
      test_clock_id: 'text',
    },
    children: [
      {
        table: 'subscription_changes',
        parent: 'subscription_id',
        order: ['id'],
        columns: {
          id: 'text',
          organization_id: 'text',
          subscription_id: 'text',
          kind: 'text',
          effective_at: 'instant',
          plan_version_id: 'text',
          quantity: 'text',
          interval_unit: 'text',
          interval_count: 'text',
          usage: 'text',
          bills: 'text',
          created_at: 'instant',
          undone_at: 'instant',
        },
        // Most have none, and are spared the question.
        when: 't.has_changes',
      },
    ],
  };
};
