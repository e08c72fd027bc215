import assert from 'node:assert/strict';
import pg from 'pg';
import { parseJsonText } from '../json/json-text.ts';
import { within } from '../process/clock.ts';
import type { Log } from '../process/log.ts';
import { createPipeline } from './pipeline.ts';
import { isPassing, UnavailableError } from './retry.ts';

export type Queryable = {
  // biome-ignore lint/suspicious/noExplicitAny: a row has the shape of its statement, which only the caller knows
  readonly query: <R extends pg.QueryResultRow = any>(
    text: string,
    values?: readonly unknown[],
  ) => Promise<pg.QueryResult<R>>;
};

/**
 * Statements with values that are asked for in one go, none waiting for the other, are one round trip, and are carried
 * out in their order; once one fails, those behind it fail too.
 */
export type Transaction = Queryable & {
  /**
   * A statement whose result nobody needs. It goes with the next one, or with the COMMIT; where it fails, so does that.
   */
  readonly defer: (text: string, values: readonly unknown[]) => void;
};

export type Postgres = Queryable & {
  /** Runs `work` in one transaction: commits its result or rolls everything back. */
  readonly transaction: <T>(work: (client: Transaction) => Promise<T>) => Promise<T>;
  /**
   * The same for one organization: row-level security shows its statements the rows of that organization alone.
   * `millrace_app` sees no row of a tenant without it.
   */
  readonly forOrganization: (organizationId: string) => OrganizationPostgres;
  readonly answers: () => Promise<void>;
  readonly counts: () => { readonly total: number; readonly idle: number; readonly waiting: number };
  readonly close: () => Promise<void>;
};

export type OrganizationPostgres = Pick<Postgres, 'query' | 'transaction'> & { readonly organizationId: string };

/**
 * The logins of the services; migration 0002 makes them, `migrate` gives them their password. None of them can change
 * what is issued.
 */
export const logins = ['millrace_app', 'millrace_worker', 'millrace_gateway'] as const;
export type Login = (typeof logins)[number];

/** The owner's URL -> the URL of a login to the same database. */
export const loginUrl = (ownerUrl: string, login: Login, password: string): string => {
  const url = new URL(ownerUrl);
  url.username = login;
  url.password = encodeURIComponent(password);
  return url.href;
};

// bigint columns are stream sequences and counters; text would be exact too, but a bigint can't be mistaken for a name.
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => BigInt(text));
// Metadata has names of the caller's choice.
pg.types.setTypeParser(pg.types.builtins.JSONB, parseJsonText);

const asFault = (error: unknown): unknown => (isPassing(error) ? new UnavailableError('postgres', error) : error);

/** What each connection was last told; a connection that serves the same organization again is not told twice. */
const organizationOf = new WeakMap<pg.PoolClient, string>();

const bind = async (client: pg.PoolClient, organizationId: string): Promise<void> => {
  if (organizationOf.get(client) === organizationId) return;
  organizationOf.delete(client);
  await client.query("SELECT set_config('millrace.organization_id', $1, false)", [organizationId]);
  organizationOf.set(client, organizationId);
};

/** No organization; a statement outside `forOrganization` must not see the one before. */
const nobody = '';

/**
 * Statements that each connection prepares once: planning one anew costs PostgreSQL more than running it. More than so
 * many texts are sent as they are.
 */
const preparedMax = 500;

/**
 * What a statement begins with whose best plan depends on its values, as of lists whose filters leave ten rows or a
 * million: it is planned each time that it runs.
 */
export const plannedForValues = '/* planned for its values */';

/** Gives a statement with parameters the name that its pool prepares it by; one without is sent as it is. */
const createNaming = () => {
  const names = new Map<string, string>();
  return (text: string, values: readonly unknown[] | undefined): pg.QueryConfig => {
    if (values === undefined) return { text };
    if (text.startsWith(plannedForValues)) return { text, values: values as unknown[] };
    let name = names.get(text);
    if (name === undefined && names.size < preparedMax) {
      name = `s${names.size}`;
      names.set(text, name);
    }
    return { ...(name === undefined ? {} : { name }), text, values: values as unknown[] };
  };
};

/** A migration changed what a prepared statement gives, and this connection has it as it was. */
const isOutdated = (error: unknown): boolean => error instanceof pg.DatabaseError && error.code === '0A000';

/**
 * How many connections one organization may hold at a time; who wants one more waits for the others of that
 * organization, as long as for a connection. So a flood of one leaves connections to the others. Throws
 * `UnavailableError` after that time.
 */
