/**
 * The rows that prices refer to: versions of cost books, rates of credit units. Rows only come to be, and never change,
 * so a price that is made of the same rows is the same for ever. Pure.
 */
import assert from 'node:assert/strict';
import { type CostBook, type CostBookVersion, type CostEntryJson, costsFromJson } from '#schemas/cost-book.ts';
import { byTime, type CreditRate, type RatesByUnit } from '#schemas/credit-unit.ts';
import { isCurrency } from '#schemas/currency.ts';
import { parseAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { PlanCharge } from '#schemas/plan.ts';

/** Up to when rows count that prices are made of, as a parameter; by default all that are there. */
export const madeUntil = (instant: Instant | undefined): string =>
  instant === undefined ? 'infinity' : new Date(instant).toISOString();

/** By code. */
export type SourceRows = { readonly books: ReadonlyMap<string, CostBook>; readonly rates: RatesByUnit };

export const noSourceRows: SourceRows = { books: new Map(), rates: new Map() };

/** Codes. */
export type SourceNames = { readonly books: readonly string[]; readonly units: readonly string[] };

export const sourceNamesOf = (charges: readonly Pick<PlanCharge, 'price' | 'creditUnit'>[]): SourceNames => ({
  books: [...new Set(charges.flatMap(({ price }) => (price.model === 'cost_book' ? [price.costBook] : [])))],
  units: [...new Set(charges.flatMap(({ creditUnit }) => (creditUnit === null ? [] : [creditUnit])))],
});

export type BookRow = { code: string; currency: string; dimensions: string[] } & (
  | { id: null }
  | { id: string; version_number: number; effective_from: Date; entries: CostEntryJson[]; default_cost: string }
);
export type RateRow = { code: string } & (
  | { id: null }
  | { id: string; rate_number: number; effective_from: Date; unit: string; amount: string }
);

const versionOf = (row: BookRow): CostBookVersion[] =>
  row.id === null
    ? []
    : [
        {
          id: row.id,
          number: row.version_number,
          effectiveFrom: row.effective_from.getTime(),
          ...costsFromJson(row.entries, row.default_cost),
        },
      ];

const bookOf = (code: string, rows: readonly BookRow[]): CostBook => {
  const [{ currency = '', dimensions = [] } = {}] = rows;
  assert(isCurrency(currency), `${currency} is not a currency`);
  return { code, currency, dimensions, versions: byTime(rows.flatMap(versionOf)) };
};

const rateOf = (row: RateRow): CreditRate[] => {
  if (row.id === null) return [];
  const amount = parseAmount(row.amount);
  assert(amount !== undefined, `rate ${row.id} is no amount`);
  return [{ id: row.id, number: row.rate_number, effectiveFrom: row.effective_from.getTime(), unit: row.unit, amount }];
};

/** A book or a unit that is not there is missing. */
export const sourceRowsFrom = (books: readonly BookRow[], rates: readonly RateRow[]): SourceRows => ({
  books: new Map([...Map.groupBy(books, ({ code }) => code)].map(([code, rows]) => [code, bookOf(code, rows)])),
  rates: new Map(
    [...Map.groupBy(rates, ({ code }) => code)].map(([code, rows]) => [code, byTime(rows.flatMap(rateOf))]),
  ),
});

/** By id. */
export type NamedRows = {
  readonly versions: ReadonlyMap<string, { readonly book: CostBook; readonly version: CostBookVersion }>;
  readonly rates: ReadonlyMap<string, CreditRate>;
};

export const namedRowsOf = ({ books, rates }: SourceRows): NamedRows => ({
  versions: new Map(
    [...books.values()].flatMap((book) => book.versions.map((version) => [version.id, { book, version }])),
  ),
  rates: new Map([...rates.values()].flat().map((rate) => [rate.id, rate])),
});
