/** Late usage of billed periods: those that wait for a delta, and the deltas that came of it. */
import { ratedBefore } from '#platform/stores/rated-before.ts';
import { type Currency, isCurrency } from '#schemas/currency.ts';
import { type LateUsagePolicy, type LateUsageState, lateUsageIn, lateUsageStates } from '#schemas/late-usage.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { type RatedDelta, ratedDeltas } from '#schemas/rated-delta.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';

export type LateUsageRow = {
  /** The billing period that was billed before, and its invoice. */
  readonly billingPeriodId: string;
  readonly invoiceId: string;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
  readonly span: Period;
  readonly state: LateUsageState;
  readonly lateUsage: LateUsagePolicy;
  /** Null while it waits for an invoice. */
  readonly deltaId: string | null;
  readonly watermark: bigint | null;
  /** Of the invoice that bills the delta. */
  readonly billedBy: string | null;
  /** That give the delta back. */
  readonly creditNoteIds: readonly string[];
  /** What the delta comes to; undefined before it is rated. */
  readonly deltas: readonly RatedDelta[] | undefined;
  readonly createdAt: Instant;
};

const from = `(
    SELECT d.id, d.organization_id, d.corrects_id, d.id AS delta_id, d.state, d.watermark, d.invoice_id AS billed_by,
      d.created_at FROM billing_periods d WHERE d.timing = 'delta'
    UNION ALL
    SELECT l.billing_period_id, l.organization_id, l.billing_period_id, NULL, 'waiting', NULL, NULL, l.found_at
    FROM late_periods l
  ) d JOIN billing_periods p ON p.id = d.corrects_id JOIN subscriptions s ON s.id = p.subscription_id
  JOIN plan_versions v ON v.id = p.plan_version_id`;

const lateUsageList = defineList({
  name: 'late-usage',
  columns: `p.id, p.invoice_id, p.customer_id, p.subscription_id, p.plan_version_id, s.currency, p.span_start,
    p.span_end, d.state, v.terms, d.delta_id, d.watermark, d.billed_by, d.created_at,
    (SELECT json_agg(n.id ORDER BY n.series_number) FROM credit_notes n WHERE n.delta_id = d.delta_id)
      AS credit_note_ids`,
  from,
  id: 'd.id',
  organization: 'd.organization_id',
  sorts: { created_at: { column: 'd.created_at', type: 'timestamptz' } },
  filters: {
    customer_id: customerFilter('p.customer_id'),
    subscription_id: { column: 'p.subscription_id' },
    invoice_id: { column: 'p.invoice_id', description: 'Of the invoice that billed the period first.' },
    state: { column: 'd.state', choices: lateUsageStates },
  },
  times: { created_at: 'd.created_at' },
});

type ListedRow = {
  id: string;
  invoice_id: string;
  customer_id: string;
  subscription_id: string;
  plan_version_id: string;
  currency: string;
  span_start: Date;
  span_end: Date;
  state: LateUsageState;
  terms: { late_usage?: LateUsagePolicy } | null;
  delta_id: string | null;
  watermark: bigint | null;
  billed_by: string | null;
  credit_note_ids: string[] | null;
  created_at: Date;
};

// Of each delta the lines of now and those of before.
const linesStatement = `
SELECT p.id AS delta_id, b.is_now, l.line, l.billing_period_id, p.span_start, p.span_end
FROM billing_periods p CROSS JOIN LATERAL (
    SELECT p.id, p.watermark, true AS is_now
    UNION ALL SELECT before.id, before.watermark, false FROM (${ratedBefore}) before
  ) b JOIN rated_lines l ON l.billing_period_id = b.id AND l.watermark = b.watermark
WHERE p.organization_id = $1 AND p.id = ANY ($2) ORDER BY l.position`;

type LineRow = {
  delta_id: string;
  is_now: boolean;
  line: RatedLineJson;
  billing_period_id: string;
  span_start: Date;
  span_end: Date;
};

const lineFromRow = ({ line, billing_period_id: billingPeriodId, span_start, span_end }: LineRow): RatedLine =>
  ratedLineFromJson(line, { billingPeriodId, span: { start: span_start.getTime(), end: span_end.getTime() } });

/** By delta, of those that are rated. */
const readDeltas = async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, readonly RatedDelta[]>> => {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query<LineRow>(linesStatement, [db.organizationId, ids]);
  const byDelta = Map.groupBy(rows, (row) => row.delta_id);
  return new Map(
    [...byDelta].map(([id, lines]) => {
      const of = (isNow: boolean) => lines.filter((row) => row.is_now === isNow).map(lineFromRow);
      return [id, of(true).length > 0 ? ratedDeltas(of(true), of(false)) : []];
    }),
  );
};

const fromRow = (row: ListedRow, deltas: readonly RatedDelta[]): LateUsageRow => {
  if (!isCurrency(row.currency)) throw new TypeError(`${row.currency} is not a currency`);
  return {
    billingPeriodId: row.id,
    invoiceId: row.invoice_id,
    customerId: row.customer_id,
    subscriptionId: row.subscription_id,
    planVersionId: row.plan_version_id,
    currency: row.currency,
    span: { start: row.span_start.getTime(), end: row.span_end.getTime() },
    state: row.state,
    lateUsage: lateUsageIn(row.terms),
    deltaId: row.delta_id,
    watermark: row.watermark,
    billedBy: row.billed_by,
    creditNoteIds: row.credit_note_ids ?? [],
    deltas: row.watermark === null ? undefined : deltas,
    createdAt: row.created_at.getTime(),
  };
};

export const lateUsageReader = {
  lateUsageList,
  lateUsage: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<ListedRow>(db, lateUsageList, db.organizationId, page);
    const deltas = await readDeltas(
      db,
      rows.flatMap(({ delta_id: id }) => id ?? []),
    );
    return { ...rest, rows: rows.map((row) => fromRow(row, deltas.get(row.delta_id ?? '') ?? [])) };
  },
};

export type LateUsageReader = typeof lateUsageReader;
