/** Rated lines with what they were made from, as far as PostgreSQL holds it. */

import assert from 'node:assert/strict';
import { externalIdsOf } from '#platform/stores/customer-names.ts';
import { isCounted } from '#schemas/charge-schedule.ts';
import { worthOf } from '#schemas/credit-unit.ts';
import { creditedBeforeIn } from '#schemas/credited-line.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import type { CorrectionJson, DiscountJson } from '#schemas/invoice/content-parts.ts';
import { type Amount, parseAmount, parseStoredAmount } from '#schemas/money.ts';
import { usageNames } from '#schemas/names.ts';
import { oneTimeChargeToJson } from '#schemas/one-time-charge.ts';
import { formatPeriod, type Instant, type Period, periodBetween } from '#schemas/period.ts';
import { boundChargeToJson, isPeriodBound, type PeriodBoundName, periodBoundsIn } from '#schemas/period-bound.ts';
import { type ChargeJson, chargeJsonIn } from '#schemas/plan.ts';
import { type GeneralTermsJson, prorationIn } from '#schemas/plan-terms.ts';
import { priceInMoney } from '#schemas/price/credits.ts';
import { type PriceJson, priceFromJson, priceToJson } from '#schemas/price/price.ts';
import type { MeasuredPart } from '#schemas/price/usage-parts.ts';
import { type Proration, proratedLevels, prorationOf } from '#schemas/proration.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { type RatedLineJson, type RatedSpan, ratedSpanFromJson } from '#schemas/rated-line.ts';
import type { RatingInput } from '#schemas/rating-input.ts';
import { type MeterVersion, meterOf } from '#schemas/stored-meter.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';
import { prorateBounds } from '../../rater/price/prorate.ts';
import { ratedTiming } from '../../rater/run/billable-periods.ts';
import type { LineHashes } from '../../rater/run/line-hashes.ts';
import { inputAsRated } from '../../rater/run/names-as-rated.ts';
import type { Db } from '../route/define-route.ts';

export type ExplainedLine = {
  readonly id: string;
  readonly ratedAt: Instant;
  /** The invoice that bills it; undefined where the line was not issued. */
  readonly invoice: { readonly id: string; readonly position: number } | undefined;
  /** What the invoice took off it, in the order in which it was taken off. */
  readonly discounts: readonly DiscountJson[];
  /** Of a credit: what the invoice took off it, as credit notes gave it back before. */
  readonly creditedBefore: Amount;
  /** Put together from what is stored now, of which nothing may have changed since. */
  readonly input: RatingInput;
  readonly output: RatedLineJson;
  /** Undefined for a line from before lines were hashed. */
  readonly hashes: LineHashes | undefined;
  /** Undefined for a flat charge. */
  readonly meter: MeterVersion | undefined;
};

const lineStatement = `
SELECT l.id, l.line, l.watermark, l.unmeasured_events::text AS unmeasured_events, l.parts, l.rated_at, l.hash_version,
  l.input_hash, l.output_hash,
  p.id AS billing_period_id, p.subscription_id, p.customer_id,
  ${externalIdsOf('c')} AS external_ids, p.span_start, p.span_end,
  p.billing_start, p.billing_end, ${ratedTiming}, p.quantities, s.time_zone, h.name AS one_time_name,
  trim_scale(coalesce(h.unit_amount, h.amount))::text AS one_time_amount,
  l.plan_version_id, s.currency, v.currency AS plan_currency, v.charges, v.terms,
  m.meter_code AS code, mv.version_number, mv.id AS meter_version_id, mv.definition, i.invoice_id,
  i.position AS invoice_position, i.discounts, i.steps::text AS printed_steps,
  (SELECT json_object_agg(o.id, o.price) FROM price_overrides o
    WHERE o.organization_id = l.organization_id AND o.id = ANY (ARRAY(
      SELECT one -> 'sources' ->> 'price_override_id' FROM json_array_elements(l.line -> 'price_spans') AS one))
  ) AS override_prices,
  (SELECT json_object_agg(r.id, trim_scale(r.amount)::text) FROM credit_unit_rates r
    WHERE r.organization_id = l.organization_id AND r.id = ANY (ARRAY(
      SELECT json_array_elements_text(one -> 'sources' -> 'credit_unit_rate_ids')
      FROM json_array_elements(l.line -> 'price_spans') AS one))
  ) AS credit_rates
FROM rated_lines l JOIN billing_periods p ON p.id = l.billing_period_id JOIN customers c ON c.id = p.customer_id
JOIN plan_versions v ON v.id = l.plan_version_id
  JOIN subscriptions s ON s.id = p.subscription_id
  LEFT JOIN one_time_charges h ON h.id = p.item AND p.timing = 'once'
  LEFT JOIN plan_version_meters m ON m.plan_version_id = v.id AND m.meter_code = l.line ->> 'meter'
  LEFT JOIN meter_versions mv ON mv.id = m.meter_version_id
  LEFT JOIN invoice_lines i ON i.invoice_id = p.invoice_id AND p.watermark = l.watermark
    AND i.charge_code = l.charge_code
    AND (i.billing_period_id = p.id OR i.billing_period_id IS NULL)
WHERE l.organization_id = $1 AND l.id = $2`;

