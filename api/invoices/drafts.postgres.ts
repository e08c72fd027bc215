/** Drafts of invoices as rows: read, changed, and handed to a run. Issuing is the invoicer's. */

import { newId } from '#platform/process/ids.ts';
import { externalIdsOf } from '#platform/stores/customer-names.ts';
import { type Currency, isCurrency } from '#schemas/currency.ts';
import { isId } from '#schemas/ids.ts';
import {
  type DiscountJson,
  discountFromJson,
  discountToJson,
  type TaxJson,
  taxFromJson,
  taxToJson,
} from '#schemas/invoice/content-parts.ts';
import type { DraftOverrides } from '#schemas/invoice/draft-overrides.ts';
import { type ItemJson, itemFromJson, itemToJson, type OneOffItem } from '#schemas/invoice/one-off.ts';
import type { InvoiceDiscount, InvoiceKind, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, formatAmount, parseStoredAmount, sumAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { type CarriedRow, carriedColumns } from '../../invoicer/invoices/carried-rows.ts';
import {
  type GroupPeriod,
  groupPeriod,
  groupPeriodColumns,
  lineFromRow,
  type RatedRow,
  ratedBeforeParameters,
  ratedLinesStatement,
} from '../../invoicer/invoices/invoice-groups.ts';
import { periodOrder } from '../../invoicer/invoices/invoice-rows.ts';
import { type OneTimeRow, type PeriodRow, ratedRounding, ratedTiming } from '../../rater/run/billable-periods.ts';
import { oneTimeStatement } from '../../rater/run/source-statements.ts';
import type { Db } from '../route/define-route.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type InvoiceDraft = ResourceHead & {
  readonly id: string;
  readonly kind: InvoiceKind;
  readonly state: 'draft' | 'issued' | 'deleted';
  readonly customerId: string;
  readonly currency: Currency;
  /** Null: when somebody asks for it. */
  readonly finalizeAt: Instant | null;
  readonly overrides: DraftOverrides;
  /** Of a one-off invoice. */
  readonly items: readonly OneOffItem[];
  readonly lineCount: number;
  /** As it was computed last, when, and at which watermark. */
  readonly subtotal: Amount;
  readonly discounts: readonly InvoiceDiscount[];
  readonly taxes: readonly InvoiceTax[];
  readonly computedAt: Instant;
  readonly watermark: bigint | null;
  /** The voided invoice that it takes the place of. */
  readonly reissueOf: string | null;
  readonly testClockId: string | null;
  readonly clockNow: Instant | null;
  /** The run that finalizes it at this moment. */
  readonly finalizingRunId: string | null;
  /** Why the run that tried to finalize it last did not issue it. */
  readonly failure: string | null;
};

export type DraftPeriod = ReturnType<typeof groupPeriod>;

type DraftPeriodsRow = Pick<CarriedRow, 'carried'> & { draft_id: string; periods: GroupPeriod[] };

/** With when it fell due first, where it was carried over. */
const draftPeriod = (period: GroupPeriod, carried: CarriedRow['carried']): DraftPeriod => {
  const carriedFrom = carried?.[period.id];
  return { ...groupPeriod(period), ...(carriedFrom !== undefined && { carriedFrom }) };
};

type DraftRow = ResourceRow & {
  id: string;
  kind: InvoiceKind;
  state: InvoiceDraft['state'];
  customer_id: string;
  currency: string;
  finalize_at: Date | null;
  overrides: DraftOverrides;
  lines: ItemJson[] | null;
  line_count: number;
  subtotal: string;
  discounts: DiscountJson[];
  taxes: TaxJson[];
  computed_at: Date;
  watermark: bigint | null;
  reissue_of: string | null;
  test_clock_id: string | null;
  clock_now: Date | null;
  finalizing_run_id: string | null;
  failure: string | null;
};

/** Of the run, or of the first of its billing periods that could not be rated. */
const failureOf = `coalesce(r.failure, (
    SELECT f.message FROM rating_failures f JOIN billing_periods p ON p.id = f.billing_period_id
    WHERE f.run_id = r.id AND p.draft_id = d.id ORDER BY f.id LIMIT 1))`;

const columns = (
  lines: string,
): string => `d.id, d.kind, d.state, d.customer_id, d.currency, d.finalize_at, d.overrides,
  ${lines} AS lines, d.line_count, d.subtotal::text, d.discounts, d.taxes, d.computed_at, d.watermark, d.reissue_of,
  d.test_clock_id, d.metadata, d.version, d.created_at, d.updated_at,
  (SELECT k.now_at FROM test_clocks k WHERE k.id = d.test_clock_id) AS clock_now,
  (SELECT r.id FROM billing_runs r WHERE r.id = d.run_id AND r.state IN ('queued', 'running')) AS finalizing_run_id,
  (SELECT ${failureOf} FROM billing_runs r WHERE r.id = d.run_id AND r.state NOT IN ('queued', 'running')) AS failure`;
