/**
 * Avro object containers: the events in them by avsc, which the gateway does not read with, and what is around them by
 * hand, so that a test can break it.
 */
import { readFileSync } from 'node:fs';
import { deflateRawSync, zstdCompressSync } from 'node:zlib';
import avro from 'avsc';

export const publicSchema = JSON.parse(
  readFileSync(new URL('../../schemas/usage-event.avsc', import.meta.url), 'utf8'),
) as avro.Schema;

/** Longs are bigint here, as a double does not hold all of them. */
const exactLongs = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : Number(a > b)),
});

const isLong = (schema: avro.Schema): boolean =>
  schema === 'long' || (typeof schema === 'object' && 'type' in schema && schema.type === 'long');

/** A number as Avro writes it. */
export const avroLong = (value: number | bigint): Buffer => {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
};

export const avroText = (text: string | Buffer): Buffer => {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return Buffer.concat([avroLong(bytes.length), bytes]);
};

const sync = Buffer.alloc(16, 7);

export type RawBlock = {
  readonly count: number | bigint;
  readonly data: Buffer;
  /** What the block says of its length, where that is a lie. */
  readonly bytes?: number | bigint;
  readonly sync?: Buffer;
};

export const rawContainer = (schema: unknown, blocks: readonly RawBlock[], codec?: string): Buffer =>
  Buffer.concat([
    Buffer.from('Obj\x01', 'latin1'),
    avroLong(codec === undefined ? 1 : 2),
    avroText('avro.schema'),
    avroText(typeof schema === 'string' || Buffer.isBuffer(schema) ? schema : JSON.stringify(schema)),
    ...(codec === undefined ? [] : [avroText('avro.codec'), avroText(codec)]),
    avroLong(0),
    sync,
    ...blocks.flatMap((block) => [
      avroLong(block.count),
      avroLong(block.bytes ?? block.data.length),
      block.data,
      block.sync ?? sync,
    ]),
  ]);

const pack = { null: (data: Buffer) => data, deflate: deflateRawSync, zstandard: zstdCompressSync } as const;

export const avroContainer = (
  values: readonly unknown[],
  schema: avro.Schema = publicSchema,
  codec: keyof typeof pack = 'null',
  eventsPerBlock = 100,
): Buffer => {
  const type = avro.Type.forSchema(schema, {
    typeHook: (one: avro.Schema) => (isLong(one) ? exactLongs : undefined),
  } as never);
  const blocks = Array.from({ length: Math.ceil(values.length / eventsPerBlock) }, (_, block): RawBlock => {
    const events = values.slice(block * eventsPerBlock, (block + 1) * eventsPerBlock);
    return { count: events.length, data: pack[codec](Buffer.concat(events.map((value) => type.toBuffer(value)))) };
  });
  return rawContainer(schema, blocks, codec);
};
