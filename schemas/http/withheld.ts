/**
 * Fields of an answer that are told to holders of a read scope alone. A field is marked once, in the schema of its
 * object, and is then left out of every answer to a key that may write the object but not read it. It is absent and not
 * null: null says that there is no value. Pure.
 */
import assert from 'node:assert/strict';
import { type Static, type TSchema, Type } from 'typebox';

const mark = 'x-needs-scope';

/** The field, for holders of the scope. */
export const toldTo = <S extends TSchema>(scope: string, schema: S) =>
  Type.Unsafe<Static<S>>({ ...schema, [mark]: scope } as never);

type Node = {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly required?: readonly string[];
  readonly [mark]?: string;
};

/** Routes have their schemas in common, and each is looked through once. */
const counted = new WeakMap<object, number>();

/** How many marks are in a schema, wherever they stand. */
const countMarks = (schema: unknown): number => {
  if (typeof schema !== 'object' || schema === null) return 0;
  const known = counted.get(schema);
  if (known !== undefined) return known;
  const own = (schema as Node)[mark] === undefined ? 0 : 1;
  const count = Object.values(schema).reduce<number>((sum, inner) => sum + countMarks(inner), own);
  counted.set(schema, count);
  return count;
};

/** The marked fields that `withhold` can take out: of objects and of lists of them. */
const fieldsIn = ({
  properties = {},
  items,
  required = [],
}: Node): { name: string; scope: string; isRequired: boolean }[] => [
  ...Object.entries(properties).flatMap(([name, field]) => [
    ...(field[mark] === undefined ? [] : [{ name, scope: field[mark], isRequired: required.includes(name) }]),
    ...fieldsIn(field),
  ]),
  ...(items ? fieldsIn(items) : []),
];

const without = (schema: Node, value: unknown, holds: (scope: string) => boolean): unknown => {
  const { properties, items } = schema;
  if (Array.isArray(value)) return items ? value.map((item) => without(items, item, holds)) : value;
  if (!properties || typeof value !== 'object' || value === null) return value;
  const told = Object.entries(value).filter(([name]) => {
    const scope = properties[name]?.[mark];
    return scope === undefined || holds(scope);
  });
  return Object.fromEntries(
    told.map(([name, inner]) => [name, properties[name] ? without(properties[name], inner, holds) : inner]),
  );
};

export type Withhold = (body: unknown, holds: (scope: string) => boolean) => unknown;

/**
 * Takes out of an answer of that form what its caller may not read. `isHeld`: the scopes that every caller of the route
 * holds. Undefined where there is nothing to take out. Throws where the form says that a field is always there which
 * may be left out.
 */
export const withholding = (schema: TSchema, isHeld: (scope: string) => boolean): Withhold | undefined => {
  const fields = fieldsIn(schema as Node);
  assert(countMarks(schema) === fields.length, 'a field that is told to some stands where it can not be left out');
  const open = fields.filter(({ scope }) => !isHeld(scope));
  if (open.length === 0) return undefined;
  for (const { name, isRequired } of open)
    assert(!isRequired, `${name} may be left out of an answer, and its schema says that it is always there`);
  return (body, holds) => without(schema as Node, body, holds);
};
