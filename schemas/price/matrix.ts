import { type TSchema, type TString, Type } from 'typebox';
import { asObject, type Fault, fieldOf, type JsonObject, ownValue, readArray, readObject } from '#schemas/fault.ts';
import {
  type CellPrice,
  cellPriceSchema,
  cellPriceToJson,
  mapCellAmounts,
  readCellPrice,
} from '#schemas/price/cell-price.ts';
import { type Field, listField } from '#schemas/price/field.ts';
import { boundsFields, checkBounds, defineModel, type PriceOf } from '#schemas/price/model.ts';
import type { Cells } from '#schemas/price/usage-parts.ts';
import {
  isPropertyPath,
  propertyAbout,
  propertyCharactersMax,
  propertyFaultCode,
  propertyPattern,
} from '#schemas/property-path.ts';

/** Events that have these values, by dimension, cost this. A dimension that is not named takes any value. */
export type MatrixCell = { readonly match: Match; readonly price: CellPrice };
/** Values by dimension. */
export type Match = Readonly<Record<string, string>>;

export const dimensionsMax = 3;
const cellsMax = 500;
/** What the version of a cost book may come to. */
export const resolvedCellsMax = 5_000;
const valuePattern = '^[^\\u0000]{1,255}$';
const valueForm = new RegExp(valuePattern, 'u');
/** Takes any value, like a dimension that is not named. */
const wildcard = '*';
const matchBytesMax = 80_000;

const dimensionsField: Field<readonly string[]> = {
  schema: () =>
    Type.Array(Type.String({ pattern: propertyPattern, maxLength: propertyCharactersMax }), {
      minItems: 1,
      maxItems: dimensionsMax,
      uniqueItems: true,
      description: 'Properties of the event, by which its meter can be grouped.',
    }),
  presence: 'mandatory',
  read: (object, name, parent, faults) => {
    const items = readArray(object, name, parent, dimensionsMax, faults);
    if (!items) return undefined;
    const before = faults.length;
    for (const [index, item] of items.entries()) {
      const field = `${fieldOf(parent, name)}[${index}]`;
      if (!isPropertyPath(item))
        faults.push({ field, code: propertyFaultCode(item), message: `must be ${propertyAbout}` });
      else if (items.indexOf(item) < index) faults.push({ field, code: 'duplicate', message: 'is named twice' });
    }
    return faults.length === before ? (items as string[]) : undefined;
  },
  toJson: (dimensions) => [...dimensions],
};

export const readMatch = (cell: JsonObject, parent: string, faults: Fault[]): Match | undefined => {
  const field = fieldOf(parent, 'match');
  const object = asObject(ownValue(cell, 'match'), field, faults);
  if (!object) return undefined;
  const before = faults.length;
  const match: [string, string][] = [];
  for (const [name, value] of Object.entries(object)) {
    if (value === wildcard) continue;
    if (typeof value === 'string' && valueForm.test(value) && value.isWellFormed()) match.push([name, value]);
    else
      faults.push({
        field: fieldOf(field, name.slice(0, 64)),
        code: typeof value === 'string' ? 'wrong_format' : 'wrong_type',
        message: 'must be the text of a value, of 1 to 255 characters, or "*" for any',
      });
  }
  if (match.length === 0 && faults.length === before)
    faults.push({ field, code: 'missing', message: 'must name a value; what none names has the default' });
  return faults.length === before ? Object.fromEntries(match) : undefined;
};

/** `dimension` is what the name of one may be. */
export const matchSchema = (dimension: TString) =>
  Type.Record(dimension, Type.String({ pattern: valuePattern }), {
    additionalProperties: false,
    description: 'A value by dimension; a dimension that is not named, or is "*", takes any.',
    minProperties: 1,
    maxProperties: dimensionsMax,
  });

const cellSchema = (prefix: '' | 'New'): TSchema =>
  Type.Object(
    {
      match: matchSchema(Type.String()),
      price: cellPriceSchema(prefix),
    },
    { additionalProperties: false, title: `${prefix}MatrixCell` },
  );

const readCell = (json: JsonObject, field: string, faults: Fault[]): MatrixCell | undefined => {
  const object = readObject(json, field, ['match', 'price'], faults);
  if (!object) return undefined;
  const match = readMatch(object, field, faults);
  const price = readCellPrice(ownValue(object, 'price'), fieldOf(field, 'price'), faults);
  return match && price ? { match, price } : undefined;
};

