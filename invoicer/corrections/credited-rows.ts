/**
 * How it is asked for what credits and credit notes gave back of lines that were charged in advance, and the rows: of
 * what credits take back, and of an invoice. Pure.
 */
import assert from 'node:assert/strict';
import { isCurrency } from '#schemas/currency.ts';
import { type DiscountJson, discountFromJson, type TaxJson, taxFromJson } from '#schemas/invoice/content-parts.ts';
import { amountFromStored } from '#schemas/money.ts';
import type { CreditableLine, CreditedLines } from './credit-lines.ts';
import {
  type CreditedCharge,
  type CreditedCharges,
  creditedCharge,
  givenBackOf,
  type IssuedCreditLine,
  type NamedParts,
} from './credited-charges.ts';
import { isOfCharge, isTakenBack, unwrittenCredits, writtenCredits } from './unwritten-credits.ts';

const partsOf = (alias: string): string =>
  `'amount', ${alias}.amount::text, 'discounts', ${alias}.discounts, 'taxes', ${alias}.taxes`;

/** The credit notes of a line of an invoice. */
const notesOf = (line: string): string => `SELECT json_agg(json_build_object(${partsOf('n')}))
    FROM credit_note_lines n WHERE n.invoice_id = ${line}.invoice_id AND n.invoice_line = ${line}.position`;

/** Whether `r` is a credit of the billing period `a`, and on an invoice. */
const isIssuedCredit = `r.timing = 'credit' AND r.organization_id = a.organization_id AND r.invoice_id IS NOT NULL
    AND ${isOfCharge('r', 'a')}`;

/** The lines by which credits of the billing period `a` took back some of its line `l`. */
const creditsOfLine = `SELECT json_agg(json_build_object(${partsOf('k')}, 'undone', (${notesOf('k')})))
  FROM billing_periods r CROSS JOIN LATERAL (
      SELECT k.* FROM invoice_lines k
      WHERE k.invoice_id = r.invoice_id AND k.billing_period_id = r.id AND k.charge_code = l.charge_code OFFSET 0
    ) k
  WHERE ${isIssuedCredit}`;

const lineColumns = `l.invoice_id, l.position, l.amount::text AS amount, l.discounts, l.taxes`;

// What is not issued yet is missing, and so is a line of which nothing but its amount is given back.
const statementOf = (credits: string): string => `
SELECT c.id AS credit_id, i.currency, l.charge_code, ${lineColumns}, (${notesOf('l')}) AS notes,
  (${creditsOfLine}) AS credits
FROM (${credits}) c CROSS JOIN LATERAL (
    SELECT a.* FROM billing_periods a WHERE ${isTakenBack} AND a.invoice_id IS NOT NULL OFFSET 0
  ) a CROSS JOIN LATERAL (
    SELECT l.* FROM invoice_lines l WHERE l.invoice_id = a.invoice_id AND l.billing_period_id = a.id AND l.amount > 0
      AND (l.discounts IS NOT NULL OR l.taxes IS NOT NULL
        OR EXISTS (SELECT 1 FROM credit_note_lines n WHERE n.invoice_id = l.invoice_id AND n.invoice_line = l.position))
    OFFSET 0
  ) l JOIN invoices i ON i.id = l.invoice_id`;

/** Of those of the billing periods `$2` that are credits; not asked where there are none. */
export const creditedStatement = statementOf(writtenCredits);
/** Of credits that are not written down, as `creditParameters` says them. */
export const creditedOfUnwritten = statementOf(unwrittenCredits);

/** The invoices of what the credits among `$2` take back. */
export const chargedInvoices = `FROM (${writtenCredits}) c CROSS JOIN LATERAL (
    SELECT a.invoice_id FROM billing_periods a
    WHERE ${isTakenBack} OFFSET 0
  ) a JOIN invoice_states s ON s.invoice_id = a.invoice_id`;

/** Of the lines of the invoice `$2`. */
export const givenBackStatement = `
SELECT i.currency, ${lineColumns}, (${creditsOfLine}) AS credits
FROM invoices i JOIN billing_periods a ON a.invoice_id = i.id AND a.timing = 'advance'
  JOIN invoice_lines l ON l.invoice_id = i.id AND l.billing_period_id = a.id AND l.amount > 0
WHERE i.organization_id = $1 AND i.id = $2 AND EXISTS (SELECT 1 FROM billing_periods r WHERE ${isIssuedCredit})`;

type PartsJson = { amount: string; discounts: DiscountJson[] | null; taxes: TaxJson[] | null };
type CreditJson = PartsJson & { undone: PartsJson[] | null };
export type GivenBackRow = PartsJson & {
  currency: string;
  invoice_id: string;
  position: number;
  credits: CreditJson[] | null;
};
export type CreditedRow = GivenBackRow & { credit_id: string; charge_code: string; notes: PartsJson[] | null };

const partsFromJson = ({ amount, discounts, taxes }: PartsJson): NamedParts => ({
  amount: amountFromStored(amount),
  discounts: (discounts ?? []).map(discountFromJson),
  taxes: (taxes ?? []).map(taxFromJson),
});

const creditFromJson = (json: CreditJson): IssuedCreditLine => ({
  ...partsFromJson(json),
  undone: (json.undone ?? []).map(partsFromJson),
});

const lineFromRow = (row: GivenBackRow) => {
  assert(isCurrency(row.currency), `${row.currency} is not a currency`);
  const line: CreditableLine = { position: row.position, ...partsFromJson(row) };
  return { line, credits: (row.credits ?? []).map(creditFromJson), currency: row.currency };
};

const chargeFromRow = (row: CreditedRow): CreditedCharge => {
  const { line, credits, currency } = lineFromRow(row);
  const key = `${row.invoice_id} ${row.position}`;
  return creditedCharge(key, line, (row.notes ?? []).map(partsFromJson), credits, currency);
};

export const creditedFromRows = (rows: readonly CreditedRow[]): CreditedCharges =>
  new Map(
    [...Map.groupBy(rows, (row) => row.credit_id)].map(([id, own]) => [
      id,
      new Map(own.map((row) => [row.charge_code, chargeFromRow(row)])),
    ]),
  );

/** By the position of the line. `credited` is what credit notes gave back. */
export const givenBackFromRows = (rows: readonly GivenBackRow[], credited: CreditedLines): CreditedLines =>
  new Map(
    rows.map((row) => {
      const { line, credits, currency } = lineFromRow(row);
      return [line.position, givenBackOf(line, credits, credited.get(line.position), currency)];
    }),
  );
