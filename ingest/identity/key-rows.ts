/**
 * What the identity check reads of stored events: the key of each, its sequence and its times. Of rows of `usage_keys`
 * as ClickHouse sends them (RowBinary), read where they lie: of a batch only the few rows that may be twins are ever
 * decoded. A row: key_digest (16 bytes), stream_sequence, received_at, occurred_at (8 bytes each), then the tenant
 * behind its length.
 */
import { readLength } from '#schemas/usage-event.ts';

/** The columns in that order, for a query. Times are milliseconds. */
export const keyColumns = `key_digest, stream_sequence, toUnixTimestamp64Milli(received_at),
  toUnixTimestamp64Milli(occurred_at), toString(tenant)`;

const offsets = { low: 0, high: 4, sequence: 16, receivedAt: 24, occurredAt: 32, tenant: 40 } as const;

export type KeyRow = {
  readonly tenant: string;
  /** Hexadecimal. */
  readonly digest: string;
  readonly sequence: number;
  readonly receivedAtMs: number;
  readonly occurredAtMs: number;
};

/** In the order of their sequences. */
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

/** Throws on bytes that end within a row. */
export const keyRowsFrom = (bytes: Buffer): KeyRows => {
  const starts = new Uint32Array(Math.ceil(bytes.length / (offsets.tenant + 1)));
  let count = 0;
  for (let at = 0; at < bytes.length; ) {
    starts[count++] = at;
    const { value, next } = readLength(bytes, at + offsets.tenant);
    at = next + value;
    if (at > bytes.length) throw new RangeError('rows of keys that end within a row');
  }
  const startOf = (row: number): number => starts[row] as number;
  const integer = (row: number, offset: number): number => {
    const at = startOf(row) + offset;
    return bytes.readUInt32LE(at) + bytes.readInt32LE(at + 4) * 4_294_967_296;
  };
  const sequence = (row: number) => integer(row, offsets.sequence);
  const receivedAtMs = (row: number) => integer(row, offsets.receivedAt);
  const occurredAtMs = (row: number) => integer(row, offsets.occurredAt);
  return {
    count,
    low: (row) => bytes.readUInt32LE(startOf(row) + offsets.low),
    high: (row) => bytes.readUInt32LE(startOf(row) + offsets.high),
    sequence,
    receivedAtMs,
    occurredAtMs,
    decode: (row) => {
      const start = startOf(row);
      const { value, next } = readLength(bytes, start + offsets.tenant);
      return {
        tenant: bytes.toString('utf8', next, next + value),
        digest: bytes.toString('hex', start, start + 16),
        sequence: sequence(row),
        receivedAtMs: receivedAtMs(row),
        occurredAtMs: occurredAtMs(row),
      };
    },
  };
};
