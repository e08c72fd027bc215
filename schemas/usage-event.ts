/**
 * The usage event as a row, which is what travels in the stream and what ClickHouse reads (its format RowBinary:
 * columns one after the other, numbers little-endian, a text behind its length). A row, in order:
 *
 *   stream_sequence  8 bytes, zero until the sink knows it
 *   occurred_at      8 bytes, milliseconds since 1970
 *   received_at      8 bytes, milliseconds since 1970
 *   tenant, idempotency_key, event, customer   texts
 *   properties       how many, then for each its path (a text), the byte 0x15 (ClickHouse's type String) and its value
 *                    (a text)
 *
 * Rejected: Avro with the properties as JSON text. ClickHouse spends 2.5 of its 5 microseconds a row on parsing that
 * text into the JSON column; paths and values by themselves it takes as they are, at twice the speed. Rejected: its
 * columnar format Native; no faster, and harder to cut.
 */

export type UsageEvent = {
  readonly tenant: string;
  readonly idempotencyKey: string;
  readonly event: string;
  readonly customer: string;
  readonly occurredAtMs: number;
  readonly receivedAtMs: number;
  /** Dotted path and value of each, in order of the paths. */
  readonly properties: readonly Property[];
};

export type Property = readonly [path: string, value: string];

/** Where the fixed fields of a row stand. */
export const rowOffsets = { sequence: 0, occurredAt: 8, receivedAt: 16, texts: 24 } as const;

/** The names and types of a row's columns, as ClickHouse's `input` wants them. */
export const rowColumns = `stream_sequence UInt64, occurred_at DateTime64(3, 'UTC'), received_at DateTime64(3, 'UTC'), tenant String, idempotency_key String,
  event String, customer String, properties JSON(max_dynamic_paths = 256)`;

/** ClickHouse's binary code of the type String, which every property's value has. */
export const stringType = 0x15;

/** Writes whole milliseconds, or a sequence: up to 2^53, least significant byte first. */
export const writeInteger = (target: Buffer, value: number, at: number): void => {
  const low = value >>> 0;
  target[at] = low;
  target[at + 1] = low >>> 8;
  target[at + 2] = low >>> 16;
  target[at + 3] = low >>> 24;
  // Floor, and not a shift: a time before 1970 is negative.
  const high = Math.floor(value / 4_294_967_296);
  target[at + 4] = high;
  target[at + 5] = high >>> 8;
  target[at + 6] = high >>> 16;
  target[at + 7] = high >>> 24;
};

export const readInteger = (source: Buffer, at: number): number =>
  source.readUInt32LE(at) + source.readInt32LE(at + 4) * 4_294_967_296;

/**
 * A stream message: a mark, how many rows it holds, the length of each, and the rows. The lengths are what lets the
 * sink put the sequence into each row without reading it.
 */
const messageMark = 0x4d524d01;
const headerBytes = 8;

export const messageBytesOf = (rows: number, rowBytes: number): number => headerBytes + 4 * rows + rowBytes;

/** A message of `lengths.length` rows; the caller writes these from `rowsAt` on. */
export const newMessage = (lengths: readonly number[]): { readonly message: Buffer; readonly rowsAt: number } => {
  let rowBytes = 0;
  for (const length of lengths) rowBytes += length;
  const message = Buffer.allocUnsafe(messageBytesOf(lengths.length, rowBytes));
  message.writeUInt32BE(messageMark, 0);
  message.writeUInt32LE(lengths.length, 4);
  let at = headerBytes;
  for (const length of lengths) at = message.writeUInt32LE(length, at);
  return { message, rowsAt: at };
};

/** How many rows a message holds, from its first bytes. Throws on a body that is no message. */
export const countInMessage = (body: Buffer): number => {
  const count = body.length < headerBytes || body.readUInt32BE(0) !== messageMark ? 0 : body.readUInt32LE(4);
  if (count === 0 || headerBytes + 4 * count > body.length) throw new Error('not a message of usage events');
  return count;
};

/** Where each row of a message begins, and last of all where they end. Throws on a body that is no message. */
export const rowBoundsOf = (body: Buffer): Uint32Array => {
  const count = countInMessage(body);
  const bounds = new Uint32Array(count + 1);
  let at = headerBytes + 4 * count;
  for (let row = 0; row < count; row += 1) {
    bounds[row] = at;
    at += body.readUInt32LE(headerBytes + 4 * row);
  }
  if (at !== body.length) throw new Error('a message of usage events with a wrong length');
  bounds[count] = at;
  return bounds;
};

/**
 * The rows of a message, each with the sequence that the stream gave the message written into it, in place. Throws on a
 * body that is no message.
 */
export const rowsWithSequence = (body: Buffer, sequence: number): Buffer => {
  const count = countInMessage(body);
  const rowsAt = headerBytes + 4 * count;
  let at = rowsAt;
  for (let row = 0; row < count; row += 1) {
    const length = body.readUInt32LE(headerBytes + 4 * row);
    if (length < rowOffsets.texts || at + length > body.length)
      throw new Error('a message of usage events with a wrong length');
    writeInteger(body, sequence, at + rowOffsets.sequence);
    at += length;
  }
  if (at !== body.length) throw new Error('a message of usage events with bytes that belong to no row');
  return body.subarray(rowsAt);
};

