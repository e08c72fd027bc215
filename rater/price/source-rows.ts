/**
 * The rows that prices refer to: versions of cost books, rates of credit units. Rows only come to be, and never change,
 * so a price that is made of the same rows is the same for ever. Their statements stand here, as the rater asks for
 * them and the API does. Pure.
 */
import assert from 'node:assert/strict';
import { type CostBook, type CostBookVersion, type CostEntryJson, costsFromJson } from '#schemas/cost-book.ts';
import { byTime, type CreditRate, chainMax, type RatesByUnit } from '#schemas/credit-unit.ts';
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

const bookColumns = `b.code, b.currency, b.dimensions, v.id, v.version_number, v.effective_from, v.entries,
  trim_scale(v.default_cost)::text AS default_cost`;
const rateColumns = 'u.code, r.id, r.rate_number, r.effective_from, r.unit, trim_scale(r.amount)::text AS amount';

/**
 * $1 the organization, $2 codes, $3 and $4 a time, $5 by when rows were made (`madeUntil`): of a book the versions that begin inside of it, the one that is in
 * force at its start, and where there is none until its end the first.
 */
export const booksStatement = `SELECT ${bookColumns}
  FROM cost_books b LEFT JOIN LATERAL (
      SELECT (SELECT max(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id AND effective_from <= $3
          AND created_at <= $5) AS before,
        (SELECT min(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id AND created_at <= $5) AS first
    ) AS t ON true
    LEFT JOIN cost_book_versions v ON v.cost_book_id = b.id AND v.effective_from >= coalesce(t.before, t.first)
      AND v.effective_from < greatest($4, t.first + interval '1 ms') AND v.created_at <= $5
  WHERE b.organization_id = $1 AND b.code = ANY ($2)`;

/** $1 the organization, $2 codes, $3 by when rows were made: all rates of the units and of those that they are worth some of; a row is short. */
export const ratesStatement = `WITH RECURSIVE units AS (
    SELECT id, code, 1 AS depth FROM credit_units WHERE organization_id = $1 AND code = ANY ($2)
    UNION
    SELECT o.id, o.code, u.depth + 1 FROM units u JOIN credit_unit_rates r ON r.credit_unit_id = u.id
        AND r.created_at <= $3
      JOIN credit_units o ON o.organization_id = $1 AND o.code = r.unit WHERE u.depth < ${chainMax}
  )
  SELECT ${rateColumns}
  FROM (SELECT DISTINCT id, code FROM units) AS u LEFT JOIN credit_unit_rates r ON r.credit_unit_id = u.id
    AND r.created_at <= $3`;

/** $1 the organization, $2 ids of versions. */
export const namedVersionsStatement = `SELECT ${bookColumns}
  FROM cost_book_versions v JOIN cost_books b ON b.id = v.cost_book_id
  WHERE v.organization_id = $1 AND v.id = ANY ($2)`;

/** $1 the organization, $2 ids of rates. */
export const namedRatesStatement = `SELECT ${rateColumns}
  FROM credit_unit_rates r JOIN credit_units u ON u.id = r.credit_unit_id
  WHERE r.organization_id = $1 AND r.id = ANY ($2)`;

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
