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
const { utils } = pg as unknown as {
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

/** How rows of a statement are read. */
type Shape = {
  readonly fields: pg.FieldDef[];
  readonly columns: readonly { readonly name: string; readonly parse: (text: string) => unknown }[];
};

const shapeOf = (fields: pg.FieldDef[]): Shape => ({
  fields,
  columns: fields.map(({ name, dataTypeID }) => ({ name, parse: pg.types.getTypeParser(dataTypeID, 'text') })),
});
const noRows = shapeOf([]);

/**
 * Of what each connection has prepared and carried out: it is not described again. PostgreSQL refuses to go on with a
 * prepared statement whose rows would have another shape now (0A000), and such a connection is closed.
 */
const shapes = new WeakMap<pg.Connection, Map<string, Shape>>();

const rowOf = ({ columns }: Shape, values: readonly (string | null)[]): pg.QueryResultRow => {
  const row: pg.QueryResultRow = {};
  for (const [index, { name, parse }] of columns.entries()) {
    const value = values[index] ?? null;
    row[name] = value === null ? null : parse(value);
  }
  return row;
};

/** Command, and rows: `INSERT 0 1`, `SELECT 5`, `COMMIT`. */
const tagShape = /^([A-Z]+)(?:.* (\d+))?$/;

const resultOf = (tag: string, rows: pg.QueryResultRow[], { fields }: Shape): pg.QueryResult => {
  const [, command = tag, count] = tagShape.exec(tag) ?? [];
  return { command, rowCount: count === undefined ? null : Number(count), oid: 0, rows, fields };
};

/**
 * To be given to `client.query`. `settle` is told the results; or, behind a fault, those of the statements before it.
 */
export const createBatch = (
  statements: readonly Statement[],
  settle: (results: readonly pg.QueryResult[], fault: unknown) => void,
): pg.Submittable => {
  const results: pg.QueryResult[] = [];
  let known = new Map<string, Shape>();
  let rows: pg.QueryResultRow[] = [];
  let described: Shape | undefined;
  let unreadable: unknown;
  const nameOf = (): string | undefined => statements[results.length]?.name;
  const shape = (): Shape => described ?? known.get(nameOf() ?? '') ?? noRows;
  const batch = {
    // The driver notes under these what PostgreSQL says it has prepared: always the first one that has no result yet.
    get name() {
      return nameOf();
    },
    get text() {
      return statements[results.length]?.text;
    },
    /** The driver puts a callback of its own before this one, which counts the time. */
    callback: (fault: unknown): void => settle(results, fault ?? undefined),
    submit: (connection: pg.Connection): void => {
      const to = connection as unknown as Wire;
      known = shapes.get(connection) ?? known;
      shapes.set(connection, known);
      const prepared = new Set<string | undefined>();
      to.stream.cork();
      for (const { name, text, values } of statements) {
        const isPrepared = name !== undefined && (name in to.parsedStatements || prepared.has(name));
        if (!isPrepared) to.parse({ name, text });
        prepared.add(name);
        to.bind({ statement: name, values });
        if (name === undefined || !known.has(name)) to.describe({ type: 'P' });
        to.execute();
      }
      to.sync();
      to.stream.uncork();
    },
    handleRowDescription: ({ fields }: { readonly fields: pg.FieldDef[] }): void => {
      described = shapeOf(fields);
    },
    handleDataRow: ({ fields }: { readonly fields: readonly (string | null)[] }): void => {
      try {
        if (unreadable === undefined) rows.push(rowOf(shape(), fields));
      } catch (error) {
        unreadable = error;
      }
    },
    handleCommandComplete: ({ text }: { readonly text: string }): void => {
      const [name, of] = [nameOf(), shape()];
      if (name !== undefined) known.set(name, of);
      results.push(resultOf(text, rows, of));
      rows = [];
      described = undefined;
    },
    handleError: (fault: unknown): void => batch.callback(fault),
    handleReadyForQuery: (): void => batch.callback(unreadable),
  };
  return batch;
};
