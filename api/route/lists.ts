/**
 * Lists: what a list can be asked for stands in one definition, and everything else follows from it: the parameters
 * that the documents show, the reader of a query, the statement, the cursor. A page goes on behind the last row of the
 * page before, by (sort value, id), and never by a count of rows, so rows that come and go in between neither repeat
 * nor hide another.
 */

import assert from 'node:assert/strict';
import { type TSchema, Type } from 'typebox';
import { customerNamed } from '#platform/stores/customer-names.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { unknownFieldMessage } from '#schemas/fault.ts';
import { examplePage } from '#schemas/http/example-parts.ts';
import { lookUpColumn } from '#schemas/names.ts';
import { type Cursors, cursorCharsMax, cursorPattern, type Position } from './cursors.ts';
import { readTimeFilter, timeFilterPattern } from './time-filter.ts';

const pageSizeDefault = 100;
const pageSizeMax = 1000;
/**
 * A query of many unknown names is answered with the first faults only: an answer must not be much larger than its
 * request.
 */
const faultsMax = 50;

/**
 * Its column never changes once the row is there, or a row may move from a page to come into one that was read: a list
 * that is sorted by what changes says so.
 */
export type Sort = {
  readonly column: string;
  readonly type: 'timestamptz' | 'text' | 'bigint';
  /** Whether rows have none, and are left out. */
  readonly isNullable?: true;
};

type FilterTest = (value: string, text: string, resolved: string) => string;

export type Filter = {
  readonly column: string;
  readonly choices?: readonly string[];
  /** Instead of choices: what its values are, where they are no texts. */
  readonly form?: 'decimal' | 'flag';
  /** Another filter without which it says nothing. */
  readonly needs?: string;
  /** One of the choices, which holds where nothing is said. */
  readonly default?: string;
  /** The sort of the list where it is asked for by this filter, and no sort is said. */
  readonly sort?: string;
  readonly description?: string;
  /**
   * Instead of `column = value`: the SQL of the condition, from the SQL of the value, from the value itself, and from
   * what it was resolved to. `$1` is the organization.
   */
  readonly test?: FilterTest;
  /**
   * SQL of a text that takes the place of the value, read before the page is: where the plan of the page depends on it,
   * as on which rows belong to what is named. As `test` it has the SQL of the value, and the value.
   */
  readonly resolve?: (value: string, text: string) => string;
  /**
   * Of a list that gathers first: the order, as SQL, of the index that finds the rows of this filter; empty where the
   * planner sees by itself which that is. The first filter of the list that has one, and is asked for, leads.
   */
  readonly lead?: (text: string) => string;
};

/** A filter on an object in another table, by its id or by the caller's own name; one that is not there has nothing. */
export const nameFilter = (column: string, prefix: 'pln', own: 'code', table: string): Filter => ({
  column,
  description: `Id or ${own} of a ${table.slice(0, -1)}.`,
  resolve: (value, text) =>
    `(SELECT n.id FROM ${table} n WHERE n.organization_id = $1 AND n.${lookUpColumn(prefix, text, own)} = ${value})`,
  lead: () => '',
});

/** The same on a customer: by its id, and by every external id that it has or had. */
export const customerFilter = (column: string): Filter => ({
  column,
  description: 'Id or external id of a customer.',
  resolve: (value, text) =>
    `(SELECT c.id FROM customers c WHERE c.organization_id = $1 AND c.id = ${customerNamed(text, value)})`,
  lead: () => '',
});

/** Instead of a column: the SQL of the condition, from the comparison and the SQL of the instant. */
export type TimeTest = (comparison: '<' | '>', instant: string) => string;

/** All texts of SQL are ours; what callers send goes through parameters. */
export type ListDefinition = {
  /** Cursors are bound to it. */
  readonly name: string;
  readonly columns: string;
  readonly from: string;
  /** What is counted, where `from` joins more than conditions look at; with the same aliases. */
  readonly countFrom?: string;
  /**
   * SQL of how many there are, which is kept somewhere, for a query with these filters alone; undefined where nothing
   * keeps it and rows are counted. `$1` is the organization.
   */
  readonly keptTotal?: (filters: Readonly<Record<string, string>>) => string | undefined;
  readonly organization: string;
  /** SQL of what is in the list at all, where that is not every row. */
  readonly condition?: string;
  /** Unique; breaks the ties of a sort, in the same direction. */
  readonly id: string;
  /**
   * Of a list that may have a million rows, whose id has an index of its own: what a filter leaves is counted before
   * the page is read. Where that is no more than is counted, all of it is gathered and sorted, as it may stand anywhere
   * in the order of the list; where there are more, enough of them are near.
   */
  readonly gathersFirst?: true;
  readonly sorts: Readonly<Record<string, Sort>>;
  /**
   * `-created_at` where nothing is said. Ids are UUIDv7: those of one instant run by time too, as far as the clocks
   * that made them agree.
   */
  readonly defaultSort?: string;
  readonly filters?: Readonly<Record<string, Filter>>;
  /** By name, the column: `created_at` is asked for as `created_at_after` and `created_at_before`. */
  readonly times?: Readonly<Record<string, string | TimeTest>>;
};

