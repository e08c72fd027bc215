/** Version 1 of what is hashed of a credit note. How it is written is a part of every hash, and never changes. */
import type { CreditNoteContent, CreditNoteLine } from '#schemas/credit-note.ts';
import { discountToJson, sellerToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import { hashedInstant, hashedPeriod } from '#schemas/invoice/hashed-parts.ts';
import { formatMinorUnits } from '#schemas/money.ts';

const lineToJson = (line: CreditNoteLine, { currency }: Pick<CreditNoteContent, 'currency'>) => ({
  position: line.position,
  invoice_line: line.invoiceLine,
  billing_period_id: line.billingPeriodId,
  charge_code: line.chargeCode,
  description: line.description,
  service_period: hashedPeriod(line.servicePeriod),
  amount: formatMinorUnits(line.amount, currency),
  discounts: line.discounts.map((discount) => discountToJson(discount, currency)),
  taxes: line.taxes.map((tax) => taxToJson(tax, currency)),
});

export const creditNoteToJson1 = (note: CreditNoteContent) => {
  const { currency, invoice } = note;
  return {
    id: note.id,
    tenant: note.tenant,
    number: note.number,
    document_number: note.documentNumber,
    issued_at: hashedInstant(note.issuedAt),
    invoice_id: invoice.id,
    invoice_number: invoice.number,
    invoice_document_number: invoice.documentNumber,
    invoice_hash: invoice.hash,
    customer_id: note.customerId,
    currency,
    reason: note.reason,
    memo: note.memo,
    settlement: note.settlement,
    pre_payment_amount: formatMinorUnits(note.prePaymentAmount, currency),
    post_payment_amount: formatMinorUnits(note.postPaymentAmount, currency),
    issuing_entity_id: note.issuingEntityId,
    seller: note.seller && sellerToJson(note.seller),
    buyer_digest: note.buyerDigest,
    lines: note.lines.map((line) => lineToJson(line, note)),
    subtotal: formatMinorUnits(note.subtotal, currency),
    discounts: note.discounts.map((discount) => discountToJson(discount, currency)),
    discount_total: formatMinorUnits(note.discountTotal, currency),
    taxes: note.taxes.map((tax) => taxToJson(tax, currency)),
    tax_total: formatMinorUnits(note.taxTotal, currency),
    total: formatMinorUnits(note.total, currency),
  };
};
