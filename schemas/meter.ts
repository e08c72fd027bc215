/**
 * A meter turns events into a quantity: which events, and what of them. Its definition, its JSON and the way between
 * the two.
 */
import { parseExpression } from '#schemas/expression.ts';
import { digitsFault, valueIntegerDigitsMax, weightedIntegerDigitsMax } from '#schemas/expression-digits.ts';
import { asObject, type Fault, fieldOf, type JsonObject, ownValue, type Parsed, readObject } from '#schemas/fault.ts';
import { type Filter, type FilterJson, filterToJson, readFilter } from '#schemas/filter.ts';
import { isRoundingMode, RoundingMode } from '#schemas/money.ts';
import { isPropertyPath, propertyAbout, propertyFaultCode } from '#schemas/property-path.ts';

export { propertyPattern } from '#schemas/property-path.ts';

export const aggregations = [
  'count',
  'sum',
  'max',
  'min',
  'unique',
  'latest',
  'average',
  'weighted_sum',
  'percentile',
] as const;
export type Aggregation = (typeof aggregations)[number];

/** Acts on the final quantity, which has at most 12 decimals. `decimals` is 0 to 12. */
type MeterRounding = { readonly mode: RoundingMode; readonly decimals: number };

export const percentileMethods = ['nearest_rank', 'linear'] as const;
type PercentileMethod = (typeof percentileMethods)[number];
/** `rank` is canonical decimal text, more than 0 and at most 100, with at most 4 decimals. */
export type Percentile = { readonly rank: string; readonly method: PercentileMethod };

export type MeterDefinition = {
  /** The events that are measured. */
  readonly event: string;
  readonly aggregation: Aggregation;
  /** Dotted path of the property that is measured; null for `count` and where an expression is. */
  readonly property: string | null;
  /** Text of an arithmetic expression over properties; `parseExpression` gives its tree. */
  readonly expression: string | null;
  /** Which of the events; null for all. */
  readonly filter: Filter | null;
  /** Properties by which usage of this meter may be asked for in groups. */
  readonly groupBy: readonly string[];
  readonly rounding: MeterRounding | null;
  /** For `percentile` alone. */
  readonly percentile: Percentile | null;
};

/** A version of a meter. */
export type Meter = MeterDefinition & { readonly code: string; readonly version: number };

export type MeterDefinitionJson = {
  event: string;
  aggregation: Aggregation;
  property?: string;
  expression?: string;
  filter?: FilterJson;
  group_by?: string[];
  rounding?: { mode: RoundingMode; decimals: number };
  percentile?: { rank: string; method: PercentileMethod };
};

export const definitionFields = [
  'event',
  'aggregation',
  'property',
  'expression',
  'filter',
  'group_by',
  'rounding',
  'percentile',
] as const;
export const eventNameCharactersMax = 255;
export const groupByMax = 10;
export const roundingDecimalsMax = 12;
const rankPattern = '^[0-9]{1,3}(\\.[0-9]{1,4})?$';
const rank = new RegExp(rankPattern);

/** All faults are listed, with paths from the root of the JSON. Absent and null are the same. */
export const meterDefinitionFromJson = (json: unknown): Parsed<MeterDefinition> => {
  const faults: Fault[] = [];
  const object = readObject(json, '', definitionFields, faults);
  if (!object) return { ok: false, faults };
  const aggregation = readOneOf(object, 'aggregation', '', aggregations, faults);
  const definition = {
    event: readEvent(object, faults),
    aggregation,
    ...readMeasured(object, aggregation, faults),
    filter: isAbsent(object, 'filter') ? null : readFilter(ownValue(object, 'filter'), 'filter', faults),
    groupBy: readGroupBy(object, faults),
    rounding: isAbsent(object, 'rounding') ? null : readRounding(ownValue(object, 'rounding'), faults),
    percentile: readPercentile(object, aggregation, faults),
  };
  // Each reader that gave no value has said why.
  return faults.length === 0 ? { ok: true, value: definition as MeterDefinition } : { ok: false, faults };
};