// A line from before there were billing periods names none: its invoice has the one.
// A delta may be of a charge that is gone, as a minimum that is reached: its line is the one of before.
const lineOfInvoiceStatement = `
SELECT coalesce(l.id, b.id) AS id, il.corrects, b.id AS before_id
FROM invoices i JOIN invoice_lines il ON il.invoice_id = i.id
  JOIN billing_periods p ON p.invoice_id = i.id AND (il.billing_period_id = p.id OR il.billing_period_id IS NULL)
  LEFT JOIN rated_lines l ON l.billing_period_id = p.id AND l.watermark = p.watermark
    AND l.charge_code = il.charge_code
  LEFT JOIN LATERAL (
    SELECT r.id FROM billing_periods o JOIN rated_lines r ON r.billing_period_id = o.id AND r.watermark = o.watermark
    WHERE (o.id = p.corrects_id OR o.corrects_id = p.corrects_id) AND r.charge_code = il.charge_code
      AND o.watermark = (il.corrects ->> 'watermark')::bigint
  ) b ON true
WHERE i.organization_id = $1 AND i.id = $2 AND il.position = $3 AND coalesce(l.id, b.id) IS NOT NULL`;

/** The rated line that a line of an invoice charges for; of a delta, what it differs from, and the line of that. */
export type LineOfInvoice = {
  readonly id: string;
  readonly delta: { readonly corrects: CorrectionJson; readonly beforeId: string | null } | undefined;
};
type LineOfInvoiceRow = { id: string; corrects: CorrectionJson | null; before_id: string | null };

type LineRow = {
  id: string;
  line: RatedLineJson;
  watermark: bigint;
  unmeasured_events: string;
  parts: MeasuredPart[] | null;
  rated_at: Date;
  hash_version: number | null;
  input_hash: string | null;
  output_hash: string | null;
  billing_period_id: string;
  subscription_id: string;
  customer_id: string;
  external_ids: string[];
  span_start: Date;
  span_end: Date;
  billing_start: Date;
  billing_end: Date;
  timing: PartTiming;
  quantities: QuantityLevel[] | null;
  time_zone: string;
  /** Null as the amount is, but of a one-time charge. */
  one_time_name: string | null;
  one_time_amount: string | null;
  plan_version_id: string;
  currency: string;
  plan_currency: string;
  charges: ChargeJson[];
  terms: Partial<GeneralTermsJson> | null;
  code: string | null;
  version_number: number | null;
  meter_version_id: string | null;
  definition: unknown;
  invoice_id: string | null;
  invoice_position: number | null;
  discounts: DiscountJson[] | null;
  /** As the invoice prints them. */
  printed_steps: string | null;
  override_prices: Readonly<Record<string, PriceJson>> | null;
  credit_rates: Readonly<Record<string, string>> | null;
};

const storedCharge = (row: LineRow): ChargeJson => {
  const { charges, line, currency, plan_currency: own, plan_version_id: planVersionId } = row;
  if (row.one_time_name !== null && row.one_time_amount !== null)
    return oneTimeChargeToJson(line.charge_code, row.one_time_name, row.one_time_amount);
  const stored = charges.find(({ code }) => code === line.charge_code);
  const charge = stored && chargeJsonIn(stored, currency, own);
  assert(charge, `plan version ${planVersionId} has no charge ${line.charge_code} in ${currency}`);
  return charge;
};

const meterFromRow = ({ code, version_number, meter_version_id, definition }: LineRow): MeterVersion | undefined =>
  code === null || version_number === null || meter_version_id === null
    ? undefined
    : meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition });

/** What holds over all charges of the period, in place of a charge. */
const boundInput = (
  { line, terms, currency, plan_currency: own }: LineRow,
  proration: Proration | undefined,
  code: PeriodBoundName,
) => {
  const bounds = periodBoundsIn(terms, currency, own);
  const bound = bounds[code];
  const due = proration ? prorateBounds(bounds, proration, line.currency, line.rounding)[code] : bound;
  const amount = parseStoredAmount(line.amount);
  assert(bound && due && amount !== undefined, `plan version ${line.plan_version_id} has no ${code} in ${currency}`);
  return { charge: boundChargeToJson(code, bound), charged: (due.amount - amount) as Amount, measured: [] };
};

/** A price in credits as it was rated: what it is in money. */
const inMoney = (price: PriceJson, rates: LineRow['credit_rates'], ids: readonly string[]): PriceJson => {
  const parsed = priceFromJson(price);
  assert(parsed.ok, 'a price that is stored was read before');
  const amounts = ids.map((id) => {
    const amount = parseAmount(rates?.[id] ?? '');
    assert(amount !== undefined, `the rate ${id} is gone`);
    return { amount };
  });
  return priceToJson(priceInMoney(parsed.value, worthOf(amounts)));
};

