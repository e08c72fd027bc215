/**
 * Reads values of Avro's binary form (Avro 1.12, "Binary Encoding") by their types. Nothing is believed of a length or
 * a count but what the bytes hold; values without bytes, of which a stranger could order any number, are counted too.
 * Pure.
 */
import { isUtf8 } from 'node:buffer';
import { inexactNumber, significantDigitsMax, significantDigitsOf } from '#schemas/exact-numbers.ts';
import type { Fault } from '#schemas/failures.ts';
import { type AvroRecord, type AvroType, eventFields, ticksPerMs } from './avro-schema.ts';

/**
 * The bytes are not what their schema says: of a whole container, as nothing behind such a place can be found. Caught
 * by avro.ts.
 */
export class BrokenAvro extends Error {}

const depthMax = 64;
/**
 * An event has at most 256 properties and 64 KiB of them: who says that it holds more values than this has no event.
 */
const valuesPerEventMax = 70_000;
/** Beside as many values as there are bytes twice over. */
const spareValues = 10_000;

/** The shortest decimal that is read back as the same number of 32 bits. */
const floatText = (value: number): string => {
  for (let digits = 6; digits < 9; digits += 1) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return text;
  }
  return value.toPrecision(9);
};

/** A number as a double carries it, or by its text where that has more digits. */
const exactNumber = (text: string): unknown =>
  significantDigitsOf(text) > significantDigitsMax ? inexactNumber(text) : Number(text);