const createShare = (connectionsMax: number, waitMsMax: number) => {
  const held = new Map<string, { busy: number; readonly waiting: (() => void)[] }>();
  return async (organizationId: string): Promise<() => void> => {
    const own = held.get(organizationId) ?? { busy: 0, waiting: [] };
    held.set(organizationId, own);
    const giveBack = () => {
      const next = own.waiting.shift();
      if (next) return next();
      own.busy -= 1;
      if (own.busy === 0) held.delete(organizationId);
    };
    if (own.busy < connectionsMax) {
      own.busy += 1;
      return giveBack;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    own.waiting.push(resolve);
    try {
      await within(waitMsMax, promise);
    } catch (error) {
      const place = own.waiting.indexOf(resolve);
      // Its turn may have come in the very moment that it gave up.
      if (place >= 0) own.waiting.splice(place, 1);
      else giveBack();
      throw new UnavailableError('postgres', error);
    }
    return giveBack;
  };
};

/** How much later than the server this process gives up a statement: the server's own answer says more. */
const hungMsMin = 2_000;

/** By the driver's own words, as it has no code for it. */
const isHung = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout';

/**
 * A bounded pool as whoever the URL names. `statementMsMax` bounds a statement, by the server and, where that hangs, by
 * this process; and how long a transaction may stand still, as one whose process hangs holds its locks: of rows, of a
 * lane of the audit log, of an Idempotency-Key. `lockMsMax` bounds the wait for such a lock, by default like any
 * statement. `waitMsMax` bounds the wait for a connection, and for the turn of an organization.
 */
export const connectPostgres = (
  url: string,
  options: {
    poolMax: number;
    log: Log;
    statementMsMax?: number;
    lockMsMax?: number;
    waitMsMax?: number;
    /** Statements that each transaction begins with. */
    transactionSettings?: readonly string[];
  },
): Postgres => {
  const { statementMsMax = 60_000, lockMsMax = statementMsMax, waitMsMax = 3_000, transactionSettings = [] } = options;
  const pool = new pg.Pool({
    connectionString: url,
    max: options.poolMax,
    connectionTimeoutMillis: waitMsMax,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementMsMax,
    lock_timeout: lockMsMax,
    idle_in_transaction_session_timeout: statementMsMax,
    query_timeout: statementMsMax + hungMsMin,
    application_name: 'millrace',
    keepAlive: true,
  });
  // A connection that breaks is replaced by the pool, and the statement that it was busy with fails; without these
  // listeners either would also end the process. The pool speaks for idle connections, each client for itself while it
  // is lent out.
  pool.on('error', (error) => options.log.warn({ err: error }, 'PostgreSQL closed an idle connection'));
  pool.on('connect', (client) => {
    organizationOf.set(client, nobody);
    client.on('error', (error) => options.log.debug({ err: error }, 'PostgreSQL closed a connection'));
  });
  const statementOf = createNaming();
  const share = createShare(Math.max(1, Math.ceil(options.poolMax / 2)), waitMsMax);
  /** Lends a connection that is bound to the organization. One whose state is not known any more is closed. */
  const lend = async <T>(organizationId: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    let client: pg.PoolClient | undefined;
    let broken = false;
    const giveBack = organizationId === nobody ? undefined : await share(organizationId);
    try {
      client = await pool.connect();
      await bind(client, organizationId);
      return await work(client);
    } catch (error) {
      broken =
        error instanceof RollbackError ||
        isHung(error) ||
        isOutdated(error) ||
        (client !== undefined && !organizationOf.has(client));
      throw asFault(error instanceof RollbackError ? error.cause : error);
    } finally {
      client?.release(broken);
      giveBack?.();
    }
  };
  const begin = ['BEGIN', ...transactionSettings];
  const bound = (organizationId: string): OrganizationPostgres => ({
    organizationId,
    query: (text, values) => lend(organizationId, (client) => client.query(statementOf(text, values))),
    transaction: (work) =>
      lend(organizationId, async (client) => {
        const pipeline = createPipeline(client);
        for (const text of begin) pipeline.defer(statementOf(text, []));
        try {
          const result = await work({
            query: <R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]) =>
              pipeline.query(statementOf(text, values)) as Promise<pg.QueryResult<R>>,
            defer: (text, values) => pipeline.defer(statementOf(text, values)),
          });
          const { command } = await pipeline.query(statementOf('COMMIT', []));
          // A COMMIT after a statement that failed, and whose fault was passed over, is answered ROLLBACK and no error.
          assert.equal(command, 'COMMIT', 'a transaction with a failed statement was to be committed');
          return result;
        } catch (error) {
          // What it is still busy with would only be waited for once more.
          if (isHung(error)) throw new RollbackError(error);
          pipeline.drop();
          if (!pipeline.hasSent()) throw error;
          await client.query('ROLLBACK').catch(() => {
            throw new RollbackError(error);
          });
          throw error;
        }
      }),
  });
  const unbound = bound(nobody);
  return {
    query: unbound.query,
    transaction: unbound.transaction,
    forOrganization: bound,
    answers: async () => {
      await unbound.query('SELECT 1');
    },
    counts: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => pool.end(),
  };
};

/** The transaction could not even be rolled back: its connection is of no more use. */
class RollbackError extends Error {
  constructor(cause: unknown) {
    super('the transaction could not be rolled back', { cause });
    this.name = 'RollbackError';
  }
}
