/**
 * Properties: any JSON object -> pairs of dotted path and text, in order of the paths. Numbers become their plain
 * decimal digits, booleans "true" and "false", an array its JSON text; null means absent. ClickHouse reads `a.b` and
 * `{"a":{"b"}}` as the same path, so a path that would be given twice is a fault here rather than a poisoned insert
 * there.
 */

import { inexactSourceOf } from '#schemas/exact-numbers.ts';
import type { Fault } from '#schemas/failures.ts';
import { decimalsMax, integerDigitsMax, plainNumber } from '#schemas/number-text.ts';
import type { Property } from '#schemas/usage-event.ts';

const propertiesMax = 256;
export const pathCharactersMax = 255;
export const depthMax = 16;
export const propertiesBytesMax = 65_536;
/** An event's list of faults ends here: a body of faults must not become an answer of many times its size. */
export const faultsPerEventMax = 100;

/**
 * What was read so far. Each value makes a byte of text or more: beyond `propertiesBytesMax` of them nothing is read
 * any more, whatever a body holds.
 */
type Reading = { readonly leaves: Map<string, string>; readonly faults: Fault[]; values: number };

const isFull = ({ leaves, faults, values }: Reading): boolean =>
  faults.length >= faultsPerEventMax || leaves.size > propertiesMax || values > propertiesBytesMax;

const fieldCharactersMax = 300;

/** A path may hold a name of megabytes; a fault's field holds its beginning. */
export const fieldOf = (path: string): string =>
  path.length > fieldCharactersMax ? `${path.slice(0, fieldCharactersMax)}...` : path;

const rangeFault = (field: string): Fault => ({
  field,
  code: 'number_range',
  message: `is a number that no meter can measure: it may have ${integerDigitsMax} digits before the point and ${decimalsMax} behind it`,
});

const isNested = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && inexactSourceOf(value) === undefined;

const leafText = (value: unknown, path: string, faults: Fault[]): string | undefined => {
  if (typeof value === 'string') {
    if (value.isWellFormed()) return value;
    faults.push({ field: fieldOf(path), code: 'wrong_format', message: 'has a broken surrogate' });
    return undefined;
  }
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  const text = plainNumber(inexactSourceOf(value) ?? String(value));
  if (text === undefined) faults.push(rangeFault(fieldOf(path)));
  return text;
};

const byName = (a: readonly [string, unknown], b: readonly [string, unknown]): number => (a[0] < b[0] ? -1 : 1);

/** An array and what is in it are kept as one JSON text; its numbers must survive that, too. */
const jsonText = (value: unknown, path: string, depth: number, reading: Reading): string => {
  reading.values += 1;
  if (value === null || isFull(reading)) return 'null';
  const { faults } = reading;
  if (!isNested(value)) {
    const text = leafText(value, path, faults);
    return text === undefined ? 'null' : typeof value === 'string' ? JSON.stringify(text) : text;
  }
  if (depth > depthMax) {
    faults.push(depthFault(fieldOf(path)));
    return 'null';
  }
  if (Array.isArray(value)) {
    const items: string[] = [];
    for (let index = 0; index < value.length && !isFull(reading); index += 1)
      items.push(jsonText(value[index], `${path}[${index}]`, depth + 1, reading));
    return `[${items.join(',')}]`;
  }
  const fieldText = ([name, inner]: [string, unknown]): string =>
    `${JSON.stringify(name)}:${jsonText(inner, `${path}.${name}`, depth + 1, reading)}`;
  return `{${Object.entries(value).sort(byName).map(fieldText).join(',')}}`;
};

const depthFault = (field: string): Fault => ({
  field,
  code: 'too_deep',
  message: `is nested deeper than ${depthMax}`,
});

/**
 * What Unicode calls control characters (Cc): C0, DEL and C1, which terminals and old readers of text obey. Others are
 * kept on purpose: line and paragraph separators, a byte order mark inside of a text, marks of writing direction (names
 * in Arabic and Hebrew need them) and non-characters are text to Unicode, any store keeps them, and a rule for them
 * would refuse names that people have.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
export const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/;

const isPath = (path: string): boolean =>
  path.length > 0 &&
  path.length <= pathCharactersMax &&
  !controlCharacters.test(path) &&
  path.isWellFormed() &&
  !path.startsWith('.') &&
  !path.endsWith('.') &&
  !path.includes('..');

const collect = (record: Record<string, unknown>, prefix: string, depth: number, reading: Reading): void => {
  const { leaves, faults } = reading;
  for (const name of Object.keys(record)) {
    if (isFull(reading)) return;
    const value = record[name];
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const field = `properties.${path}`;
    if (!isPath(path)) {
      faults.push({
        field: fieldOf(field),
        code: 'property_name',
        message: `a property's path must have 1 to ${pathCharactersMax} characters, no control characters and no empty part`,
      });
      continue;
    }
    if (value === null) continue;
    if (isNested(value) && !Array.isArray(value)) {
      if (depth >= depthMax) faults.push(depthFault(field));
      else collect(value as Record<string, unknown>, path, depth + 1, reading);
      continue;
    }
    const text = Array.isArray(value) ? jsonText(value, field, depth + 1, reading) : leafText(value, field, faults);
    if (leaves.has(path))
      faults.push({ field, code: 'duplicate', message: 'is given twice, once with a dot and once nested' });
    else if (text !== undefined) leaves.set(path, text);
  }
};

/** An event's properties, flat and in order of their paths; adds what is wrong with them to `faults`. */
export const flattenProperties = (raw: unknown, faults: Fault[]): readonly Property[] => {
  if (raw === undefined || raw === null) return [];
  if (!isNested(raw) || Array.isArray(raw)) {
    faults.push({ field: 'properties', code: 'wrong_type', message: 'properties must be a JSON object' });
    return [];
  }
  const reading: Reading = { leaves: new Map(), faults, values: 0 };
  collect(raw as Record<string, unknown>, '', 1, reading);
  const { leaves, values } = reading;
  if (leaves.size > propertiesMax)
    faults.push({
      field: 'properties',
      code: 'too_many_properties',
      message: `an event may have at most ${propertiesMax} properties`,
    });
  let bytes = 0;
  for (const [path, value] of leaves) bytes += Buffer.byteLength(path) + Buffer.byteLength(value);
  if (bytes > propertiesBytesMax || values > propertiesBytesMax)
    faults.push({
      field: 'properties',
      code: 'too_large',
      message: `properties may have at most ${propertiesBytesMax} bytes`,
    });
  // In order of their paths, so that the same properties give the same fingerprint however they were sent.
  return [...leaves].sort(byName);
};