/** A length as it stands before a text: seven bits a byte, the least first; and where the text begins. */
export const readLength = (source: Buffer, from: number): { readonly value: number; readonly next: number } => {
  let value = 0;
  let at = from;
  for (let factor = 1; ; factor *= 128, at += 1) {
    const byte = source.readUInt8(at);
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: at + 1 };
  }
};

/** Reads the row at `from`; says where it ends, and the sequence that stands in it. Throws on bytes that are none. */
const readRow = (
  source: Buffer,
  from: number,
): { readonly event: UsageEvent; readonly sequence: bigint; readonly next: number } => {
  let at = from + rowOffsets.texts;
  const readText = (): string => {
    const { value, next } = readLength(source, at);
    if (next + value > source.length) throw new Error('a text that ends behind its row');
    at = next + value;
    return source.toString('utf8', next, at);
  };
  const [tenant, idempotencyKey, event, customer] = [readText(), readText(), readText(), readText()];
  const { value: count, next } = readLength(source, at);
  at = next;
  const properties = Array.from({ length: count }, (): Property => {
    const path = readText();
    if (source.readUInt8(at) !== stringType) throw new Error('a property that is no text');
    at += 1;
    return [path, readText()];
  });
  const occurredAtMs = readInteger(source, from + rowOffsets.occurredAt);
  const receivedAtMs = readInteger(source, from + rowOffsets.receivedAt);
  return {
    event: { tenant, idempotencyKey, event, customer, properties, occurredAtMs, receivedAtMs },
    sequence: source.readBigUInt64LE(from + rowOffsets.sequence),
    next: at,
  };
};

/** Decodes a row. Throws on bytes that are none. */
export const fromRow = (row: Buffer): UsageEvent => {
  const { event, next } = readRow(row, 0);
  if (next !== row.length) throw new Error('a row with bytes behind its end');
  return event;
};

/** Decodes rows that stand one after the other, as ClickHouse gives them. Throws on bytes that are none. */
export const fromRows = (rows: Buffer): { readonly event: UsageEvent; readonly sequence: bigint }[] => {
  const read: { event: UsageEvent; sequence: bigint }[] = [];
  for (let at = 0; at < rows.length; ) {
    const { next, ...row } = readRow(rows, at);
    read.push(row);
    at = next;
  }
  return read;
};

const lengthBytes = (length: number): Buffer => {
  const bytes: number[] = [];
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
};

const textBytes = (text: string): Buffer[] => {
  const bytes = Buffer.from(text);
  return [lengthBytes(bytes.length), bytes];
};

/**
 * Encodes an event, its properties in order of their paths. For events by ones; those of requests are written by
 * ingest/parse/event-block.ts.
 */
const toRow = ({
  tenant,
  idempotencyKey,
  event,
  customer,
  properties,
  occurredAtMs,
  receivedAtMs,
}: UsageEvent): Buffer => {
  const fixed = Buffer.alloc(rowOffsets.texts);
  writeInteger(fixed, occurredAtMs, rowOffsets.occurredAt);
  writeInteger(fixed, receivedAtMs, rowOffsets.receivedAt);
  const type = Buffer.from([stringType]);
  return Buffer.concat([
    fixed,
    ...[tenant, idempotencyKey, event, customer].flatMap(textBytes),
    lengthBytes(properties.length),
    ...properties.flatMap(([path, value]) => [...textBytes(path), type, ...textBytes(value)]),
  ]);
};

/** One message of these events. */
export const toMessage = (events: readonly UsageEvent[]): Buffer => {
  const rows = events.map(toRow);
  const { message, rowsAt } = newMessage(rows.map(({ length }) => length));
  let at = rowsAt;
  for (const row of rows) at += row.copy(message, at);
  return message;
};

/** When the event of a row was received. */
export const receivedAtOf = (row: Buffer): number => readInteger(row, rowOffsets.receivedAt);

/**
 * Whose a message is, when its events were received, and how many they are: its rows share the first two. Throws on a
 * body that is no message.
 */
export const originOfMessage = (
  body: Buffer,
): { readonly tenant: string; readonly receivedAtMs: number; readonly events: number } => {
  const events = countInMessage(body);
  const row = headerBytes + 4 * events;
  const { value, next } = readLength(body, row + rowOffsets.texts);
  if (next + value > body.length) throw new Error('a message of usage events with a wrong length');
  return {
    tenant: body.toString('utf8', next, next + value),
    receivedAtMs: readInteger(body, row + rowOffsets.receivedAt),
    events,
  };
};

/** Decodes a message; for tests and dead letters, never on the way to the store. */
export const fromMessage = (body: Buffer): UsageEvent[] => {
  const count = countInMessage(body);
  let at = headerBytes + 4 * count;
  return Array.from({ length: count }, (_, row) => {
    const length = body.readUInt32LE(headerBytes + 4 * row);
    if (at + length > body.length) throw new Error('a message of usage events with a wrong length');
    at += length;
    return fromRow(body.subarray(at - length, at));
  });
};
