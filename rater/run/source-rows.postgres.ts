/** The rows that prices refer to as rating reads them: those that matter to a time, or those that a line names. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Instant, Period } from '#schemas/period.ts';
import {
  type BookRow,
  madeUntil,
  type RateRow,
  type SourceNames,
  type SourceRows,
  sourceRowsFrom,
} from '../price/source-rows.ts';
import { booksStatement, namedRatesStatement, namedVersionsStatement, ratesStatement } from './source-statements.ts';

export const standingSourceRows = async (
  postgres: Queryable,
  organizationId: string,
  { books, units }: SourceNames,
  { start, end }: Period,
  pricesUntil?: Instant,
): Promise<SourceRows> => {
  const time = [new Date(start), new Date(end)];
  const until = madeUntil(pricesUntil);
  const bookRows =
    books.length > 0
      ? (await postgres.query<BookRow>(booksStatement, [organizationId, books, ...time, until])).rows
      : [];
  const rateRows =
    units.length > 0 ? (await postgres.query<RateRow>(ratesStatement, [organizationId, units, until])).rows : [];
  return sourceRowsFrom(bookRows, rateRows);
};

export const namedSourceRows = async (
  postgres: Queryable,
  organizationId: string,
  versionIds: readonly string[],
  rateIds: readonly string[],
): Promise<SourceRows> => {
  const read = async <Row extends BookRow | RateRow>(statement: string, ids: readonly string[]): Promise<Row[]> =>
    ids.length > 0 ? (await postgres.query<Row>(statement, [organizationId, [...new Set(ids)]])).rows : [];
  return sourceRowsFrom(
    await read<BookRow>(namedVersionsStatement, versionIds),
    await read<RateRow>(namedRatesStatement, rateIds),
  );
};
