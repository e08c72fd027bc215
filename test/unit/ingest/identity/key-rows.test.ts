import { describe, expect, it } from 'vitest';
import { keyRowsFrom } from '../../../../ingest/identity/key-rows.ts';

/** Written by the description of ClickHouse's RowBinary, apart from the reader. */
const bytesOf = (row: {
  digest: string;
  sequence: bigint;
  receivedAt: bigint;
  occurredAt: bigint;
  tenant: string;
}): Buffer => {
  const integers = Buffer.alloc(24);
  integers.writeBigUInt64LE(row.sequence, 0);
  integers.writeBigInt64LE(row.receivedAt, 8);
  integers.writeBigInt64LE(row.occurredAt, 16);
  const length = Buffer.byteLength(row.tenant);
  const lengthBytes = Buffer.from(length < 128 ? [length] : [(length & 127) | 128, length >> 7]);
  return Buffer.concat([Buffer.from(row.digest, 'hex'), integers, lengthBytes, Buffer.from(row.tenant)]);
};

const one = {
  digest: '000102ff0405068f08090a0b0c0d0e0f',
  sequence: 179_500_000_000_000n,
  receivedAt: 1_795_000_000_001n,
  occurredAt: -1n,
  tenant: 'ü'.repeat(100),
};

describe('rows of keys', () => {
  it('are read where they lie: hash, sequence and times of each, and all of it where that is asked', () => {
    const rows = keyRowsFrom(Buffer.concat([bytesOf(one), bytesOf({ ...one, sequence: 1n, tenant: '' })]));
    expect(rows.count).toBe(2);
    expect([rows.low(0), rows.high(0), rows.sequence(0), rows.receivedAtMs(0), rows.occurredAtMs(0)]).toEqual([
      ...[0xff020100, 0x8f060504, 179_500_000_000_000, 1_795_000_000_001, -1],
    ]);
    expect(rows.decode(0)).toEqual({
      tenant: 'ü'.repeat(100),
      digest: one.digest,
      sequence: 179_500_000_000_000,
      receivedAtMs: 1_795_000_000_001,
      occurredAtMs: -1,
    });
    expect(rows.decode(1)).toMatchObject({ tenant: '', sequence: 1 });
  });

  it('of nothing are none', () => expect(keyRowsFrom(Buffer.alloc(0)).count).toBe(0));

  it('that end within a row are refused', () => {
    const bytes = bytesOf(one);
    for (let length = 1; length < bytes.length; length += 1)
      expect(() => keyRowsFrom(bytes.subarray(0, length)), String(length)).toThrow(RangeError);
  });
});
