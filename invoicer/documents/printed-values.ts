/**
 * Amounts, quantities and dates as a language writes them, from exact text: Intl reads decimal text digit by digit, and
 * no float stands between. Pure.
 */
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { Instant, Period } from '#schemas/period.ts';

/** Where the exact value has more, it stands in the JSON of the invoice. */
const stepDecimalsMax = 8;
const unitDecimalsMax = 12;
const quantityDecimalsMax = 12;

type DecimalText = Intl.StringNumericLiteral;

export type Printer = {
  /** Whole minor units. */
  readonly amount: (text: string) => string;
  readonly unitAmount: (text: string) => string;
  readonly stepAmount: (text: string) => string;
  readonly quantity: (text: string) => string;
  readonly percentage: (text: string) => string;
  readonly date: (instant: Instant) => string;
  /** From its first day to its last. */
  readonly period: (period: Period) => string;
  readonly country: (code: string) => string;
};

export const createPrinter = (locale: string, timeZone: string, currency: Currency): Printer => {
  const minorUnits = minorUnitsOf(currency);
  const money = (maximumFractionDigits: number): Intl.NumberFormat =>
    new Intl.NumberFormat(locale, {
      style: 'currency',
      currency,
      minimumFractionDigits: minorUnits,
      maximumFractionDigits: Math.max(minorUnits, maximumFractionDigits),
    });
  const amounts = money(minorUnits);
  const unitAmounts = money(unitDecimalsMax);
  const stepAmounts = money(stepDecimalsMax);
  const quantities = new Intl.NumberFormat(locale, { maximumFractionDigits: quantityDecimalsMax });
  const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone });
  const spans = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
  const countries = new Intl.DisplayNames(locale, { type: 'region' });
  const decimal = quantities.formatToParts(1.5).find(({ type }) => type === 'decimal')?.value ?? '.';
  return {
    amount: (text) => amounts.format(text as DecimalText),
    unitAmount: (text) => unitAmounts.format(text as DecimalText),
    stepAmount: (text) => stepAmounts.format(text as DecimalText),
    quantity: (text) => quantities.format(text as DecimalText),
    percentage: (text) => `${text.replace('.', decimal)}${locale.startsWith('en') ? '' : '\u00a0'}%`,
    date: (instant) => dates.format(instant),
    period: ({ start, end }) => spans.formatRange(start, end - 1),
    country: (code) => countries.of(code) ?? code,
  };
};
