/** The formats: how production reads each, how the reference does, and which bodies are tried. */
import { withoutMark } from '#platform/json/json-text.ts';
import { openAvroContainer } from '../../../ingest/parse/avro.ts';
import { parseBatchBody, parseBinaryBody, parseStructuredBody } from '../../../ingest/parse/cloudevents.ts';
import { BlockWriter, type EventBlock } from '../../../ingest/parse/event-block.ts';
import { type Horizon, type ParsedBody, parseNativeBody, parseNativeEvent } from '../../../ingest/parse/native.ts';
import { type LineBlock, LineReader } from '../../../ingest/parse/ndjson.ts';
import { readJson, twinsOfItems } from '../../../ingest/parse/read-json.ts';
import { avroBlock, avroBody, avroContainer } from './avro-bodies.ts';
import { nativeBody } from './native-bodies.ts';
import { batchBody, binaryBody, binaryParts, linesBody, structuredBody } from './other-bodies.ts';
import { type Decoded, decodedBlock, eventsMax, lineBytesMax, type Outcome, origin } from './outcome.ts';
import type { Random } from './random.ts';
import { judgeAvroBlock } from './reference-avro.ts';
import { judgeNativeBody } from './reference-event.ts';
import { judgeBatch, judgeBinary, judgeLines, judgeStructured } from './reference-formats.ts';

export type Format = {
  readonly name: string;
  /** A body that is valid, or nearly. */
  readonly body: (random: Random) => Buffer;
  readonly production: (body: Buffer, horizon: Horizon) => Decoded;
  /** Without one, only that production ends, soon, and in an answer. */
  readonly reference?: (body: Buffer, horizon: Horizon) => Outcome;
  /** Production once more, without its short cuts, for a body that it took: it must give the same bytes. */
  readonly longWay?: (body: Buffer, horizon: Horizon) => Decoded;
};

/** A writer that has to grow again and again. */
const newWriter = (): BlockWriter => new BlockWriter(origin, 0);

type Reader = (body: Buffer, writer: BlockWriter, horizon: Horizon, eventsMax: number) => ParsedBody;

/** What a reader of whole bodies gives. */
const readBy =
  (read: Reader) =>
  (body: Buffer, horizon: Horizon): Decoded => {
    const writer = newWriter();
    const parsed = read(body, writer, horizon, eventsMax);
    return parsed.kind === 'events' ? decodedBlock(writer.done()) : { outcome: parsed };
  };

/** Every event by the general reader: what the plain one found must have the same rows and claims. */
const readNativeTheLongWay = (body: Buffer, horizon: Horizon): Decoded => {
  const writer = newWriter();
  const { value, twins } = readJson(withoutMark(body));
  const isBatch = typeof value === 'object' && value !== null && 'events' in value;
  const inside = isBatch ? value.events : value;
  if (Array.isArray(inside)) {
    const ofEvents = twinsOfItems(twins, isBatch ? 2 : 1);
    for (const [place, event] of inside.entries()) writer.add(parseNativeEvent(event, horizon, ofEvents.get(place)));
  } else writer.add(parseNativeEvent(inside, horizon, twins));
  return decodedBlock(writer.done());
};

/** Blocks of one body, behind each other, as if they were one. */
const joined = (blocks: readonly EventBlock[]): EventBlock => {
  let [rowBytes, rows, total] = [0, 0, 0];
  const parts = blocks.map((block) => {
    const [bytesBefore, rowsBefore, totalBefore] = [rowBytes, rows, total];
    rowBytes += block.rows.length;
    rows += block.ends.length;
    total += block.total;
    return {
      ends: block.ends.map((end) => end + bytesBefore),
      places: block.places.map((place) => place + totalBefore),
      untimed: block.untimed.map((row) => row + rowsBefore),
      rejected: block.rejected.map((one) => ({ ...one, place: one.place + totalBefore })),
    };
  });
  return {
    tenant: origin.tenant,
    total,
    rows: Buffer.concat(blocks.map((block) => block.rows)),
    claims: Buffer.concat(blocks.map((block) => block.claims)),
    ends: parts.flatMap(({ ends }) => ends),
    places: parts.flatMap(({ places }) => places),
    untimed: parts.flatMap(({ untimed }) => untimed),
    rejected: parts.flatMap(({ rejected }) => rejected),
  };
};