const isAbsent = (object: JsonObject, name: string): boolean => (ownValue(object, name) ?? null) === null;

const readOneOf = <T extends string>(
  object: JsonObject,
  name: string,
  parent: string,
  known: readonly T[],
  faults: Fault[],
): T | undefined => {
  const value = known.find((one) => one === ownValue(object, name));
  if (value === undefined) {
    const code = ownValue(object, name) === undefined ? 'missing' : 'not_allowed';
    faults.push({ field: fieldOf(parent, name), code, message: `must be one of ${known.join(', ')}` });
  }
  return value;
};

const readEvent = (object: JsonObject, faults: Fault[]): string | undefined => {
  const event = ownValue(object, 'event');
  const length = typeof event === 'string' ? event.length : 0;
  if (
    typeof event === 'string' &&
    length >= 1 &&
    length <= eventNameCharactersMax &&
    event.isWellFormed() &&
    !event.includes('\0')
  )
    return event;
  const code = event === undefined ? 'missing' : typeof event !== 'string' ? 'wrong_type' : 'wrong_length';
  faults.push({
    field: 'event',
    code,
    message: `must be the name of an event: 1 to ${eventNameCharactersMax} characters, none of them zero`,
  });
  return undefined;
};

type Measured = { readonly property: string | null; readonly expression: string | null };

const readMeasured = (object: JsonObject, aggregation: Aggregation | undefined, faults: Fault[]): Measured => {
  const given = ['property', 'expression'].filter((name) => !isAbsent(object, name));
  const needed = aggregation === 'unique' ? 'a property' : 'a property or an expression';
  if (aggregation === 'count') {
    for (const field of given)
      faults.push({ field, code: 'not_allowed', message: 'is not allowed with count, which counts events' });
  } else if (given.length === 2) {
    faults.push({
      field: 'expression',
      code: 'not_allowed',
      message: 'a meter measures a property or an expression, not both',
    });
  } else if (given.length === 0 && aggregation !== undefined) {
    faults.push({ field: 'property', code: 'missing', message: `${aggregation} measures ${needed}` });
  } else if (aggregation === 'unique' && given[0] === 'expression') {
    faults.push({
      field: 'expression',
      code: 'not_allowed',
      message: 'unique counts the different texts of a property',
    });
  }
  return {
    property: given.includes('property') ? readProperty(ownValue(object, 'property'), 'property', faults) : null,
    expression: given.includes('expression')
      ? readExpression(ownValue(object, 'expression'), aggregation, faults)
      : null,
  };
};

const readProperty = (value: unknown, field: string, faults: Fault[]): string | null => {
  if (isPropertyPath(value)) return value;
  faults.push({ field, code: propertyFaultCode(value), message: `must be ${propertyAbout}` });
  return null;
};

const readExpression = (value: unknown, aggregation: Aggregation | undefined, faults: Fault[]): string | null => {
  const refuse = (code: string, message: string): null => {
    faults.push({ field: 'expression', code, message });
    return null;
  };
  if (typeof value !== 'string')
    return refuse('wrong_type', 'must be a text such as "input_tokens + 4 * output_tokens"');
  const parsed = parseExpression(value);
  if (!parsed.ok) return refuse('wrong_format', `column ${parsed.fault.column}: ${parsed.fault.message}`);
  const message = digitsFault(
    parsed.value,
    aggregation === 'weighted_sum' ? weightedIntegerDigitsMax : valueIntegerDigitsMax,
  );
  return message === undefined ? value : refuse('not_allowed', message);
};

