/** Invoices: their states, their content, and the JSON of that content. */
import type { Currency } from '#schemas/currency.ts';
import {
  type Amount,
  formatMinorUnits,
  formatPreciseAmount,
  type PreciseAmount,
  type RoundingMode,
} from '#schemas/money.ts';
import type { Instant, Period, PeriodJson } from '#schemas/period.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';
import { type PriceStep, priceStepToJson } from '#schemas/rated-line.ts';

export const InvoiceState = {
  draft: 'draft',
  issued: 'issued',
  paid: 'paid',
  uncollectible: 'uncollectible',
  voided: 'voided',
} as const;
export type InvoiceState = (typeof InvoiceState)[keyof typeof InvoiceState];

/** At most one invoice that is not void per (subscription, period, kind). */
export const InvoiceKind = { period: 'period' } as const;
export type InvoiceKind = (typeof InvoiceKind)[keyof typeof InvoiceKind];

export type InvoiceLine = {
  /** From 1, without gaps, in the order of the plan's charges. */
  readonly position: number;
  readonly chargeCode: string;
  readonly description: string;
  readonly meter: string | null;
  readonly quantity: Quantity;
  readonly rounding: RoundingMode;
  /** Before rounding; the steps sum to it. */
  readonly precise: PreciseAmount;
  /** As printed: whole minor units. */
  readonly amount: Amount;
  readonly steps: readonly PriceStep[];
  /** When the charged usage happened; a delta for an earlier period names that period here. */
  readonly servicePeriod: Period;
};

export type DraftInvoice = {
  readonly kind: InvoiceKind;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
  readonly period: Period;
  readonly lines: readonly InvoiceLine[];
  /** Sum of the printed lines. */
  readonly subtotal: Amount;
  /** Subtotal + taxes - credits; this version has neither, so both are equal. */
  readonly total: Amount;
};

/**
 * Never changes once it exists. What happens to it later (paid, voided) is recorded beside it and is no part of its
 * hash.
 */
export type IssuedInvoice = DraftInvoice & {
  readonly id: string;
  readonly tenant: string;
  /** From 1, gap-free within the tenant. */
  readonly number: number;
  /**
   * The highest stream sequence that was billed: with the period it says exactly which events the quantities are made
   * of.
   */
  readonly watermark: bigint;
  readonly issuedAt: Instant;
  /** Hash of the invoice numbered one less, or the genesis hash. */
  readonly previousHash: string;
  readonly hash: string;
};

/** What `hashedInstant` writes. */
export const hashedInstantPattern = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,3})?Z$';

/**
 * The form of an instant in what is hashed: "2026-10-01T00:00:00Z", a fraction only where there is one. It is a part of
 * every hash that exists, so it never changes; anything else writes instants by `formatInstant`.
 */
const hashedInstant = (instant: Instant): string => Temporal.Instant.fromEpochMilliseconds(instant).toString();
const hashedPeriod = ({ start, end }: Period): PeriodJson => ({ start: hashedInstant(start), end: hashedInstant(end) });

/** Stable key order, decimal strings, printed amounts with the currency's decimals. */
const invoiceLineToJson = (line: InvoiceLine, currency: Currency) => ({
  position: line.position,
  charge_code: line.chargeCode,
  description: line.description,
  meter: line.meter,
  quantity: formatQuantity(line.quantity),
  rounding: line.rounding,
  precise_amount: formatPreciseAmount(line.precise),
  amount: formatMinorUnits(line.amount, currency),
  steps: line.steps.map(priceStepToJson),
  service_period: hashedPeriod(line.servicePeriod),
});

export const draftInvoiceToJson = (draft: DraftInvoice) => ({
  kind: draft.kind,
  subscription_id: draft.subscriptionId,
  customer_id: draft.customerId,
  plan_version_id: draft.planVersionId,
  currency: draft.currency,
  period: hashedPeriod(draft.period),
  lines: draft.lines.map((line) => invoiceLineToJson(line, draft.currency)),
  subtotal: formatMinorUnits(draft.subtotal, draft.currency),
  total: formatMinorUnits(draft.total, draft.currency),
});

/** What is hashed, and with both hashes what is published: whoever has the JSON can check it without this program. */
export const invoiceContentToJson = (invoice: Omit<IssuedInvoice, 'hash' | 'previousHash'>) => ({
  id: invoice.id,
  tenant: invoice.tenant,
  number: invoice.number,
  watermark: invoice.watermark.toString(),
  issued_at: hashedInstant(invoice.issuedAt),
  ...draftInvoiceToJson(invoice),
});
export type InvoiceContentJson = ReturnType<typeof invoiceContentToJson>;

export const issuedInvoiceToJson = (invoice: IssuedInvoice) => ({
  ...invoiceContentToJson(invoice),
  previous_hash: invoice.previousHash,
  hash: invoice.hash,
});
