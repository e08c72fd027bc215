/**
 * The events of one request as the rest of ingest sees them: rows ready for the stream, back to back in one buffer, and
 * what is claimed for each. No object stands for an event, so a request of 200 costs the collector as much as a request
 * of one.
 */
import { isUtf8 } from 'node:buffer';
import type { Fault } from '#schemas/fault.ts';
import { type Property, rowOffsets, stringType, writeInteger } from '#schemas/usage-event.ts';
import { hashInto, keyHashInto, type Seeds } from './key-hash.ts';
import type { PlainEvent } from './plain-event.ts';

export type ParsedEvent = {
  readonly idempotencyKey: string;
  readonly event: string;
  readonly customer: string;
  /** Undefined where the caller left it to us: then it is the time of receipt. */
  readonly occurredAtMs: number | undefined;
  readonly properties: readonly Property[];
};

export type RejectedEvent = {
  readonly status: 'invalid' | 'too_old' | 'in_future';
  readonly idempotencyKey: string | undefined;
  readonly faults: readonly Fault[];
};

/**
 * What is claimed for an event: 10 bytes that stand for its key, and 4 of its payload, which tell a retry from a
 * conflict.
 */
export const claimBytes = 14;
export const digestBytes = 10;

export type Rejection = {
  readonly place: number;
  readonly idempotencyKey: string | undefined;
  readonly status: RejectedEvent['status'];
  readonly faults: readonly Fault[];
};

/**
 * Events of one organization that arrived together. An event is named by its place in the request, a row by its
 * position in the block.
 */
export type EventBlock = {
  readonly tenant: string;
  /** Events in the request, those that are rejected included. */
  readonly total: number;
  readonly rows: Buffer;
  /** Where each row ends in `rows`. */
  readonly ends: readonly number[];
  readonly places: readonly number[];
  /** `claimBytes` for each row. */
  readonly claims: Buffer;
  /** Positions of the rows whose time is ours: the caller gave none. */
  readonly untimed: readonly number[];
  readonly rejected: readonly Rejection[];
};

/** Whose events, under which seeds, and when they arrived. */
export type BlockOrigin = { readonly tenant: string; readonly seeds: Seeds; readonly receivedAtMs: number };

export const startOfRow = ({ ends }: EventBlock, position: number): number =>
  position === 0 ? 0 : (ends[position - 1] as number);

/** The idempotency key of a row, read back. */
export const keyOfRow = (block: EventBlock, position: number): string => {
  const { rows } = block;
  let at = startOfRow(block, position) + rowOffsets.texts;
  const lengthAt = (): number => {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = rows[at] as number;
      at += 1;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) return length;
    }
  };
  const tenantBytes = lengthAt();
  at += tenantBytes;
  const length = lengthAt();
  return rows.toString('utf8', at, at + length);
};

/** Faults of one answer; of events beyond it, only the first fault is listed. */
const faultsPerRequestMax = 10_000;

const lanes = new Int32Array(4);
const dot = 0x2e;

/** Builds a block, event by event. `bytes` is a guess of how many the rows will have. */
export class BlockWriter {
  #rows: Buffer;
  #claims: Buffer;
  #at = 0;
  #ends: number[] = [];
  #places: number[] = [];
  #untimed: number[] = [];
  #rejected: Rejection[] = [];
  #faultsLeft = faultsPerRequestMax;
  #place = 0;
  readonly #origin: BlockOrigin;
  /** The beginning of every row: no sequence, no time yet, the receipt, the tenant. */
  readonly #opening: Buffer;

