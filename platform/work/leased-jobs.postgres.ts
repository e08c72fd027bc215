/**
 * Jobs that are rows of their noun's table, as result and state commit together: billing runs, and their shards twice.
 * Which job is taken next is said by its adapter; what lease, attempt and dead end are in such a row is said here, and
 * their bounds in `lease-rules.ts`. The columns are the same everywhere:
 *
 *   leased_until  until then the job is somebody's, or rests after a fault
 *   attempts      how often it was taken since it moved last; names the lease, so that who lost one changes nothing
 *   failure       the words of its last fault; of a job that is `failed`, why it is at its dead end
 *
 * An index that holds `leased_until NULLS FIRST` makes the next job the first row of a read: those that were given back
 * stand behind those that were not tried yet, so that one organization's trouble holds up no other.
 */

import type { Queryable } from '../stores/postgres.ts';
import { isPassing } from '../stores/retry.ts';
import { causeOf, deathsMax, type Fate, fateOf } from './lease-rules.ts';

export type JobTable = {
  readonly name: string;
  readonly key: readonly string[];
  /** In these states a job is worked on. */
  readonly openStates: readonly string[];
  /** The column that says when a row changed last, where there is one. */
  readonly changedAt?: string;
};

/** What whoever holds a job knows of its lease. */
export type Leased = {
  /** Which attempt this one is, from 1. */
  readonly attempt: number;
};

/** A condition: nobody holds the row. */
export const isFree = (row: string): string =>
  `(${row}.leased_until IS NULL OR ${row}.leased_until < clock_timestamp())`;

/**
 * Two parts of a WITH: `candidate`, the next job that is free, and `leased`, its row as it is taken for `$1` seconds.
 * `from` names the table `j`. What somebody else is just taking is passed over.
 */
export const leaseNext = (
  { name, key }: JobTable,
  { from = `${name} j`, where, order }: { readonly from?: string; readonly where: string; readonly order: string },
): string => `candidate AS (
    SELECT ${key.map((column) => `j.${column}`).join(', ')} FROM ${from}
    WHERE ${where} AND ${isFree('j')}
    ORDER BY j.leased_until NULLS FIRST, ${order} LIMIT 1 FOR UPDATE OF j SKIP LOCKED
  ), leased AS (
    UPDATE ${name} j SET leased_until = clock_timestamp() + make_interval(secs => $1), attempts = j.attempts + 1
    FROM candidate c WHERE ${key.map((column) => `j.${column} = c.${column}`).join(' AND ')}
    RETURNING j.*
  )`;

/** What is set of a job that moves on: its next step has all its attempts before it. */
export const movedOn = 'leased_until = NULL, attempts = 0, failure = NULL';

/** What is set of a job whose time has not come: it was no attempt. */
const notYet = 'leased_until = NULL, attempts = attempts - 1';

/** Conditions on a row by which it is still of whoever holds the lease; `$1` is the attempt, the key follows. */
const isHeld = ({ key, openStates }: JobTable): string =>
  [
    'attempts = $1',
    ...key.map((column, index) => `${column} = $${index + 2}`),
    `state IN (${openStates.map((state) => `'${state}'`).join(', ')})`,
  ].join(' AND ');

/** Holds a job for a while longer, as long as whoever works on it lives. */
export const renewLease = async (
  client: Queryable,
  table: JobTable,
  { attempt }: Leased,
  key: readonly unknown[],
  leaseSeconds: number,
): Promise<void> => {
  await client.query(
    `UPDATE ${table.name} SET leased_until = clock_timestamp() + make_interval(secs => $${key.length + 2})
     WHERE ${isHeld(table)}`,
    [attempt, ...key, leaseSeconds],
  );
};

/** Puts a job back as it was; resolves with whether it was still held. */
export const putBack = async (
  client: Queryable,
  table: JobTable,
  { attempt }: Leased,
  key: readonly unknown[],
): Promise<boolean> => {
  const changed = table.changedAt ? `, ${table.changedAt} = clock_timestamp()` : '';
  const { rowCount } = await client.query(`UPDATE ${table.name} SET ${notYet}${changed} WHERE ${isHeld(table)}`, [
    attempt,
    ...key,
  ]);
  return rowCount === 1;
};

/** Ends a lease by a fault; resolves with when the job came to its dead end, where it did. */
export const endLease = async (
  client: Queryable,
  table: JobTable,
  { attempt }: Leased,
  key: readonly unknown[],
  cause: string,
  { isDead, attempts, pauseSeconds }: Fate,
): Promise<Date | undefined> => {
  const at = (index: number) => `$${key.length + 1 + index}`;
  const changed = table.changedAt ? `, ${table.changedAt} = clock_timestamp()` : '';
  const { rows } = await client.query<{ now: Date }>(
    `UPDATE ${table.name} SET failure = ${at(1)}, attempts = ${at(2)}, state = CASE WHEN ${at(4)} THEN 'failed' ELSE state END,
       leased_until = CASE WHEN ${at(4)} THEN NULL ELSE clock_timestamp() + make_interval(secs => ${at(3)}) END${changed}
     WHERE ${isHeld(table)} RETURNING clock_timestamp() AS now`,
    [attempt, ...key, cause, attempts, pauseSeconds, isDead],
  );
  return isDead ? rows[0]?.now : undefined;
};

/**
 * Gives a job back after a fault, to be tried again later; resolves with when it came to its dead end, where it did.
 */
export const giveBack = (
  client: Queryable,
  table: JobTable,
  lease: Leased,
  key: readonly unknown[],
  error: unknown,
): Promise<Date | undefined> =>
  endLease(client, table, lease, key, causeOf(error), fateOf(lease.attempt, isPassing(error)));

/**
 * Takes the next job. One that took too many processes with it is given up by name rather than tried for ever: whoever
 * would be the next works on another.
 */
export const takeNext = async <Job extends Leased>(
  lease: () => Promise<Job | undefined>,
  giveUp: (job: Job, error: Error) => Promise<unknown>,
): Promise<Job | undefined> => {
  for (;;) {
    const job = await lease();
    if (!job || job.attempt <= deathsMax) return job;
    await giveUp(job, new Error(`the process that worked on it died, ${deathsMax} times`));
  }
};
