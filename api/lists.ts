/** Lists: bounded pages under an opaque cursor. Ids are UUIDv7, so "newest first" is the order of ids, and a page is stable under inserts. */
import { FailureError, type Fault } from '#schemas/failures.ts';

export const pageSizeDefault = 100;
export const pageSizeMax = 1000;

export type Page = { readonly limit: number /** The last id of the page before. */; readonly after: string | undefined };

export type Pagination = {
  readonly total: number;
  readonly page_size: number;
  readonly has_more: boolean;
  readonly next_cursor: string | null;
};

export type List<T> = { readonly items: readonly T[]; readonly pagination: Pagination };

const cursorOf = (id: string): string => Buffer.from(id).toString('base64url');
const cursorShape = /^[a-z]{3}_[0-9a-f]{32}$/;

/** Reads `limit`, `cursor` and the filters that the list knows; anything else is 400 with all faults. */
export const readListQuery = <F extends string>(
  query: Readonly<Record<string, unknown>>,
  filters: readonly F[],
): Page & { readonly filters: Readonly<Partial<Record<F, string>>> } => {
  const faults: Fault[] = [];
  const known = new Set<string>(['limit', 'cursor', ...filters]);
  for (const [name, value] of Object.entries(query)) {
    if (!known.has(name))
      faults.push({ field: name, code: 'unknown_field', message: `is not known here; known are ${[...known].join(', ')}` });
    else if (typeof value !== 'string') faults.push({ field: name, code: 'duplicate', message: 'may be given once' });
  }
  const limitText = typeof query.limit === 'string' ? query.limit : String(pageSizeDefault);
  const limit = /^\d{1,4}$/.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > pageSizeMax)
    faults.push({ field: 'limit', code: 'out_of_range', message: `must be a whole number from 1 to ${pageSizeMax}` });
  const after = typeof query.cursor === 'string' ? Buffer.from(query.cursor, 'base64url').toString('latin1') : undefined;
  if (after !== undefined && !cursorShape.test(after))
    faults.push({ field: 'cursor', code: 'wrong_format', message: 'must be a next_cursor of this list' });
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
  return {
    limit,
    after,
    filters: Object.fromEntries(filters.flatMap((name) => (typeof query[name] === 'string' ? [[name, query[name]]] : []))) as Partial<
      Record<F, string>
    >,
  };
};

/** `rows` holds one more than the page where there is more. */
export const toList = <R extends { readonly id: string }, T>(
  rows: readonly R[],
  total: number,
  page: Page,
  toJson: (row: R) => T,
): List<T> => {
  const shown = rows.slice(0, page.limit);
  const hasMore = rows.length > page.limit;
  return {
    items: shown.map(toJson),
    pagination: { total, page_size: shown.length, has_more: hasMore, next_cursor: hasMore ? cursorOf(shown.at(-1)?.id ?? '') : null },
  };
};
