/**
 * Version 4 of what is hashed of an invoice: also its document number, who issues it, when it is due, what it says
 * beside its lines, and discounts and taxes, of each line and of all.
 */
import assert from 'node:assert/strict';
import { linesToJson, periodsToJson } from '#schemas/invoice/content-3.ts';
import {
  correctionToJson,
  discountToJson,
  fieldToJson,
  sellerToJson,
  taxToJson,
} from '#schemas/invoice/content-parts.ts';
import { hashedInstant, hashedLine, hashedTotals } from '#schemas/invoice/hashed-parts.ts';
import type { InvoiceContent, InvoiceLine, InvoiceTerms } from '#schemas/invoice.ts';
import { formatAmount, formatMinorUnits } from '#schemas/money.ts';

/** What a line has beyond version 3; of lines of the versions before, what they would have. */
export const laterLineToJson = (line: InvoiceLine, { currency }: Pick<InvoiceContent, 'currency'>) => ({
  kind: line.kind,
  unit_amount: line.unitAmount === null ? null : formatAmount(line.unitAmount),
  discounts: line.discounts.map((discount) => discountToJson(discount, currency)),
  taxes: line.taxes.map((tax) => taxToJson(tax, currency)),
  ...(line.corrects && { corrects: correctionToJson(line.corrects, currency) }),
});

/** What an invoice says beside its lines. */
export const termsToJson = (terms: InvoiceTerms) => ({
  issuing_entity_id: terms.issuingEntityId,
  seller: terms.seller && sellerToJson(terms.seller),
  payment_terms: terms.paymentDays === null ? null : { days: terms.paymentDays },
  purchase_order: terms.purchaseOrder,
  memo: terms.memo,
  custom_fields: terms.customFields.map(fieldToJson),
});

/** What an invoice has beyond version 3; of the versions before, what they would have. */
export const laterMembersToJson = (invoice: InvoiceContent) => {
  const { currency } = invoice;
  return {
    document_number: invoice.documentNumber,
    buyer_digest: invoice.buyerDigest,
    due_at: invoice.dueAt === null ? null : hashedInstant(invoice.dueAt),
    ...termsToJson(invoice),
    discounts: invoice.discounts.map((discount) => discountToJson(discount, currency)),
    taxes: invoice.taxes.map((tax) => taxToJson(tax, currency)),
    discount_total: formatMinorUnits(invoice.discountTotal, currency),
    tax_total: formatMinorUnits(invoice.taxTotal, currency),
  };
};

export const contentToJson4 = (invoice: InvoiceContent) => {
  assert(invoice.documentNumber !== null, 'an invoice of content version 4 has a document number');
  return {
    id: invoice.id,
    tenant: invoice.tenant,
    number: invoice.number,
    issued_at: hashedInstant(invoice.issuedAt),
    kind: invoice.kind,
    customer_id: invoice.customerId,
    currency: invoice.currency,
    periods: periodsToJson(invoice),
    lines: linesToJson(
      invoice,
      invoice.lines.map((line) => ({ ...hashedLine(line, invoice.currency), ...laterLineToJson(line, invoice) })),
    ),
    ...hashedTotals(invoice),
    ...laterMembersToJson(invoice),
  };
};
