/** The use case of explaining a line of a credit note: what it gives back of what, and the late usage behind it. */
import type { CreditNote, CreditNoteLine } from '#schemas/credit-note.ts';
import type { Currency } from '#schemas/currency.ts';
import { correctionToJson, discountToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { formatMinorUnits, sumAmounts } from '#schemas/money.ts';
import {
  type CreditedParts,
  grossAmount,
  joinCredited,
  leftOfLine,
  nothingCreditedOf,
} from '../../invoicer/corrections/credit-lines.ts';
import type { Db } from '../route/define-route.ts';
import type { CreditedLinesReader, RatedChargeDelta, RatedPeriodDelta } from './credited-lines.postgres.ts';
import type { LineEvents } from './line-events.clickhouse.ts';
import { changesJson, queryOf } from './line-json.ts';
import type { RatedLines } from './rated-lines.postgres.ts';

export type ExplainCreditPorts = {
  readonly creditedLines: CreditedLinesReader;
  readonly ratedLines: RatedLines;
  readonly lineEvents: Pick<LineEvents, 'changes'>;
};

export type CreditToExplain = {
  readonly note: CreditNote;
  readonly line: CreditNoteLine;
  /** The delta that it gives back, by its billing period. */
  readonly deltaId: string | null;
};

/** Parts of a line, with the names that its discounts and taxes have on the invoice. */
const amountsJson = (line: InvoiceLine, parts: CreditedParts, currency: Currency) => ({
  amount: formatMinorUnits(parts.amount, currency),
  discounts: line.discounts.map((discount, index) =>
    discountToJson({ ...discount, amount: parts.discounts[index] ?? discount.amount }, currency),
  ),
  taxes: line.taxes.map((tax, index) => taxToJson({ ...tax, ...parts.taxes[index] }, currency)),
  total: formatMinorUnits(grossAmount(line, parts), currency),
});

/** Amounts and no names: a line of an invoice, or of a credit note, as parts. */
const partsOf = ({ amount, discounts, taxes }: Pick<InvoiceLine, 'amount' | 'discounts' | 'taxes'>): CreditedParts => ({
  amount,
  discounts: discounts.map((discount) => discount.amount),
  taxes: taxes.map((tax) => ({ amount: tax.amount, taxableAmount: tax.taxableAmount })),
});

const chargeJson = async (
  db: Db,
  { delta, nowId, beforeId }: RatedChargeDelta,
  { invoiceId, billingPeriodId, watermarkBefore: watermark }: RatedPeriodDelta,
  { ratedLines, lineEvents }: ExplainCreditPorts,
) => {
  const { quantityBefore, quantityNow, amountBefore, amountNow, amount, line } = delta;
  const changed = nowId === null ? undefined : await ratedLines.ratedLine(db, nowId);
  const query = changed && queryOf(db, changed);
  const corrects = { invoiceId, billingPeriodId, watermark, quantityBefore, quantityNow, amountBefore, amountNow };
  return {
    charge_code: line.chargeCode,
    amount: formatMinorUnits(amount, line.currency),
    rated_line: nowId,
    corrects: correctionToJson(corrects, line.currency),
    rated_line_before: beforeId,
    changes: changed && query ? changesJson(changed.id, watermark, await lineEvents.changes(query, watermark)) : null,
  };
};

/** Charge by charge: nothing else says how a minimum commitment or a cap changed what another charge gives back. */
const deltaJson = async (db: Db, deltaId: string, ports: ExplainCreditPorts, currency: Currency) => {
  const rated = await ports.creditedLines.ratedDelta(db, deltaId);
  const charges: Awaited<ReturnType<typeof chargeJson>>[] = [];
  // One after the other, as each asks the store twice.
  for (const charge of rated.charges) charges.push(await chargeJson(db, charge, rated, ports));
  return {
    billing_period_id: deltaId,
    amount: formatMinorUnits(sumAmounts(rated.charges.map(({ delta }) => delta.amount)), currency),
    charges,
  };
};

export const explainCredit = async (db: Db, { note, line, deltaId }: CreditToExplain, ports: ExplainCreditPorts) => {
  const { currency, invoice } = note;
  const { creditedLines, ratedLines } = ports;
  const ofInvoice = await creditedLines.invoiceLine(db, note, line);
  const before = (await creditedLines.creditedBefore(db, note, line)).reduce(
    joinCredited,
    nothingCreditedOf(ofInvoice),
  );
  const credited = partsOf(line);
  const byNotes = joinCredited(before, credited);
  const givenBack = (await creditedLines.givenBack(db, note, line, byNotes)) ?? nothingCreditedOf(ofInvoice);
  const amounts = (parts: CreditedParts) => amountsJson(ofInvoice, parts, currency);
  const rated = await ratedLines.ofInvoiceLine(db, invoice.id, line.invoiceLine);
  return {
    credit_note_id: note.id,
    line_position: line.position,
    invoice_id: invoice.id,
    currency,
    reason: note.reason,
    invoice_line: {
      position: line.invoiceLine,
      kind: ofInvoice.kind,
      description: ofInvoice.description,
      rated_line: rated?.id ?? null,
      ...amounts(partsOf(ofInvoice)),
    },
    credited_before: amounts(before),
    credited: amounts(credited),
    given_back: amounts(givenBack),
    left: amounts(leftOfLine(ofInvoice, joinCredited(byNotes, givenBack), currency)),
    delta: deltaId === null ? null : await deltaJson(db, deltaId, ports, currency),
  };
};
