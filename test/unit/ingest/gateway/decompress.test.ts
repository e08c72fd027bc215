import { constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decompressed, type Encoding } from '../../../../ingest/gateway/decompress.ts';
import { createInFlight } from '../../../../ingest/gateway/in-flight.ts';

const chunksOf = async function* (chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
};
const unpack = async (chunks: readonly Buffer[], encoding: Encoding): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of decompressed(chunksOf(chunks), encoding)) parts.push(part);
  return Buffer.concat(parts).toString();
};
const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

const text = 'usage '.repeat(50_000);

describe.each<[Encoding, (data: string | Buffer) => Buffer]>([
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
])('%s', (encoding, pack) => {
  const packed = pack(text);

  it.each([1, 7, 100, 1_000_000])('gives what was packed, in chunks of %i bytes', async (size) => {
    expect(await unpack(cut(packed, size), encoding)).toBe(text);
  });

  it.each([1, 13, 1_000_000])('gives all members of a body that has several, in chunks of %i bytes', async (size) => {
    const body = Buffer.concat([pack('a'), pack(''), pack('b'), packed, pack('c')]);
    expect(await unpack(cut(body, size), encoding)).toBe(`ab${text}c`);
  });

  it.each<[string, Buffer[]]>([
    ['nothing', []],
    ['its beginning', [packed.subarray(0, 3)]],
    ['all but its end', [packed.subarray(0, -1)]],
    ['something else', [Buffer.from('{"a":1}')]],
    ['something behind it', [Buffer.concat([packed, Buffer.from('{}')])]],
    ['zeros behind it', [packed, Buffer.alloc(10)]],
    ['half a member behind it', [Buffer.concat([packed, packed.subarray(0, 10)])]],
  ])('of %s is malformed', async (_name, chunks) => {
    await expect(unpack(chunks, encoding)).rejects.toMatchObject({ code: 'MALFORMED_BODY' });
  });

  it('[I27] stops to unpack where its reader stops to read', async () => {
    const bomb = pack(Buffer.alloc(100_000_000));
    let bytes = 0;
    for await (const part of decompressed(chunksOf(cut(bomb, 1_000)), encoding)) {
      bytes += part.length;
      if (bytes > 1_000_000) break;
    }
    expect(bytes).toBeLessThan(1_200_000);
  });

  it('a source that fails ends in its error', async () => {
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield packed.subarray(0, 10);
      throw new Error('the caller hung up');
    };
    const read = async () => {
      for await (const _ of decompressed(failing(), encoding));
    };
    await expect(read()).rejects.toThrow('the caller hung up');
  });
});

it('[I27] zstd with a window beyond 8 MiB is refused', async () => {
  const engine = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 24 } });
  engine.end(Buffer.alloc(20_000_000));
  const packed: Buffer[] = [];
  for await (const part of engine) packed.push(part as Buffer);
  await expect(unpack(packed, 'zstd')).rejects.toMatchObject({ code: 'MALFORMED_BODY' });
});

it('[I27] a body of many empty members is refused before it costs as many decompressors', async () => {
  const body = Buffer.concat(Array.from({ length: 5_000 }, () => zstdCompressSync('')));
  await expect(unpack([body], 'zstd')).rejects.toMatchObject({
    code: 'MALFORMED_BODY',
    detail: expect.stringContaining('100 members'),
  });
});

describe('bytes in flight', () => {
  it('[I10] are refused beyond the limit, from the first or as a body grows, and free again once they are released', () => {
    let shown = 0;
    const holdBytes = createInFlight(100, (bytes) => {
      shown = bytes;
    });
    const [first, second] = [holdBytes(40), holdBytes(50)];
    expect(() => holdBytes(11)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    first.grow(10);
    expect(() => second.grow(1)).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(shown).toBe(100);
    first.release();
    second.grow(50);
    second.release();
    expect(shown).toBe(0);
  });

  it('what was released does not grow any more: nobody would release it again', () => {
    let shown = 0;
    const hold = createInFlight(100, (bytes) => {
      shown = bytes;
    })(10);
    hold.release();
    expect(() => hold.grow(1)).toThrow();
    expect(shown).toBe(0);
  });
});
