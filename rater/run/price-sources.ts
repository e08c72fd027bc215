/**
 * What the prices of some charges refer to, as far as it matters to a span of time: read for rating, and for whoever
 * asks what a price is. The rows never change, and what a span was rated by is written down with its lines.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type CostBook, type CostEntryJson, costsFromJson } from '#schemas/cost-book.ts';
import { byTime, type CreditRate, chainMax } from '#schemas/credit-unit.ts';
import { isCurrency } from '#schemas/currency.ts';
import { parseAmount } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import type { PricedCharge, PriceSources } from '../price/resolve-price.ts';

/** Codes. */
export type SourceNames = { readonly books: readonly string[]; readonly units: readonly string[] };

export const sourceNamesOf = (charges: readonly PricedCharge[]): SourceNames => ({
  books: [...new Set(charges.flatMap(({ price }) => (price.model === 'cost_book' ? [price.costBook] : [])))],
  units: [...new Set(charges.flatMap(({ creditUnit }) => (creditUnit === null ? [] : [creditUnit])))],
});

// Of a book the versions that begin inside of the span, the one in force at its start, and where there is none before
// the end the first.
const booksStatement = `SELECT b.code, b.currency, b.dimensions, v.id, v.version_number, v.effective_from, v.entries,
    trim_scale(v.default_cost)::text AS default_cost
  FROM cost_books b LEFT JOIN LATERAL (
      SELECT (SELECT max(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id AND effective_from <= $3
        ) AS before,
        (SELECT min(effective_from) FROM cost_book_versions WHERE cost_book_id = b.id) AS first
    ) AS t ON true
    LEFT JOIN cost_book_versions v ON v.cost_book_id = b.id
      AND v.effective_from >= coalesce(t.before, t.first) AND v.effective_from < greatest($4, t.first + interval '1 ms')
  WHERE b.organization_id = $1 AND b.code = ANY ($2)`;

// All rates of the units and of those that they are worth some of: a row is short.
const ratesStatement = `WITH RECURSIVE units AS (
    SELECT id, code, 1 AS depth FROM credit_units WHERE organization_id = $1 AND code = ANY ($2)
    UNION
    SELECT o.id, o.code, u.depth + 1 FROM units u JOIN credit_unit_rates r ON r.credit_unit_id = u.id
      JOIN credit_units o ON o.organization_id = $1 AND o.code = r.unit WHERE u.depth < ${chainMax}
  )
  SELECT u.code, r.id, r.rate_number, r.effective_from, r.unit, trim_scale(r.amount)::text AS amount
  FROM (SELECT DISTINCT id, code FROM units) AS u LEFT JOIN credit_unit_rates r ON r.credit_unit_id = u.id`;

type BookRow = { code: string; currency: string; dimensions: string[] } & (
  | { id: null }
  | { id: string; version_number: number; effective_from: Date; entries: CostEntryJson[]; default_cost: string }
);
type RateRow = { code: string } & (
  | { id: null }
  | { id: string; rate_number: number; effective_from: Date; unit: string; amount: string }
);

const bookOf = (code: string, rows: readonly BookRow[]): CostBook => {
  const [{ currency = '', dimensions = [] } = {}] = rows;
  assert(isCurrency(currency), `${currency} is not a currency`);
  const versions = rows.flatMap((row) =>
    row.id === null
      ? []
      : [
          {
            id: row.id,
            number: row.version_number,
            effectiveFrom: row.effective_from.getTime(),
            ...costsFromJson(row.entries, row.default_cost),
          },
        ],
  );
  return { code, currency, dimensions, versions: byTime(versions) };
};

const rateOf = (row: RateRow): CreditRate[] => {
  if (row.id === null) return [];
  const amount = parseAmount(row.amount);
  assert(amount !== undefined, `rate ${row.id} is no amount`);
  return [{ id: row.id, number: row.rate_number, effectiveFrom: row.effective_from.getTime(), unit: row.unit, amount }];
};

/** A book or a unit that is not there is missing. */
export const readPriceSources = async (
  { query }: Queryable,
  organizationId: string,
  { books, units }: SourceNames,
  { start, end }: Period,
): Promise<PriceSources> => {
  const bookRows =
    books.length === 0
      ? []
      : (await query<BookRow>(booksStatement, [organizationId, books, new Date(start), new Date(end)])).rows;
  const rateRows = units.length === 0 ? [] : (await query<RateRow>(ratesStatement, [organizationId, units])).rows;
  const rowsByBook = Map.groupBy(bookRows, ({ code }) => code);
  const rowsByUnit = Map.groupBy(rateRows, ({ code }) => code);
  return {
    books: new Map([...rowsByBook].map(([code, rows]) => [code, bookOf(code, rows)])),
    rates: new Map([...rowsByUnit].map(([code, rows]) => [code, byTime(rows.flatMap(rateOf))])),
  };
};