type Problem = Omit<Fault, 'field'>;
type Parameter = {
  readonly schema: TSchema;
  readonly needs?: string;
  readonly default?: string | undefined;
  /** What goes to the database, or what is wrong. */
  readonly read: (text: string) => string | Problem;
  readonly test: FilterTest;
  readonly resolve?: Filter['resolve'];
  readonly lead?: Filter['lead'];
};

export type ListQuery = Readonly<Record<string, unknown>>;

export type List = {
  readonly definition: ListDefinition;
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly sortNames: readonly string[];
  readonly defaultSort: string;
  /**
   * The query as documents show it. It is `read` that checks one, to the same effect: a query is all text, and here
   * `limit` is a number.
   */
  readonly querySchema: TSchema;
  /**
   * A query -> the page that it asks for. What the list does not know, and what is given twice, is a fault; all faults
   * are thrown together, as 400. `path` is what the path says beyond the list, such as whose invoices it is about: a
   * cursor is bound to that too.
   */
  readonly read: (
    query: ListQuery,
    organizationId: string,
    cursors: Cursors,
    path?: Readonly<Record<string, string>>,
  ) => ListPage;
};

export type Condition = {
  readonly name: string;
  readonly value: string;
  readonly text: string;
  /** Of the list, and not of the caller. */
  readonly isDefault?: true;
  readonly test: FilterTest;
  readonly resolve?: Filter['resolve'];
  readonly lead?: Filter['lead'];
};

/** A page as it was asked for. */
export type ListPage = {
  readonly list: List;
  readonly organizationId: string;
  readonly limit: number;
  /** Whether all that match are counted, however many they are. */
  readonly isCountExact: boolean;
  readonly sort: Sort & { readonly descending: boolean };
  readonly conditions: readonly Condition[];
  readonly after: Position | undefined;
  /** The cursor of the page behind that row. */
  readonly cursorBehind: (position: Position) => string;
};

/**
 * How far rows are counted where nobody asks for all of them: counting a million takes longer than a page of them.
 */
export const countedMax = 10_000;

export const totalRelations = ['exact', 'at_least'] as const;
/** How many match, or that there are at least so many. */
export type Total = { readonly count: number; readonly relation: (typeof totalRelations)[number] };

/** A page as it was found. `last` is its last row where there are more behind it. */
export type PageRows<R> = { readonly rows: readonly R[]; readonly total: Total; readonly last: Position | undefined };

export type Pagination = {
  /** How many match the filters now, on all pages together. */
  readonly total: number;
  readonly total_relation: Total['relation'];
  readonly page_size: number;
  readonly has_more: boolean;
  readonly next_cursor: string | null;
};

const totalsAsked = ['bounded', 'exact'] as const;

const filterCharsMax = 255;
/** Printable text, as every text is that can be stored in a filtered column. */
const filterPattern = `^[^\\u0000-\\u001f\\u007f]{1,${filterCharsMax}}$`;
const filterShape = new RegExp(filterPattern, 'u');

const equals = (column: string) => (value: string) => `${column} = ${value}`;

const decimalShape = /^-?[0-9]{1,20}(?:\.[0-9]{1,12})?$/;

const filterSchema = ({ choices, default: choice, form, description }: Filter): TSchema => {
  const described = description ? { description } : {};
  if (choices)
    return Type.Unsafe<string>({
      type: 'string',
      enum: [...choices],
      ...(choice === undefined ? {} : { default: choice }),
      ...described,
    });
  if (form === 'flag') return Type.Unsafe<true>({ type: 'boolean', enum: [true], ...described });
  return Type.String({ pattern: form === 'decimal' ? decimalShape.source : filterPattern, ...described });
};

const readFilter =
  ({ choices, form }: Filter) =>
  (text: string): string | Problem => {
    if (choices)
      return choices.includes(text) ? text : { code: 'not_allowed', message: `must be one of ${choices.join(', ')}` };
    if (form === 'flag')
      return text === 'true' ? text : { code: 'not_allowed', message: 'must be true, or be left out' };
    if (form === 'decimal')
      return decimalShape.test(text) ? text : { code: 'not_a_decimal', message: 'must be a decimal such as "250.00"' };
    return filterShape.test(text) && text.isWellFormed()
      ? text
      : {
          code: 'wrong_format',
          message: `must be 1 to ${filterCharsMax} characters, none of them a control character`,
        };
  };

