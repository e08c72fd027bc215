/**
 * The lines of issued invoices that credits take back some of, with their discounts and taxes: how they are asked for,
 * and the rows. Pure. Of each line by itself, and what was given back of it before: `credited-rows.ts`.
 */
import { type DiscountJson, discountFromJson, type TaxJson, taxFromJson } from '#schemas/invoice/content-parts.ts';
import { amountFromStored } from '#schemas/money.ts';
import type { NamedParts } from './credited-charges.ts';
import { takenBackBy, unwrittenCredits, writtenCredits } from './unwritten-credits.ts';

/** What a credit takes back some of. */
export type ChargeOfCredit = {
  /** The billing period of the charge. */
  readonly chargeId: string;
  /**
   * By the code of the charge; a line that has neither discounts nor taxes is missing. Undefined where the charge is
   * on no invoice yet.
   */
  readonly lines: ReadonlyMap<string, NamedParts> | undefined;
};

/** By the billing period of the credit. */
export type ChargesOfCredits = ReadonlyMap<string, ChargeOfCredit>;

// A row an invoice, so its lines are read once, however many credits take of them.
const statementOf = (credits: string): string => `
SELECT i.credit_ids, i.charge_ids, i.invoice_id IS NOT NULL AS is_issued, (
    SELECT json_agg(json_build_object('period', l.billing_period_id, 'code', l.charge_code, 'amount', l.amount::text,
      'discounts', l.discounts, 'taxes', l.taxes))
    FROM invoice_lines l
    WHERE l.invoice_id = i.invoice_id AND l.billing_period_id = ANY (i.charge_ids)
      AND (l.discounts IS NOT NULL OR l.taxes IS NOT NULL)
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

type ChargedJson = {
  period: string;
  code: string;
  amount: string;
  discounts: DiscountJson[] | null;
  taxes: TaxJson[] | null;
};
export type ChargedRow = {
  credit_ids: string[];
  charge_ids: string[];
  is_issued: boolean;
  lines: ChargedJson[] | null;
};

const lineFromJson = ({ code, amount, discounts, taxes }: ChargedJson): [string, NamedParts] => [
  code,
  {
    amount: amountFromStored(amount),
    discounts: (discounts ?? []).map(discountFromJson),
    taxes: (taxes ?? []).map(taxFromJson),
  },
];

const chargesOfRow = (row: ChargedRow): [string, ChargeOfCredit][] => {
  const byPeriod = Map.groupBy(row.lines ?? [], ({ period }) => period);
  return row.credit_ids.map((creditId, index) => {
    const chargeId = row.charge_ids[index] ?? '';
    const lines = (byPeriod.get(chargeId) ?? []).map(lineFromJson);
    return [creditId, { chargeId, lines: row.is_issued ? new Map(lines) : undefined }];
  });
};

export const chargedFromRows = (rows: readonly ChargedRow[]): ChargesOfCredits => new Map(rows.flatMap(chargesOfRow));
