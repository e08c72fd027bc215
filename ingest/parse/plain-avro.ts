/**
 * Finds the parts of an event of the public schema in the bytes of an Avro block by their lengths, without looking at
 * its texts: these are judged while they are copied (`BlockWriter.addUnseen`). What is not plain, right or wrong, is
 * left to the general reader (avro-reader.ts).
 */
import { idBytesMax, type PlainEvent, plainBytesMax, plainPropertiesMax } from './plain-event.ts';

/** What lies behind the number that was read last. */
let next = 0;

/** A length: not negative, of up to three bytes. -1 for anything else. */
const lengthAt = (bytes: Buffer, at: number): number => {
  const first = bytes[at] as number;
  next = at + 1;
  // The lowest bit is the sign.
  if (first < 0x80) return (first & 1) === 0 ? first >>> 1 : -1;
  return longLengthAt(bytes, at, first);
};

const longLengthAt = (bytes: Buffer, at: number, first: number): number => {
  const second = bytes[at + 1] as number;
  next = at + 2;
  if ((first & 1) !== 0) return -1;
  if (second < 0x80) return ((first & 0x7f) | (second << 7)) >>> 1;
  const third = bytes[at + 2] as number;
  next = at + 3;
  return third < 0x80 ? ((first & 0x7f) | ((second & 0x7f) << 7) | (third << 14)) >>> 1 : -1;
};

/** The end of an id or a path whose length stands at `from`; it begins at `next`. -1 where it can't be one. */
const endOfName = (bytes: Buffer, from: number): number => {
  const length = lengthAt(bytes, from);
  const end = next + length;
  return length < 1 || length > idBytesMax || end > bytes.length ? -1 : end;
};

/** Milliseconds of up to 49 bits; NaN where there are none. */
const timeAt = (bytes: Buffer, from: number): number => {
  let low = 0;
  for (let at = from, shift = 0; at < from + 4; at += 1, shift += 7) {
    const byte = bytes[at] as number;
    low |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      next = at + 1;
      return low % 2 === 0 ? low / 2 : -(low + 1) / 2;
    }
  }
  let high = 0;
  for (let at = from + 4, shift = 0; at < from + 7; at += 1, shift += 7) {
    const byte = bytes[at] as number;
    high |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      next = at + 1;
      const value = high * 0x1000_0000 + low;
      return (low & 1) === 0 ? value / 2 : -(value + 1) / 2;
    }
  }
  return Number.NaN;
};

/** Finds the properties, block by block; returns what lies behind them, or -1. */
const findProperties = (bytes: Buffer, from: number, plain: PlainEvent): number => {
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
      at = endOfName(bytes, at);
      if (at < 0) return -1;
      bounds[of] = next;
      bounds[of + 1] = at;
      const length = lengthAt(bytes, at);
      at = next + length;
      if (length < 0 || at > bytes.length) return -1;
      bounds[of + 2] = next;
      bounds[of + 3] = at;
      if (!plain.place(bytes, properties)) return -1;
    }
  }
  plain.properties = properties;
  return at;
};

/** Finds the event that begins at `from`. Returns what lies behind it, or -1 where it is not plain. */
export const findPlainAvro = (bytes: Buffer, from: number, isTimeInUnion: boolean, plain: PlainEvent): number => {
  plain.keyTo = endOfName(bytes, from);
  plain.keyFrom = next;
  if (plain.keyTo < 0) return -1;
  plain.eventTo = endOfName(bytes, plain.keyTo);
  plain.eventFrom = next;
  if (plain.eventTo < 0) return -1;
  plain.customerTo = endOfName(bytes, plain.eventTo);
  plain.customerFrom = next;
  if (plain.customerTo < 0) return -1;
  // The branches of the union: null, and the time.
  const branch = isTimeInUnion ? bytes[plain.customerTo] : 2;
  next = isTimeInUnion ? plain.customerTo + 1 : plain.customerTo;
  plain.occurredAtMs = Number.NaN;
  if (branch === 2) {
    plain.occurredAtMs = timeAt(bytes, next);
    if (Number.isNaN(plain.occurredAtMs)) return -1;
  } else if (branch !== 0) return -1;
  const end = findProperties(bytes, next, plain);
  plain.bytes = end - from;
  return end >= 0 && plain.bytes <= plainBytesMax ? end : -1;
};
