/**
 * Discounts, taxes, sellers and custom fields of an invoice as they are hashed and stored, and read back. A part of
 * every hash from content version 4 on, so how they are written never changes.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import type { CustomField, InvoiceDiscount, InvoiceTax, LineCorrection, Seller } from '#schemas/invoice.ts';
import { amountFromStored, formatMinorUnits } from '#schemas/money.ts';
import { formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';

export const discountToJson = ({ discountId, couponId, name, amount }: InvoiceDiscount, currency: Currency) => ({
  discount_id: discountId,
  coupon_id: couponId,
  name,
  amount: formatMinorUnits(amount, currency),
});
export type DiscountJson = ReturnType<typeof discountToJson>;
export const discountFromJson = (discount: DiscountJson): InvoiceDiscount => ({
  discountId: discount.discount_id,
  couponId: discount.coupon_id,
  name: discount.name,
  amount: amountFromStored(discount.amount),
});

export const taxToJson = (tax: InvoiceTax, currency: Currency) => ({
  tax_rate_id: tax.taxRateId,
  code: tax.code,
  name: tax.name,
  percentage: tax.percentage,
  inclusive: tax.isInclusive,
  treatment: tax.treatment,
  taxable_amount: formatMinorUnits(tax.taxableAmount, currency),
  amount: formatMinorUnits(tax.amount, currency),
});
export type TaxJson = ReturnType<typeof taxToJson>;
export const taxFromJson = (tax: TaxJson): InvoiceTax => ({
  taxRateId: tax.tax_rate_id,
  code: tax.code,
  name: tax.name,
  percentage: tax.percentage,
  isInclusive: tax.inclusive,
  treatment: tax.treatment,
  taxableAmount: amountFromStored(tax.taxable_amount),
  amount: amountFromStored(tax.amount),
});

const quantityFromText = (text: string): Quantity => {
  const quantity = parseQuantity(text);
  assert(quantity !== undefined, `a stored quantity can't be read: ${text}`);
  return quantity;
};

export const correctionToJson = (correction: LineCorrection, currency: Currency) => ({
  invoice_id: correction.invoiceId,
  billing_period_id: correction.billingPeriodId,
  watermark: correction.watermark.toString(),
  quantity_before: formatQuantity(correction.quantityBefore),
  quantity_now: formatQuantity(correction.quantityNow),
  amount_before: formatMinorUnits(correction.amountBefore, currency),
  amount_now: formatMinorUnits(correction.amountNow, currency),
});
export type CorrectionJson = ReturnType<typeof correctionToJson>;
export const correctionFromJson = (json: CorrectionJson): LineCorrection => ({
  invoiceId: json.invoice_id,
  billingPeriodId: json.billing_period_id,
  watermark: BigInt(json.watermark),
  quantityBefore: quantityFromText(json.quantity_before),
  quantityNow: quantityFromText(json.quantity_now),
  amountBefore: amountFromStored(json.amount_before),
  amountNow: amountFromStored(json.amount_now),
});

export const sellerToJson = ({ legalName, address, taxIds }: Seller) => ({
  legal_name: legalName,
  address,
  tax_ids: taxIds.map(({ type, value }) => ({ type, value })),
});
export type SellerJson = ReturnType<typeof sellerToJson>;
export const sellerFromJson = ({ legal_name: legalName, address, tax_ids: taxIds }: SellerJson): Seller => ({
  legalName,
  address,
  taxIds,
});

export const fieldToJson = ({ name, value }: CustomField) => ({ name, value });
