/**
 * The schemas of an OpenAPI document, as generators of clients read them best. Pure. What every schema needs is done
 * here, where none can be forgotten: a type beside each enum and const, whether an object takes more fields, a map as
 * `additionalProperties`, and a name for whatever has a title.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { TSchema } from 'typebox';

export type Json = Record<string, unknown>;

/** Hold values and no schemas. */
const valueKeywords: ReadonlySet<string> = new Set(['const', 'default', 'enum', 'example', 'examples']);

/** Hold schemas by name: a property may be called as a keyword is. */
const namedKeywords: ReadonlySet<string> = new Set(['properties', 'patternProperties']);

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Number.isInteger(value) ? 'integer' : Array.isArray(value) ? 'array' : typeof value;

/** Generators make a type of an enum only where its type is said. */
const withType = (schema: Json): Json => {
  if (schema.type !== undefined || !('enum' in schema || 'const' in schema)) return schema;
  const types = [...new Set('const' in schema ? [typeOf(schema.const)] : (schema.enum as unknown[]).map(typeOf))];
  return { type: types.length === 1 ? types[0] : types, ...schema };
};

const anyNames: readonly string[] = ['^.*$', '^(.*)$'];

/**
 * A map whose names all have one pattern. Few generators know `patternProperties`: they make an object of it that has
 * no fields.
 */
const withMap = (schema: Json): Json => {
  const patterns = Object.entries((schema.patternProperties ?? {}) as Json);
  const [pattern] = patterns;
  if (pattern === undefined || patterns.length > 1 || schema.properties !== undefined) return schema;
  const { patternProperties: _, additionalProperties: _open, ...rest } = schema;
  return {
    ...rest,
    ...(anyNames.includes(pattern[0]) ? {} : { propertyNames: { pattern: pattern[0] } }),
    additionalProperties: pattern[1],
  };
};

/**
 * Open is what JSON Schema takes an object for that says nothing, and generators take the same for an object without
 * fields.
 */
const withOpenness = (schema: Json): Json =>
  schema.type === 'object' && schema.additionalProperties === undefined
    ? { ...schema, additionalProperties: true }
    : schema;

const isPlain = (schema: Json): boolean =>
  typeof schema.type === 'string' && !('enum' in schema) && !('const' in schema);

/** `T or null`, where T has no name: one schema of two types, whose description generators find where the field is. */
const withNull = (schema: Json): Json => {
  const { anyOf, ...rest } = schema;
  if (!Array.isArray(anyOf) || anyOf.length !== 2) return schema;
  const [value, nothing] = anyOf as [Json, Json];
  if (nothing.type !== 'null' || !isPlain(value)) return schema;
  return { ...value, ...rest, type: [value.type, 'null'] };
};

export type Components = {
  readonly schemas: Json;
  readonly responses: Json;
  /** Answers that are the same everywhere stand once. */
  readonly share: (name: string, response: Json) => Json;
  /** What is the same for every operation that it is asked for under the name, made once. */
  readonly once: (name: string, make: () => Json) => Json;
  /** A schema as JSON. One with a title becomes a component of that name, once. */
  readonly toJson: (schema: TSchema) => Json;
  /** The example of that name, or else of the schema, as the member of a parameter or a body. */
  readonly exampleOf: (name: string, schema?: TSchema) => { readonly example?: unknown };
  /** Examples that nothing asked for. */
  readonly unusedExamples: () => string[];
};

const refOf = (name: string): string => `#/components/schemas/${name}`;

/** Which value of the property leads to which member: each member says it by the const or enum that it has there. */
const mappingOf = (members: readonly Json[], property: string, schemas: Json): Json => {
  const entries = members.flatMap(({ $ref }) => {
    const { properties = {} } = (schemas[String($ref).split('/').at(-1) ?? ''] ?? {}) as {
      properties?: Record<string, Json>;
    };
    const { const: one, enum: several = [one] } = properties[property] ?? {};
    return (several as string[]).map((value) => [value, $ref] as const);
  });
  assert.equal(
    new Set(entries.map(([value]) => value)).size,
    entries.length,
    `${property} does not tell the members of a union apart`,
  );
  return Object.fromEntries(entries);
};

/** `examples` by the names of components. */
export const createComponents = (examples: Readonly<Record<string, unknown>>): Components => {
  const schemas: Json = {};
  const responses: Json = {};

  const used = new Set<string>();
  const exampleOf: Components['exampleOf'] = (name, schema) => {
    const { title, examples: own = [] } = (schema ?? {}) as { title?: string; examples?: readonly unknown[] };
    const found = [name, title].find((one) => one !== undefined && Object.hasOwn(examples, one));
    if (found === undefined) return own.length === 0 ? {} : { example: own[0] };
    used.add(found);
    return { example: examples[found] };
  };

  const withMapping = (schema: Json): Json => {
    const { discriminator, anyOf, ...rest } = schema as { discriminator?: { propertyName: string }; anyOf?: Json[] };
    if (!discriminator || !anyOf) return schema;
    const mapping = mappingOf(anyOf, discriminator.propertyName, schemas);
    return { ...rest, oneOf: anyOf, discriminator: { ...discriminator, mapping } };
  };
  const changes = [withType, withMap, withOpenness, withNull, withMapping];

  const innerJson = (keyword: string, inner: unknown): unknown => {
    if (valueKeywords.has(keyword)) return inner;
    if (!namedKeywords.has(keyword)) return toJson(inner);
    return Object.fromEntries(Object.entries(inner as Json).map(([name, schema]) => [name, toJson(schema)]));
  };
  // Routes have their schemas in common: an object that was made JSON once is not made again, and of what has become
  // the same object no comparison below looks at the inside.
  const known = new WeakMap<object, unknown>();
  const toJson = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const json = known.get(value) ?? (Array.isArray(value) ? value.map(toJson) : objectToJson(value));
    known.set(value, json);
    return json;
  };
  const objectToJson = (value: object): Json => {
    const { title } = value as { title?: string };
    const plain = Object.fromEntries(
      Object.entries(value).map(([keyword, inner]) => [keyword, innerJson(keyword, inner)]),
    );
    const json = changes.reduce((changed, change) => change(changed), plain);
    if (title === undefined) return json;
    const { example } = exampleOf(title);
    const named = example === undefined ? json : { ...json, examples: [example] };
    if (schemas[title] === undefined) schemas[title] = named;
    else assert.deepEqual(schemas[title], named, `two schemas have the title ${title}`);
    return { $ref: refOf(title) };
  };
  const share = (name: string, response: Json): Json => {
    if (responses[name] === undefined) responses[name] = response;
    return isDeepStrictEqual(responses[name], response) ? { $ref: `#/components/responses/${name}` } : response;
  };
  const made = new Map<string, Json>();
  const once: Components['once'] = (name, make) => {
    const json = made.get(name) ?? make();
    made.set(name, json);
    return json;
  };
  const unusedExamples = (): string[] => Object.keys(examples).filter((name) => !used.has(name));
  return { schemas, responses, share, once, exampleOf, unusedExamples, toJson: (schema) => toJson(schema) as Json };
};
