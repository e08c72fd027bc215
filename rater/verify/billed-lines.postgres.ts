/** What was rated and issued, as it is stored, for `rate-again.ts`. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { ratedBefore } from '#platform/stores/rated-before.ts';
import { amountFromStored } from '#schemas/money.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import { ratedPrices } from '../run/price-spans.postgres.ts';
import type { RateAgainPorts } from './rate-again.ts';

const periodsStatement = `SELECT id, watermark FROM billing_periods
  WHERE organization_id = $1 AND state IN ('billed', 'credited') AND id > $2 AND ($3::text IS NULL OR invoice_id = $3)
    AND ($4::text IS NULL OR billing_month = $4)
  ORDER BY id LIMIT $5`;

// Texts of the columns, so that no reading of them hides what is stored.
const ratedStatement = `SELECT l.id, l.billing_period_id, l.charge_code, l.line::text AS line,
    l.line ->> 'rounding' AS rounding, l.parts::text AS parts,
    l.hash_version::text AS hash_version, l.input_hash, l.output_hash,
    l.subscription_id, l.period_start, l.period_end, l.plan_version_id, l.position::text AS position,
    l.unmeasured_events::text AS unmeasured_events, b.billing_start, b.billing_end
  FROM unnest($2::text[], $3::bigint[]) AS p (id, watermark) JOIN rated_lines l ON l.billing_period_id = p.id
    AND l.watermark = p.watermark JOIN billing_periods b ON b.id = p.id
  WHERE l.organization_id = $1 ORDER BY l.billing_period_id, l.position`;

// A line of content version 1 names no billing period; its invoice has one.
const printedStatement = `SELECT i.invoice_id, i.position, p.id AS billing_period_id, i.charge_code, i.description,
    coalesce(i.meter, 'nothing') AS meter, i.quantity::text AS quantity, i.rounding,
    i.precise_amount::text AS precise_amount, i.amount::text AS amount, i.steps::text AS steps
  FROM billing_periods p JOIN invoice_lines i ON i.invoice_id = p.invoice_id AND (i.billing_period_id = p.id
    OR i.billing_period_id IS NULL) AND i.kind IS DISTINCT FROM 'item'
  WHERE p.organization_id = $1 AND p.id = ANY ($2) ORDER BY i.invoice_id, i.position`;

const creditedStatement = `SELECT p.id, coalesce(sum(c.amount), 0)::text AS amount
  FROM billing_periods p LEFT JOIN credit_notes n ON n.delta_id = p.id
    LEFT JOIN credit_note_lines c ON c.credit_note_id = n.id
  WHERE p.organization_id = $1 AND p.id = ANY ($2) AND p.state = 'credited' GROUP BY p.id`;

// What is only reported is on no invoice.
const beforeStatement = `SELECT p.id AS delta_id, p.span_start, p.span_end, l.billing_period_id, l.line
  FROM billing_periods p CROSS JOIN LATERAL (${ratedBefore}) b
    LEFT JOIN rated_lines l ON l.billing_period_id = b.id AND l.watermark = b.watermark
  WHERE p.organization_id = $1 AND p.id = ANY ($2) AND p.timing = 'delta' ORDER BY l.position`;

type BeforeRow = {
  delta_id: string;
  span_start: Date;
  span_end: Date;
  billing_period_id: string | null;
  line: RatedLineJson | null;
};

const beforeFromRows = (rows: readonly BeforeRow[]): ReadonlyMap<string, readonly RatedLine[]> => {
  const lines = rows.map(({ delta_id, line, billing_period_id, span_start, span_end }) => {
    const span = { start: span_start.getTime(), end: span_end.getTime() };
    return [delta_id, line && ratedLineFromJson(line, { billingPeriodId: billing_period_id ?? '', span })] as const;
  });
  const byDelta = Map.groupBy(lines, ([id]) => id);
  return new Map([...byDelta].map(([id, all]) => [id, all.flatMap(([, line]) => line ?? [])]));
};

type RatedRow = {
  id: string;
  billing_period_id: string;
  charge_code: string;
  line: string;
  rounding: string | null;
  parts: string | null;
  hash_version: string | null;
  input_hash: string | null;
  output_hash: string | null;
  subscription_id: string;
  period_start: Date;
  period_end: Date;
  plan_version_id: string;
  position: string;
  unmeasured_events: string;
  billing_start: Date;
  billing_end: Date;
};

type PrintedRow = Record<
  | 'invoice_id'
  | 'billing_period_id'
  | 'charge_code'
  | 'description'
  | 'meter'
  | 'quantity'
  | 'rounding'
  | 'precise_amount'
  | 'amount'
  | 'steps',
  string
> & { position: number };

const hashesFromRow = ({ hash_version, input_hash, output_hash }: RatedRow) =>
  hash_version === null
    ? undefined
    : { version: hash_version, input: input_hash ?? 'nothing', output: output_hash ?? 'nothing' };

/** The prices that the stored lines name, and not those that stand by now. */
export const createRatedPriceSpans =
  (postgres: Queryable): RateAgainPorts['catalog']['priceSpans'] =>
  ({ organizationId }, periods, meters) =>
    // Each has lines of its own.
    ratedPrices(
      postgres,
      organizationId,
      periods.map(({ pricedAs: _, ...period }) => period),
      meters,
    );

export const createBilledLines = (postgres: Queryable): Pick<RateAgainPorts, 'billedPeriods' | 'storedLines'> => ({
  billedPeriods: async ({ organizationId, invoiceId, month, pageSize }, after) => {
    const { rows } = await postgres.query<{ id: string; watermark: bigint }>(periodsStatement, [
      organizationId,
      after,
      invoiceId ?? null,
      month ?? null,
      pageSize,
    ]);
    return rows;
  },
  storedLines: async (organizationId, periods) => {
    const ids = periods.map(({ id }) => id);
    const watermarks = periods.map(({ watermark }) => watermark);
    const rated = await postgres.query<RatedRow>(ratedStatement, [organizationId, ids, watermarks]);
    const printed = await postgres.query<PrintedRow>(printedStatement, [organizationId, ids]);
    const before = await postgres.query<BeforeRow>(beforeStatement, [organizationId, ids]);
    const credited = await postgres.query<{ id: string; amount: string }>(creditedStatement, [organizationId, ids]);
    return {
      credited: new Map(credited.rows.map(({ id, amount }) => [id, amountFromStored(amount)])),
      before: beforeFromRows(before.rows),
      rated: rated.rows.map((row) => ({
        id: row.id,
        billingPeriodId: row.billing_period_id,
        chargeCode: row.charge_code,
        line: row.line,
        rounding: row.rounding ?? '',
        parts: row.parts ?? undefined,
        hashes: hashesFromRow(row),
        billing: { start: row.billing_start.getTime(), end: row.billing_end.getTime() },
        columns: {
          subscription_id: row.subscription_id,
          period_start: row.period_start.toISOString(),
          period_end: row.period_end.toISOString(),
          plan_version_id: row.plan_version_id,
          position: row.position,
          unmeasured_events: row.unmeasured_events,
        },
      })),
      printed: printed.rows.map(({ invoice_id, billing_period_id, charge_code, position, ...columns }) => ({
        invoiceId: invoice_id,
        billingPeriodId: billing_period_id,
        chargeCode: charge_code,
        position,
        columns,
      })),
    };
  },
});
