/** What is charged by a one-off invoice: items that somebody wrote, as they are kept in its draft. Pure. */
import assert from 'node:assert/strict';
import type { InvoiceLine } from '#schemas/invoice.ts';
import {
  type Amount,
  formatAmount,
  formatPreciseAmount,
  type PreciseAmount,
  parsePreciseAmount,
  parseStoredAmount,
  type RoundingMode,
} from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';

export const oneOffLinesMax = 10_000;

export type OneOffItem = {
  readonly description: string;
  readonly quantity: Quantity;
  /** Of one, where it was priced by its quantity. */
  readonly unitAmount: Amount | null;
  /** Before it was rounded. */
  readonly precise: PreciseAmount;
  readonly rounding: RoundingMode;
  readonly amount: Amount;
  readonly servicePeriod: Period;
  /** By which of the rates it is taxed; null where it is by those of no category. */
  readonly taxCategory: string | null;
};

export const itemToJson = (item: OneOffItem) => ({
  description: item.description,
  quantity: formatQuantity(item.quantity),
  unit_amount: item.unitAmount === null ? null : formatAmount(item.unitAmount),
  precise_amount: formatPreciseAmount(item.precise),
  rounding: item.rounding,
  amount: formatAmount(item.amount),
  start: item.servicePeriod.start,
  end: item.servicePeriod.end,
  ...(item.taxCategory !== null && { tax_category: item.taxCategory }),
});

export type ItemJson = ReturnType<typeof itemToJson>;

const read = <T>(value: T | undefined, text: string): T => {
  assert(value !== undefined, `a stored item can't be read: ${text}`);
  return value;
};

export const itemFromJson = (json: ItemJson): OneOffItem => ({
  description: json.description,
  quantity: read(parseQuantity(json.quantity), json.quantity),
  unitAmount: json.unit_amount === null ? null : read(parseStoredAmount(json.unit_amount), json.unit_amount),
  precise: read(parsePreciseAmount(json.precise_amount), json.precise_amount),
  rounding: json.rounding,
  amount: read(parseStoredAmount(json.amount), json.amount),
  servicePeriod: { start: json.start, end: json.end },
  taxCategory: json.tax_category ?? null,
});

/** Where nobody says of which time an item is: the millisecond that begins with that instant. */
export const momentOf = (instant: Instant): Period => ({ start: instant, end: instant + 1 });

export const lineOfItem = (item: OneOffItem, position: number): InvoiceLine => ({
  kind: 'item',
  billingPeriodId: null,
  position,
  chargeCode: null,
  description: item.description,
  meter: null,
  quantity: item.quantity,
  rounding: item.rounding,
  precise: item.precise,
  unitAmount: item.unitAmount,
  amount: item.amount,
  discounts: [],
  taxes: [],
  steps: [],
  servicePeriod: item.servicePeriod,
  ...(item.taxCategory !== null && { taxCategory: item.taxCategory }),
});
