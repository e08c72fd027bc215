/**
 * The schema that a container of Avro brings along (Avro 1.12, "Schema Declaration"), as types to read its values by.
 * It is a stranger's: its length and depth are bounded, and nothing is compiled from it.
 *
 * Rejected: avsc, which makes a function from the names in a schema with `new Function`, and reads on behind the end of
 * a block, so that an array of 2^50 items in 10 bytes keeps it busy for days.
 */
import { placeOf, twinMessage } from '#platform/json/json-scan.ts';
import { readJson, TooDeep } from './read-json.ts';

export type AvroType =
  | {
      readonly kind: 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string';
      readonly logicalType?: string;
      readonly scale?: number;
    }
  | { readonly kind: 'fixed'; readonly size: number; readonly scale?: number }
  | { readonly kind: 'enum'; readonly symbols: readonly string[] }
  | { readonly kind: 'array' | 'map'; readonly items: AvroType }
  | { readonly kind: 'union'; readonly branches: readonly AvroType[] }
  | AvroRecord;

/** Its fields follow once they are read: a record may be part of itself. */
export type AvroRecord = { readonly kind: 'record'; fields: readonly AvroField[] };
type AvroField = { readonly name: string; readonly type: AvroType };

export type ParsedSchema = { readonly type: AvroType } | { readonly reason: string };

const schemaBytesMax = 65_536;
const depthMax = 32;
/** Of a decimal: more places than any amount or quantity has here. */
const scaleMax = 40;
const fixedBytesMax = 65_536;

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const);
type Primitive = typeof primitives extends Set<infer P> ? P : never;
const isPrimitive = (name: string): name is Primitive => (primitives as Set<string>).has(name);

const nameShape = /^[A-Za-z_][A-Za-z0-9_]*$/;

type Json = Readonly<Record<string, unknown>>;

/** Ends the reading of a schema; caught in this file. */
class SchemaFault extends Error {}

const quoted = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80);

const nameOf = (name: unknown, what: string): string => {
  if (typeof name === 'string' && name.length <= 255 && nameShape.test(name)) return name;
  throw new SchemaFault(`${quoted(name)} is no name of ${what}`);
};

/** Full names to types, as they are met. */
class SchemaReader {
  readonly #named = new Map<string, AvroType>();

  type(schema: unknown, namespace: string, depth: number): AvroType {
    if (depth > depthMax) throw new SchemaFault(`it is nested deeper than ${depthMax}`);
    if (typeof schema === 'string') return this.#reference(schema, namespace);
    if (Array.isArray(schema)) return this.#union(schema, namespace, depth);
    if (typeof schema !== 'object' || schema === null) throw new SchemaFault(`${quoted(schema)} is no type`);
    const json = schema as Json;
    const { type } = json;
    if (type === 'array') return { kind: 'array', items: this.type(json.items, namespace, depth + 1) };
    if (type === 'map') return { kind: 'map', items: this.type(json.values, namespace, depth + 1) };
    if (type === 'record' || type === 'error' || type === 'enum' || type === 'fixed')
      return this.#define(type, json, namespace, depth);
    if (typeof type === 'string' && isPrimitive(type)) return { kind: type, ...logicalOf(json, type === 'bytes') };
    return this.type(type, namespace, depth + 1);
  }

  #reference(name: string, namespace: string): AvroType {
    if (isPrimitive(name)) return { kind: name };
    const found =
      this.#named.get(name.includes('.') || namespace === '' ? name : `${namespace}.${name}`) ?? this.#named.get(name);
    if (found) return found;
    throw new SchemaFault(`the type ${quoted(name)} is not defined`);
  }

  #union(branches: readonly unknown[], namespace: string, depth: number): AvroType {
    const read = branches.map((branch) => this.type(branch, namespace, depth + 1));
    if (read.length === 0 || read.some(({ kind }) => kind === 'union'))
      throw new SchemaFault('a union has branches, and none is a union');
    return { kind: 'union', branches: read };
  }

  #define(type: 'record' | 'error' | 'enum' | 'fixed', json: Json, outer: string, depth: number): AvroType {
    const parts = typeof json.name === 'string' ? json.name.split('.') : [];
    const name = nameOf(parts.pop(), `a ${type}`);
    const given = parts.length > 0 ? parts.join('.') : json.namespace;
    const namespace = typeof given === 'string' ? given : outer;
    const fullName = namespace === '' ? name : `${namespace}.${name}`;
    if (this.#named.has(fullName) || isPrimitive(fullName))
      throw new SchemaFault(`the type ${quoted(fullName)} is defined twice`);
    if (type === 'enum') {
      const { symbols } = json;
      if (!Array.isArray(symbols) || symbols.length === 0) throw new SchemaFault(`the enum ${name} has no symbols`);
      return this.#name(fullName, { kind: 'enum', symbols: symbols.map((symbol) => nameOf(symbol, 'a symbol')) });
    }
    if (type === 'fixed') {
      const { size } = json;
      if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > fixedBytesMax)
        throw new SchemaFault(`the fixed ${name} has no size up to ${fixedBytesMax}`);
      return this.#name(fullName, { kind: 'fixed', size, ...logicalOf(json, true) });
    }
    const { fields } = json;
    if (!Array.isArray(fields)) throw new SchemaFault(`the record ${name} has no fields`);
    const record: AvroRecord = { kind: 'record', fields: [] };
    this.#name(fullName, record);
    const seen = new Set<string>();
    record.fields = fields.map((field: unknown): AvroField => {
      const { name: given, type: of } = (field ?? {}) as Json;
      const fieldName = nameOf(given, 'a field');
      if (seen.has(fieldName)) throw new SchemaFault(`the field ${fieldName} is there twice`);
      seen.add(fieldName);
      return { name: fieldName, type: this.type(of, namespace, depth + 1) };
    });
    return record;
  }

  #name(fullName: string, type: AvroType): AvroType {
    this.#named.set(fullName, type);
    return type;
  }
}

