/**
 * How what every version of an invoice's content has is written. It is a part of every hash that exists, so it never
 * changes; anything else writes instants by `formatInstant`.
 */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceContent, InvoiceLine } from '#schemas/invoice.ts';
import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import type { Instant, Period, PeriodJson } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { priceStepToJson } from '#schemas/rated-line.ts';

/** What `hashedInstant` writes. */
export const hashedInstantPattern = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,3})?Z$';

/** "2026-10-01T00:00:00Z", with a fraction only where there is one. */
export const hashedInstant = (instant: Instant): string => {
  const known = hashedInstants.get(instant);
  if (known !== undefined) return known;
  const text = Temporal.Instant.fromEpochMilliseconds(instant).toString();
  if (hashedInstants.size >= hashedInstantsMax) hashedInstants.clear();
  hashedInstants.set(instant, text);
  return text;
};

/** Invoices of one month's end have a handful between them. */
const hashedInstants = new Map<Instant, string>();
const hashedInstantsMax = 1_000;

export const hashedPeriod = ({ start, end }: Period): PeriodJson => ({
  start: hashedInstant(start),
  end: hashedInstant(end),
});

/** Stable key order, decimal strings, printed amounts with the currency's decimals. */
export const hashedLine = (line: InvoiceLine, currency: Currency) => ({
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

export const hashedTotals = ({ subtotal, total, currency }: InvoiceContent) => ({
  subtotal: formatMinorUnits(subtotal, currency),
  total: formatMinorUnits(total, currency),
});
