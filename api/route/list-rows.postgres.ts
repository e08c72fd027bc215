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

/** The order in which an index finds what is asked for, where the planner does not see by itself which that is. */
const leadOf = ({ list, conditions }: ListPage): string => {
  if (!list.definition.gathersFirst) return '';
  const leading = conditions.find(({ lead }) => lead !== undefined);
  const lead = leading?.lead?.(leading.text);
  return lead ? ` ORDER BY ${lead}` : '';
};

type Count = { readonly sql: string; readonly values: readonly string[]; readonly isBounded: boolean };

/** A bounded one goes on to one row more than is told, which says that there are more. */
const countOf = (page: ListPage, isFixed: boolean, all: Pick<Count, 'sql' | 'values'>): Count => {
  const { list, conditions, organizationId, isCountExact } = page;
  const { countFrom, from, keptTotal } = list.definition;
  const filters = Object.fromEntries(conditions.map(({ name, value }) => [name, value]));
  const kept = isFixed ? undefined : keptTotal?.(filters);
  if (kept !== undefined) return { sql: kept, values: [organizationId], isBounded: false };
  const matched = `FROM ${countFrom ?? from} WHERE ${all.sql}`;
  const sql = isCountExact
    ? `SELECT count(*) AS total ${matched}`
    : `SELECT count(*) AS total FROM (SELECT 1 ${matched}${leadOf(page)} LIMIT ${countedMax + 1}) AS m`;
  return { sql, values: all.values, isBounded: !isCountExact };
};

const countRows = async (db: Queryable, { sql, values }: Count): Promise<bigint> =>
  (await db.query<{ total: bigint }>(`${plannedForValues} ${sql}`, values)).rows[0]?.total ?? 0n;

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

type Marked = { readonly list_value: string; readonly list_id: string };

type Found<R> = {
  /** No more than the page may have. */
  readonly rows: readonly R[];
  readonly total: bigint;
  /** Where the page ends; undefined where the list ends with it. */
  readonly end: Marked | undefined;
};

/** `marks` go on to one more than the page may have, where there are more. */
const endOf = ({ limit }: ListPage, marks: readonly Marked[]): Marked | undefined =>
  marks.length > limit ? marks[limit - 1] : undefined;

/** SQL of where a row stands in the order of its list. */
const markOf = ({ list, sort }: ListPage): string =>
  `${exactText[sort.type](sort.column)} AS list_value, ${list.definition.id} AS list_id`;

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
 * Where the rows of a page stand. Few rows are found by what is asked for and sorted, and may stand anywhere in the
 * order of the list; of many, enough are near along that order.
 */
const findMarks = async (
  db: Queryable,
  page: ListPage,
  { where, values }: Matching,
  { by, behind }: Order,
  isFew: boolean,
): Promise<readonly Marked[]> => {
  const { list, sort, limit } = page;
  const { countFrom, from, id } = list.definition;
  const [value, source] = [sort.column, `FROM ${countFrom ?? from} WHERE ${where}`];
  const { rows } = await db.query<Marked>(
    isFew
      ? // OFFSET 0 keeps the planner from looking for them along the order of the list.
        `${plannedForValues} SELECT ${exactText[sort.type]('row_value')} AS list_value, row_id AS list_id
         FROM (SELECT ${id} AS row_id, ${value} AS row_value ${source}${leadOf(page)} OFFSET 0) AS gathered
         WHERE true${behind('row_value', 'row_id')} ${by('row_value', 'row_id')} LIMIT ${limit + 1}`
      : `${plannedForValues} SELECT ${markOf(page)}
         ${source}${behind(value, id)} ${by(value, id)} LIMIT ${limit + 1}`,
    values,
  );
  return rows;
};

/**
 * Of a list that gathers first, and was asked for by a filter. What a row shows is read by its id, with a statement
 * that is planned once: it joins more than filters look at, and planning that took longer than reading it. A row that
 * goes meanwhile is on no page.
 */
const gatheredRows = async <R extends QueryResultRow>(
  db: Queryable,
  page: ListPage,
  matched: Matching,
  order: Order,
  count: Count,
): Promise<Found<R>> => {
  const total = await countRows(db, count);
  if (total === 0n) return { rows: [], total, end: undefined };
  const marks = await findMarks(db, page, matched, order, total <= countedMax);
  const shown = marks.slice(0, page.limit).map(({ list_id }) => list_id);
  if (shown.length === 0) return { rows: [], total, end: undefined };
  const { columns, from, id, organization } = page.list.definition;
  const found = await db.query<R & Pick<Marked, 'list_id'>>(
    `SELECT ${columns}, ${id} AS list_id FROM ${from} WHERE ${organization} = $1 AND ${id} = ANY ($2)`,
    [page.organizationId, shown],
  );
  const byId = new Map(found.rows.map(({ list_id, ...row }): [string, R] => [list_id, row as unknown as R]));
  // It goes on behind a row that went meanwhile, too.
  return { rows: shown.flatMap((id) => byId.get(id) ?? []), total, end: endOf(page, marks) };
};

/** As of one snapshot. */
const countedRows = async <R extends QueryResultRow>(
  db: Queryable,
  page: ListPage,
  { where, values }: Matching,
  order: Order,
  count: Count,
): Promise<Found<R>> => {
  const { columns, from, id } = page.list.definition;
  const { column } = page.sort;
  // The count is a statement of its own in front, so that it can't see the aliases of the page by mistake.
  const { rows: found } = await db.query<R & Marked & { readonly list_total: bigint }>(
    `${plannedForValues} WITH counted AS (${count.sql})
     SELECT ${columns}, ${markOf(page)}, (SELECT total FROM counted) AS list_total
     FROM ${from} WHERE ${where}${order.behind(column, id)} ${order.by(column, id)} LIMIT ${page.limit + 1}`,
    values,
  );
  // Where no row came, no count came with it: without a cursor there are none, behind one there may be some before.
  const total = found[0]?.list_total ?? (page.after ? await countRows(db, count) : 0n);
  const rows = found.slice(0, page.limit).map(({ list_value, list_id, list_total, ...row }) => row as unknown as R);
  return { rows, total, end: endOf(page, found) };
};

/**
 * The rows of a page and how many there are in all; the page must have been asked for in that list, by that
 * organization. `fixed` maps columns to values that the route demands beyond the filters. Rows are compared whole,
 * (sort value, id), which PostgreSQL turns into one place of an index on (organization, sort column, id).
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
  const matched = matching(page, fixed);
  const count = countOf(page, Object.keys(fixed).length > 0, { sql: matched.where, values: [...matched.values] });
  const order = orderOf(page, matched.parameter);
  const isGathered = list.definition.gathersFirst && page.conditions.some(({ isDefault }) => !isDefault);
  const { rows, total, end } = await (isGathered ? gatheredRows<R> : countedRows<R>)(db, page, matched, order, count);
  return {
    rows,
    total: totalOf(total, count.isBounded),
    last: end && { value: end.list_value, id: end.list_id },
  };
};
