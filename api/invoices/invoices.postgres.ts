/** Reads invoices, and asks for billing runs. Issuing is the invoicer's. */
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import { billingChannels } from '#schemas/billing-run.ts';
import type { runStates } from '#schemas/http/invoices.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant, Period } from '#schemas/period.ts';
import {
  type InvoiceLineRow,
  type InvoicePeriodRow,
  type InvoiceRow,
  invoiceColumns,
  invoiceFromRows,
  invoiceLineColumns,
  selectPeriodsOfInvoices,
} from '../../invoicer/invoices/invoice-rows.ts';
import { customerFilter } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage, type PageRows } from '../route/lists.ts';

export type BillingRun = {
  readonly id: string;
  readonly period: Period;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  readonly state: (typeof runStates)[number];
  readonly watermark: bigint | null;
  readonly failure: string | null;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
  readonly issued: number;
  readonly alreadyIssued: number;
  readonly ratedMs: number;
  readonly issuedMs: number;
  readonly unmeasuredEvents: bigint;
};

type RunRow = {
  id: string;
  period_start: Date;
  period_end: Date;
  customer_id: string | null;
  subscription_id: string | null;
  state: (typeof runStates)[number];
  watermark: bigint | null;
  failure: string | null;
  created_at: Date;
  updated_at: Date;
  issued: number;
  already_issued: number;
  rated_ms: number;
  issued_ms: number;
  unmeasured_events: string;
};

const runFromRow = (row: RunRow): BillingRun => ({
  id: row.id,
  period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  state: row.state,
  watermark: row.watermark,
  failure: row.failure,
  createdAt: row.created_at.getTime(),
  updatedAt: row.updated_at.getTime(),
  issued: row.issued,
  alreadyIssued: row.already_issued,
  ratedMs: row.rated_ms,
  issuedMs: row.issued_ms,
  unmeasuredEvents: BigInt(row.unmeasured_events),
});

export type NewBillingRun = {
  readonly period: Period;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  readonly requestId: string;
  readonly apiKeyId: string;
};

const runColumns = `r.id, r.period_start, r.period_end, r.customer_id, r.subscription_id, r.state, r.watermark,
  CASE WHEN r.state = 'failed' THEN r.failure END AS failure, r.created_at, r.updated_at,
  s.issued, r.already_issued + s.already_issued AS already_issued, s.rated_ms, s.issued_ms, u.unmeasured_events`;
const runFrom = `billing_runs r
  JOIN LATERAL (
    SELECT coalesce(sum(issued), 0)::integer AS issued, coalesce(sum(already_issued), 0)::integer AS already_issued,
      coalesce(sum(rated_ms), 0)::integer AS rated_ms, coalesce(sum(issued_ms), 0)::integer AS issued_ms
    FROM billing_run_shards WHERE run_id = r.id
  ) s ON true
  JOIN LATERAL (
    SELECT coalesce(sum(l.unmeasured_events), 0)::text AS unmeasured_events
    FROM invoices i JOIN billing_periods p ON p.invoice_id = i.id
      JOIN rated_lines l ON l.billing_period_id = p.id AND l.watermark = p.watermark
    WHERE i.run_id = r.id
  ) u ON true`;

const invoices = {
  columns: invoiceColumns,
  from: 'invoices',
  id: 'id',
  organization: 'organization_id',
  sorts: {
    created_at: { column: 'issued_at', type: 'timestamptz' },
    number: { column: 'series_number', type: 'bigint' },
  },
  filters: {
    subscription_id: {
      column: 'id',
      test: (value: string) =>
        `id IN (SELECT p.invoice_id FROM billing_periods p
           WHERE p.subscription_id = ${value} AND p.invoice_id IS NOT NULL)`,
    },
  },
  times: {
    created_at: 'issued_at',
    // Of its first billing period; in content version 1 the month stands in the invoice.
    period_start:
      'coalesce(period_start, (SELECT min(p.span_start) FROM billing_periods p WHERE p.invoice_id = invoices.id))',
  },
} as const;

const invoiceList = defineList({
  ...invoices,
  name: 'invoices',
  filters: { ...invoices.filters, customer_id: customerFilter('customer_id') },
});
const customerInvoiceList = defineList({ ...invoices, name: 'customer-invoices' });

const periodsStatement = selectPeriodsOfInvoices();

const periodsOf = async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, InvoicePeriodRow[]>> => {
  const { rows } = await db.query<InvoicePeriodRow>(periodsStatement, [ids]);
  return Map.groupBy(rows, (row) => row.invoice_id);
};

const withoutLines = async (db: Db, { rows, ...rest }: PageRows<InvoiceRow>): Promise<PageRows<IssuedInvoice>> => {
  const periods = await periodsOf(
    db,
    rows.map(({ id }) => id),
  );
  return { ...rest, rows: rows.map((row) => invoiceFromRows(row, periods.get(row.id) ?? [], [])) };
};

const runOf = async (db: Db, id: string): Promise<BillingRun | undefined> => {
  const { rows } = await db.query<RunRow>(
    `SELECT ${runColumns} FROM ${runFrom} WHERE r.organization_id = $1 AND r.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && runFromRow(rows[0]);
};

export const invoiceReader = {
  invoiceList,
  customerInvoiceList,
  /** The invoice with its lines. */
  invoice: async (db: Db, id: string): Promise<IssuedInvoice | undefined> => {
    const { rows } = await db.query<InvoiceRow>(
      `SELECT ${invoiceColumns} FROM invoices WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id],
    );
    const row = rows[0];
    if (!row) return undefined;
    const lines = await db.query<InvoiceLineRow>(
      `SELECT ${invoiceLineColumns} FROM invoice_lines WHERE invoice_id = $1 ORDER BY position`,
      [row.id],
    );
    return invoiceFromRows(row, (await periodsOf(db, [row.id])).get(row.id) ?? [], lines.rows);
  },
  /** Without lines: a list shows heads. */
  invoices: async (db: Db, page: ListPage) =>
    withoutLines(db, await listRows<InvoiceRow>(db, invoiceList, db.organizationId, page)),
  customerInvoices: async (db: Db, customerId: string, page: ListPage) =>
    withoutLines(
      db,
      await listRows<InvoiceRow>(db, customerInvoiceList, db.organizationId, page, { customer_id: customerId }),
    ),
  addRun: async (db: Db, run: NewBillingRun, now: Date): Promise<BillingRun> => {
    const id = newId('run');
    await db.query(
      `INSERT INTO billing_runs (id, organization_id, period_start, period_end, customer_id, subscription_id, state,
         created_at, updated_at, request_id, api_key_id)
       VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $7, $8, $9)`,
      [
        id,
        db.organizationId,
        new Date(run.period.start),
        new Date(run.period.end),
        run.customerId,
        run.subscriptionId,
        now,
        run.requestId,
        run.apiKeyId,
      ],
    );
    await notify(db, billingChannels.runQueued);
    return (await runOf(db, id)) as BillingRun;
  },
  run: runOf,
  runState: async (db: Db, id: string): Promise<BillingRun['state'] | undefined> => {
    const { rows } = await db.query<{ state: BillingRun['state'] }>(
      'SELECT state FROM billing_runs WHERE organization_id = $1 AND id = $2',
      [db.organizationId, id],
    );
    return rows[0]?.state;
  },
};

export type InvoiceReader = typeof invoiceReader;
