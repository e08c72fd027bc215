/** Reads invoices, and asks for billing runs. Issuing is the invoicer's. */
import { runStates } from '#schemas/http/runs.ts';
import type { InvoiceState, InvoiceTerms, IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import {
  type InvoiceLineRow,
  type InvoicePeriodRow,
  type InvoiceRow,
  invoiceColumns,
  invoiceFromRows,
  invoiceLineColumns,
  selectPeriodsOfInvoices,
} from '../../invoicer/invoices/invoice-rows.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage, type PageRows } from '../route/lists.ts';
import {
  addRun,
  billingRunsOnly,
  type NewRun,
  type Run,
  type RunRow,
  runAskers,
  runColumns,
  runFrom,
  runFromRow,
  runStateOf,
} from '../runs/runs.postgres.ts';
import { type DraftPeriod, type InvoiceDraft, invoiceDraftStore } from './drafts.postgres.ts';
import type { StatedInvoice } from './invoice-json.ts';
import { atHour, customerInvoiceList, invoiceList, ofCustomer } from './invoice-list.postgres.ts';
import { invoiceStates } from './invoice-states.postgres.ts';
import { payerTerms } from './payer-terms.postgres.ts';

export type BillingRun = Run & {
  readonly issued: number;
  readonly alreadyIssued: number;
  readonly drafted: number;
  readonly carriedOver: number;
  readonly draftId: string | null;
  readonly issuedMs: number;
  readonly unmeasuredEvents: bigint;
};

type BillingRunRow = RunRow & {
  issued: number;
  already_issued: number;
  drafted: number;
  carried_over: number;
  draft_id: string | null;
  issued_ms: number;
  unmeasured_events: string;
};

const billingRunFromRow = (row: BillingRunRow): BillingRun => ({
  ...runFromRow(row),
  issued: row.issued,
  alreadyIssued: row.already_issued,
  drafted: row.drafted,
  carriedOver: row.carried_over,
  draftId: row.draft_id,
  issuedMs: row.issued_ms,
  unmeasuredEvents: BigInt(row.unmeasured_events),
});

const billingRunColumns = `${runColumns}, s.issued, r.already_issued + s.already_issued AS already_issued, s.issued_ms,
  s.drafted, s.carried_over, r.draft_id, u.unmeasured_events`;
const billingRunFrom = `${runFrom(billingRunsOnly)}
  JOIN LATERAL (
    SELECT coalesce(sum(l.unmeasured_events), 0)::text AS unmeasured_events
    FROM invoices i JOIN billing_periods p ON p.invoice_id = i.id AND p.timing <> 'delta'
      JOIN rated_lines l ON l.billing_period_id = p.id AND l.watermark = p.watermark
    WHERE i.run_id = r.id
  ) u ON true`;

const periodsStatement = selectPeriodsOfInvoices();

const periodsOf = async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, InvoicePeriodRow[]>> => {
  const { rows } = await db.query<InvoicePeriodRow>(periodsStatement, [ids]);
  return Map.groupBy(rows, (row) => row.invoice_id);
};

export type ListedInvoice =
  | { readonly issued: StatedInvoice }
  | { readonly draft: InvoiceDraft; readonly periods: readonly DraftPeriod[]; readonly terms: InvoiceTerms };

const issuedHeads = async (db: Db, ids: readonly string[]): Promise<readonly IssuedInvoice[]> => {
  if (ids.length === 0) return [];
  const { rows } = await db.query<InvoiceRow>(
    `SELECT ${invoiceColumns} FROM invoices WHERE organization_id = $1 AND id = ANY ($2)`,
    [db.organizationId, ids],
  );
  const periods = await periodsOf(db, ids);
  return rows.map((row) => invoiceFromRows(row, periods.get(row.id) ?? [], []));
};

type ListedRow = { id: string; state: InvoiceState };

const withoutLines = async (db: Db, { rows, ...rest }: PageRows<ListedRow>): Promise<PageRows<ListedInvoice>> => {
  const idsOf = (ofDrafts: boolean) => rows.flatMap(({ id, state }) => ((state === 'draft') === ofDrafts ? [id] : []));
  const issued = new Map((await issuedHeads(db, idsOf(false))).map((invoice) => [invoice.id, invoice]));
  const states = await invoiceStates.statesOf(db, [...issued.keys()]);
  const draftIds = idsOf(true);
  const drafts = new Map((await invoiceDraftStore.draftHeads(db, draftIds)).map((draft) => [draft.id, draft]));
  const periods = await invoiceDraftStore.draftPeriods(db, draftIds);
  const termsOf = await payerTerms(
    db,
    [...drafts.values()].map(({ customerId }) => customerId),
  );
  const listed = rows.flatMap(({ id }): ListedInvoice[] => {
    const [invoice, state, draft] = [issued.get(id), states.get(id), drafts.get(id)];
    if (invoice && state) return [{ issued: { invoice, state } }];
    const terms = draft && termsOf.get(draft.customerId);
    return draft && terms ? [{ draft, periods: periods.get(id) ?? [], terms }] : [];
  });
  return { ...rest, rows: listed };
};

const runOf = async (db: Db, id: string): Promise<BillingRun | undefined> => {
  const { rows } = await db.query<BillingRunRow>(
    `SELECT ${billingRunColumns} FROM ${billingRunFrom} WHERE r.organization_id = $1 AND r.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && billingRunFromRow(rows[0]);
};

const runList = defineList({
  name: 'billing-runs',
  columns: billingRunColumns,
  from: billingRunFrom,
  countFrom: billingRunsOnly,
  id: 'r.id',
  organization: 'r.organization_id',
  sorts: { created_at: { column: 'r.created_at', type: 'timestamptz' } },
  filters: {
    state: { column: 'r.state', choices: runStates },
    asked_by: { column: 'r.asked_by', choices: runAskers },
    customer_id: customerFilter('r.customer_id'),
    subscription_id: { column: 'r.subscription_id' },
  },
  times: { created_at: 'r.created_at' },
});

export const invoiceReader = {
  runList,
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
  /** Without its lines. */
  head: async (db: Db, id: string): Promise<IssuedInvoice | undefined> => (await issuedHeads(db, [id]))[0],
  isIssued: async (db: Db, id: string): Promise<boolean> => {
    const { rowCount } = await db.query('SELECT 1 FROM invoices WHERE organization_id = $1 AND id = $2', [
      db.organizationId,
      id,
    ]);
    return rowCount === 1;
  },
  /** Without lines: a list shows heads. */
  invoices: async (db: Db, page: ListPage, now: Instant) =>
    withoutLines(db, await listRows<ListedRow>(db, invoiceList, db.organizationId, atHour(page, now))),
  customerInvoices: async (db: Db, customerId: string, page: ListPage, now: Instant) =>
    withoutLines(
      db,
      await listRows<ListedRow>(
        db,
        customerInvoiceList,
        db.organizationId,
        atHour({ ...page, conditions: [...page.conditions, ofCustomer(customerId)] }, now),
      ),
    ),
  addRun: async (db: Db, run: NewRun, now: Date): Promise<BillingRun> =>
    (await runOf(db, await addRun(db, run, now))) as BillingRun,
  run: runOf,
  runs: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<BillingRunRow>(db, runList, db.organizationId, page);
    return { ...rest, rows: rows.map(billingRunFromRow) };
  },
  runState: (db: Db, id: string) => runStateOf(db, billingRunsOnly, id),
};

export type InvoiceReader = typeof invoiceReader;
