/**
 * Properties: any JSON object -> a flat one, dotted path -> text, as JSON text with its names in order. Numbers become their plain decimal digits,
 * booleans "true" and "false", an array its JSON text; null means absent. ClickHouse reads `a.b` and `{"a":{"b"}}` as the same path, so
 * a path that would be given twice is a fault here rather than a poisoned insert there.
 */
import type { Fault } from '#schemas/failures.ts';

/** What a double carries without loss. */
export const significantDigitsMax = 15;
export const propertiesMax = 256;
export const pathCharactersMax = 255;
export const depthMax = 16;
export const propertiesBytesMax = 65_536;
/** Digits in front of the point, or zeros behind it, that a number in exponent form may unfold to. */
const unfoldedDigitsMax = 40;

/** A JSON number whose text a double would have changed. */
export class InexactNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/** Significant digits of a JSON number's text: without sign, point, exponent and the zeros at either end. */
export const significantDigitsOf = (source: string): number => {
  const mantissa = source.replace(/[eE].*$/, '').replace(/[-.]/g, '');
  return mantissa.replace(/^0+/, '').replace(/0+$/, '').length;
};

/** Plain decimal digits of a double that was read from at most 15 significant digits; undefined where they would run too long. */
export const plainDecimal = (value: number): string | undefined => {
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (!match) return Number.isFinite(value) ? text : undefined;
  const [, sign = '', lead = '', rest = '', exponentText = '0'] = match;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > unfoldedDigitsMax) return undefined;
  const digits = lead + rest;
  return exponent < 0 ? `${sign}0.${'0'.repeat(-exponent - 1)}${digits}` : sign + digits.padEnd(exponent + 1, '0');
};

type Leaves = Map<string, string>;

const inexactMessage = (source: string) =>
  `${source.slice(0, 40)} has more than ${significantDigitsMax} significant digits, which a JSON number may lose: send it as a string`;

const leafText = (value: unknown, field: string, faults: Fault[]): string | undefined => {
  if (typeof value === 'string') {
    if (value.isWellFormed()) return value;
    faults.push({ field, code: 'CHARACTERS', message: 'has a broken surrogate' });
    return undefined;
  }
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (value instanceof InexactNumber) {
    faults.push({ field, code: 'INEXACT_NUMBER', message: inexactMessage(value.source) });
    return undefined;
  }
  const text = plainDecimal(value as number);
  if (text === undefined)
    faults.push({ field, code: 'NUMBER_RANGE', message: 'is too large or too small for a JSON number: send it as a string' });
  return text;
};

/** An array is kept as one JSON text; its numbers must survive that, too. */
const arrayText = (value: readonly unknown[], field: string, depth: number, faults: Fault[]): string => {
  const parts = value.map((item, index): string => {
    const at = `${field}[${index}]`;
    if (item === null) return 'null';
    if (Array.isArray(item) || (typeof item === 'object' && !(item instanceof InexactNumber))) {
      if (depth >= depthMax) {
        faults.push({ field: at, code: 'TOO_DEEP', message: `is nested deeper than ${depthMax}` });
        return 'null';
      }
      if (Array.isArray(item)) return arrayText(item, at, depth + 1, faults);
      const fields = Object.entries(item as Record<string, unknown>).map(
        ([name, inner]) => `${JSON.stringify(name)}:${arrayText([inner], `${at}.${name}`, depth + 1, faults).slice(1, -1)}`,
      );
      return `{${fields.join(',')}}`;
    }
    const text = leafText(item, at, faults);
    return text === undefined ? 'null' : typeof item === 'string' ? JSON.stringify(text) : text;
  });
  return `[${parts.join(',')}]`;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
const controlCharacters = /[\u0000-\u001f\u007f]/;

const isPath = (path: string): boolean =>
  path.length > 0 &&
  path.length <= pathCharactersMax &&
  !controlCharacters.test(path) &&
  path.isWellFormed() &&
  !path.startsWith('.') &&
  !path.endsWith('.') &&
  !path.includes('..');

const collect = (record: Record<string, unknown>, prefix: string, depth: number, leaves: Leaves, faults: Fault[]): void => {
  for (const name of Object.keys(record)) {
    const value = record[name];
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const field = `properties.${path.slice(0, pathCharactersMax)}`;
    if (!isPath(path)) {
      faults.push({
        field,
        code: 'PROPERTY_NAME',
        message: `a property's path must have 1 to ${pathCharactersMax} characters, no control characters and no empty part`,
      });
      continue;
    }
    if (value === null || value === undefined) continue;
    if (typeof value === 'object' && !Array.isArray(value) && !(value instanceof InexactNumber)) {
      if (depth >= depthMax) faults.push({ field, code: 'TOO_DEEP', message: `is nested deeper than ${depthMax}` });
      else collect(value as Record<string, unknown>, path, depth + 1, leaves, faults);
      continue;
    }
    const text = Array.isArray(value) ? arrayText(value, field, depth + 1, faults) : leafText(value, field, faults);
    if (leaves.has(path)) faults.push({ field, code: 'DUPLICATE_PROPERTY', message: 'is given twice, once with a dot and once nested' });
    else if (text !== undefined) leaves.set(path, text);
  }
};

/** The flat JSON text of an event's properties; adds what is wrong with them to `faults`. */
export const flattenProperties = (raw: unknown, faults: Fault[]): string => {
  if (raw === undefined || raw === null) return '{}';
  if (typeof raw !== 'object' || Array.isArray(raw) || raw instanceof InexactNumber) {
    faults.push({ field: 'properties', code: 'NOT_AN_OBJECT', message: 'properties must be a JSON object' });
    return '{}';
  }
  const leaves: Leaves = new Map();
  collect(raw as Record<string, unknown>, '', 1, leaves, faults);
  if (leaves.size > propertiesMax)
    faults.push({ field: 'properties', code: 'TOO_MANY_PROPERTIES', message: `an event may have at most ${propertiesMax} properties` });
  // In order of their names, so that the same properties give the same fingerprint however they were sent.
  const text = `{${[...leaves.keys()]
    .sort()
    .map((path) => `${JSON.stringify(path)}:${JSON.stringify(leaves.get(path))}`)
    .join(',')}}`;
  if (Buffer.byteLength(text) > propertiesBytesMax)
    faults.push({ field: 'properties', code: 'TOO_LARGE', message: `properties may have at most ${propertiesBytesMax} bytes` });
  return text;
};
