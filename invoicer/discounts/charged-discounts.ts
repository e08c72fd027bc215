/**
 * The discounts that issued invoices have on what credits take back: how they are asked for, and the rows. Pure.
 */
import { type DiscountJson, discountFromJson } from '#schemas/invoice/content-parts.ts';
import { amountFromStored } from '#schemas/money.ts';
import type { ChargedLine, TakenBack, UnwrittenCredit } from './discount-facts.ts';

const matched = `subscription_id, billing_end, priced_at, item, interval_unit, interval_count, counted`;
const written = `SELECT id, ${matched} FROM billing_periods
  WHERE organization_id = $1 AND id = ANY ($2) AND timing = 'credit'`;
const unwritten = `SELECT n.* FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[],
  $7::text[], $8::integer[], $9::boolean[]) AS n (id, ${matched})`;

// A row an invoice, so its lines are read once, however many credits take of them. What a credit takes back is found as
// `insertPeriods` (rater/run/billing-runs.postgres.ts) finds whom it was charged to.
const statementOf = (credits: string): string => `
SELECT i.credit_ids, i.charge_ids, i.invoice_id IS NOT NULL AS is_issued, (
    SELECT json_agg(json_build_object('period', l.billing_period_id, 'code', l.charge_code, 'amount', l.amount::text,
      'discounts', l.discounts))
    FROM invoice_lines l
    WHERE l.invoice_id = i.invoice_id AND l.billing_period_id = ANY (i.charge_ids) AND l.discounts IS NOT NULL
  ) AS lines
FROM (
  SELECT a.invoice_id, array_agg(c.id) AS credit_ids, array_agg(a.id) AS charge_ids
  FROM (${credits}) c JOIN billing_periods a ON a.timing = 'advance' AND a.organization_id = $1
    AND a.subscription_id = c.subscription_id
    AND a.billing_end = c.billing_end AND a.span_start = c.priced_at AND a.item = c.item
    AND a.interval_unit = c.interval_unit AND a.interval_count = c.interval_count
    AND a.counted IS NOT DISTINCT FROM c.counted
  GROUP BY a.invoice_id
) i`;

/** Of those of the billing periods `$2` that are credits; not asked where there are none. */
export const chargedStatement = statementOf(written);
/** Of credits that are not written down, as `creditParameters` says them. */
export const chargedOfUnwritten = statementOf(unwritten);

export const creditParameters = (credits: readonly UnwrittenCredit[]): unknown[] => [
  credits.map(({ id }) => id),
  credits.map(({ subscriptionId }) => subscriptionId),
  credits.map(({ billingEnd }) => new Date(billingEnd)),
  credits.map(({ pricedAt }) => new Date(pricedAt)),
  credits.map(({ item }) => item),
  credits.map(({ interval }) => interval.unit),
  credits.map(({ interval }) => interval.count),
  credits.map(({ isCounted }) => isCounted),
];

type ChargedJson = { period: string; code: string; amount: string; discounts: DiscountJson[] };
export type ChargedRow = {
  credit_ids: string[];
  charge_ids: string[];
  is_issued: boolean;
  lines: ChargedJson[] | null;
};

const chargedOfRow = (row: ChargedRow): [string, TakenBack][] => {
  const byPeriod = Map.groupBy(row.lines ?? [], ({ period }) => period);
  return row.credit_ids.map((creditId, index) => {
    const chargeId = row.charge_ids[index] ?? '';
    const lines = (byPeriod.get(chargeId) ?? []).map(({ code, amount, discounts }): [string, ChargedLine] => [
      code,
      { amount: amountFromStored(amount), discounts: discounts.map(discountFromJson) },
    ]);
    return [creditId, { chargeId, lines: row.is_issued ? new Map(lines) : undefined }];
  });
};

/** By the billing period of the credit. */
export const chargedFromRows = (rows: readonly ChargedRow[]): ReadonlyMap<string, TakenBack> =>
  new Map(rows.flatMap(chargedOfRow));
