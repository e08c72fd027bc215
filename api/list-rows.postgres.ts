import type { QueryResultRow } from 'pg';
import type { Queryable } from '#platform/postgres.ts';
import type { Page } from './lists.ts';

/**
 * One page of a table's rows of an organization, newest first, and how many there are in all. `select` is "SELECT ... FROM t", `id` the qualified id column,
 * `conditions` maps a qualified column to the value that it must have. All texts are ours; all values go through parameters.
 */
export const listRows = async <R extends QueryResultRow>(
  postgres: Queryable,
  statement: { readonly columns: string; readonly from: string; readonly id: string; readonly organization: string },
  organizationId: string,
  conditions: Readonly<Record<string, string | undefined>>,
  page: Page,
): Promise<{ rows: R[]; total: number }> => {
  const values: unknown[] = [organizationId];
  const tests = [`${statement.organization} = $1`];
  for (const [column, value] of Object.entries(conditions)) {
    if (value === undefined) continue;
    values.push(value);
    tests.push(`${column} = $${values.length}`);
  }
  const counted = await postgres.query<{ total: bigint }>(
    `SELECT count(*) AS total FROM ${statement.from} WHERE ${tests.join(' AND ')}`,
    values,
  );
  if (page.after !== undefined) {
    values.push(page.after);
    tests.push(`${statement.id} < $${values.length}`);
  }
  const { rows } = await postgres.query<R>(
    `SELECT ${statement.columns} FROM ${statement.from} WHERE ${tests.join(' AND ')} ORDER BY ${statement.id} DESC LIMIT ${page.limit + 1}`,
    values,
  );
  return { rows, total: Number(counted.rows[0]?.total ?? 0n) };
};