/** Lines as they come in chunks of this many bytes, taken in small blocks. */
const readLines = (body: Buffer, horizon: Horizon, chunkBytes: number, blockEventsMax: number): Decoded => {
  const open = () => ({ writer: newWriter(), horizon, receivedAtMs: origin.receivedAtMs });
  const reader = new LineReader(open, { blockEventsMax, blockBytesMax: 4000, lineBytesMax, eventsMax });
  const blocks: LineBlock[] = [];
  for (let at = 0; at < body.length; at += chunkBytes) {
    // The next chunk may come in the same memory: nothing of the last one may be held.
    const chunk = Buffer.from(body.subarray(at, at + chunkBytes));
    blocks.push(...reader.push(chunk));
    chunk.fill(0);
  }
  blocks.push(...reader.end());
  if (reader.isTooLong) return { outcome: { kind: 'too_many', events: eventsMax + 1 } };
  return decodedBlock(joined(blocks.map(({ block }) => block)));
};

/** Events of a container whose blocks are not packed. */
const readAvro = (container: Buffer, horizon: Horizon): Decoded => {
  const opened = openAvroContainer(container);
  if ('kind' in opened) return { outcome: { kind: 'malformed', reason: opened.reason } };
  const writer = newWriter();
  for (;;) {
    const block = opened.next();
    if (block === undefined) return decodedOrTooMany(writer);
    const refused = 'kind' in block ? block : opened.add(block.events, block.data, writer, horizon);
    if (refused) return { outcome: { kind: 'malformed', reason: refused.reason } };
  }
};

const decodedOrTooMany = (writer: BlockWriter): Decoded =>
  writer.total > eventsMax ? { outcome: { kind: 'too_many', events: writer.total } } : decodedBlock(writer.done());

/**
 * A time of 64 bits may be in no year that has a text. Such are out of every horizon that can be set, so they are here.
 */
const inYears = (horizon: Horizon): Horizon => ({
  ...horizon,
  pastMsMax: Math.min(horizon.pastMsMax, 6e13),
  futureMsMax: Math.min(horizon.futureMsMax, 1e14),
});

export const formats: readonly Format[] = [
  {
    name: 'json',
    body: nativeBody,
    production: readBy(parseNativeBody),
    reference: judgeNativeBody,
    longWay: readNativeTheLongWay,
  },
  {
    name: 'ndjson',
    body: linesBody,
    production: (body, horizon) => readLines(body, horizon, 1 + (body.length % 61), 3),
    reference: judgeLines,
    longWay: (body, horizon) => readLines(body, horizon, body.length, 100),
  },
  { name: 'cloudevent', body: structuredBody, production: readBy(parseStructuredBody), reference: judgeStructured },
  {
    name: 'cloudevent-binary',
    body: binaryBody,
    production: (body, horizon) => {
      const { headers, data } = binaryParts(body);
      const named = Object.fromEntries([...headers].map(([name, value]) => [`ce-${name}`, value]));
      return readBy((of, writer, within) => parseBinaryBody(named, of, writer, within))(data, horizon);
    },
    reference: judgeBinary,
  },
  { name: 'cloudevents-batch', body: batchBody, production: readBy(parseBatchBody), reference: judgeBatch },
  {
    name: 'avro',
    body: avroBlock,
    production: (block, horizon) => readAvro(avroContainer(block, 'plain'), inYears(horizon)),
    reference: (block, horizon) => judgeAvroBlock(block, inYears(horizon)),
    longWay: (block, horizon) => readAvro(avroContainer(block, 'other'), inYears(horizon)),
  },
  { name: 'avro-container', body: avroBody, production: (body, horizon) => readAvro(body, inYears(horizon)) },
];
