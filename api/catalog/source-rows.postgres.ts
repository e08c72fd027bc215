/** What prices refer to, as it is in force at an instant. */
import type { Instant } from '#schemas/period.ts';
import {
  type BookRow,
  madeUntil,
  type RateRow,
  type SourceNames,
  type SourceRows,
  sourceRowsFrom,
} from '../../rater/price/source-rows.ts';
import { booksStatement, ratesStatement } from '../../rater/run/source-statements.ts';
import type { Db } from '../route/define-route.ts';

const rowsAt = async (db: Db, { books, units }: SourceNames, at: Instant): Promise<SourceRows> => {
  const time = [new Date(at), new Date(at + 1)];
  const until = madeUntil(undefined);
  const bookRows =
    books.length > 0 ? (await db.query<BookRow>(booksStatement, [db.organizationId, books, ...time, until])).rows : [];
  const rateRows =
    units.length > 0 ? (await db.query<RateRow>(ratesStatement, [db.organizationId, units, until])).rows : [];
  return sourceRowsFrom(bookRows, rateRows);
};

export const sourceRowStore = { at: rowsAt };

export type SourceRowStore = typeof sourceRowStore;
