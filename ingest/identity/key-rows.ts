/**
 * Rows of `usage_keys` as ClickHouse sends them (RowBinary), read where they lie: of a batch only the few rows that may
 * be twins are ever decoded. A row: key_digest (16 bytes), stream_sequence, received_at, occurred_at, payload (8 bytes
 * each), then tenant, event and customer, each behind its length.
 */

/** The columns in that order, for a query. Times are milliseconds. */
export const keyColumns = `key_digest, stream_sequence, toUnixTimestamp64Milli(received_at), toUnixTimestamp64Milli(occurred_at), payload,
  toString(tenant), toString(event), customer`;

const offsets = { low: 0, high: 4, sequence: 16, receivedAt: 24, occurredAt: 32, payload: 40, texts: 48 } as const;

export type KeyRow = {
  readonly tenant: string;
  /** Hexadecimal. */
  readonly digest: string;
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly event: string;
  readonly customer: string;
  readonly occurredAtMs: number;
  readonly payload: bigint;
};

export type KeyRows = {
  readonly count: number;
  /** The first 64 bits of a row's digest, which stand for its key where a set or a filter is asked. */
  readonly low: (row: number) => number;
  readonly high: (row: number) => number;
  readonly sequence: (row: number) => number;
  readonly receivedAtMs: (row: number) => number;
  readonly occurredAtMs: (row: number) => number;
  readonly decode: (row: number) => KeyRow;
};

const readLength = (source: Buffer, from: number): { readonly length: number; readonly next: number } => {
  let length = 0;
  for (let at = from, factor = 1; ; at += 1, factor *= 128) {
    const byte = source.readUInt8(at);
    length += (byte & 0x7f) * factor;
    if (byte < 0x80) return { length, next: at + 1 };
  }
};

/** Throws on bytes that end within a row. */
export const keyRowsFrom = (bytes: Buffer): KeyRows => {
  const starts: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    starts.push(at);
    at += offsets.texts;
    for (let text = 0; text < 3; text += 1) {
      const { length, next } = readLength(bytes, at);
      at = next + length;
    }
    if (at > bytes.length) throw new RangeError('rows of keys that end within a row');
  }
  const startOf = (row: number): number => starts[row] as number;
  const integer = (row: number, offset: number): number => {
    const at = startOf(row) + offset;
    return bytes.readUInt32LE(at) + bytes.readInt32LE(at + 4) * 4_294_967_296;
  };
  return {
    count: starts.length,
    low: (row) => bytes.readUInt32LE(startOf(row) + offsets.low),
    high: (row) => bytes.readUInt32LE(startOf(row) + offsets.high),
    sequence: (row) => integer(row, offsets.sequence),
    receivedAtMs: (row) => integer(row, offsets.receivedAt),
    occurredAtMs: (row) => integer(row, offsets.occurredAt),
    decode: (row) => {
      const start = startOf(row);
      let at = start + offsets.texts;
      const readText = (): string => {
        const { length, next } = readLength(bytes, at);
        at = next + length;
        return bytes.toString('utf8', next, at);
      };
      return {
        tenant: readText(),
        event: readText(),
        customer: readText(),
        digest: bytes.toString('hex', start, start + 16),
        sequence: integer(row, offsets.sequence),
        receivedAtMs: integer(row, offsets.receivedAt),
        occurredAtMs: integer(row, offsets.occurredAt),
        payload: bytes.readBigUInt64LE(start + offsets.payload),
      };
    },
  };
};
