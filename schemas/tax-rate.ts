/** Tax rates and what an invoice says of the taxes of its lines. */

import { formatFixedPoint, parseFixedPoint } from '#schemas/fixed-point.ts';
import type { Amount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';

/** A part of a hundred, as a whole number of its millionths. */
export type Percentage = bigint & { readonly unit: 'percentage at 10^-6' };

const percentageScale = 6;
/** What is multiplied by a percentage is divided by this. */
export const percentageUnit = 100n * 10n ** BigInt(percentageScale);
export const zeroPercentage = 0n as Percentage;

export const percentagePattern = '^(100(\\.0{1,6})?|[0-9]{1,2}(\\.[0-9]{1,6})?)$';

const percentageForm = new RegExp(percentagePattern);

/** Reads what `percentagePattern` says: from 0 to 100, with at most six decimals; `undefined` for anything else. */
export const parsePercentage = (text: string): Percentage | undefined =>
  percentageForm.test(text)
    ? (parseFixedPoint(text, { scale: percentageScale, integerDigitsMax: 3 }) as Percentage)
    : undefined;

/** Canonical decimal text: "19", "8.875". */
export const formatPercentage = (percentage: Percentage): string => formatFixedPoint(percentage, percentageScale);

/** What becomes of the tax of a line: it is charged; or the buyer owes it by itself, or nobody owes any. */
export const TaxTreatment = { taxed: 'taxed', reverseCharge: 'reverse_charge', exempt: 'exempt' } as const;
export type TaxTreatment = (typeof TaxTreatment)[keyof typeof TaxTreatment];
export const taxTreatments = Object.values(TaxTreatment);

/** Whether every tax of every line is rounded, or the sum of each tax once and then given to the lines. */
export const taxRoundings = ['line', 'invoice'] as const;
export type TaxRounding = (typeof taxRoundings)[number];

/** Who says which taxes an invoice has: the organization's own rates, or an engine outside. */
export const taxCalculations = ['rates', 'engine'] as const;
export type TaxCalculation = (typeof taxCalculations)[number];

export const customerTaxTreatments = ['taxable', 'exempt'] as const;
export type CustomerTaxTreatment = (typeof customerTaxTreatments)[number];

export type TaxRate = {
  readonly id: string;
  readonly code: string;
  readonly name: string;
  readonly percentage: Percentage;
  /** Whether prices have the tax in them. */
  readonly inclusive: boolean;
  /** ISO 3166-1 alpha-2; null where only customers that name the rate have it. */
  readonly country: string | null;
  /** The state or region of the country, as `normalState` writes it; null for all of the country. */
  readonly state: string | null;
  /** Of the charges that it is for; null for those that no rate of the same place is for. */
  readonly taxCategory: string | null;
  /** Half-open, by the time of issue; null has no bound. */
  readonly validFrom: Instant | null;
  readonly validUntil: Instant | null;
};

/** A tax that a line has, with its words: those of a rate, or of why no tax is charged. */
export type AppliedTax = Pick<TaxRate, 'code' | 'name' | 'percentage' | 'inclusive'> & {
  /** Null where it is no rate that applies. */
  readonly taxRateId: string | null;
  readonly treatment: TaxTreatment;
};

/** The same with its money. The amount of an inclusive tax is not in the taxable amount. */
export type TaxEntry = AppliedTax & { readonly taxableAmount: Amount; readonly amount: Amount };

/** A state or region as it is compared: "us-ny", "NY" and " ny" are one. */
export const normalState = (country: string, state: string): string => {
  const text = state.trim().replace(/\s+/g, ' ').toUpperCase();
  return text.startsWith(`${country}-`) ? text.slice(country.length + 1) : text;
};

/** Member states of the European Union, by ISO 3166-1. */
const membersOfUnion: ReadonlySet<string> = new Set(
  'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' '),
);
export const isInUnion = (country: string): boolean => membersOfUnion.has(country);
