/**
 * Finds the parts of a plain event of the public schema in the bytes of an Avro block, as plain-event.ts does in JSON: offsets only. What is not plain, right or
 * wrong, is left to the general reader (avro-reader.ts).
 */
import { isUtf8 } from 'node:buffer';
import { idBytesMax, type PlainEvent, plainBytesMax, plainPropertiesMax } from './plain-event.ts';

const dot = 0x2e;
const del = 0x7f;
const firstPrintable = 0x20;

/** What lies behind the length that was read last. */
let next = 0;

/** A length: not negative, of up to three bytes. -1 for anything else. */
const lengthAt = (bytes: Buffer, at: number): number => {
  const first = bytes[at] as number;
  next = at + 1;
  // The lowest bit is the sign.
  if (first < 0x80) return (first & 1) === 0 ? first >>> 1 : -1;
  const second = bytes[at + 1] as number;
  next = at + 2;
  if ((first & 1) !== 0) return -1;
  if (second < 0x80) return ((first & 0x7f) | (second << 7)) >>> 1;
  const third = bytes[at + 2] as number;
  next = at + 3;
  return third < 0x80 ? ((first & 0x7f) | ((second & 0x7f) << 7) | (third << 14)) >>> 1 : -1;
};

/** The end of an id, where it is one without control characters; -1 otherwise. */
const endOfId = (bytes: Buffer, from: number, length: number): number => {
  const end = from + length;
  if (length < 1 || length > idBytesMax || end > bytes.length) return -1;
  let all = 0;
  for (let at = from; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte < firstPrintable || byte === del) return -1;
    all |= byte;
  }
  return all < 0x80 || isUtf8(bytes.subarray(from, end)) ? end : -1;
};

/** The end of a path: printable ASCII, and no empty part between its dots. */
const endOfPath = (bytes: Buffer, from: number, length: number): number => {
  const end = from + length;
  if (length < 1 || length > idBytesMax || end > bytes.length) return -1;
  let before = dot;
  for (let at = from; at < end; at += 1) {
    const byte = bytes[at] as number;
    if (byte < firstPrintable || byte >= del || (byte === dot && before === dot)) return -1;
    before = byte;
  }
  return before === dot ? -1 : end;
};

const endOfText = (bytes: Buffer, from: number, length: number): number => {
  const end = from + length;
  if (length < 0 || end > bytes.length) return -1;
  let all = 0;
  for (let at = from; at < end; at += 1) all |= bytes[at] as number;
  return all < 0x80 || isUtf8(bytes.subarray(from, end)) ? end : -1;
};

/** Milliseconds of up to 49 bits behind the branch of the union that stands at `from`; NaN where there is none, or they are none. */
const timeAt = (bytes: Buffer, from: number): number => {
  let value = 0;
  let factor = 1;
  for (let at = from; at < from + 7; at += 1, factor *= 128) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) {
      next = at + 1;
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
  }
  return Number.NaN;
};

/** Reads the properties, block by block; returns what lies behind them, or -1. */
const readProperties = (bytes: Buffer, from: number, plain: PlainEvent): number => {
  const { bounds } = plain;
  let properties = 0;
  let at = from;
  for (;;) {
    const count = lengthAt(bytes, at);
    at = next;
    if (count < 0 || properties + count > plainPropertiesMax) return -1;
    if (count === 0) break;
    for (const end = properties + count; properties < end; properties += 1) {
      const of = 4 * properties;
      const pathBytes = lengthAt(bytes, at);
      bounds[of] = next;
      at = endOfPath(bytes, next, pathBytes);
      if (at < 0) return -1;
      bounds[of + 1] = at;
      const valueBytes = lengthAt(bytes, at);
      bounds[of + 2] = next;
      at = endOfText(bytes, next, valueBytes);
      if (at < 0) return -1;
      bounds[of + 3] = at;
      if (!plain.place(bytes, properties)) return -1;
    }
  }
  plain.properties = properties;
  return at;
};

/** Reads the event that begins at `from`. Returns what lies behind it, or -1 where it is not plain. */
export const readPlainAvro = (bytes: Buffer, from: number, plain: PlainEvent): number => {
  const keyBytes = lengthAt(bytes, from);
  plain.keyFrom = next;
  plain.keyTo = endOfId(bytes, next, keyBytes);
  if (plain.keyTo < 0) return -1;
  const eventBytes = lengthAt(bytes, plain.keyTo);
  plain.eventFrom = next;
  plain.eventTo = endOfId(bytes, next, eventBytes);
  if (plain.eventTo < 0) return -1;
  const customerBytes = lengthAt(bytes, plain.eventTo);
  plain.customerFrom = next;
  plain.customerTo = endOfId(bytes, next, customerBytes);
  if (plain.customerTo < 0) return -1;
  // The branches of the union: null, and the time.
  const branch = bytes[plain.customerTo];
  next = plain.customerTo + 1;
  plain.occurredAtMs = Number.NaN;
  if (branch === 2) {
    plain.occurredAtMs = timeAt(bytes, next);
    if (Number.isNaN(plain.occurredAtMs)) return -1;
  } else if (branch !== 0) return -1;
  const end = readProperties(bytes, next, plain);
  plain.bytes = end - from;
  return end >= 0 && plain.bytes <= plainBytesMax ? end : -1;
};
