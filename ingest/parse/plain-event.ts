/**
 * Finds the parts of a plain JSON event in the bytes of a body, without making a string or an object: one pass, offsets
 * only. Plain is what most events are: the fields of their form, texts without escapes, properties without nesting,
 * numbers as they will be stored. Anything else, right or wrong, is left to the general reader of the form (native.ts,
 * cloudevents.ts), which also words the faults; so this one may refuse at will, and must never take what the other
 * refuses or reads in another way. The fuzzer of the parsers holds both side by side.
 */
import { plainInstant } from './plain-instant.ts';

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;
const minus = 0x2d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const letterN = 0x6e;
const letterT = 0x74;
const letterF = 0x66;
const firstPrintable = 0x20;
const del = 0x7f;
const c1Lead = 0xc2;

export const idBytesMax = 255;
export const plainPropertiesMax = 64;
export const plainBytesMax = 16_384;
const digitsMax = 15;

const words = { null: Buffer.from('null'), true: Buffer.from('true'), false: Buffer.from('false') };

/** What a field is to the event. `other`: a text that must be there and is not kept; `word`: that very text. */
type Role = 'key' | 'event' | 'customer' | 'time' | 'properties' | 'other' | 'word';

type Field = {
  readonly name: Buffer;
  readonly role: Role;
  readonly bit: number;
  readonly word?: Buffer | undefined;
};

/** The fields of a form, by the length of their names, and those that an event needs, as bits. */
export type PlainForm = { readonly fields: readonly (readonly Field[] | undefined)[]; readonly required: number };

type FieldOf = readonly [name: string, role: Role, isRequired: boolean, word?: string];

const formOf = (of: readonly FieldOf[]): PlainForm => {
  const fields = of.map(([name, role, , word], index) => ({
    name: Buffer.from(name),
    role,
    bit: 1 << index,
    word: word === undefined ? undefined : Buffer.from(word),
  }));
  const ofLength = Map.groupBy(fields, ({ name }) => name.length);
  return {
    fields: Array.from({ length: nameBytesMax + 1 }, (_, length) => ofLength.get(length)),
    required: of.reduce((bits, [, , isRequired], index) => (isRequired ? bits | (1 << index) : bits), 0),
  };
};

const nameBytesMax = 15;

export const nativeForm = formOf([
  ['idempotency_key', 'key', true],
  ['event', 'event', true],
  ['customer_id', 'customer', true],
  ['timestamp', 'time', false],
  ['properties', 'properties', false],
]);

/** Without extensions: which names are sent twice would have to be told of any name. */
export const cloudEventForm = formOf([
  ['specversion', 'word', true, '1.0'],
  ['id', 'key', true],
  ['source', 'other', true],
  ['type', 'event', true],
  ['subject', 'customer', true],
  ['time', 'time', false],
  ['datacontenttype', 'word', false, 'application/json'],
  ['data', 'properties', false],
]);

/** What lies behind white space. */
export const skipSpace = (body: Buffer, from: number): number => {
  let at = from;
  for (;;) {
    const byte = body[at] as number;
    // Most bodies have none: one comparison then tells.
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return at;
    at += 1;
  }
};

const holds = (body: Buffer, from: number, word: Buffer): boolean => {
  for (let at = 0; at < word.length; at += 1) if (body[from + at] !== word[at]) return false;
  return true;
};

/** The end of an id behind its opening quote, where it is plain; -1 otherwise. */
const endOfId = (body: Buffer, from: number): number => {
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at] as number;
    if (byte === quote) return at > from && at - from <= idBytesMax ? at : -1;
    // Behind 0xc2 stand the control characters from U+0080 to U+009F; ASCII costs one comparison.
    if (byte < firstPrintable || byte === backslash) return -1;
    if (byte >= del && (byte === del || (byte === c1Lead && (body[at + 1] as number) < 0xa0))) return -1;
  }
  return -1;
};

/** The end of a property's path behind its opening quote: printable ASCII, and no empty part between its dots. */
const endOfPath = (body: Buffer, from: number): number => {
  let before = dot;
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at] as number;
    if (byte === quote) return before !== dot && at - from <= idBytesMax ? at : -1;
    if (byte < firstPrintable || byte === backslash || byte >= del || (byte === dot && before === dot)) return -1;
    before = byte;
  }
  return -1;
};

