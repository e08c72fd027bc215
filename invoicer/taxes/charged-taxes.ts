/** The taxes that invoices have on what credits take back: how they are asked for, and the rows. Pure. */
import assert from 'node:assert/strict';
import { type TaxJson, taxFromJson } from '#schemas/invoice/content-parts.ts';
import { type AppliedTax, parsePercentage } from '#schemas/tax-rate.ts';
import { takenBackBy, unwrittenCredits, writtenCredits } from '../corrections/unwritten-credits.ts';
import type { ChargedTaxes } from './tax-facts.ts';

// A row an invoice, so its lines are read once, however many credits take of them. What is not issued yet is missing.
const statementOf = (credits: string): string => `
SELECT i.credit_ids, i.charge_ids, (
    SELECT json_agg(json_build_object('period', l.billing_period_id, 'code', l.charge_code, 'taxes', l.taxes))
    FROM invoice_lines l
    WHERE l.invoice_id = i.invoice_id AND l.billing_period_id = ANY (i.charge_ids) AND l.taxes IS NOT NULL
  ) AS lines
FROM (
  SELECT a.invoice_id, array_agg(c.id) AS credit_ids, array_agg(a.id) AS charge_ids
  FROM (${credits}) c JOIN ${takenBackBy}
  WHERE a.invoice_id IS NOT NULL
  GROUP BY a.invoice_id
) i`;

/** Of those of the billing periods `$2` that are credits; not asked where there are none. */
export const chargedStatement = statementOf(writtenCredits);
/** Of credits that are not written down, as `creditParameters` says them. */
export const chargedOfUnwritten = statementOf(unwrittenCredits);

type ChargedLine = { period: string; code: string; taxes: TaxJson[] };
export type ChargedRow = { credit_ids: string[]; charge_ids: string[]; lines: ChargedLine[] | null };

const appliedFromJson = (json: TaxJson): AppliedTax => {
  const { taxRateId, code, name, percentage: text, isInclusive: inclusive, treatment } = taxFromJson(json);
  const percentage = parsePercentage(text);
  assert(percentage !== undefined, `a stored percentage can't be read: ${text}`);
  return { taxRateId, code, name, percentage, inclusive, treatment };
};

const taxesOfRow = ({ credit_ids: creditIds, charge_ids: chargeIds, lines }: ChargedRow): [string, ChargedTaxes][] => {
  const byPeriod = Map.groupBy(lines ?? [], ({ period }) => period);
  return creditIds.map((creditId, index) => {
    const charged = byPeriod.get(chargeIds[index] ?? '') ?? [];
    return [creditId, new Map(charged.map(({ code, taxes }) => [code, taxes.map(appliedFromJson)]))];
  });
};

/** By the billing period of the credit. */
export const chargedFromRows = (rows: readonly ChargedRow[]): ReadonlyMap<string, ChargedTaxes> =>
  new Map(rows.flatMap(taxesOfRow));
