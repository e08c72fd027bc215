import assert from 'node:assert/strict';
import type { QueryResultRow } from 'pg';
import { plannedForValues, type Queryable } from '#platform/stores/postgres.ts';
import { countedMax, type List, type ListPage, type PageRows, type Sort, type Total } from './lists.ts';

/**
 * A value as text that gives the very same value when it is cast back: a timestamptz with its microseconds, in no
 * session's zone or style.
 */
const exactText: Record<Sort['type'], (column: string) => string> = {
  timestamptz: (column) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`,
  bigint: (column) => `${column}::text`,
  text: (column) => column,
};

type Matching = {
  readonly values: string[];
  readonly parameter: (value: string) => string;
  readonly where: string;
};

/** What a page is among, without its cursor: the same for the page and for the count. */
const matching = (
  { list, organizationId, conditions, sort }: ListPage,
  fixed: Readonly<Record<string, string>>,
): Matching => {
  const values = [organizationId];
  const parameter = (value: string): string => `$${values.push(value)}`;
  const { organization, condition } = list.definition;
  const tests = [
    `${organization} = $1`,
    ...(condition ? [condition] : []),
    ...(sort.isNullable ? [`${sort.column} IS NOT NULL`] : []),
    ...Object.entries(fixed).map(([column, value]) => `${column} = ${parameter(value)}`),
    ...conditions.map(({ test, value, text }) => test(parameter(value), text, value)),
  ];
  return { values, parameter, where: tests.join(' AND ') };
};

type Count = { readonly sql: string; readonly values: readonly string[]; readonly isBounded: boolean };

/**
 * The count is a statement of its own in front, so that it can't see the aliases of the page by mistake. A bounded one
 * goes on to one row more than is told, which says that there are more.
 */
const countOf = (
  { list, conditions, organizationId, isCountExact }: ListPage,
  isFixed: boolean,
  all: Pick<Count, 'sql' | 'values'>,
): Count => {
  const { countFrom, from, keptTotal } = list.definition;
  const filters = Object.fromEntries(conditions.map(({ name, value }) => [name, value]));
  const kept = isFixed ? undefined : keptTotal?.(filters);
  if (kept !== undefined) return { sql: kept, values: [organizationId], isBounded: false };
  const matched = `FROM ${countFrom ?? from} WHERE ${all.sql}`;
  const sql = isCountExact
    ? `SELECT count(*) AS total ${matched}`
    : `SELECT count(*) AS total FROM (SELECT 1 ${matched} LIMIT ${countedMax + 1}) AS m`;
  return { sql, values: all.values, isBounded: !isCountExact };
};

const totalOf = (counted: bigint, isBounded: boolean): Total =>
  isBounded && counted > countedMax
    ? { count: countedMax, relation: 'at_least' }
    : { count: Number(counted), relation: 'exact' };

/** With the values of filters that stand for others. */
const resolved = async (db: Queryable, page: ListPage): Promise<ListPage> => {
  if (page.conditions.every(({ resolve }) => resolve === undefined)) return page;
  const conditions = page.conditions.map(async (one) => {
    if (!one.resolve) return one;
    const { rows } = await db.query<{ value: string }>(
      `SELECT ${one.resolve('$2', one.value)} AS value
      FROM (SELECT $1::text, $2::text) AS given`,
      [page.organizationId, one.value],
    );
    return { ...one, value: rows[0]?.value ?? '' };
  });
  return { ...page, conditions: await Promise.all(conditions) };
};

type Marked = { readonly list_value: string; readonly list_id: string; readonly list_total: bigint };

/** SQL of what a page is ordered by and where it goes on, over a value and an id. */
type Order = {
  readonly by: (value: string, id: string) => string;
  readonly behind: (value: string, id: string) => string;
};

const orderOf = ({ sort: { type, descending }, after }: ListPage, parameter: Matching['parameter']): Order => {
  const direction = descending ? 'DESC' : 'ASC';
  const place = after && `(${parameter(after.value)}::${type}, ${parameter(after.id)})`;
  return {
    by: (value, id) => `ORDER BY ${value} ${direction}, ${id} ${direction}`,
    behind: (value, id) => (place ? ` AND (${value}, ${id}) ${descending ? '<' : '>'} ${place}` : ''),
  };
};

/**
 * Two parts of a statement: what the filters leave, gathered as far as it is counted, and the ids of the page: out of
 * that where it is all, else along the order of the list, in which enough of so many rows are near.
 */
const gatheredFirst = ({ list, sort, conditions, limit }: ListPage, where: string, { by, behind }: Order): string => {
  const { countFrom, from, id } = list.definition;
  const leading = conditions.find(({ lead }) => lead !== undefined);
  const lead = leading?.lead?.(leading.text) ?? '';
  const source = `FROM ${countFrom ?? from} WHERE ${where}`;
  const isWhole = `(SELECT count(*) FROM gathered) <= ${countedMax}`;
  const rows = `LIMIT ${limit + 1}`;
  return `gathered AS MATERIALIZED (
      SELECT ${id} AS row_id, ${sort.column} AS row_value ${source}${lead && ` ORDER BY ${lead}`}
      LIMIT ${countedMax + 1}),
    chosen AS (
      (SELECT row_id FROM gathered WHERE ${isWhole}${behind('row_value', 'row_id')}
       ${by('row_value', 'row_id')} ${rows})
      UNION ALL
      (SELECT ${id} ${source}${behind(sort.column, id)} AND NOT (${isWhole}) ${by(sort.column, id)} ${rows}))`;
};

/**
 * The rows of a page and how many there are in all, as of one snapshot; the page must have been asked for in that list,
 * by that organization. `fixed` maps columns to values that the route demands beyond the filters. Rows are compared
 * whole, (sort value, id), which PostgreSQL turns into one place of an index on (organization, sort column, id).
 */
export const listRows = async <R extends QueryResultRow>(
  db: Queryable,
  list: List,
  organizationId: string,
  asked: ListPage,
  fixed: Readonly<Record<string, string>> = {},
): Promise<PageRows<R>> => {
  assert(
    asked.list === list && asked.organizationId === organizationId,
    `list ${list.definition.name}: a page of another list or caller`,
  );
  const page = await resolved(db, asked);
  const { columns, from, id, gathersFirst } = page.list.definition;
  const { column, type } = page.sort;
  const { values, parameter, where } = matching(page, fixed);
  const count = countOf(page, Object.keys(fixed).length > 0, { sql: where, values: [...values] });
  const order = orderOf(page, parameter);
  const isGathered = gathersFirst && page.conditions.some(({ isDefault }) => !isDefault);
  const counted = isGathered && count.isBounded ? 'SELECT count(*) AS total FROM gathered' : count.sql;
  const { rows: found } = await db.query<R & Marked>(
    `${plannedForValues} WITH ${isGathered ? `${gatheredFirst(page, where, order)},` : ''} counted AS (${counted})
     SELECT ${columns}, ${exactText[type](column)} AS list_value, ${id} AS list_id,
       (SELECT total FROM counted) AS list_total
     FROM ${from} WHERE ${isGathered ? `${id} IN (SELECT row_id FROM chosen)` : `${where}${order.behind(column, id)}`}
     ${order.by(column, id)} LIMIT ${page.limit + 1}`,
    values,
  );
  const shown = found.slice(0, page.limit);
  const end = found.length > page.limit ? shown.at(-1) : undefined;
  // Where no row came, no count came with it: without a cursor there are none, behind one there may be some before.
  const total =
    found[0]?.list_total ??
    (page.after ? (await db.query<{ total: bigint }>(count.sql, count.values)).rows[0]?.total : 0n);
  return {
    rows: shown.map(({ list_value, list_id, list_total, ...row }) => row as unknown as R),
    total: totalOf(total ?? 0n, count.isBounded),
    last: end && { value: end.list_value, id: end.list_id },
  };
};
