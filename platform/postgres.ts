import pg from 'pg';
import type { Log } from './log.ts';
import { isPassing, UnavailableError } from './retry.ts';

export type Queryable = {
  // biome-ignore lint/suspicious/noExplicitAny: a row has the shape of its statement, which only the caller knows
  readonly query: <R extends pg.QueryResultRow = any>(text: string, values?: readonly unknown[]) => Promise<pg.QueryResult<R>>;
};

export type Postgres = Queryable & {
  /** Runs `work` in one transaction: commits its result or rolls everything back. */
  readonly transaction: <T>(work: (client: Queryable) => Promise<T>) => Promise<T>;
  readonly answers: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** The role of the services; migration 0001 makes it. It can't change what is issued. */
export const applicationRole = 'millrace_app';

// bigint columns are stream sequences and counters; text would be exact too, but a bigint can't be mistaken for a name.
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => BigInt(text));

const asFault = (error: unknown): unknown => (isPassing(error) ? new UnavailableError('postgres', error) : error);

/** A bounded pool under the application's role (or as the owner of the schema, for migrations and tests that try to tamper). */
export const connectPostgres = (url: string, options: { poolMax: number; as: 'application' | 'owner'; log: Log }): Postgres => {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.poolMax,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 60_000,
    application_name: 'millrace',
    keepAlive: true,
    ...(options.as === 'application' ? { options: `-c role=${applicationRole}` } : {}),
  });
  // A connection that breaks is replaced by the pool, and the statement that it was busy with fails; without these listeners either would
  // also end the process. The pool speaks for idle connections, each client for itself while it is lent out.
  pool.on('error', (error) => options.log.warn({ err: error }, 'PostgreSQL closed an idle connection'));
  pool.on('connect', (client) => {
    client.on('error', (error) => options.log.debug({ err: error }, 'PostgreSQL closed a connection'));
  });
  const query: Postgres['query'] = async (text, values) => {
    try {
      return await pool.query(text, values as unknown[]);
    } catch (error) {
      throw asFault(error);
    }
  };
  return {
    query,
    transaction: async (work) => {
      const client = await pool.connect().catch((error) => {
        throw asFault(error);
      });
      let broken: Error | undefined;
      try {
        await client.query('BEGIN');
        const result = await work({ query: (text, values) => client.query(text, values as unknown[]) });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((rollbackError: Error) => {
          broken = rollbackError;
        });
        throw asFault(error);
      } finally {
        client.release(broken);
      }
    },
    answers: async () => {
      await query('SELECT 1');
    },
    close: () => pool.end(),
  };
};