  constructor(origin: BlockOrigin, bytes: number) {
    this.#origin = origin;
    this.#rows = Buffer.allocUnsafe(Math.max(bytes, 512));
    this.#claims = Buffer.allocUnsafe(claimBytes * Math.max(4, Math.ceil(bytes / 128)));
    const tenantBytes = Buffer.byteLength(origin.tenant);
    this.#opening = Buffer.alloc(rowOffsets.texts + 1 + tenantBytes);
    writeInteger(this.#opening, origin.receivedAtMs, rowOffsets.receivedAt);
    this.#opening[rowOffsets.texts] = tenantBytes;
    this.#opening.write(origin.tenant, rowOffsets.texts + 1);
  }

  /** Events so far, rejected ones included. */
  get total(): number {
    return this.#place;
  }

  /** Events that were rejected so far. */
  get rejected(): number {
    return this.#rejected.length;
  }

  /** Adds an event whose bytes were found plain: they are copied as they stand in the body. */
  addPlain(body: Buffer, plain: PlainEvent): void {
    // A text grows by its length, of one to three bytes, and a property by its type; in JSON the quotes and commas
    // around it were longer, and in Avro a plain event has no more than 64 properties.
    this.#reserve(plain.bytes + 64);
    this.#open(plain.occurredAtMs);
    this.#copy(body, plain.keyFrom, plain.keyTo);
    const keyTo = this.#at;
    this.#copy(body, plain.eventFrom, plain.eventTo);
    this.#copy(body, plain.customerFrom, plain.customerTo);
    const { bounds } = plain;
    this.#length(plain.properties);
    for (let property = 0; property < plain.properties; property += 1) {
      const of = (plain.order[property] as number) * 4;
      this.#copy(body, bounds[of] as number, bounds[of + 1] as number);
      this.#rows[this.#at] = stringType;
      this.#at += 1;
      this.#copy(body, bounds[of + 2] as number, bounds[of + 3] as number);
    }
    this.#close(keyTo - (plain.keyTo - plain.keyFrom), keyTo, plain.occurredAtMs);
  }

  /**
   * Adds an event whose parts were found by their lengths alone, if they are plain: its texts are looked at while they
   * are copied. False where one is not plain; then nothing was added.
   */
  addUnseen(body: Buffer, found: PlainEvent): boolean {
    const from = this.#at;
    this.#reserve(found.bytes + 64);
    this.#open(found.occurredAtMs);
    const isPlain = this.#copyUnseen(body, found);
    if (!isPlain) {
      this.#at = from;
      if (Number.isNaN(found.occurredAtMs)) this.#untimed.pop();
    }
    return isPlain;
  }

  #copyUnseen(body: Buffer, found: PlainEvent): boolean {
    if (!this.#copyId(body, found.keyFrom, found.keyTo)) return false;
    const keyTo = this.#at;
    if (
      !this.#copyId(body, found.eventFrom, found.eventTo) ||
      !this.#copyId(body, found.customerFrom, found.customerTo)
    )
      return false;
    const { bounds } = found;
    this.#length(found.properties);
    for (let property = 0; property < found.properties; property += 1) {
      const of = (found.order[property] as number) * 4;
      if (!this.#copyPath(body, bounds[of] as number, bounds[of + 1] as number)) return false;
      this.#rows[this.#at] = stringType;
      this.#at += 1;
      if (!this.#copyText(body, bounds[of + 2] as number, bounds[of + 3] as number)) return false;
    }
    this.#close(keyTo - (found.keyTo - found.keyFrom), keyTo, found.occurredAtMs);
    return true;
  }

  /** Adds an event that was parsed, or what is wrong with it. */
  add(parsed: ParsedEvent | RejectedEvent): void {
    if ('status' in parsed) this.#reject(parsed);
    else this.#write(parsed);
  }

  #write(parsed: ParsedEvent): void {
    const occurredAtMs = parsed.occurredAtMs ?? Number.NaN;
    let bytes = 64;
    for (const [path, value] of parsed.properties) bytes += 3 * (path.length + value.length) + 8;
    this.#reserve(bytes + 3 * (parsed.idempotencyKey.length + parsed.event.length + parsed.customer.length));
    this.#open(occurredAtMs);
    const keyBytes = this.#text(parsed.idempotencyKey);
    const keyTo = this.#at;
    this.#text(parsed.event);
    this.#text(parsed.customer);
    this.#length(parsed.properties.length);
    for (const [path, value] of parsed.properties) {
      this.#text(path);
      this.#rows[this.#at] = stringType;
      this.#at += 1;
      this.#text(value);
    }
    this.#close(keyTo - keyBytes, keyTo, occurredAtMs);
  }

  #reject({ idempotencyKey, status, faults }: RejectedEvent): void {
    const listed = faults.slice(0, Math.max(this.#faultsLeft, 1));
    this.#faultsLeft -= listed.length;
    this.#rejected.push({ place: this.#place, idempotencyKey, status, faults: listed });
    this.#place += 1;
  }

  /** Forgets all events. */
  clear(): void {
    this.#at = 0;
    this.#ends = [];
    this.#places = [];
    this.#untimed = [];
    this.#rejected = [];
    this.#faultsLeft = faultsPerRequestMax;
    this.#place = 0;
  }

  done(): EventBlock {
    return {
      tenant: this.#origin.tenant,
      total: this.#place,
      rows: this.#rows.subarray(0, this.#at),
      ends: this.#ends,
      places: this.#places,
      claims: this.#claims.subarray(0, this.#ends.length * claimBytes),
      untimed: this.#untimed,
      rejected: this.#rejected,
    };
  }

  #reserve(bytes: number): void {
    const needed = this.#at + this.#opening.length + bytes;
    if (needed <= this.#rows.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#rows.length));
    this.#rows.copy(larger, 0, 0, this.#at);
    this.#rows = larger;
  }

  #open(occurredAtMs: number): void {
    this.#rows.set(this.#opening, this.#at);
    const untimed = Number.isNaN(occurredAtMs);
    if (untimed) this.#untimed.push(this.#ends.length);
    writeInteger(this.#rows, untimed ? this.#origin.receivedAtMs : occurredAtMs, this.#at + rowOffsets.occurredAt);
    this.#at += this.#opening.length;
  }

  #length(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) {
      this.#rows[this.#at] = (rest & 0x7f) | 0x80;
      this.#at += 1;
    }
    this.#rows[this.#at] = rest;
    this.#at += 1;
  }

  /** A text as its length and bytes. Most are short: a call of `copy` would cost more than the loop. */
  #copy(source: Buffer, from: number, to: number): void {
    this.#length(to - from);
    const rows = this.#rows;
    let at = this.#at;
    if (to - from > 48) at += source.copy(rows, at, from, to);
    else
      for (let of = from; of < to; of += 1) {
        rows[at] = source[of] as number;
        at += 1;
      }
    this.#at = at;
  }