/** A logical type that is not valid is none, and the type below it counts (Avro 1.12, "Logical Types"). */
const logicalOf = ({ logicalType, scale = 0 }: Json, isBytes: boolean): { logicalType?: string; scale?: number } => {
  if (typeof logicalType !== 'string') return {};
  if (logicalType !== 'decimal') return isBytes ? {} : { logicalType };
  const isScale = typeof scale === 'number' && Number.isInteger(scale) && scale >= 0 && scale <= scaleMax;
  return isBytes && isScale ? { scale } : {};
};

export const parseAvroSchema = (text: Buffer): ParsedSchema => {
  if (text.length > schemaBytesMax) return { reason: `it has more than ${schemaBytesMax} bytes` };
  try {
    const { value, twins, text: json } = readJson(text);
    const [twin] = twins;
    if (twin) return { reason: `${twinMessage(String(twin.path.at(-1)))}, at ${placeOf(json, twin.at)}` };
    return { type: new SchemaReader().type(value, '', 0) };
  } catch (error) {
    if (error instanceof SchemaFault || error instanceof SyntaxError || error instanceof TooDeep)
      return { reason: error.message };
    throw error;
  }
};

const ticks: Readonly<Record<string, bigint>> = {
  'timestamp-millis': 1n,
  'timestamp-micros': 1_000n,
  'timestamp-nanos': 1_000_000n,
};

/**
 * How many of a time's units make a millisecond; undefined for what is no such number. A long that says nothing of its
 * unit holds milliseconds, as the canonical form of our schema has none and some writers leave it away: of another
 * unit, its times are decades off and none of them is taken.
 */
export const ticksPerMs = (type: AvroType): bigint | undefined =>
  type.kind === 'long' ? ticks[type.logicalType ?? 'timestamp-millis'] : undefined;

/** In the order in which our schema has them. */
export const eventFields: ReadonlySet<string> = new Set([
  'idempotency_key',
  'event',
  'customer_id',
  'timestamp',
  'properties',
]);
const required = ['idempotency_key', 'event', 'customer_id'];

/** Why no events can be read by a schema. Its further fields are skipped, as Avro's rules of resolution have it. */
export const eventSchemaFault = (type: AvroType): string | undefined => {
  if (type.kind !== 'record') return 'an event is a record';
  const missing = required.filter((name) => !type.fields.some((field) => field.name === name));
  if (missing.length > 0) return `the record has no field ${missing.join(', ')}`;
  const timestamp = type.fields.find(({ name }) => name === 'timestamp')?.type;
  const branches = timestamp?.kind === 'union' ? timestamp.branches : timestamp ? [timestamp] : [];
  const isTime = (of: AvroType): boolean => of.kind === 'null' || of.kind === 'string' || ticksPerMs(of) !== undefined;
  return branches.every(isTime)
    ? undefined
    : 'timestamp is a long with the logicalType timestamp-millis, timestamp-micros or timestamp-nanos, a string, or null';
};

const isPlain = (type: AvroType | undefined, kind: AvroType['kind']): boolean => type?.kind === kind;

/**
 * How a time stands in the bytes of events that are otherwise those of schemas/usage-event.avsc: as there behind the
 * branch of a union, or by itself.
 */
export type PlainTimes = 'union' | 'always';

/** Undefined where the bytes are others. The names of types play no part in it, the order of fields does. */
export const plainTimesOf = (type: AvroType): PlainTimes | undefined => {
  if (type.kind !== 'record' || type.fields.map(({ name }) => name).join() !== [...eventFields].join())
    return undefined;
  const [key, event, customer, timestamp, properties] = type.fields as [
    AvroField,
    AvroField,
    AvroField,
    AvroField,
    AvroField,
  ];
  if (![key, event, customer].every((field) => isPlain(field.type, 'string'))) return undefined;
  if (properties.type.kind !== 'map' || !isPlain(properties.type.items, 'string')) return undefined;
  if (ticksPerMs(timestamp.type) === 1n) return 'always';
  const [nothing, time, ...more] = timestamp.type.kind === 'union' ? timestamp.type.branches : [];
  return isPlain(nothing, 'null') && time !== undefined && ticksPerMs(time) === 1n && more.length === 0
    ? 'union'
    : undefined;
};
