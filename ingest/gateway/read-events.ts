/** A body that was read, in whatever form, to a block of events: or the refusal of it as a whole. */
import { FailureError } from '#schemas/failures.ts';
import { type AvroBlock, openAvroContainer, type Refused } from '../parse/avro.ts';
import { isBinaryMode, parseBatchBody, parseBinaryBody, parseStructuredBody } from '../parse/cloudevents.ts';
import { type ParsedBody, parseNativeBody } from '../parse/native.ts';
import type { OpenBlock } from '../parse/ndjson.ts';
import { avroCodecs } from './decompress.ts';
import { Format } from './formats.ts';
import type { Hold } from './in-flight.ts';

export type ReadLimits = { readonly eventsMax: number; readonly bodyBytesMax: number };

type Headers = Parameters<typeof parseBinaryBody>[0];

const tooMany = (events: number, eventsMax: number): FailureError =>
  new FailureError('TOO_MANY_EVENTS', `${events} events; the limit is ${eventsMax} a request`);

const refusal = ({ kind, reason }: Refused): FailureError =>
  kind === 'malformed'
    ? new FailureError('MALFORMED_BODY', reason)
    : new FailureError('UNUSABLE_AVRO_SCHEMA', `The schema can't be used: ${reason}`);

/** The names that a caller of this form knows: what Redis finds out later is told by them, too. */
export const keyFieldOf = (format: Format, headers: Headers): string =>
  format === Format.cloudEvent || format === Format.cloudEvents || (format === Format.json && isBinaryMode(headers))
    ? 'id'
    : 'idempotency_key';

const parse = (
  format: Format,
  body: Buffer,
  headers: Headers,
  { writer, horizon }: OpenBlock,
  eventsMax: number,
): ParsedBody => {
  if (format === Format.cloudEvent) return parseStructuredBody(body, writer, horizon);
  if (format === Format.cloudEvents) return parseBatchBody(body, writer, horizon, eventsMax);
  if (isBinaryMode(headers)) return parseBinaryBody(headers, body, writer, horizon);
  return parseNativeBody(body, writer, horizon, eventsMax);
};

/** Everything but lines and Avro. Throws what refuses the whole. */
export const readText = (
  format: Format,
  body: Buffer,
  headers: Headers,
  open: OpenBlock,
  { eventsMax }: ReadLimits,
): void => {
  const parsed = parse(format, body, headers, open, eventsMax);
  if (parsed.kind === 'malformed') throw new FailureError('MALFORMED_BODY', parsed.reason);
  if (parsed.kind === 'too_many') throw tooMany(parsed.events, eventsMax);
};

const isRefused = (value: AvroBlock | Refused): value is Refused => 'kind' in value;

/** Block by block: what a block unpacks to is let go before the next. */
export const readAvro = async (
  body: Buffer,
  { writer, horizon }: OpenBlock,
  limits: ReadLimits,
  hold: Hold,
): Promise<void> => {
  const container = openAvroContainer(body);
  if ('kind' in container) throw refusal(container);
  const unpack = avroCodecs.get(container.codec);
  if (!unpack)
    throw new FailureError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The Avro codec ${container.codec.slice(0, 64)} is not read: use ${[...avroCodecs.keys()].join(', ')}`,
    );
  let bytesLeft = limits.bodyBytesMax;
  for (let block = container.next(); block !== undefined; block = container.next()) {
    if (isRefused(block)) throw refusal(block);
    if (writer.total + block.events > limits.eventsMax) throw tooMany(writer.total + block.events, limits.eventsMax);
    const data = await unpack(block.data, bytesLeft);
    bytesLeft -= data.length;
    if (data !== block.data) hold.grow(data.length);
    const refused = container.add(block.events, data, writer, horizon);
    if (refused) throw refusal(refused);
  }
};
