/**
 * Blocks of Avro in the public schema (schemas/usage-event.avsc), and containers around them. A block is written here
 * as its number of events, one byte, and its data.
 */
import { readFileSync } from 'node:fs';
import { idText, nameText, numberText, stringText } from './json-texts.ts';
import { nowMs } from './outcome.ts';
import { type Random, times } from './random.ts';

/** A number as Avro writes it: zigzag, 7 bits a byte, the least significant first. */
const avroLong = (value: bigint): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
};

const ofBytes = (bytes: Buffer): Buffer => Buffer.concat([avroLong(BigInt(bytes.length)), bytes]);
const ofText = (text: string): Buffer => ofBytes(Buffer.from(text));
/** The text that a piece of JSON says. */
const said = (json: string): Buffer => ofText(JSON.parse(json));

const times64 = [
  0n,
  -1n,
  253_402_300_799_999n,
  253_402_300_800_000n,
  -62_135_596_800_000n,
  2n ** 48n - 1n,
  -(2n ** 48n),
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

/** The largest number, one of 65 bits, one that goes on behind its 64th bit, and a zero in more bytes than it needs. */
const oddLongs = [
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
  [0x80, 0x80, 0x00],
].map((bytes) => Buffer.from(bytes));

const timestamp = (random: Random): Buffer => {
  if (random.chance(0.2)) return avroLong(0n);
  if (random.chance(0.02)) return Buffer.concat([avroLong(1n), random.oneOf(oddLongs)]);
  const ms = random.chance(0.8) ? BigInt(nowMs - random.below(40 * 86_400_000)) : random.oneOf(times64);
  return Buffer.concat([avroLong(1n), avroLong(ms)]);
};

const entry = (random: Random, number: number): Buffer =>
  Buffer.concat([
    said(nameText(random, number)),
    random.chance(0.5) ? ofText(numberText(random)) : said(stringText(random)),
  ]);

/** A map in blocks, some of which say how many bytes they have. */
const properties = (random: Random): Buffer => {
  const parts: Buffer[] = [];
  for (let left = random.chance(0.02) ? random.oneOf([63, 64, 65, 256, 257]) : random.below(6); left > 0; ) {
    const count = random.chance(0.8) ? left : 1 + random.below(left);
    const items = Buffer.concat(
      times(count, (number) =>
        left > 60 ? Buffer.concat([ofText(`p${left}.${number}`), ofText('1')]) : entry(random, number),
      ),
    );
    parts.push(
      random.chance(0.8)
        ? avroLong(BigInt(count))
        : Buffer.concat([avroLong(BigInt(-count)), avroLong(BigInt(items.length + (random.chance(0.03) ? 1 : 0)))]),
      items,
    );
    left -= count;
  }
  return Buffer.concat([...parts, avroLong(0n)]);
};

const record = (random: Random): Buffer =>
  Buffer.concat([
    said(idText(random)),
    said(idText(random)),
    said(idText(random)),
    timestamp(random),
    properties(random),
  ]);

export const avroBlock = (random: Random): Buffer => {
  const records = times(random.below(5), () => record(random));
  return Buffer.concat([Buffer.from([random.chance(0.97) ? records.length : random.below(6)]), ...records]);
};

const sync = Buffer.alloc(16, 0x5a);
const schema: { readonly fields: readonly unknown[] } = JSON.parse(
  readFileSync(new URL('../../../schemas/usage-event.avsc', import.meta.url), 'utf8'),
);
/** The same bytes by another schema: a field of the type null has none. */
const otherSchema = { ...schema, fields: [...schema.fields, { name: 'nothing', type: 'null' }] };

const headerOf = (json: unknown): Buffer =>
  Buffer.concat([
    Buffer.from('Obj\x01', 'latin1'),
    avroLong(2n),
    ofText('avro.schema'),
    ofText(JSON.stringify(json)),
    ofText('avro.codec'),
    ofText('null'),
    avroLong(0n),
    sync,
  ]);
const headers = { plain: headerOf(schema), other: headerOf(otherSchema) };

export const avroContainer = (block: Buffer, header: keyof typeof headers): Buffer => {
  const data = block.subarray(1);
  return Buffer.concat([headers[header], avroLong(BigInt(block[0] ?? 0)), avroLong(BigInt(data.length)), data, sync]);
};

/** A whole container, for mutations of what is around the events. */
export const avroBody = (random: Random): Buffer => avroContainer(avroBlock(random), random.oneOf(['plain', 'other']));