const filterParameter = (filter: Filter): Parameter => {
  const { column, default: choice, test = equals(column), resolve, lead, needs } = filter;
  return {
    default: choice,
    schema: filterSchema(filter),
    read: readFilter(filter),
    test,
    ...(needs && { needs }),
    ...(resolve && { resolve }),
    ...(lead && { lead }),
  };
};
const timeParameters = (name: string, column: string | TimeTest): [string, Parameter][] =>
  (['after', 'before'] as const).map((side) => [
    `${name}_${side}`,
    {
      schema: Type.String({
        format: 'date-time',
        pattern: timeFilterPattern,
        description: `Only those whose ${name} is strictly ${side} this instant (RFC 3339, years 1970 to 9999).`,
      }),
      read: (text) => readTimeFilter(text, side),
      test: (value) => {
        const comparison = side === 'after' ? '>' : '<';
        return typeof column === 'string'
          ? `${column} ${comparison} ${value}::timestamptz`
          : column(comparison, `${value}::timestamptz`);
      },
    },
  ]);

const querySchemaOf = (
  parameters: ReadonlyMap<string, Parameter>,
  sortNames: readonly string[],
  defaultSort: string,
): TSchema =>
  Type.Object(
    {
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: pageSizeMax,
          default: pageSizeDefault,
          description: 'How many items a page has at most.',
        }),
      ),
      cursor: Type.Optional(
        Type.String({
          maxLength: cursorCharsMax,
          pattern: cursorPattern,
          description: 'The `next_cursor` of the page before, with the same filters and the same sort.',
        }),
      ),
      sort: Type.Optional(
        Type.Unsafe<string>({
          type: 'string',
          enum: sortNames.flatMap((name) => [name, `-${name}`]),
          default: defaultSort,
          description: 'A minus sign puts the greatest first.',
        }),
      ),
      total: Type.Optional(
        Type.Unsafe<string>({
          type: 'string',
          enum: [...totalsAsked],
          default: 'bounded',
          description: `With \`exact\` all that match are counted, which takes as long as there are many; else the first ${countedMax} at most.`,
        }),
      ),
      ...Object.fromEntries([...parameters].map(([name, { schema }]) => [name, Type.Optional(schema)])),
    },
    { additionalProperties: false },
  );

/** Those of every list. */
const ownParameters = ['limit', 'cursor', 'sort', 'total'] as const;

/** Each known parameter that was given once. */
const textsOf = (list: List, query: ListQuery, faults: Fault[]): Map<string, string> => {
  const known: readonly string[] = [...ownParameters, ...list.parameters.keys()];
  const texts = new Map<string, string>();
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name))
      faults.push({ field: name.slice(0, 64), code: 'unknown_field', message: unknownFieldMessage(known) });
    else if (typeof value === 'string') texts.set(name, value);
    else faults.push({ field: name, code: 'duplicate', message: 'may be given once' });
  }
  return texts;
};

const readLimit = (text: string | undefined, faults: Fault[]): number => {
  if (text === undefined) return pageSizeDefault;
  const limit = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > pageSizeMax)
    faults.push({ field: 'limit', code: 'out_of_range', message: `must be a whole number from 1 to ${pageSizeMax}` });
  return limit;
};

const readIsCountExact = (text: string | undefined, faults: Fault[]): boolean => {
  if (text !== undefined && !totalsAsked.some((one) => one === text))
    faults.push({ field: 'total', code: 'not_allowed', message: `must be one of ${totalsAsked.join(', ')}` });
  return text === 'exact';
};

const readSort = (list: List, text: string, faults: Fault[]): ListPage['sort'] | undefined => {
  const descending = text.startsWith('-');
  const name = descending ? text.slice(1) : text;
  // Only names of our own: one such as "constructor" must not find something on the prototype.
  const sort = list.sortNames.includes(name) ? list.definition.sorts[name] : undefined;
  if (sort) return { ...sort, descending };
  const message = `must be one of ${list.sortNames.join(', ')}, with a minus sign for the greatest first`;
  faults.push({ field: 'sort', code: 'not_allowed', message });
  return undefined;
};

const readConditions = (list: List, texts: ReadonlyMap<string, string>, faults: Fault[]): Condition[] =>
  [...list.parameters].flatMap(([name, parameter]): Condition[] => {
    const text = texts.get(name);
    const { test, default: choice, resolve, lead, needs } = parameter;
    const how = { name, test, ...(resolve && { resolve }), ...(lead && { lead }) };
    if (text === undefined)
      return choice === undefined ? [] : [{ ...how, value: choice, text: choice, isDefault: true }];
    const value = parameter.read(text);
    if (needs !== undefined && !texts.has(needs))
      faults.push({ field: needs, code: 'missing', message: `must be given with ${name}` });
    if (typeof value === 'string') return [{ ...how, value, text: value }];
    faults.push({ field: name, ...value });
    return [];
  });