const inputSpan = (row: LineRow, charge: ChargeJson, { span, tiers, sources }: RatedSpan) => {
  const { priceOverrideId: id, creditUnitRateIds } = sources;
  const price = id === undefined ? charge.price : row.override_prices?.[id];
  assert(price, `the price override ${id} is gone`);
  const storedPrice = creditUnitRateIds ? inMoney(price, row.credit_rates, creditUnitRateIds) : price;
  return { span, tiers, sources, storedPrice };
};

const inputFromRow = (row: LineRow, span: Period, meter: MeterVersion | undefined): RatingInput => {
  assert(isCurrency(row.currency), `${row.currency} is not a currency`);
  const head = {
    billingPeriodId: row.billing_period_id,
    subscriptionId: row.subscription_id,
    customerId: row.customer_id,
    planVersionId: row.plan_version_id,
    position: row.line.position,
    currency: row.currency,
    policy: { rounding: row.line.rounding },
    span,
    watermark: row.watermark,
  };
  const billing = periodBetween(row.billing_start, row.billing_end);
  const policy = prorationIn(row.terms);
  const proration = prorationOf(policy, billing, span, row.time_zone);
  const prorated = proration ? { proration } : {};
  if (isPeriodBound(row.line.model)) return { ...head, ...prorated, ...boundInput(row, proration, row.line.model) };
  const charge = storedCharge(row);
  const counted =
    row.one_time_name === null ? isCounted(charge, (row.terms?.add_on ?? null) !== null) : row.quantities !== null;
  const levels = proratedLevels(policy, billing, span, row.time_zone, row.quantities ?? undefined);
  const spans = row.line.price_spans?.map(ratedSpanFromJson);
  const whole = { quantity: row.line.quantity, parts: row.parts, unmeasuredEvents: BigInt(row.unmeasured_events) };
  const used = spans?.map((one) => ({
    span: one.span,
    quantity: formatQuantity(one.quantity),
    parts: one.usageParts,
    unmeasuredEvents: one.unmeasuredEvents,
  })) ?? [{ ...whole, span: undefined }];
  return {
    ...head,
    ...(row.timing !== 'arrears' && { timing: row.timing }),
    ...(counted && { levels }),
    ...(row.line.meter === null && !counted && prorated),
    charge,
    ...(spans && { priceSpans: spans.map((one) => inputSpan(row, charge, one)) }),
    measured: meter
      ? used.map(({ span: ofPrice, quantity, parts, unmeasuredEvents }) => ({
          meter: meter.code,
          meterVersionId: meter.versionId,
          ...(ofPrice && { span: ofPrice }),
          customers: usageNames(row.customer_id, row.external_ids),
          quantity,
          ...(parts && { parts }),
          unmeasuredEvents,
        }))
      : [],
  };
};

const hashesFromRow = ({ hash_version, input_hash, output_hash }: LineRow): LineHashes | undefined =>
  hash_version === null || input_hash === null || output_hash === null
    ? undefined
    : { version: hash_version, input: input_hash, output: output_hash };

const fromRow = (row: LineRow): ExplainedLine => {
  const span = periodBetween(row.span_start, row.span_end);
  const meter = meterFromRow(row);
  // What a line from before there were billing periods lacks. Anything else is as it is stored.
  const lacking = { billing_period_id: row.billing_period_id, span: formatPeriod(span) };
  return {
    id: row.id,
    ratedAt: row.rated_at.getTime(),
    invoice:
      row.invoice_id === null || row.invoice_position === null
        ? undefined
        : { id: row.invoice_id, position: row.invoice_position },
    discounts: row.discounts ?? [],
    creditedBefore: creditedBeforeIn(row.printed_steps ?? '[]'),
    input: inputAsRated(inputFromRow(row, span, meter), row.input_hash ?? undefined),
    output: { ...lacking, ...row.line },
    hashes: hashesFromRow(row),
    meter,
  };
};

export const ratedLines = {
  ratedLine: async (db: Db, id: string): Promise<ExplainedLine | undefined> => {
    const { rows } = await db.query<LineRow>(lineStatement, [db.organizationId, id]);
    return rows[0] && fromRow(rows[0]);
  },
  ofInvoiceLine: async (db: Db, invoiceId: string, position: number): Promise<LineOfInvoice | undefined> => {
    const asked = [db.organizationId, invoiceId, position];
    const { rows } = await db.query<LineOfInvoiceRow>(lineOfInvoiceStatement, asked);
    const [row] = rows;
    return row && { id: row.id, delta: row.corrects ? { corrects: row.corrects, beforeId: row.before_id } : undefined };
  },
};

export type RatedLines = typeof ratedLines;