const endOfText = (body: Buffer, from: number): number => {
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at] as number;
    if (byte === quote) return at;
    if (byte < firstPrintable || byte === backslash) return -1;
  }
  return -1;
};

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= zero && byte <= nine;

/**
 * The end of a number whose text is already the one that is stored: no exponent, no zero that could be left out, no
 * more digits than a double keeps.
 */
const endOfNumber = (body: Buffer, from: number): number => {
  let at = body[from] === minus ? from + 1 : from;
  const first = at;
  while (isDigit(body[at])) at += 1;
  if (at === first || (body[first] === zero && at > first + 1)) return -1;
  let digits = at - first;
  if (body[at] === dot) {
    const fraction = at + 1;
    at = fraction;
    while (isDigit(body[at])) at += 1;
    if (at === fraction || body[at - 1] === zero) return -1;
    digits += at - fraction;
  } else if (body[from] === minus && body[first] === zero) return -1;
  const next = body[at];
  return digits > digitsMax || next === 0x65 || next === 0x45 ? -1 : at;
};

export class PlainEvent {
  keyFrom = 0;
  keyTo = 0;
  eventFrom = 0;
  eventTo = 0;
  customerFrom = 0;
  customerTo = 0;
  /** NaN where the event has none. */
  occurredAtMs = Number.NaN;
  /** Bytes of the whole event. */
  bytes = 0;
  /** How many properties, the ones that are null left out. */
  properties = 0;
  /** Four offsets for each property: its path and its value. The order is that of the paths. */
  readonly bounds = new Int32Array(4 * plainPropertiesMax);
  readonly order = new Uint8Array(plainPropertiesMax);

  readonly #form: PlainForm;

  constructor(form = nativeForm) {
    this.#form = form;
  }

  /** Reads the event that begins at `from` with its brace. Returns what lies behind it, or -1 where it is not plain. */
  read(body: Buffer, from: number): number {
    this.occurredAtMs = Number.NaN;
    this.properties = 0;
    const { required } = this.#form;
    let seen = 0;
    let at = skipSpace(body, from + 1);
    for (;;) {
      if (body[at] !== quote) return -1;
      const nameFrom = at + 1;
      at = nameFrom;
      while (at - nameFrom <= nameBytesMax && body[at] !== quote) at += 1;
      const field = this.#fieldOf(body, nameFrom, at);
      if (field === undefined || (seen & field.bit) !== 0) return -1;
      seen |= field.bit;
      at = skipSpace(body, at + 1);
      if (body[at] !== colon) return -1;
      at = this.#readField(body, skipSpace(body, at + 1), field);
      if (at < 0) return -1;
      at = skipSpace(body, at);
      const byte = body[at];
      at += 1;
      if (byte === closeBrace) break;
      if (byte !== comma) return -1;
      at = skipSpace(body, at);
    }
    this.bytes = at - from;
    return (seen & required) === required && this.bytes <= plainBytesMax ? at : -1;
  }

