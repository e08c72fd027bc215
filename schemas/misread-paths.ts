/**
 * Paths that are well formed and still find nothing in any event, because they are written as another notation has
 * them: `$.n` (JSONPath), `properties.n` (from the root of the event), `a[0]` (an item of an array, which is kept as
 * one JSON text). A meter by such a path would count nothing for ever. Only what is given now is judged: a definition
 * that is stored stays what it is.
 *
 * Names with a dollar sign or brackets are fine otherwise (`$price`, `size[mm]`). What can't be measured: a property
 * inside an object that is itself called `$` or `properties`, and one whose own name ends with an index.
 */
import { parseExpression, propertiesOf } from '#schemas/expression.ts';
import { type Fault, fieldOf } from '#schemas/fault.ts';
import { conditionsMax, filterDepthMax } from '#schemas/filter.ts';
import { isPropertyPath } from '#schemas/property-path.ts';

/** What is wrong with a path, with the cure; undefined where nothing is. */
export const misreadPath = (path: string): string | undefined => {
  const parts = path.split('.');
  const [first, ...rest] = parts;
  if ((first === '$' || first === 'properties') && rest.length > 0)
    return `would find nothing: a path begins inside the properties of an event; write ${rest.join('.')}, not ${path}`;
  const indexed = parts.find((part) => /\[(?:[0-9]*|\*)\]$/.test(part));
  if (indexed !== undefined)
    return `would find nothing: an array is kept as one JSON text, so ${indexed} has no path; send what it stands for as a property of its own`;
  return undefined;
};

const faultOf = (path: unknown, field: string): Fault[] => {
  const message = isPropertyPath(path) ? misreadPath(path) : undefined;
  return message === undefined ? [] : [{ field, code: 'not_allowed', message }];
};

const ofExpression = (text: unknown): Fault[] => {
  const parsed = typeof text === 'string' ? parseExpression(text) : undefined;
  return parsed?.ok ? propertiesOf(parsed.value).flatMap((path) => faultOf(path, 'expression')) : [];
};

/** As far as a filter is read at all. */
const ofFilter = (json: unknown, field: string, depth: number): Fault[] => {
  if (typeof json !== 'object' || json === null || depth > filterDepthMax) return [];
  const { and, or, property } = json as { and?: unknown; or?: unknown; property?: unknown };
  const joint = and === undefined ? 'or' : 'and';
  const items = and ?? or;
  if (items === undefined) return faultOf(property, fieldOf(field, 'property'));
  if (!Array.isArray(items) || items.length > conditionsMax) return [];
  return items.flatMap((item, index) => ofFilter(item, `${fieldOf(field, joint)}[${index}]`, depth + 1));
};

/** Of the fields of a meter's definition that a request gives, whatever else is wrong with them. */
export const misreadPathFaults = (given: Readonly<Record<string, unknown>>): Fault[] => {
  const { property, expression, filter, group_by: groupBy } = given;
  return [
    ...faultOf(property, 'property'),
    ...ofExpression(expression),
    ...ofFilter(filter, 'filter', 1),
    ...(Array.isArray(groupBy) ? groupBy : [])
      .slice(0, 100)
      .flatMap((path, index) => faultOf(path, `group_by[${index}]`)),
  ];
};
