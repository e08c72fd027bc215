/** A credit note, with whom it is for, as what a document is made of. Pure. */
import type { CreditNote, CreditNoteLine } from '#schemas/credit-note.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { BuyerDetails } from './buyer-details.ts';
import { buyerParty, discountOf, documentLanguage, sellerParty, taxOf } from './document-of-invoice.ts';
import type { DocumentCredit, DocumentLine, InvoiceDocument } from './invoice-document.ts';

const lineOf = (line: CreditNoteLine, note: CreditNote): DocumentLine => ({
  description: line.description,
  quantity: null,
  unitAmount: null,
  amount: formatMinorUnits(line.amount, note.currency),
  period: line.servicePeriod,
  steps: [],
  discounts: line.discounts.map((discount) => discountOf(discount, note)),
  taxes: line.taxes.map((tax) => taxOf(tax, note)),
});

const creditOf = ({ invoice, reason, settlement, currency, ...note }: CreditNote): DocumentCredit => ({
  invoiceNumber: invoice.documentNumber ?? String(invoice.number),
  reason,
  notDue: formatMinorUnits(note.prePaymentAmount, currency),
  paid: settlement && { settlement, amount: formatMinorUnits(note.postPaymentAmount, currency) },
});

/** `buyer` is null where the customer was erased. */
export const documentOfCreditNote = (
  note: CreditNote,
  buyer: BuyerDetails | null,
  { language, timeZone }: { readonly language: string | null; readonly timeZone: string },
): InvoiceDocument => {
  const { currency } = note;
  return {
    language: documentLanguage(language),
    timeZone,
    currency,
    documentNumber: note.documentNumber,
    issuedAt: note.issuedAt,
    dueAt: null,
    purchaseOrder: null,
    customFields: [],
    seller: note.seller && sellerParty(note.seller),
    buyer: buyer && buyerParty(buyer),
    lines: note.lines.map((line) => lineOf(line, note)),
    discounts: note.discounts.map((discount) => discountOf(discount, note)),
    taxes: note.taxes.map((tax) => taxOf(tax, note)),
    subtotal: formatMinorUnits(note.subtotal, currency),
    discountTotal: formatMinorUnits(note.discountTotal, currency),
    taxTotal: formatMinorUnits(note.taxTotal, currency),
    total: formatMinorUnits(note.total, currency),
    memo: note.memo,
    paymentUrl: null,
    hash: note.hash,
    verifyUrl: null,
    logo: null,
    credit: creditOf(note),
  };
};