/** Two's complement, most significant byte first, as decimal digits. */
const decimalText = (bytes: Buffer, scale: number): string => {
  const unsigned = BigInt(`0x${bytes.toString('hex') || '0'}`);
  const value = BigInt.asIntN(8 * bytes.length, unsigned);
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const [whole, fraction] = [
    digits.slice(0, digits.length - scale),
    digits.slice(digits.length - scale).replace(/0+$/, ''),
  ];
  return `${value < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
};

const earliestMs = -62_135_596_800_000;
const latestMs = 253_402_300_799_999;

/**
 * Digits beyond the milliseconds are cut off, as those of a text are. A year that no text can name is as far away as
 * the last one that can be.
 */
const instantText = (value: bigint, ticks: bigint): string => {
  const rest = ((value % ticks) + ticks) % ticks;
  const ms = Number((value - rest) / ticks);
  return new Date(Math.min(Math.max(ms, earliestMs), latestMs)).toISOString();
};

export class AvroReader {
  at: number;
  readonly #bytes: Buffer;
  #valuesLeft: number;
  #ofEventLeft = 0;
  /** Where the value that is read now stands in its event. */
  readonly #path: string[] = [];
  #faults: Fault[] = [];

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.at = at;
    this.#valuesLeft = 2 * bytes.length + spareValues;
  }

  get isAtEnd(): boolean {
    return this.at === this.#bytes.length;
  }

  /**
   * An event as JSON would hold it: longs beyond its numbers, decimals and times as text. Adds what is wrong in the
   * fields of ours to the faults.
   */
  event(type: AvroRecord, faults: Fault[]): Readonly<Record<string, unknown>> {
    this.#ofEventLeft = valuesPerEventMax;
    this.#path.length = 0;
    const event: Record<string, unknown> = Object.create(null);
    for (const { name, type: of } of type.fields) {
      this.#faults = eventFields.has(name) ? faults : [];
      event[name] = name === 'timestamp' ? this.#timestamp(of) : this.#named(name, of, 1);
    }
    return event;
  }

  take(length: number): Buffer {
    const from = this.at;
    if (length > this.#bytes.length - from)
      throw new BrokenAvro(`${length} bytes are announced at byte ${from}, and fewer are left`);
    this.at = from + length;
    return this.#bytes.subarray(from, this.at);
  }

  /** A count or a length: not negative, and no larger than 2^53. */
  size(): number {
    const from = this.at;
    const value = this.long();
    if (typeof value === 'bigint' || value < 0) throw new BrokenAvro(`the length at byte ${from} is ${value}`);
    return value;
  }

  /** A number of 64 bits, as one where a double carries it. */
  long(): number | bigint {
    let low = 0;
    let factor = 1;
    for (let byte = 0; byte < 7; byte += 1, factor *= 128) {
      const bits = this.#byte();
      low += (bits & 0x7f) * factor;
      if (bits < 0x80) return low % 2 === 0 ? low / 2 : -(low + 1) / 2;
    }
    let value = BigInt(low);
    for (let shift = 49n; ; shift += 7n) {
      const bits = this.#byte();
      value |= BigInt(bits & 0x7f) << shift;
      if (bits < 0x80) break;
      if (shift >= 63n) throw new BrokenAvro(`the number that ends at byte ${this.at} has more than 64 bits`);
    }
    if (value >= 1n << 64n) throw new BrokenAvro(`the number that ends at byte ${this.at} has more than 64 bits`);
    const signed = (value >> 1n) ^ -(value & 1n);
    return signed >= BigInt(Number.MIN_SAFE_INTEGER) && signed <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(signed)
      : signed;
  }

  text(): string {
    const bytes = this.take(this.size());
    if (!isUtf8(bytes)) throw new BrokenAvro(`the text that ends at byte ${this.at} is not UTF-8`);
    return bytes.toString('utf8');
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new BrokenAvro(`byte ${this.at} is missing`);
    this.at += 1;
    return byte;
  }

  #value(type: AvroType, depth: number): unknown {
    this.#valuesLeft -= 1;
    this.#ofEventLeft -= 1;
    if (this.#valuesLeft < 0 || this.#ofEventLeft < 0)
      throw new BrokenAvro(`there are more values at byte ${this.at} than an event may have`);
    if (depth > depthMax) throw new BrokenAvro(`values are nested deeper than ${depthMax}`);
    switch (type.kind) {
      case 'null':
        return null;
      case 'boolean':
        return this.#boolean();
      case 'int':
      case 'long':
        return this.#integer();
      case 'float':
        return exactNumber(floatText(this.take(4).readFloatLE(0)));
      case 'double':
        return exactNumber(String(this.take(8).readDoubleLE(0)));
      case 'string':
        return this.text();
      case 'bytes':
        return this.#bytesValue(this.take(this.size()), type.scale);
      case 'fixed':
        return this.#bytesValue(this.take(type.size), type.scale);
      case 'enum':
        return this.#choice(type.symbols);
      case 'union':
        return this.#value(this.#choice(type.branches), depth);
      case 'array':
        return this.#array(type.items, depth);
      case 'map':
        return this.#map(type.items, depth);
      case 'record':
        return Object.fromEntries(
          type.fields.map((field) => [field.name, this.#named(field.name, field.type, depth + 1)]),
        );
    }
  }

  #named(name: string, type: AvroType, depth: number): unknown {
    this.#path.push(name);
    const value = this.#value(type, depth);
    this.#path.pop();
    return value;
  }

  #timestamp(type: AvroType): unknown {
    if (type.kind === 'union') return this.#timestamp(this.#choice(type.branches));
    const ticks = ticksPerMs(type);
    return ticks === undefined ? this.#named('timestamp', type, 1) : instantText(BigInt(this.long()), ticks);
  }

  #boolean(): boolean {
    const byte = this.#byte();
    if (byte > 1) throw new BrokenAvro(`the boolean before byte ${this.at} is ${byte}`);
    return byte === 1;
  }

  #integer(): unknown {
    const value = this.long();
    // Digits beyond what a JSON number carries stay as text; where one stands alone, that is the same property.
    return Math.abs(Number(value)) < 10 ** significantDigitsMax ? value : String(value);
  }

  #bytesValue(bytes: Buffer, scale: number | undefined): unknown {
    if (scale !== undefined && bytes.length <= 64) return decimalText(bytes, scale);
    this.#fault('wrong_type', 'bytes have no text: send a string, or a decimal of up to 64 bytes');
    return null;
  }

  #choice<T>(of: readonly T[]): T {
    const place = this.size();
    const chosen = of[place];
    if (chosen === undefined) throw new BrokenAvro(`there is no branch ${place}, before byte ${this.at}`);
    return chosen;
  }

  /** Items come in blocks that say how many they are; a negative number says in bytes, too, how long the block is. */
  #eachItem(read: () => void): void {
    for (;;) {
      const count = this.long();
      if (count === 0) return;
      const isSized = count < 0;
      const bytes = isSized ? this.size() : 0;
      const end = this.at + bytes;
      for (let left = isSized ? -Number(count) : Number(count); left > 0; left -= 1) read();
      if (isSized && this.at !== end)
        throw new BrokenAvro(`a block of items ends at byte ${this.at}, and not at ${end} as it says`);
    }
  }

  #array(items: AvroType, depth: number): unknown[] {
    const values: unknown[] = [];
    this.#eachItem(() => values.push(this.#value(items, depth + 1)));
    return values;
  }

  #map(values: AvroType, depth: number): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    this.#eachItem(() => {
      const key = this.text();
      const isTwin = entries.has(key);
      entries.set(key, this.#named(key, values, depth + 1));
      if (isTwin) this.#fault('duplicate', 'is given twice', key);
    });
    return Object.fromEntries(entries);
  }

  #fault(code: string, message: string, ...more: readonly string[]): void {
    if (this.#faults.length < 100)
      this.#faults.push({ field: [...this.#path, ...more].join('.').slice(0, 300), code, message });
  }
}
