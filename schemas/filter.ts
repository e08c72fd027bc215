/**
 * Filters over the properties of events: their type, their JSON and the way between the two. Logic has two values: a
 * missing property fails every test but `ne`, `not_in` and `exists: false`. `eq`, `ne`, `in`, `not_in` and `prefix`
 * compare texts as they are stored ("1.0" is not "1"); `gt`, `gte`, `lt`, `lte` compare decimals, and a property that
 * is none fails them.
 */
import { asObject, type Fault, fieldOf, type JsonObject, ownValue, type Parsed, readObject } from '#schemas/fault.ts';
import { isPropertyPath, propertyAbout, propertyFaultCode } from '#schemas/property-path.ts';

export const comparisons = ['gt', 'gte', 'lt', 'lte'] as const;
export type Comparison = (typeof comparisons)[number];
const filterOperators = ['eq', 'ne', 'in', 'not_in', ...comparisons, 'exists', 'prefix'] as const;
type FilterOperator = (typeof filterOperators)[number];

export type Condition =
  | { readonly property: string; readonly operator: 'eq' | 'ne' | 'prefix' | Comparison; readonly value: string }
  | { readonly property: string; readonly operator: 'in' | 'not_in'; readonly value: readonly string[] }
  | { readonly property: string; readonly operator: 'exists'; readonly value: boolean };

export type Filter = { readonly and: readonly Filter[] } | { readonly or: readonly Filter[] } | Condition;

export type FilterJson =
  | { and: FilterJson[] }
  | { or: FilterJson[] }
  | { property: string; operator: FilterOperator; value: string | string[] | boolean };

/** A condition alone has depth 1, and each `and` or `or` around it adds one. */
export const filterDepthMax = 5;
export const conditionsMax = 50;
export const listValuesMax = 100;
export const filterValueCharactersMax = 255;
/**
 * Of a list of values: they travel to ClickHouse in one parameter, which has a bound, in the longest form that they may
 * have there.
 */
const listBytesMax = 65_536;

/** A decimal that `gt` and its like compare by: what a property may have as a value. */
const comparedPattern = '^-?[0-9]{1,40}(\\.[0-9]{1,12})?$';
const compared = new RegExp(comparedPattern);

/** Text of a scalar of JSON as events keep it; `undefined` where no exact text can be told. */
const textOf = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  // A number beyond this has lost digits before we see it, and one with an exponent has several texts.
  if (typeof value !== 'number' || Math.abs(value) > Number.MAX_SAFE_INTEGER) return undefined;
  const text = String(value);
  return text.includes('e') ? undefined : text;
};

type Bounds = { conditions: number };

export const filterFromJson = (json: unknown, field = 'filter'): Parsed<Filter> => {
  const faults: Fault[] = [];
  const value = readFilter(json, field, faults);
  return value && faults.length === 0 ? { ok: true, value } : { ok: false, faults };
};

/**
 * For readers of a larger whole: adds faults to `faults`. Work is bounded by the bounds above, whatever the size of the
 * JSON.
 */
export const readFilter = (json: unknown, field: string, faults: Fault[]): Filter | undefined =>
  readNode(json, field, 1, { conditions: 0 }, faults);

const readNode = (json: unknown, field: string, depth: number, bounds: Bounds, faults: Fault[]): Filter | undefined => {
  const object = asObject(json, field, faults);
  if (!object) return undefined;
  for (const joint of ['and', 'or'] as const) {
    if (ownValue(object, joint) !== undefined) return readJoint(object, joint, field, depth, bounds, faults);
  }
  bounds.conditions += 1;
  if (bounds.conditions === conditionsMax + 1)
    faults.push({ field, code: 'wrong_length', message: `a filter has at most ${conditionsMax} conditions` });
  return bounds.conditions > conditionsMax ? undefined : readCondition(object, field, faults);
};

const readJoint = (
  object: JsonObject,
  joint: 'and' | 'or',
  field: string,
  depth: number,
  bounds: Bounds,
  faults: Fault[],
): Filter | undefined => {
  readObject(object, field, [joint], faults);
  const path = fieldOf(field, joint);
  const items = ownValue(object, joint);
  if (depth >= filterDepthMax) {
    faults.push({ field: path, code: 'not_allowed', message: `filters nest at most ${filterDepthMax} deep` });
    return undefined;
  }
  if (!Array.isArray(items)) {
    faults.push({ field: path, code: 'wrong_type', message: 'must be an array of filters' });
    return undefined;
  }
  if (items.length === 0 || items.length > conditionsMax) {
    faults.push({
      field: path,
      code: 'wrong_length',
      message: `must have 1 to ${conditionsMax} items, not ${items.length}`,
    });
    return undefined;
  }
  const filters = items.map((item, index) => readNode(item, `${path}[${index}]`, depth + 1, bounds, faults));
  if (filters.some((filter) => filter === undefined)) return undefined;
  return joint === 'and' ? { and: filters as Filter[] } : { or: filters as Filter[] };
};