  /** The field of that name. */
  #fieldOf(body: Buffer, from: number, to: number): Field | undefined {
    const ofLength = this.#form.fields[to - from];
    if (ofLength === undefined) return undefined;
    for (let index = 0; index < ofLength.length; index += 1) {
      const field = ofLength[index] as Field;
      if (holds(body, from, field.name)) return field;
    }
    return undefined;
  }

  /** Reads the value of a field; returns what lies behind it, or -1. */
  #readField(body: Buffer, from: number, { role, word }: Field): number {
    const isText = body[from] === quote;
    if (role === 'properties')
      return body[from] === openBrace ? this.#readProperties(body, from) : endOfNull(body, from);
    if (role === 'time' && !isText) return endOfNull(body, from);
    if (!isText) return -1;
    const end = endOfId(body, from + 1);
    if (end < 0) return -1;
    if (role === 'key') {
      this.keyFrom = from + 1;
      this.keyTo = end;
    } else if (role === 'event') {
      this.eventFrom = from + 1;
      this.eventTo = end;
    } else if (role === 'customer') {
      this.customerFrom = from + 1;
      this.customerTo = end;
    } else if (role === 'time') {
      this.occurredAtMs = plainInstant(body, from + 1, end);
      if (Number.isNaN(this.occurredAtMs)) return -1;
    } else if (word !== undefined && (end - from - 1 !== word.length || !holds(body, from + 1, word))) return -1;
    return end + 1;
  }

  #readProperties(body: Buffer, from: number): number {
    const { bounds } = this;
    let count = 0;
    let nulls = 0;
    let at = skipSpace(body, from + 1);
    if (body[at] === closeBrace) return at + 1;
    for (;;) {
      if (body[at] !== quote || count === plainPropertiesMax) return -1;
      const of = 4 * count;
      const pathTo = endOfPath(body, at + 1);
      if (pathTo < 0) return -1;
      bounds[of] = at + 1;
      bounds[of + 1] = pathTo;
      at = skipSpace(body, pathTo + 1);
      if (body[at] !== colon) return -1;
      at = skipSpace(body, at + 1);
      const first = body[at];
      const isText = first === quote;
      const valueFrom = isText ? at + 1 : at;
      let end: number;
      if (isText) end = endOfText(body, valueFrom);
      else if (first === letterN) end = endOfNull(body, at);
      else if (first === letterT) end = holds(body, at, words.true) ? at + 4 : -1;
      else if (first === letterF) end = holds(body, at, words.false) ? at + 5 : -1;
      else end = endOfNumber(body, at);
      if (end < 0) return -1;
      const isNull = first === letterN;
      if (isNull) nulls += 1;
      bounds[of + 2] = isNull ? -1 : valueFrom;
      bounds[of + 3] = end;
      if (!this.place(body, count)) return -1;
      count += 1;
      at = skipSpace(body, isText ? end + 1 : end);
      const byte = body[at];
      at += 1;
      if (byte === closeBrace) break;
      if (byte !== comma) return -1;
      at = skipSpace(body, at);
    }
    this.properties = nulls === 0 ? count : this.#withoutNulls(count);
    return at;
  }

  /** Puts the property of this number in its place; false where its path is there already. */
  place(body: Buffer, property: number): boolean {
    const { bounds, order } = this;
    let place = property;
    for (; place > 0; place -= 1) {
      const other = order[place - 1] as number;
      const difference = comparePaths(body, bounds, other * 4, property * 4);
      if (difference === 0) return false;
      if (difference < 0) break;
      order[place] = other;
    }
    order[place] = property;
    return true;
  }

  #withoutNulls(count: number): number {
    const { bounds, order } = this;
    let kept = 0;
    for (let place = 0; place < count; place += 1) {
      const property = order[place] as number;
      if ((bounds[property * 4 + 2] as number) < 0) continue;
      order[kept] = property;
      kept += 1;
    }
    return kept;
  }
}

const endOfNull = (body: Buffer, from: number): number => (holds(body, from, words.null) ? from + 4 : -1);

const comparePaths = (body: Buffer, bounds: Int32Array, a: number, b: number): number => {
  const aFrom = bounds[a] as number;
  const bFrom = bounds[b] as number;
  const aBytes = (bounds[a + 1] as number) - aFrom;
  const bBytes = (bounds[b + 1] as number) - bFrom;
  const shared = Math.min(aBytes, bBytes);
  for (let at = 0; at < shared; at += 1) {
    const difference = (body[aFrom + at] as number) - (body[bFrom + at] as number);
    if (difference !== 0) return difference;
  }
  return aBytes - bBytes;
};

/** What lies behind an object or array of any kind, told by its braces alone; -1 where there is no such end. */
export const endOfNested = (body: Buffer, from: number): number => {
  let depth = 0;
  for (let at = from; at < body.length; at += 1) {
    const byte = body[at];
    if (byte === quote) {
      at += 1;
      while (at < body.length && body[at] !== quote) at += body[at] === backslash ? 2 : 1;
    } else if (byte === openBrace || byte === 0x5b) depth += 1;
    else if (byte === closeBrace || byte === 0x5d) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
};
