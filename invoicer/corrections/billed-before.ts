/**
 * What was billed so far of the periods that deltas correct, line by line: how it is asked for, and the rows. By the
 * invoicer, and by the API, which imports no adapter of the invoicer. Pure.
 */
import assert from 'node:assert/strict';
import { type DiscountJson, discountFromJson, type TaxJson, taxFromJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceDiscount, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, amountFromStored, negateAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';

/** A line of the invoice that billed the period first, or of a delta; or what a credit note gave back of one. */
export type BilledLine = {
  /** 0 is the first invoice. */
  readonly correction: number;
  /** Where it is printed; undefined of what was given back, which is below zero where the line was above. */
  readonly printed: { readonly invoiceId: string; readonly position: number } | undefined;
  readonly chargeCode: string;
  readonly meter: string | null;
  readonly amount: Amount;
  readonly discounts: readonly InvoiceDiscount[];
  readonly taxes: readonly InvoiceTax[];
};

export type BilledBefore = {
  /** Of the first invoice. */
  readonly issuedAt: Instant;
  /** Discounts that are used once, and were used on the first invoice. */
  readonly onceIds: ReadonlySet<string>;
  /** The first invoice before the deltas, these in their order, with what they gave back. */
  readonly lines: readonly BilledLine[];
};

// A row an invoice, so its lines are read once, however many deltas correct what it bills. A line of content version 1
// names no billing period; its invoice has one.
// A credit note by hand is none of these: where there is one, deltas are only reported.
/** Of those of the billing periods `$2` that are deltas; not asked where there are none. */
export const billedBeforeStatement = `
WITH billed AS (
  SELECT d.id AS delta_id, b.id, b.invoice_id, coalesce(b.correction, 0) AS correction, b.customer_id, b.payer_id
  FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (
      SELECT p.id, p.corrects_id FROM billing_periods p
      WHERE p.id = n.id AND p.organization_id = $1 AND p.timing = 'delta' OFFSET 0
    ) d CROSS JOIN LATERAL (
      SELECT p.* FROM billing_periods p WHERE p.id = d.corrects_id AND p.state = 'billed'
      UNION ALL SELECT p.* FROM billing_periods p WHERE p.corrects_id = d.corrects_id AND p.state = 'billed' OFFSET 0
    ) b
), invoiced AS (
  SELECT invoice_id, array_agg(id) AS ids, array_agg(customer_id) || array_agg(payer_id) AS customer_ids,
    json_agg(json_build_object('delta', delta_id, 'period', id, 'correction', correction)) AS periods
  FROM billed GROUP BY invoice_id
)
SELECT b.invoice_id, b.periods, i.issued_at, (
    SELECT json_agg(json_build_object('period', l.billing_period_id, 'code', l.charge_code, 'meter', l.meter,
      'position', l.position, 'amount', l.amount::text, 'discounts', l.discounts, 'taxes', l.taxes) ORDER BY l.position)
    FROM invoice_lines l WHERE l.invoice_id = b.invoice_id
      AND (l.billing_period_id = ANY (b.ids) OR l.billing_period_id IS NULL AND l.kind IS DISTINCT FROM 'item')
  ) AS lines, (
    SELECT json_agg(json_build_object('correction', d.correction, 'position', c.invoice_line,
      'amount', c.amount::text, 'discounts', c.discounts, 'taxes', c.taxes) ORDER BY d.correction, c.invoice_line)
    FROM credit_notes n CROSS JOIN LATERAL (
        SELECT p.correction FROM billing_periods p WHERE p.id = n.delta_id OFFSET 0
      ) d JOIN credit_note_lines c ON c.credit_note_id = n.id
    WHERE n.invoice_id = b.invoice_id AND n.delta_id IS NOT NULL
  ) AS credits, (
    SELECT json_agg(u.discount_id) FROM discounts x JOIN discount_uses u ON u.discount_id = x.id
    WHERE x.organization_id = $1 AND x.customer_id = ANY (b.customer_ids) AND u.invoice_id = b.invoice_id AND u.is_once
  ) AS once
FROM invoiced b JOIN invoices i ON i.id = b.invoice_id`;

type AmountsJson = { position: number; amount: string; discounts: DiscountJson[] | null; taxes: TaxJson[] | null };
type LineJson = AmountsJson & { period: string | null; code: string; meter: string | null };
type CreditJson = AmountsJson & { correction: number };
export type BilledRow = {
  invoice_id: string;
  periods: { delta: string; period: string; correction: number }[];
  issued_at: Date;
  lines: LineJson[] | null;
  credits: CreditJson[] | null;
  once: string[] | null;
};

const lineFromJson = (line: LineJson, correction: number, invoiceId: string): BilledLine => ({
  correction,
  printed: { invoiceId, position: line.position },
  chargeCode: line.code,
  meter: line.meter,
  amount: amountFromStored(line.amount),
  discounts: (line.discounts ?? []).map(discountFromJson),
  taxes: (line.taxes ?? []).map(taxFromJson),
});

/** What was given back of a line, as a line of its own. */
export const givenBackOf = (
  { chargeCode, meter }: Pick<BilledLine, 'chargeCode' | 'meter'>,
  { amount, discounts, taxes }: Pick<BilledLine, 'amount' | 'discounts' | 'taxes'>,
  correction: number,
): BilledLine => ({
  correction,
  printed: undefined,
  chargeCode,
  meter,
  amount: negateAmount(amount),
  discounts: discounts.map((discount) => ({ ...discount, amount: negateAmount(discount.amount) })),
  taxes: taxes.map((tax) => ({
    ...tax,
    amount: negateAmount(tax.amount),
    taxableAmount: negateAmount(tax.taxableAmount),
  })),
});

const creditFromJson = (line: LineJson, credit: CreditJson): BilledLine =>
  givenBackOf(
    { chargeCode: line.code, meter: line.meter },
    {
      amount: amountFromStored(credit.amount),
      discounts: (credit.discounts ?? []).map(discountFromJson),
      taxes: (credit.taxes ?? []).map(taxFromJson),
    },
    credit.correction,
  );

/** A part of what was billed before, by one invoice, and given back of that. */
const partsOfRow = ({ invoice_id: invoiceId, periods, lines, credits, issued_at: issuedAt, once }: BilledRow) => {
  const byPeriod = Map.groupBy(lines ?? [], ({ period }) => period ?? periods[0]?.period ?? '');
  const creditsOf = Map.groupBy(credits ?? [], ({ position }) => position);
  return periods.map(({ delta, period, correction }) => ({
    delta,
    correction,
    issuedAt: issuedAt.getTime(),
    onceIds: new Set(once ?? []),
    lines: (byPeriod.get(period) ?? []).flatMap((line) => [
      lineFromJson(line, correction, invoiceId),
      ...(creditsOf.get(line.position) ?? []).map((credit) => creditFromJson(line, credit)),
    ]),
  }));
};

/** By the billing period of the delta. */
export const billedBeforeFromRows = (rows: readonly BilledRow[]): ReadonlyMap<string, BilledBefore> => {
  const byDelta = Map.groupBy(rows.flatMap(partsOfRow), ({ delta }) => delta);
  return new Map(
    [...byDelta].map(([delta, parts]) => {
      const [first, ...others] = parts.toSorted((a, b) => a.correction - b.correction);
      assert(first?.correction === 0, 'what a delta corrects is on an invoice');
      const { issuedAt, onceIds } = first;
      const lines = [first, ...others].flatMap((part) => part.lines);
      return [delta, { issuedAt, onceIds, lines: lines.toSorted((a, b) => a.correction - b.correction) }];
    }),
  );
};
