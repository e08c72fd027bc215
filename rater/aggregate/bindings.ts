/**
 * What a statement is given beside its text. Everything of a caller goes through here and comes back as the name of a
 * parameter or a column, which are ours. A property that several meters read is selected once, and nothing else of an
 * event's own data is read.
 */
import { encodedBytes, inRuns } from './in-runs.ts';

export type Bindings = {
  /** The column that holds the text of a property, `Nullable(String)`, of the query over single events. */
  readonly property: (path: string) => string;
  /** A placeholder for a value, of one of ClickHouse's types. */
  readonly bind: (value: unknown, type: 'String' | 'Array(String)' | 'Int64' | 'UInt64' | 'Int256') => string;
  /** A placeholder for whole numbers; a long list travels in several parameters, as each has a bound. */
  readonly integers: (values: readonly number[]) => string;
  /** The same for texts; one list that is asked for again is bound once. */
  readonly strings: (values: readonly string[]) => string;
  /** What the query over single events has to select for the properties. */
  readonly columns: () => string[];
  readonly params: () => Record<string, unknown>;
};

/**
 * An instant has 14 characters and a comma of 3, as they are encoded: 68 KB of the 128 KiB that a parameter may have.
 */
const integersPerParameterMax = 4_000;
/** As they are encoded, with quotes and commas of 9 characters. */
const textBytesPerParameterMax = 100_000;

export const createBindings = (): Bindings => {
  const params: Record<string, unknown> = {};
  const columnByPath = new Map<string, string>();
  const textsBound = new Map<readonly string[], string>();
  let bound = 0;
  const bind: Bindings['bind'] = (value, type) => {
    const name = `v${bound}`;
    bound += 1;
    params[name] = value;
    return `{${name}:${type}}`;
  };
  return {
    bind,
    property: (path) => {
      const column = columnByPath.get(path) ?? `p${columnByPath.size}`;
      columnByPath.set(path, column);
      params[`${column}_path`] = path;
      return column;
    },
    integers: (values) => {
      const texts: string[] = [];
      // Of none, too, there is one.
      for (let from = 0; from === 0 || from < values.length; from += integersPerParameterMax) {
        params[`v${bound}`] = values.slice(from, from + integersPerParameterMax);
        texts.push(`{v${bound}:Array(Int64)}`);
        bound += 1;
      }
      return texts.length === 1 ? (texts[0] as string) : `arrayConcat(${texts.join(', ')})`;
    },
    strings: (values) => {
      const before = textsBound.get(values);
      if (before !== undefined) return before;
      // Of none, too, there is one.
      const runs = values.length === 0 ? [[]] : inRuns(values, encodedBytes, textBytesPerParameterMax);
      const texts = runs.map((run) => bind(run, 'Array(String)'));
      const sql = texts.length === 1 ? (texts[0] as string) : `arrayConcat(${texts.join(', ')})`;
      textsBound.set(values, sql);
      return sql;
    },
    columns: () =>
      [...columnByPath.values()].map(
        (column) => `CAST(properties.{${column}_path:Identifier} AS Nullable(String)) AS ${column}`,
      ),
    params: () => params,
  };
};
