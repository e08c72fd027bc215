/** An issued invoice, with whom it is for, as what a document is made of. Pure. */
import { discountToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceDiscount, InvoiceLine, InvoiceTax, IssuedInvoice, Seller } from '#schemas/invoice.ts';
import { languageFromText } from '#schemas/language.ts';
import { formatAmount, formatMinorUnits } from '#schemas/money.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson } from '#schemas/rated-line.ts';
import type { BuyerDetails } from './buyer-details.ts';
import {
  type DocumentAddress,
  type DocumentLanguage,
  type DocumentLine,
  type DocumentParty,
  type DocumentTax,
  documentLanguages,
  type InvoiceDocument,
} from './invoice-document.ts';

/** English for who speaks none of the languages that there are. */
export const documentLanguage = (tag: string | null): DocumentLanguage => {
  const [language] = (tag === null ? '' : (languageFromText(tag) ?? '')).split('-');
  return documentLanguages.find((one) => one === language) ?? 'en';
};

type StoredAddress = NonNullable<BuyerDetails['address']>;
const addressOf = ({ postal_code: postalCode, ...address }: StoredAddress): DocumentAddress => ({
  ...address,
  postalCode,
});

export const sellerParty = ({ legalName, address, taxIds }: Seller): DocumentParty => ({
  name: legalName,
  address: address && addressOf(address as StoredAddress),
  taxIds,
  email: null,
});

export const buyerParty = ({ name, address, tax_ids: taxIds, email }: BuyerDetails): DocumentParty => ({
  name,
  address: address && addressOf(address),
  taxIds,
  email,
});

export const taxOf = (tax: InvoiceTax, { currency }: Pick<IssuedInvoice, 'currency'>): DocumentTax => {
  const { name, percentage, inclusive, treatment, taxable_amount, amount } = taxToJson(tax, currency);
  return { name, percentage, isInclusive: inclusive, treatment, taxableAmount: taxable_amount, amount };
};

export const discountOf = (discount: InvoiceDiscount, { currency }: Pick<IssuedInvoice, 'currency'>) => {
  const { name, amount } = discountToJson(discount, currency);
  return { name, amount };
};

const lineOf = (line: InvoiceLine, invoice: IssuedInvoice): DocumentLine => ({
  description: line.description,
  quantity: formatQuantity(line.quantity),
  unitAmount: line.unitAmount === null ? null : formatAmount(line.unitAmount),
  amount: formatMinorUnits(line.amount, invoice.currency),
  period: line.servicePeriod,
  steps: line.steps.map((step) => {
    const { kind, from, to, priced, unit_amount, flat_amount, amount, cell } = priceStepToJson(step);
    return { kind, from, to, priced, unitAmount: unit_amount, flatAmount: flat_amount, amount, cell };
  }),
  discounts: line.discounts.map((discount) => discountOf(discount, invoice)),
  taxes: line.taxes.map((tax) => taxOf(tax, invoice)),
});

/** `buyer` is null where the customer was erased. */
export const documentOfInvoice = (
  invoice: IssuedInvoice,
  buyer: BuyerDetails | null,
  { language, timeZone }: { readonly language: string | null; readonly timeZone: string },
): InvoiceDocument => {
  const { currency, seller } = invoice;
  return {
    language: documentLanguage(language),
    timeZone,
    currency,
    documentNumber: invoice.documentNumber ?? String(invoice.number),
    issuedAt: invoice.issuedAt,
    dueAt: invoice.dueAt,
    purchaseOrder: invoice.purchaseOrder,
    customFields: invoice.customFields,
    seller: seller && sellerParty(seller),
    buyer: buyer && buyerParty(buyer),
    lines: invoice.lines.map((line) => lineOf(line, invoice)),
    discounts: invoice.discounts.map((discount) => discountOf(discount, invoice)),
    taxes: invoice.taxes.map((tax) => taxOf(tax, invoice)),
    subtotal: formatMinorUnits(invoice.subtotal, currency),
    discountTotal: formatMinorUnits(invoice.discountTotal, currency),
    taxTotal: formatMinorUnits(invoice.taxTotal, currency),
    total: formatMinorUnits(invoice.total, currency),
    memo: invoice.memo,
    paymentUrl: null,
    hash: invoice.hash,
    verifyUrl: null,
    logo: null,
    credit: null,
  };
};