const whole = columns('d.lines');

const fromRow = (row: DraftRow): InvoiceDraft => {
  const subtotal = parseStoredAmount(row.subtotal);
  if (subtotal === undefined || !isCurrency(row.currency)) throw new TypeError(`the draft ${row.id} can't be read`);
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    customerId: row.customer_id,
    currency: row.currency,
    finalizeAt: row.finalize_at?.getTime() ?? null,
    overrides: row.overrides,
    items: (row.lines ?? []).map(itemFromJson),
    lineCount: row.line_count,
    subtotal,
    discounts: row.discounts.map(discountFromJson),
    taxes: row.taxes.map(taxFromJson),
    computedAt: row.computed_at.getTime(),
    watermark: row.watermark,
    reissueOf: row.reissue_of,
    testClockId: row.test_clock_id,
    clockNow: row.clock_now?.getTime() ?? null,
    finalizingRunId: row.finalizing_run_id,
    failure: row.failure,
    ...headFromRow(row),
  };
};

export type NewOneOff = Pick<
  InvoiceDraft,
  'customerId' | 'currency' | 'finalizeAt' | 'overrides' | 'items' | 'discounts' | 'taxes' | 'metadata'
> & {
  readonly testClockId: string | null;
  readonly reissueOf?: string;
};

/** The items of a one-off invoice, and what they came to. */
export type ComputedItems = Pick<InvoiceDraft, 'currency' | 'items' | 'discounts' | 'taxes'>;

/** As `lines`, `line_count`, `subtotal`, `discounts` and `taxes`. */
const itemColumns = ({ currency, items, discounts, taxes }: ComputedItems): unknown[] => [
  JSON.stringify(items.map(itemToJson)),
  items.length,
  formatAmount(sumAmounts(items.map(({ amount }) => amount))),
  JSON.stringify(discounts.map((discount) => discountToJson(discount, currency))),
  JSON.stringify(taxes.map((tax) => taxToJson(tax, currency))),
];

const periodsStatement = `SELECT p.draft_id, json_agg(${groupPeriodColumns} ORDER BY ${periodOrder}) AS periods,
  ${carriedColumns}
FROM billing_periods p WHERE p.draft_id = ANY ($1) AND p.state = 'open' GROUP BY p.draft_id`;

