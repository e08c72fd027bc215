/**
 * Usage in parts: which part of a charge an event belongs to, as SQL over the columns of one measured event. Pure. The
 * names of the parts are those that the price functions take (`partNames`).
 */
import { type Cells, type EventTerms, partNames } from '#schemas/price/usage-parts.ts';
import type { Bindings } from './bindings.ts';
import { wholeSql } from './exact.ts';

export type PartColumns = {
  /** What has to be selected beside a measured event, where its properties are known. */
  readonly ofEvent: readonly string[];
  /** The columns of an event that these look at. */
  readonly needed: readonly string[];
  /** The name of the part, over such columns. */
  readonly part: string;
};

/** Two lists of values have the same text only if they are the same: each value stands behind its length. */
const keyOf = (values: readonly string[]): string =>
  values.map((value) => `${new TextEncoder().encode(value).length}:${value}`).join('');
const keySql = (columns: readonly string[]): string =>
  `concat(${columns.map((column) => `toString(length(ifNull(${column}, ''))), ':', ifNull(${column}, '')`).join(', ')})`;

/**
 * Cells are looked up in one table for each set of dimensions that some of them name, so that a row costs as many
 * look-ups as there are such sets, at most seven, however many cells there are. Cells that name the same dimensions
 * stand together in their order.
 */
export const cellColumns = ({ dimensions, cells }: Cells, bindings: Bindings): PartColumns => {
  const tables = Map.groupBy(
    cells.map((values, index) => ({ values, place: index + 1 })),
    ({ values }) => values.map((value) => (value === null ? '-' : '+')).join(''),
  );
  const found = [...tables].map(([named, rows]) => {
    const columns = dimensions.filter((_, index) => named[index] === '+').map((path) => bindings.property(path));
    const keys = rows.map(({ values }) => keyOf(values.filter((value) => value !== null)));
    const places = rows.map(({ place }) => partNames.cell(place));
    const names = [keys, places].map((list) => bindings.strings(list));
    return `transform(${keySql(columns)}, ${names.join(', ')}, '${partNames.noCell}')`;
  });
  const part = found.reduceRight(
    (otherwise, table) => `arrayMap(found -> if(found = '${partNames.noCell}', ${otherwise}, found), [${table}])[1]`,
    `'${partNames.noCell}'`,
  );
  return { ofEvent: [`${part} AS cell`], needed: [], part: 'cell' };
};

/** From 10^-12 to 10^-24, where a rate x a value is. */
const finer = 10n ** 12n;

/** Time decides, and of one instant the key: both are the same however often the events were stored. */
const placeSql = (value: string): string =>
  `row_number() OVER (PARTITION BY span, isNull(${value}) ORDER BY occurred_at, idempotency_key) AS place`;

/** What decides the price of an event: half a sentence of `EventTerms` each, in this order. */
export const eventColumns = (terms: EventTerms, value: string): PartColumns => {
  const amount = `(${wholeSql(terms.fixedAmount * finer)} + ${wholeSql(terms.rate)} * assumeNotNull(${value}))`;
  const branches: string[] = [];
  const when = (condition: string, name: string) => branches.push(condition, `'${name}'`);
  if (terms.freeEvents > 0n) when(`place <= ${terms.freeEvents}`, partNames.freeEvents);
  when(`assumeNotNull(${value}) < 0`, partNames.belowZero);
  const { minimumAmount, maximumAmount } = terms;
  if (minimumAmount !== null) when(`${amount} < ${wholeSql(minimumAmount * finer)}`, partNames.atMinimum);
  if (maximumAmount !== null) when(`${amount} > ${wholeSql(maximumAmount * finer)}`, partNames.atMaximum);
  const places = terms.freeEvents > 0n;
  return {
    ofEvent: places ? [placeSql(value)] : [],
    needed: places ? ['idempotency_key'] : [],
    part: `multiIf(${branches.join(', ')}, '${partNames.atRate}')`,
  };
};