const readPage = (
  list: List,
  query: ListQuery,
  organizationId: string,
  cursors: Cursors,
  path: Readonly<Record<string, string>>,
): ListPage => {
  const faults: Fault[] = [];
  const texts = textsOf(list, query, faults);
  const limit = readLimit(texts.get('limit'), faults);
  const isCountExact = readIsCountExact(texts.get('total'), faults);
  const { filters: defined = {} } = list.definition;
  const sortOfFilter = [...texts.keys()].map((name) => defined[name]?.sort).find((name) => name !== undefined);
  const sortText = texts.get('sort') ?? sortOfFilter ?? list.defaultSort;
  const sort = readSort(list, sortText, faults);
  const conditions = readConditions(list, texts, faults);
  // What the values mean and not how they were written: the same instant in another zone is the same filter.
  const filters = conditions.flatMap(({ name, value, isDefault }) => (isDefault ? [] : [[name, value]]));
  const scope = JSON.stringify([list.definition.name, organizationId, sortText, filters, path]);
  const after = cursors.read(scope, texts.get('cursor') ?? '');
  // Where a filter or the sort is at fault, a right cursor can't be told from a wrong one.
  const isScopeKnown = faults.every(({ field }) => field !== 'sort' && !list.parameters.has(field));
  if (texts.has('cursor') && after === undefined && isScopeKnown)
    faults.push({
      field: 'cursor',
      code: 'wrong_format',
      message: 'must be a next_cursor of this list, with the same filters and sort',
    });
  if (faults.length > 0 || sort === undefined)
    throw new FailureError('BAD_REQUEST', undefined, faults.slice(0, faultsMax));
  return {
    list,
    organizationId,
    limit,
    isCountExact,
    sort,
    conditions,
    after,
    cursorBehind: (position) => cursors.sign(scope, position),
  };
};

/** Throws where the definition contradicts itself. */
export const defineList = (definition: ListDefinition): List => {
  const { name, sorts, filters = {}, times = {}, defaultSort = '-created_at' } = definition;
  const named = [
    ...Object.entries(filters).map(([field, filter]): [string, Parameter] => [field, filterParameter(filter)]),
    ...Object.entries(times).flatMap(([field, column]) => timeParameters(field, column)),
  ];
  const names = [...ownParameters, ...named.map(([field]) => field)];
  assert.equal(new Set(names).size, names.length, `list ${name}: a parameter is named twice`);
  const sortNames = Object.keys(sorts);
  assert(sortNames.includes(defaultSort.replace(/^-/, '')), `list ${name}: can't be sorted by ${defaultSort}`);
  const parameters = new Map(named);
  const list: List = {
    definition,
    parameters,
    sortNames,
    defaultSort,
    querySchema: querySchemaOf(parameters, sortNames, defaultSort),
    read: (query, organizationId, cursors, path = {}) => readPage(list, query, organizationId, cursors, path),
  };
  return list;
};

/** A page as the caller gets it. */
export const listJson = <R, T>(page: ListPage, { rows, total, last }: PageRows<R>, toJson: (row: R) => T) => ({
  items: rows.map(toJson),
  pagination: {
    total: total.count,
    total_relation: total.relation,
    page_size: rows.length,
    has_more: last !== undefined,
    next_cursor: last === undefined ? null : page.cursorBehind(last),
  } satisfies Pagination,
});

/** The schema of what `listJson` gives, called a page of what the items are called. */
export const listSchema = <S extends TSchema & { readonly title?: string; readonly examples?: readonly unknown[] }>(
  item: S,
) => {
  const { title, examples } = item;
  return Type.Object(
    {
      items: Type.Array(item, { maxItems: pageSizeMax }),
      pagination: Type.Object(
        {
          total: Type.Integer({
            minimum: 0,
            description: `How many match the filters, on all pages together; ${countedMax} where there are more, unless \`total=exact\` was asked for.`,
          }),
          total_relation: Type.Unsafe<string>({
            type: 'string',
            enum: [...totalRelations],
            description: '`at_least` where more match than `total` says.',
          }),
          page_size: Type.Integer({ minimum: 0, maximum: pageSizeMax, description: 'How many items this page has.' }),
          has_more: Type.Boolean(),
          next_cursor: Type.Union([Type.String({ maxLength: cursorCharsMax, pattern: cursorPattern }), Type.Null()], {
            description: 'What to send as `cursor` for the next page.',
          }),
        },
        { additionalProperties: false, title: 'Pagination' },
      ),
    },
    {
      additionalProperties: false,
      ...(title === undefined ? {} : { title: `${title}Page` }),
      ...(examples === undefined ? {} : { examples: examples.map(examplePage) }),
    },
  );
};
