/**
 * Avro object containers (Avro 1.12, "Object Container Files"): bytes -> rows or faults. Events of the public schema
 * (schemas/usage-event.avsc), or of one without its null, are copied from the bytes as they stand, without an object
 * for any of them; events of another schema, and those that are not plain, are read by their types and judged as JSON
 * is. Pure: who drives it unpacks the blocks, and counts what is unpacked.
 */
import type { Fault } from '#schemas/failures.ts';
import { AvroReader, BrokenAvro } from './avro-reader.ts';
import { type AvroRecord, eventSchemaFault, type PlainTimes, parseAvroSchema, plainTimesOf } from './avro-schema.ts';
import type { BlockWriter, ParsedEvent, RejectedEvent } from './event-block.ts';
import { type Horizon, isInHorizon, parseNativeEvent } from './native.ts';
import { findPlainAvro } from './plain-avro.ts';
import { PlainEvent } from './plain-event.ts';

const magic = Buffer.from('Obj\x01', 'latin1');
const syncBytes = 16;
const metadataMax = 100;

export type AvroBlock = { readonly events: number; readonly data: Buffer };

export type Refused = { readonly kind: 'malformed' | 'schema'; readonly reason: string };

export type AvroContainer = {
  readonly codec: string;
  /** The next block, packed as it came; undefined behind the last one. */
  readonly next: () => AvroBlock | Refused | undefined;
  /** Writes the events of a block from what is in it. */
  readonly add: (events: number, unpacked: Buffer, writer: BlockWriter, horizon: Horizon) => Refused | undefined;
};

/** What `read` gives, or why the container can't be read on. */
const orRefused = <T>(read: () => T): T | Refused => {
  try {
    return read();
  } catch (error) {
    if (error instanceof BrokenAvro)
      return { kind: 'malformed', reason: `the Avro container is broken: ${error.message}` };
    throw error;
  }
};

const readMetadata = (reader: AvroReader): Map<string, Buffer> => {
  const metadata = new Map<string, Buffer>();
  for (let entries = 0; ; ) {
    const count = Number(reader.long());
    if (count === 0) return metadata;
    if (count < 0) reader.size();
    entries += Math.abs(count);
    if (entries > metadataMax) throw new BrokenAvro(`its header has more than ${metadataMax} entries`);
    for (let left = Math.abs(count); left > 0; left -= 1) {
      const name = reader.text();
      if (metadata.has(name)) throw new BrokenAvro(`its header has ${JSON.stringify(name.slice(0, 64))} twice`);
      metadata.set(name, reader.take(reader.size()));
    }
  }
};

const toEvent = (reader: AvroReader, type: AvroRecord, horizon: Horizon): ParsedEvent | RejectedEvent => {
  const faults: Fault[] = [];
  const { idempotency_key, event, customer_id, timestamp, properties } = reader.event(type, faults);
  const parsed = parseNativeEvent({ idempotency_key, event, customer_id, timestamp, properties }, horizon);
  if (faults.length === 0) return parsed;
  const more = 'status' in parsed && parsed.status === 'invalid' ? parsed.faults : [];
  return { status: 'invalid', idempotencyKey: parsed.idempotencyKey, faults: [...more, ...faults] };
};

type EventSchema = { readonly type: AvroRecord; readonly plainTimes: PlainTimes | undefined };

const readSchema = (text: Buffer): EventSchema | Refused => {
  const parsed = parseAvroSchema(text);
  if ('reason' in parsed) return { kind: 'schema', reason: parsed.reason };
  const reason = eventSchemaFault(parsed.type);
  return reason === undefined
    ? { type: parsed.type as AvroRecord, plainTimes: plainTimesOf(parsed.type) }
    : { kind: 'schema', reason };
};

/** The schema that was used last, by its text: those who send containers send the same one again and again. */
let last: { readonly text: Buffer; readonly schema: EventSchema } | undefined;

const schemaOf = (text: Buffer): EventSchema | Refused => {
  if (last?.text.equals(text)) return last.schema;
  const schema = readSchema(text);
  if (!('kind' in schema)) last = { text: Buffer.from(text), schema };
  return schema;
};

const plain = new PlainEvent();

const addEvents = (
  { type, plainTimes }: EventSchema,
  block: AvroBlock,
  writer: BlockWriter,
  horizon: Horizon,
): void => {
  const { events, data } = block;
  const reader = new AvroReader(data);
  for (let event = 0; event < events; event += 1) {
    const end = plainTimes ? findPlainAvro(data, reader.at, plainTimes === 'union', plain) : -1;
    if (end >= 0 && isInHorizon(plain.occurredAtMs, horizon) && writer.addUnseen(data, plain)) reader.at = end;
    else writer.add(toEvent(reader, type, horizon));
  }
  if (!reader.isAtEnd) throw new BrokenAvro(`a block has bytes behind its ${events} events`);
};

export const openAvroContainer = (body: Buffer): AvroContainer | Refused =>
  orRefused((): AvroContainer | Refused => {
    if (!body.subarray(0, magic.length).equals(magic))
      return { kind: 'malformed', reason: 'the body is no Avro object container' };
    const reader = new AvroReader(body, magic.length);
    const metadata = readMetadata(reader);
    const sync = reader.take(syncBytes);
    const text = metadata.get('avro.schema');
    const codec = metadata.get('avro.codec')?.toString('latin1') ?? 'null';
    const schema = text ? schemaOf(text) : { kind: 'schema' as const, reason: 'the container has none' };
    if ('kind' in schema) return schema;
    return {
      codec,
      next: () =>
        orRefused(() => {
          if (reader.isAtEnd) return undefined;
          const events = reader.size();
          const data = reader.take(reader.size());
          if (!reader.take(syncBytes).equals(sync))
            throw new BrokenAvro(`the sync marker before byte ${reader.at} is another one`);
          return { events, data };
        }),
      add: (events, unpacked, writer, horizon) =>
        orRefused(() => {
          addEvents(schema, { events, data: unpacked }, writer, horizon);
          return undefined;
        }),
    };
  });