  /** Copies a text; false where it has control characters or is no UTF-8. */
  #copyId(source: Buffer, from: number, to: number): boolean {
    this.#length(to - from);
    const rows = this.#rows;
    let at = this.#at;
    let bits = 0;
    for (let of = from; of < to; of += 1) {
      const byte = source[of] as number;
      // Behind 0xc2 stand the control characters from U+0080 to U+009F.
      if (byte < 0x20) return false;
      if (byte >= 0x7f && (byte === 0x7f || (byte === 0xc2 && (source[of + 1] as number) < 0xa0))) return false;
      bits |= byte;
      rows[at] = byte;
      at += 1;
    }
    this.#at = at;
    return bits < 0x80 || isUtf8(source.subarray(from, to));
  }

  /** Copies a path; false where it is not printable ASCII, or a part between its dots is empty. */
  #copyPath(source: Buffer, from: number, to: number): boolean {
    this.#length(to - from);
    const rows = this.#rows;
    let at = this.#at;
    let before = dot;
    for (let of = from; of < to; of += 1) {
      const byte = source[of] as number;
      if (byte < 0x20 || byte >= 0x7f || (byte === dot && before === dot)) return false;
      before = byte;
      rows[at] = byte;
      at += 1;
    }
    this.#at = at;
    return before !== dot;
  }

  /** Copies a text; false where it is no UTF-8. */
  #copyText(source: Buffer, from: number, to: number): boolean {
    if (to - from > 48) {
      this.#copy(source, from, to);
      return isUtf8(source.subarray(from, to));
    }
    this.#length(to - from);
    const rows = this.#rows;
    let at = this.#at;
    let bits = 0;
    for (let of = from; of < to; of += 1) {
      const byte = source[of] as number;
      bits |= byte;
      rows[at] = byte;
      at += 1;
    }
    this.#at = at;
    return bits < 0x80 || isUtf8(source.subarray(from, to));
  }

  /** Writes a text, and says how many bytes it has. */
  #text(text: string): number {
    const bytes = Buffer.byteLength(text);
    this.#length(bytes);
    this.#at += this.#rows.write(text, this.#at);
    return bytes;
  }

  #close(keyFrom: number, keyTo: number, occurredAtMs: number): void {
    const { seeds } = this.#origin;
    const from = this.#ends.length * claimBytes;
    if (from + claimBytes > this.#claims.length) {
      const larger = Buffer.allocUnsafe(2 * this.#claims.length);
      this.#claims.copy(larger, 0, 0, from);
      this.#claims = larger;
    }
    const claims = this.#claims;
    hashInto(lanes, this.#rows, keyFrom, keyTo, seeds);
    claims[from + 8] = lanes[0] as number;
    claims[from + 9] = (lanes[0] as number) >>> 8;
    keyHashInto(lanes, this.#rows, keyFrom, keyTo, seeds);
    put(claims, from, lanes[0] as number);
    put(claims, from + 4, lanes[1] as number);
    // The payload is what the caller said: a time of ours is none of it.
    hashInto(lanes, this.#rows, keyTo, this.#at, seeds);
    const time = Number.isNaN(occurredAtMs)
      ? 0x2545f491
      : Math.imul(occurredAtMs | 0, 0x9e3779b1) ^ Math.floor(occurredAtMs / 4_294_967_296);
    put(claims, from + digestBytes, Math.imul((lanes[0] as number) ^ time, 0x85ebca6b) ^ (lanes[1] as number));
    this.#ends.push(this.#at);
    this.#places.push(this.#place);
    this.#place += 1;
  }
}

const put = (target: Buffer, at: number, word: number): void => {
  target[at] = word;
  target[at + 1] = word >>> 8;
  target[at + 2] = word >>> 16;
  target[at + 3] = word >>> 24;
};
