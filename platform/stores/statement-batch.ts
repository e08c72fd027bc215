/**
 * Statements of one transaction that go to PostgreSQL together: one write of this process and one of the server for all
 * of them, where each would otherwise be both, and a wait. Where writes to a socket are dear, that is most of what a
 * small change costs.
 *
 * They end with one Sync, as the protocol calls it: after a statement that fails PostgreSQL passes over the rest, so a
 * COMMIT behind it does not happen, and neither does what stands behind a BEGIN that fails. Rejected: the pipeline of
 * the driver, which has a Sync behind each statement, and so carries out the rest.
 */
import pg from 'pg';

/** Its values are as `wireValues` gives them. */
export type Statement = {
  /** By which the connection prepares it; without one it is sent as it is. */
  readonly name?: string | undefined;
  readonly text: string;
  readonly values: readonly (string | Buffer | null)[];
};

/** What the driver has at run time and its types leave out. */
type Field = Readonly<Record<string, unknown>>;
type Gathered = pg.QueryResult & {
  readonly addFields: (fields: readonly Field[]) => void;
  readonly parseRow: (values: readonly unknown[]) => pg.QueryResultRow;
  readonly addRow: (row: pg.QueryResultRow) => void;
  readonly addCommandComplete: (message: { readonly text: string }) => void;
};
const { Result, utils } = pg as unknown as {
  readonly Result: new (rowMode: undefined, types: typeof pg.types) => Gathered;
  readonly utils: { readonly prepareValue: (value: unknown) => string | Buffer | null };
};
type Wire = {
  readonly stream: { cork(): void; uncork(): void };
  /** By name, what this connection has prepared. */
  readonly parsedStatements: Readonly<Record<string, string>>;
  parse(message: Pick<Statement, 'name' | 'text'>): void;
  bind(message: { readonly statement: string | undefined; readonly values: Statement['values'] }): void;
  describe(message: { readonly type: 'P' }): void;
  execute(): void;
  sync(): void;
};

/** Values as the driver sends them. Throws for one that it can't. */
export const wireValues = (values: readonly unknown[]): Statement['values'] =>
  values.map((value) => utils.prepareValue(value));

/**
 * To be given to `client.query`. `settle` is told the results; or, behind a fault, those of the statements before it.
 */
export const createBatch = (
  statements: readonly Statement[],
  settle: (results: readonly pg.QueryResult[], fault: unknown) => void,
): pg.Submittable => {
  const results: Gathered[] = [];
  let current = new Result(undefined, pg.types);
  let unreadable: unknown;
  const batch = {
    // The driver notes under these what PostgreSQL says it has prepared: always the first one that has no result yet.
    get name() {
      return statements[results.length]?.name;
    },
    get text() {
      return statements[results.length]?.text;
    },
    /** The driver puts a callback of its own before this one, which counts the time. */
    callback: (fault: unknown): void => settle(results, fault ?? undefined),
    submit: (connection: pg.Connection): void => {
      const to = connection as unknown as Wire;
      const prepared = new Set<string | undefined>();
      to.stream.cork();
      for (const { name, text, values } of statements) {
        const isPrepared = name !== undefined && (name in to.parsedStatements || prepared.has(name));
        if (!isPrepared) to.parse({ name, text });
        prepared.add(name);
        to.bind({ statement: name, values });
        to.describe({ type: 'P' });
        to.execute();
      }
      to.sync();
      to.stream.uncork();
    },
    handleRowDescription: ({ fields }: { readonly fields: readonly Field[] }): void => current.addFields(fields),
    handleDataRow: ({ fields }: { readonly fields: readonly unknown[] }): void => {
      try {
        if (unreadable === undefined) current.addRow(current.parseRow(fields));
      } catch (error) {
        unreadable = error;
      }
    },
    handleCommandComplete: (message: { readonly text: string }): void => {
      current.addCommandComplete(message);
      results.push(current);
      current = new Result(undefined, pg.types);
    },
    handleError: (fault: unknown): void => batch.callback(fault),
    handleReadyForQuery: (): void => batch.callback(unreadable),
  };
  return batch;
};