const readCondition = (object: JsonObject, field: string, faults: Fault[]): Condition | undefined => {
  readObject(object, field, ['property', 'operator', 'value'], faults);
  const property = ownValue(object, 'property');
  const operator = filterOperators.find((one) => one === ownValue(object, 'operator'));
  if (!isPropertyPath(property)) {
    faults.push({
      field: fieldOf(field, 'property'),
      code: propertyFaultCode(property),
      message: `must be ${propertyAbout}`,
    });
  }
  if (operator === undefined) {
    const code = ownValue(object, 'operator') === undefined ? 'missing' : 'not_allowed';
    faults.push({ field: fieldOf(field, 'operator'), code, message: `must be one of ${filterOperators.join(', ')}` });
    return undefined;
  }
  const value = readValue(operator, ownValue(object, 'value'), fieldOf(field, 'value'), faults);
  return value === undefined || !isPropertyPath(property) ? undefined : ({ property, operator, value } as Condition);
};

const readValue = (
  operator: FilterOperator,
  value: unknown,
  field: string,
  faults: Fault[],
): string | string[] | boolean | undefined => {
  if (operator === 'exists') {
    if (typeof value === 'boolean') return value;
    faults.push({ field, code: value === undefined ? 'missing' : 'wrong_type', message: 'must be true or false' });
    return undefined;
  }
  if (operator === 'in' || operator === 'not_in') return readList(value, field, faults);
  const text = readValueText(value, field, faults);
  if (text === undefined || !(comparisons as readonly string[]).includes(operator) || compared.test(text)) return text;
  faults.push({
    field,
    code: 'not_a_decimal',
    message: 'must be a decimal such as "0.5", with at most 40 digits before and 12 after the point',
  });
  return undefined;
};

const readList = (value: unknown, field: string, faults: Fault[]): string[] | undefined => {
  if (!Array.isArray(value)) {
    faults.push({ field, code: value === undefined ? 'missing' : 'wrong_type', message: 'must be an array of texts' });
    return undefined;
  }
  if (value.length === 0 || value.length > listValuesMax) {
    faults.push({ field, code: 'wrong_length', message: `must have 1 to ${listValuesMax} items, not ${value.length}` });
    return undefined;
  }
  const texts = value.map((item, index) => readValueText(item, `${field}[${index}]`, faults));
  if (texts.some((text) => text === undefined)) return undefined;
  if (encodeURIComponent(JSON.stringify(texts)).length <= listBytesMax) return texts as string[];
  faults.push({
    field,
    code: 'wrong_length',
    message: `its texts are longer than ${listBytesMax} bytes together, as they are encoded for a query`,
  });
  return undefined;
};

const readValueText = (value: unknown, field: string, faults: Fault[]): string | undefined => {
  const text = textOf(value);
  if (text !== undefined && text.length <= filterValueCharactersMax && text.isWellFormed() && !text.includes('\0'))
    return text;
  const [code, message] =
    value === undefined
      ? ['missing', 'must be given as a text']
      : text === undefined
        ? [
            'wrong_type',
            'must be a text, a boolean, or a number that JSON carries exactly; write other numbers as texts',
          ]
        : text.length > filterValueCharactersMax
          ? ['wrong_length', `must have at most ${filterValueCharactersMax} characters`]
          : ['wrong_format', 'must be Unicode without a zero character'];
  faults.push({ field, code, message });
  return undefined;
};

/** The canonical JSON: values as texts. `filterFromJson` reads it back. */
export const filterToJson = (filter: Filter): FilterJson => {
  if ('and' in filter) return { and: filter.and.map(filterToJson) };
  if ('or' in filter) return { or: filter.or.map(filterToJson) };
  const { property, operator, value } = filter;
  return { property, operator, value: typeof value === 'object' ? [...value] : value };
};

/** The conditions of a filter, from left to right. */
export const conditionsOf = (filter: Filter): Condition[] => {
  if ('and' in filter) return filter.and.flatMap(conditionsOf);
  return 'or' in filter ? filter.or.flatMap(conditionsOf) : [filter];
};