const defaultPriceField: Field<CellPrice> = {
  schema: cellPriceSchema,
  presence: 'mandatory',
  read: (object, name, parent, faults) => readCellPrice(ownValue(object, name), fieldOf(parent, name), faults),
  toJson: cellPriceToJson,
  mapAmounts: mapCellAmounts,
};

type MatrixValues = { readonly dimensions: readonly string[]; readonly cells: readonly MatrixCell[] };

/** Which dimensions a cell names, so that texts sort as cells are tried. */
const rankOf = (dimensions: readonly string[], { match }: MatrixCell): string => {
  const named = dimensions.map((dimension) => Object.hasOwn(match, dimension));
  return `${dimensions.length - named.filter(Boolean).length} ${named.map((is) => (is ? 'a' : 'b')).join('')}`;
};

/**
 * In the order in which they are tried: those that name more dimensions first, and of as many those that name an
 * earlier one. Two that name the same dimensions match no event both.
 */
export const cellsInOrder = ({ dimensions, cells }: MatrixValues): readonly MatrixCell[] => {
  const ranked = cells.map((cell) => ({ cell, rank: rankOf(dimensions, cell) }));
  return ranked.toSorted((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0)).map(({ cell }) => cell);
};

const valuesOf = (dimensions: readonly string[], match: Match): (string | null)[] =>
  dimensions.map((dimension) => (Object.hasOwn(match, dimension) ? (match[dimension] ?? null) : null));

/**
 * Each match names dimensions alone, and no two are the same. All of them together have so many bytes, as they travel
 * to the store. `field` is the list whose items have a `match`.
 */
export const addMatchFaults = (
  dimensions: readonly string[],
  matches: readonly Match[],
  field: string,
  bytesMax: number,
  faults: Fault[],
): void => {
  const [list = ''] = field.split('.').slice(-1);
  const firstByValues = new Map<string, number>();
  let bytes = 0;
  for (const [index, match] of matches.entries()) {
    const place = `${field}[${index}].match`;
    for (const name of Object.keys(match).filter((one) => !dimensions.includes(one)))
      faults.push({
        field: fieldOf(place, name.slice(0, 64)),
        code: 'unknown_field',
        message: 'is none of the dimensions',
      });
    const values = JSON.stringify(valuesOf(dimensions, match));
    bytes += encodeURIComponent(values).length;
    const first = firstByValues.get(values);
    if (first === undefined) firstByValues.set(values, index);
    else faults.push({ field: place, code: 'duplicate', message: `is already the match of ${list}[${first}]` });
  }
  if (bytes > bytesMax)
    faults.push({
      field,
      code: 'wrong_length',
      message: `must match values of at most ${bytesMax} bytes in all, encoded for a URL, not ${bytes}`,
    });
};

const partsOf = (price: MatrixValues): { cells: Cells } => ({
  cells: {
    dimensions: price.dimensions,
    cells: cellsInOrder(price).map(({ match }) => valuesOf(price.dimensions, match)),
  },
});

const cellsField: Field<readonly MatrixCell[]> = {
  ...listField(cellsMax, cellSchema, readCell, ({ match, price }) => ({ match, price: cellPriceToJson(price) })),
  // An answer may show what a cost book comes to.
  schema: (prefix) =>
    Type.Array(cellSchema(prefix), { minItems: 1, maxItems: prefix === 'New' ? cellsMax : resolvedCellsMax }),
  mapAmounts: (cells, field, change) =>
    cells.map(({ match, price }, index) => ({
      match,
      price: mapCellAmounts(price, `${field}[${index}].price`, change),
    })),
};

/**
 * A price for each combination of values of one to three properties. Of the cells that an event matches, the one that
 * names most dimensions counts, and of those the one that names the earlier; what matches none costs the default price.
 * All usage of a cell is priced together.
 */
export const matrix = defineModel(
  'matrix',
  {
    dimensions: dimensionsField,
    cells: cellsField,
    defaultPrice: defaultPriceField,
    ...boundsFields,
  },
  {
    title: 'MatrixPrice',
    check: (price, field, faults) => {
      checkBounds(price, field, faults);
      const matches = price.cells.map(({ match }) => match);
      addMatchFaults(price.dimensions, matches, fieldOf(field, 'cells'), matchBytesMax, faults);
    },
    partsOf,
  },
);
export type MatrixPrice = PriceOf<typeof matrix>;
