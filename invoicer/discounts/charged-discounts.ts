/**
 * The discounts that issued invoices have on what credits take back: how they are asked for, and the rows. Pure.
 */
import { type DiscountJson, discountFromJson } from '#schemas/invoice/content-parts.ts';
import { amountFromStored } from '#schemas/money.ts';
import { takenBackBy, unwrittenCredits, writtenCredits } from '../corrections/unwritten-credits.ts';
import type { ChargedLine, TakenBack } from './discount-facts.ts';

// A row an invoice, so its lines are read once, however many credits take of them.
const statementOf = (credits: string): string => `
SELECT i.credit_ids, i.charge_ids, i.invoice_id IS NOT NULL AS is_issued, (
    SELECT json_agg(json_build_object('period', l.billing_period_id, 'code', l.charge_code, 'amount', l.amount::text,
      'discounts', l.discounts))
    FROM invoice_lines l
    WHERE l.invoice_id = i.invoice_id AND l.billing_period_id = ANY (i.charge_ids) AND l.discounts IS NOT NULL
  ) AS lines
FROM (
  SELECT a.invoice_id, array_agg(c.id) AS credit_ids, array_agg(a.id) AS charge_ids
  FROM (${credits}) c JOIN ${takenBackBy}
  GROUP BY a.invoice_id
) i`;

/** Of those of the billing periods `$2` that are credits; not asked where there are none. */
export const chargedStatement = statementOf(writtenCredits);
/** Of credits that are not written down, as `creditParameters` says them. */
export const chargedOfUnwritten = statementOf(unwrittenCredits);

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
