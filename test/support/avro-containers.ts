/** Avro object containers as clients write them, by avsc: the reader of the gateway is another program. */
import { readFileSync } from 'node:fs';
import { zstdCompress } from 'node:zlib';
import avro from 'avsc';

export const publicSchema = JSON.parse(readFileSync(new URL('../../schemas/usage-event.avsc', import.meta.url), 'utf8')) as avro.Schema;

export type AvroCodec = 'null' | 'deflate' | 'zstandard';

type Codecs = ConstructorParameters<typeof avro.streams.BlockEncoder>[1];

/** Longs go as bigint, as a double does not hold all of them. */
export const exactLongs = avro.types.LongType.__with({
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

export const avroContainer = async (values: readonly unknown[], schema: avro.Schema = publicSchema, codec: AvroCodec = 'null'): Promise<Buffer> => {
  const exact = (one: avro.Schema) =>
    one === 'long' || (typeof one === 'object' && 'type' in one && one.type === 'long') ? (exactLongs as avro.Type) : undefined;
  const codecs = { zstandard: (data: Buffer, done: (error: Error | null, packed?: Buffer) => void) => zstdCompress(data, done as never) };
  // The schema itself: of a type, avsc would leave the logical types away.
  const encoder = new avro.streams.BlockEncoder(schema, {
    ...{ codec, codecs: { ...avro.streams.BlockEncoder.defaultCodecs(), ...codecs } },
    ...(schema === publicSchema ? {} : { typeHook: exact }),
  } as Codecs);
  const parts: Buffer[] = [];
  encoder.on('data', (part: Buffer) => parts.push(part));
  for (const value of values) encoder.write(value);
  encoder.end();
  await new Promise((resolve, reject) => encoder.on('end', resolve).on('error', reject));
  return Buffer.concat(parts);
};

/** A number as Avro writes it. */
export const avroLong = (value: number | bigint): Buffer => {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
};

export const avroText = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([avroLong(bytes.length), bytes]);
};

export const sync = Buffer.alloc(16, 7);

export type RawBlock = { readonly count: number | bigint; readonly data: Buffer; readonly bytes?: number | bigint; readonly sync?: Buffer };

/** A container by hand, as no library would write it. */
export const rawContainer = (schema: string | Buffer, blocks: readonly RawBlock[], codec?: string): Buffer =>
  Buffer.concat([
    Buffer.from('Obj\x01', 'latin1'),
    avroLong(codec === undefined ? 1 : 2),
    avroText('avro.schema'),
    avroText(schema),
    ...(codec === undefined ? [] : [avroText('avro.codec'), avroText(codec)]),
    avroLong(0),
    sync,
    ...blocks.flatMap((block) => [avroLong(block.count), avroLong(block.bytes ?? block.data.length), block.data, block.sync ?? sync]),
  ]);
