/**
 * What is wrong with a caller's JSON: values, never thrown, all reported together. A reader adds a fault and returns
 * `undefined`; who asked for the whole goes on reading its other fields and decides at the end.
 */
import { type Amount, amountIntegerDigitsMax, amountScale, parseAmount } from '#schemas/money.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';

export const FaultCode = {
  missing: 'missing',
  unknownField: 'unknown_field',
  wrongType: 'wrong_type',
  notDecimal: 'not_a_decimal',
  negative: 'negative',
  notPositive: 'not_positive',
  wrongLength: 'wrong_length',
  wrongFormat: 'wrong_format',
  notIncreasing: 'not_increasing',
  notAllowed: 'not_allowed',
  duplicate: 'duplicate',
} as const;
export type FaultCode = (typeof FaultCode)[keyof typeof FaultCode];

/**
 * One fault. `code` is one of `FaultCode`, or a word of the part that found it. `field` is a path from the root of the
 * request body: "charges[2].price.tiers[0].up_to".
 */
export type Fault = { readonly field: string; readonly code: string; readonly message: string };

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly faults: readonly Fault[] };

export type JsonObject = Readonly<Record<string, unknown>>;

/** Pattern of a decimal string that is not negative; the bounds are those of `parseAmount`. */
export const decimalPattern = `^[0-9]{1,${amountIntegerDigitsMax}}(\\.[0-9]{1,${amountScale}})?$`;
const decimalText = new RegExp(decimalPattern);

export const fieldOf = (parent: string, name: string): string => (parent === '' ? name : `${parent}.${name}`);

const knownCharactersMax = 1_000;

/** Says all that is known, as far as it is short; an answer must not become many times its request. */
export const unknownFieldMessage = (known: readonly string[]): string => {
  if (known.length === 0) return 'is not known here; nothing is';
  const shown = known.filter((_, index) => known.slice(0, index + 1).join(', ').length <= knownCharactersMax);
  const more = known.length - shown.length;
  return `is not known here; known are ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

/** Of more unknown fields of one object the first are told. */
const unknownFieldsMax = 50;

/**
 * An object with no other own fields than `known`; an unknown one is a fault, because a misspelt optional field would
 * change a bill.
 */
export const readObject = (
  json: unknown,
  field: string,
  known: readonly string[],
  faults: Fault[],
): JsonObject | undefined => {
  const object = asObject(json, field, faults);
  const unknown = Object.keys(object ?? {}).filter((name) => !known.includes(name));
  for (const name of unknown.slice(0, unknownFieldsMax))
    faults.push({
      field: fieldOf(field, name.slice(0, 64)),
      code: 'unknown_field',
      message: unknownFieldMessage(known),
    });
  return object;
};

export const asObject = (json: unknown, field: string, faults: Fault[]): JsonObject | undefined => {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject;
  faults.push({ field, code: json === undefined ? 'missing' : 'wrong_type', message: 'must be an object' });
  return undefined;
};

/** An array of 1 to `lengthMax` items. */
export const readArray = (
  object: JsonObject,
  name: string,
  parent: string,
  lengthMax: number,
  faults: Fault[],
): unknown[] | undefined => {
  const value = ownValue(object, name);
  const field = fieldOf(parent, name);
  if (!Array.isArray(value)) {
    faults.push({ field, code: value === undefined ? 'missing' : 'wrong_type', message: 'must be an array' });
    return undefined;
  }
  if (value.length >= 1 && value.length <= lengthMax) return value;
  faults.push({ field, code: 'wrong_length', message: `must have 1 to ${lengthMax} items, not ${value.length}` });
  return undefined;
};

export type TextRule = { readonly pattern: RegExp; readonly about: string };

export const readText = (
  object: JsonObject,
  name: string,
  parent: string,
  rule: TextRule,
  faults: Fault[],
): string | undefined => {
  const value = ownValue(object, name);
  const field = fieldOf(parent, name);
  if (typeof value !== 'string') {
    faults.push({
      field,
      code: value === undefined ? 'missing' : 'wrong_type',
      message: `must be a string: ${rule.about}`,
    });
    return undefined;
  }
  if (rule.pattern.test(value)) return value;
  faults.push({ field, code: 'wrong_format', message: `must be ${rule.about}` });
  return undefined;
};

/**
 * A decimal string, zero or more; `fallback` is taken where the field is absent, and `undefined` as fallback makes it
 * mandatory.
 */
export const readAmount = (
  object: JsonObject,
  name: string,
  parent: string,
  faults: Fault[],
  fallback?: Amount | undefined,
): Amount | undefined => readDecimal(object, name, parent, faults, parseAmount, fallback);

export const readQuantity = (
  object: JsonObject,
  name: string,
  parent: string,
  faults: Fault[],
  fallback?: Quantity | undefined,
): Quantity | undefined => readDecimal(object, name, parent, faults, parseQuantity, fallback);

const readDecimal = <T extends bigint>(
  object: JsonObject,
  name: string,
  parent: string,
  faults: Fault[],
  parse: (text: string) => T | undefined,
  fallback: T | undefined,
): T | undefined => {
  const value = ownValue(object, name);
  const field = fieldOf(parent, name);
  if (value === undefined) {
    if (fallback === undefined) faults.push({ field, code: 'missing', message: `must be given as ${decimalAbout}` });
    return fallback;
  }
  if (typeof value !== 'string') {
    faults.push({
      field,
      code: 'wrong_type',
      message: `must be ${decimalAbout}; a JSON number can't carry every decimal exactly`,
    });
    return undefined;
  }
  if (decimalText.test(value)) return parse(value);
  const negative = value.startsWith('-') && decimalText.test(value.slice(1));
  faults.push(
    negative
      ? { field, code: 'negative', message: 'must be zero or more' }
      : { field, code: 'not_a_decimal', message: `must be ${decimalAbout}` },
  );
  return undefined;
};

const decimalAbout = `a decimal string such as "0.000015", with at most ${amountIntegerDigitsMax} digits before and ${amountScale} after the point`;

/** Only what the JSON itself holds: a name such as "constructor" must not find something on the prototype. */
export const ownValue = (object: JsonObject, name: string): unknown =>
  Object.hasOwn(object, name) ? object[name] : undefined;