export const invoiceDraftStore = {
  /** Also one that was issued or deleted; `lock` holds the row until the transaction ends. */
  draft: async (db: Db, id: string, lock?: 'lock'): Promise<InvoiceDraft | undefined> => {
    // In a statement of its own: the one behind it sees which run whoever had the lock before has handed it to.
    if (lock)
      await db.query('SELECT 1 FROM invoice_drafts WHERE organization_id = $1 AND id = $2 FOR UPDATE', [
        db.organizationId,
        id,
      ]);
    const { rows } = await db.query<DraftRow>(
      `SELECT ${whole} FROM invoice_drafts d WHERE d.organization_id = $1 AND d.id = $2`,
      [db.organizationId, id],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** Without the lines. */
  draftHeads: async (db: Db, ids: readonly string[]): Promise<readonly InvoiceDraft[]> => {
    if (ids.length === 0) return [];
    const { rows } = await db.query<DraftRow>(
      `SELECT ${columns('NULL::json')} FROM invoice_drafts d WHERE d.organization_id = $1 AND d.id = ANY ($2)`,
      [db.organizationId, ids],
    );
    return rows.map(fromRow);
  },
  /** By draft, in the order of their lines. */
  draftPeriods: async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, readonly DraftPeriod[]>> => {
    if (ids.length === 0) return new Map();
    const { rows } = await db.query<DraftPeriodsRow>(periodsStatement, [ids]);
    return new Map(
      rows.map(({ draft_id, periods, carried }) => [draft_id, periods.map((period) => draftPeriod(period, carried))]),
    );
  },
  /** Its billing periods as they are rated, and what is charged once of them. */
  periodRows: async (db: Db, id: string): Promise<{ rows: readonly PeriodRow[]; oneTime: readonly OneTimeRow[] }> => {
    const { rows } = await db.query<PeriodRow>(
      `SELECT p.id, p.subscription_id, p.customer_id,
         ${externalIdsOf('c')} AS external_ids, p.plan_version_id, s.currency, s.time_zone,
         p.span_start, p.span_end, p.billing_start, p.billing_end, p.item, ${ratedTiming}, p.interval_unit, p.interval_count,
         p.counted, p.quantities, p.priced_at, p.usage_waived, ${ratedRounding}
       FROM billing_periods p JOIN customers c ON c.id = p.customer_id JOIN subscriptions s ON s.id = p.subscription_id
       WHERE p.draft_id = $1 AND p.state = 'open'`,
      [id],
    );
    const charged = rows.flatMap(({ item }) => (isId('otc', item) ? [item] : []));
    const oneTime =
      charged.length > 0 ? (await db.query<OneTimeRow>(oneTimeStatement, [db.organizationId, charged])).rows : [];
    return { rows, oneTime };
  },
  /** What was rated before of the periods that its deltas correct. */
  linesBefore: async (db: Db, periods: readonly DraftPeriod[]): Promise<readonly RatedLine[]> => {
    const before = ratedBeforeParameters(periods);
    return before ? (await db.query<RatedRow>(ratedLinesStatement, before)).rows.map(lineFromRow) : [];
  },
  /** Of one that has many billing periods, as they were rated when it was made. */
  computedLines: async (db: Db, id: string): Promise<readonly RatedLine[]> => {
    const { rows } = await db.query<RatedRow>(
      `SELECT l.line, p.id, p.span_start, p.span_end
       FROM invoice_drafts d CROSS JOIN json_to_recordset(d.computed_lines) AS l (billing_period_id text, line json)
         JOIN billing_periods p ON p.id = l.billing_period_id
       WHERE d.organization_id = $1 AND d.id = $2 AND p.draft_id = d.id AND p.state = 'open'`,
      [db.organizationId, id],
    );
    return rows.map(lineFromRow);
  },
  addOneOff: async (db: Db, draft: NewOneOff, now: Date): Promise<InvoiceDraft> => {
    const id = newId('inv');
    await db.query(
      `INSERT INTO invoice_drafts (id, organization_id, kind, state, customer_id, currency, finalize_at, overrides,
         lines, line_count, subtotal, discounts, taxes, computed_at, test_clock_id, metadata, reissue_of, version, created_at,
         updated_at)
       VALUES ($1, $2, 'one_off', 'draft', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1, $12, $12)`,
      [
        id,
        db.organizationId,
        draft.customerId,
        draft.currency,
        draft.finalizeAt === null ? null : new Date(draft.finalizeAt),
        JSON.stringify(draft.overrides),
        ...itemColumns(draft),
        now,
        draft.testClockId,
        draft.metadata,
        draft.reissueOf ?? null,
      ],
    );
    return (await invoiceDraftStore.draft(db, id)) as InvoiceDraft;
  },
  /** `relined` is of a one-off invoice with other lines. */
  changeDraft: async (
    db: Db,
    id: string,
    { finalizeAt, overrides, metadata }: Pick<InvoiceDraft, 'finalizeAt' | 'overrides' | 'metadata'>,
    relined: ComputedItems | undefined,
    now: Date,
  ): Promise<InvoiceDraft> => {
    await db.query(
      `UPDATE invoice_drafts SET finalize_at = $3, overrides = $4, metadata = $5, version = version + 1, updated_at = $6
       WHERE organization_id = $1 AND id = $2`,
      [
        db.organizationId,
        id,
        finalizeAt === null ? null : new Date(finalizeAt),
        JSON.stringify(overrides),
        metadata,
        now,
      ],
    );
    if (relined)
      await db.query(
        `UPDATE invoice_drafts SET lines = $3, line_count = $4, subtotal = $5, discounts = $6, taxes = $7,
           computed_at = $8
         WHERE organization_id = $1 AND id = $2`,
        [db.organizationId, id, ...itemColumns(relined), now],
      );
    return (await invoiceDraftStore.draft(db, id)) as InvoiceDraft;
  },
  deleteDraft: async (db: Db, id: string, now: Date): Promise<void> => {
    await db.query(
      `UPDATE invoice_drafts SET state = 'deleted', version = version + 1, updated_at = $3
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, now],
    );
  },
  handToRun: async (db: Db, id: string, runId: string, now: Date): Promise<InvoiceDraft> => {
    await db.query(
      `UPDATE invoice_drafts SET run_id = $3, version = version + 1, updated_at = $4
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, runId, now],
    );
    return (await invoiceDraftStore.draft(db, id)) as InvoiceDraft;
  },
};

export type InvoiceDraftStore = typeof invoiceDraftStore;