const readGroupBy = (object: JsonObject, faults: Fault[]): string[] => {
  if (isAbsent(object, 'group_by')) return [];
  const value = ownValue(object, 'group_by');
  if (!Array.isArray(value) || value.length > groupByMax) {
    const [code, message] = Array.isArray(value)
      ? ['wrong_length', `must have at most ${groupByMax} items, not ${value.length}`]
      : ['wrong_type', 'must be an array of properties'];
    faults.push({ field: 'group_by', code, message });
    return [];
  }
  value.forEach((item, index) => {
    const field = `group_by[${index}]`;
    const path = readProperty(item, field, faults);
    if (path === 'customer_id') {
      faults.push({
        field,
        code: 'not_allowed',
        message: 'customer_id is the customer of an event, by which usage of every meter may be grouped',
      });
    } else if (path !== null && value.indexOf(path) < index) {
      faults.push({ field, code: 'duplicate', message: 'is named twice' });
    }
  });
  return value;
};

const readRounding = (json: unknown, faults: Fault[]): MeterRounding | undefined => {
  const object = readObject(json, 'rounding', ['mode', 'decimals'], faults);
  if (!object) return undefined;
  const mode = readOneOf(object, 'mode', 'rounding', Object.values(RoundingMode).filter(isRoundingMode), faults);
  const decimals = ownValue(object, 'decimals');
  if (typeof decimals === 'number' && Number.isInteger(decimals) && decimals >= 0 && decimals <= roundingDecimalsMax) {
    return mode && { mode, decimals };
  }
  const code = decimals === undefined ? 'missing' : typeof decimals === 'number' ? 'not_allowed' : 'wrong_type';
  faults.push({ field: 'rounding.decimals', code, message: `must be a whole number from 0 to ${roundingDecimalsMax}` });
  return undefined;
};

const readPercentile = (
  meter: JsonObject,
  aggregation: Aggregation | undefined,
  faults: Fault[],
): Percentile | null => {
  const absent = isAbsent(meter, 'percentile');
  if (aggregation !== 'percentile') {
    if (!absent)
      faults.push({ field: 'percentile', code: 'not_allowed', message: 'belongs to the aggregation percentile' });
    return null;
  }
  if (absent) {
    faults.push({
      field: 'percentile',
      code: 'missing',
      message: 'must be given as {"rank": "95", "method": "nearest_rank"}',
    });
    return null;
  }
  const object = asObject(ownValue(meter, 'percentile'), 'percentile', faults);
  if (!object) return null;
  readObject(object, 'percentile', ['rank', 'method'], faults);
  const method = readOneOf(object, 'method', 'percentile', percentileMethods, faults);
  const value = ownValue(object, 'rank');
  const parts = typeof value === 'string' && rank.test(value) ? rankParts(value) : 0n;
  if (parts > 0n && parts <= 1_000_000n) return method ? { rank: value as string, method } : null;
  const code = value === undefined ? 'missing' : typeof value === 'string' ? 'not_allowed' : 'wrong_type';
  faults.push({
    field: 'percentile.rank',
    code,
    message: 'must be a decimal text, more than 0 and at most 100, with at most 4 decimals',
  });
  return null;
};

/** A rank in millionths of the whole: "95" is 950,000. */
export const rankParts = (text: string): bigint => {
  const [integer = '', fraction = ''] = text.split('.');
  return BigInt(integer + fraction.padEnd(4, '0'));
};

/** The JSON of a definition, without what is absent, in one order of its fields: equal definitions give equal texts. */
export const meterDefinitionToJson = (definition: MeterDefinition): MeterDefinitionJson => {
  const { event, aggregation, property, expression, filter, groupBy, rounding, percentile } = definition;
  return {
    event,
    aggregation,
    ...(property !== null && { property }),
    ...(expression !== null && { expression }),
    ...(filter !== null && { filter: filterToJson(filter) }),
    ...(groupBy.length > 0 && { group_by: [...groupBy] }),
    ...(rounding !== null && { rounding: { mode: rounding.mode, decimals: rounding.decimals } }),
    ...(percentile !== null && { percentile: { rank: percentile.rank, method: percentile.method } }),
  };
};
