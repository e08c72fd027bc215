/** What a line of a credit note is explained by: the line of the invoice, credits before it, and what a delta rated. */
import assert from 'node:assert/strict';
import { ratedBefore } from '#platform/stores/rated-before.ts';
import type { CreditNote, CreditNoteLine } from '#schemas/credit-note.ts';
import { type DiscountJson, discountFromJson, type TaxJson, taxFromJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { amountFromStored } from '#schemas/money.ts';
import { type RatedDelta, ratedDeltas } from '#schemas/rated-delta.ts';
import { type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { CreditedParts } from '../../invoicer/corrections/credit-lines.ts';
import { type GivenBackRow, givenBackFromRows, givenBackStatement } from '../../invoicer/corrections/credited-rows.ts';
import { type InvoiceLineRow, invoiceLineColumns, invoiceLineFromRow } from '../../invoicer/invoices/invoice-rows.ts';
import type { Db } from '../route/define-route.ts';

/** What a charge of a billing period comes to less, or more, with its rated lines of now and of before. */
export type RatedChargeDelta = {
  readonly delta: RatedDelta;
  readonly nowId: string | null;
  readonly beforeId: string | null;
};

export type RatedPeriodDelta = {
  /** The invoice that billed the period first, and the period. */
  readonly invoiceId: string;
  readonly billingPeriodId: string;
  /** Up to where was counted before. */
  readonly watermarkBefore: bigint;
  /** Without those that come to the same. */
  readonly charges: readonly RatedChargeDelta[];
};

// Credits of one line follow each other in their numbers: the state of its invoice is locked before these.
const creditedStatement = `SELECT l.amount::text, l.discounts, l.taxes
  FROM credit_note_lines l JOIN credit_notes n ON n.id = l.credit_note_id
  WHERE l.organization_id = $1 AND l.invoice_id = $2 AND l.invoice_line = $3 AND n.series_number < $4
  ORDER BY n.series_number`;
type CreditedRow = { amount: string; discounts: DiscountJson[] | null; taxes: TaxJson[] | null };

const partsFromRow = ({ amount, discounts, taxes }: CreditedRow): CreditedParts => ({
  amount: amountFromStored(amount),
  discounts: (discounts ?? []).map((one) => discountFromJson(one).amount),
  taxes: (taxes ?? []).map(taxFromJson),
});

const deltaStatement = `SELECT p.corrects_id, o.invoice_id, b.is_now, b.watermark, l.id, l.line, l.billing_period_id,
    p.span_start, p.span_end
  FROM billing_periods p JOIN billing_periods o ON o.id = p.corrects_id CROSS JOIN LATERAL (
      SELECT p.id, p.watermark, true AS is_now
      UNION ALL SELECT before.id, before.watermark, false FROM (${ratedBefore}) before
    ) b JOIN rated_lines l ON l.billing_period_id = b.id AND l.watermark = b.watermark
  WHERE p.organization_id = $1 AND p.id = $2 ORDER BY l.position`;
type DeltaRow = {
  corrects_id: string;
  invoice_id: string;
  is_now: boolean;
  watermark: bigint;
  id: string;
  line: RatedLineJson;
  billing_period_id: string;
  span_start: Date;
  span_end: Date;
};

const ratedFromRow = ({ line, billing_period_id: billingPeriodId, span_start, span_end }: DeltaRow) =>
  ratedLineFromJson(line, { billingPeriodId, span: { start: span_start.getTime(), end: span_end.getTime() } });

export const creditedLines = {
  invoiceLine: async (db: Db, { invoice }: CreditNote, { invoiceLine }: CreditNoteLine): Promise<InvoiceLine> => {
    const { rows } = await db.query<InvoiceLineRow>(
      `SELECT ${invoiceLineColumns} FROM invoice_lines WHERE invoice_id = $1 AND position = $2`,
      [invoice.id, invoiceLine],
    );
    assert(rows[0], `line ${invoiceLine} of the invoice ${invoice.id} is there, as it was credited`);
    return invoiceLineFromRow(rows[0]);
  },
  /** What credit notes before this one gave back of the line of the invoice, each by itself. */
  creditedBefore: async (db: Db, note: CreditNote, { invoiceLine }: CreditNoteLine): Promise<CreditedParts[]> => {
    const values = [db.organizationId, note.invoice.id, invoiceLine, note.number];
    return (await db.query<CreditedRow>(creditedStatement, values)).rows.map(partsFromRow);
  },
  /**
   * What credits of later invoices gave back of the line of the invoice so far; no more than `credited` leaves of it.
   * Undefined where there are none.
   */
  givenBack: async (
    db: Db,
    { invoice }: CreditNote,
    { invoiceLine }: CreditNoteLine,
    credited: CreditedParts,
  ): Promise<CreditedParts | undefined> => {
    const { rows } = await db.query<GivenBackRow>(givenBackStatement, [db.organizationId, invoice.id]);
    return givenBackFromRows(rows, new Map([[invoiceLine, credited]])).get(invoiceLine);
  },
  /** By the billing period of the delta. */
  ratedDelta: async (db: Db, deltaId: string): Promise<RatedPeriodDelta> => {
    const { rows } = await db.query<DeltaRow>(deltaStatement, [db.organizationId, deltaId]);
    const [now, before] = [rows.filter(({ is_now }) => is_now), rows.filter(({ is_now }) => !is_now)];
    const [ofBefore] = before;
    assert(ofBefore, `what the delta ${deltaId} corrects was rated before`);
    const idOf = (of: readonly DeltaRow[], code: string) =>
      of.find(({ line }) => line.charge_code === code)?.id ?? null;
    return {
      invoiceId: ofBefore.invoice_id,
      billingPeriodId: ofBefore.corrects_id,
      watermarkBefore: ofBefore.watermark,
      charges: ratedDeltas(now.map(ratedFromRow), before.map(ratedFromRow)).map((delta) => ({
        delta,
        nowId: idOf(now, delta.line.chargeCode),
        beforeId: idOf(before, delta.line.chargeCode),
      })),
    };
  },
};

export type CreditedLinesReader = typeof creditedLines;
