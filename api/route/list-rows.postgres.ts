import assert from 'node:assert/strict';
import type { QueryResultRow } from 'pg';
import type { Queryable } from '#platform/stores/postgres.ts';
import { hourAsked, type List, type ListPage, type PageRows, type Sort } from './lists.ts';

/**
 * A value as text that gives the very same value when it is cast back: a timestamptz with its microseconds, in no
 * session's zone or style.
 */
const exactText: Record<Sort['type'], (column: string) => string> = {
  timestamptz: (column) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`,
  bigint: (column) => `${column}::text`,
  text: (column) => column,
};

/** What a page is among, without its cursor: the same for the page and for the count. */
const matching = ({ list, organizationId, conditions, hour }: ListPage, fixed: Readonly<Record<string, string>>) => {
  const values = [organizationId];
  const parameter = (value: string): string => `$${values.push(value)}`;
  const tests = [
    `${list.definition.organization} = $1`,
    ...Object.entries(fixed).map(([column, value]) => `${column} = ${parameter(value)}`),
    ...conditions.map(({ test, value }) => test(parameter(value), value)),
  ];
  const where = tests.join(' AND ');
  if (!where.includes(hourAsked)) return { values, parameter, where };
  assert(hour !== undefined, `list ${list.definition.name}: the hour is not said`);
  const now = parameter(new Date(hour).toISOString());
  return { values, parameter, where: where.replaceAll(hourAsked, `${now}::timestamptz`) };
};

type Count = { readonly sql: string; readonly values: readonly string[] };

/** The count is a statement of its own in front, so that it can't see the aliases of the page by mistake. */
const countOf = ({ list, conditions, organizationId }: ListPage, isFixed: boolean, all: Count): Count => {
  const { countFrom, from, keptTotal } = list.definition;
  const filters = Object.fromEntries(conditions.map(({ name, value }) => [name, value]));
  const kept = isFixed ? undefined : keptTotal?.(filters);
  return kept === undefined
    ? { sql: `SELECT count(*) AS total FROM ${countFrom ?? from} WHERE ${all.sql}`, values: all.values }
    : { sql: kept, values: [organizationId] };
};

type Marked = { readonly list_value: string; readonly list_id: string; readonly list_total: bigint };

/**
 * The rows of a page and how many there are in all, as of one snapshot; the page must have been asked for in that list,
 * by that organization. `fixed` maps columns to values that the route demands beyond the filters. Rows are compared
 * whole, (sort value, id), which PostgreSQL turns into one place of an index on (organization, sort column, id).
 */
export const listRows = async <R extends QueryResultRow>(
  db: Queryable,
  list: List,
  organizationId: string,
  page: ListPage,
  fixed: Readonly<Record<string, string>> = {},
): Promise<PageRows<R>> => {
  assert(
    page.list === list && page.organizationId === organizationId,
    `list ${list.definition.name}: a page of another list or caller`,
  );
  const { columns, from, id } = page.list.definition;
  const { column, type, descending } = page.sort;
  const { values, parameter, where } = matching(page, fixed);
  const count = countOf(page, Object.keys(fixed).length > 0, { sql: where, values: [...values] });
  const behind = page.after
    ? ` AND (${column}, ${id}) ${descending ? '<' : '>'}
       (${parameter(page.after.value)}::${type}, ${parameter(page.after.id)})`
    : '';
  const direction = descending ? 'DESC' : 'ASC';
  const { rows: found } = await db.query<R & Marked>(
    `WITH counted AS (${count.sql})
     SELECT ${columns}, ${exactText[type](column)} AS list_value, ${id} AS list_id,
       (SELECT total FROM counted) AS list_total
     FROM ${from} WHERE ${where}${behind} ORDER BY ${column} ${direction}, ${id} ${direction} LIMIT ${page.limit + 1}`,
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
    total: Number(total),
    last: end && { value: end.list_value, id: end.list_id },
  };
};
