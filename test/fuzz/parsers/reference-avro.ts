/** The plain reader of a block of Avro in the public schema: every number a BigInt, every text a string. */
import type { Horizon } from '../../../ingest/parse/native.ts';
import type { Outcome } from './outcome.ts';
import { type Judged, judgeEvent, malformed, outcomeOf, textOf } from './reference-event.ts';
import type { JsonValue } from './reference-json.ts';

class Broken extends Error {}

/** The years that a date-time can name. */
const [earliestMs, latestMs] = [-62_135_596_800_000n, 253_402_300_799_999n];

const readerOf = (bytes: Buffer) => {
  let at = 1;
  const long = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined || shift > 63n) throw new Broken();
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (value >= 2n ** 64n) throw new Broken();
      return value % 2n === 0n ? value / 2n : -(value + 1n) / 2n;
    }
  };
  const text = (): string => {
    const length = long();
    if (length < 0n || length > BigInt(bytes.length - at)) throw new Broken();
    at += Number(length);
    const read = textOf(bytes.subarray(at - Number(length), at), false);
    if (read === undefined) throw new Broken();
    return read;
  };
  /** The map, and whether a name stands in it twice. */
  const map = (): { readonly fields: Map<string, JsonValue>; readonly hasTwins: boolean } => {
    const fields = new Map<string, JsonValue>();
    let hasTwins = false;
    for (let count = long(); count !== 0n; count = long()) {
      const size = count < 0n ? long() : undefined;
      const from = at;
      for (let left = count < 0n ? -count : count; left > 0n; left -= 1n) {
        const name = text();
        hasTwins ||= fields.has(name);
        fields.set(name, text());
      }
      if (size !== undefined && size !== BigInt(at - from)) throw new Broken();
    }
    return { fields, hasTwins };
  };
  const time = (): JsonValue => {
    const branch = long();
    if (branch === 0n) return null;
    if (branch !== 1n) throw new Broken();
    const ms = long();
    return new Date(Number(ms < earliestMs ? earliestMs : ms > latestMs ? latestMs : ms)).toISOString();
  };
  return { text, time, map, isAtEnd: () => at >= bytes.length };
};

export const judgeAvroBlock = (block: Buffer, horizon: Horizon): Outcome => {
  const reader = readerOf(block);
  const judged: Judged[] = [];
  try {
    for (let left = block[0] ?? 0; left > 0; left -= 1) {
      const fields = new Map<string, JsonValue>();
      for (const name of ['idempotency_key', 'event', 'customer_id']) fields.set(name, reader.text());
      fields.set('timestamp', reader.time());
      const properties = reader.map();
      fields.set('properties', { kind: 'object', fields: properties.fields });
      const one = judgeEvent({ kind: 'object', fields }, horizon);
      judged.push(properties.hasTwins ? { idempotencyKey: one.idempotencyKey, status: 'invalid' } : one);
    }
    if (!reader.isAtEnd()) throw new Broken();
  } catch (error) {
    if (error instanceof Broken) return malformed();
    throw error;
  }
  return outcomeOf(judged);
};
