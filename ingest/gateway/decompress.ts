/**
 * Compressed bodies, as streams of what is in them: never more than a chunk is unpacked ahead of who reads, so a bomb
 * ends with the limit and not with the memory.
 *
 * A body may be several members one behind the other (RFC 1952, 2.2; RFC 8878, 3.1). Node stops behind the first where
 * another begins within a chunk, without a word for zstd: what it left is given to a decompressor of its own here.
 */
import {
  constants,
  createGunzip,
  createZstdDecompress,
  type Gunzip,
  inflateRaw,
  type ZstdDecompress,
  zstdDecompress,
} from 'node:zlib';
import { FailureError } from '#schemas/failures.ts';

export type Encoding = 'gzip' | 'x-gzip' | 'zstd';
export const encodings: readonly Encoding[] = ['gzip', 'x-gzip', 'zstd'];

type Engine = Gunzip | ZstdDecompress;

/** RFC 9659: a body asks for a window of 8 MiB at most. Node's own bound is 128 MiB, for each request. */
const zstdOptions = { params: { [constants.ZSTD_d_windowLogMax]: 23 } };

/** Each costs a decompressor, half a millisecond, and may be 9 bytes that say nothing. */
const membersMax = 100;

const engineOf = (encoding: Encoding): Engine =>
  encoding === 'zstd' ? createZstdDecompress(zstdOptions) : createGunzip();

const broken = (encoding: string, error: unknown): unknown => {
  const { code = '', message } = error as Error & { code?: string };
  const isOurs = /^(?:Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code);
  return isOurs ? new FailureError('MALFORMED_BODY', `The body is not what ${encoding} writes: ${message}`) : error;
};

type Input = AsyncIterator<Buffer>;
/** What an engine did not take because its member had ended. */
type Rest = Buffer | undefined;

/**
 * Hands an engine what comes until its member ends, or the input does. Never rejects: what goes wrong ends the engine,
 * which its reader sees.
 */
const feed = async (engine: Engine, input: Input, first: Rest): Promise<Rest> => {
  let fed = 0;
  try {
    for (let chunk = first ?? (await input.next()).value; chunk !== undefined; chunk = (await input.next()).value) {
      fed += chunk.length;
      const part: Buffer = chunk;
      const failed = await new Promise<unknown>((resolve) => engine.write(part, resolve));
      if (failed) return undefined;
      const left = fed - engine.bytesWritten;
      if (left > 0) return part.subarray(part.length - left);
    }
    engine.end();
  } catch (error) {
    engine.destroy(error as Error);
  }
  return undefined;
};

/** The bytes of a compressed body, as it comes. Throws MALFORMED_BODY where it is cut off or broken. */
export const decompressed = async function* (
  source: AsyncIterable<Buffer>,
  encoding: Encoding,
): AsyncGenerator<Buffer> {
  const input = source[Symbol.asyncIterator]();
  let rest: Rest;
  let members = 0;
  do {
    if (members === membersMax)
      throw new FailureError('MALFORMED_BODY', `The body has more than ${membersMax} members of ${encoding}`);
    members += 1;
    const engine = engineOf(encoding);
    const feeding = feed(engine, input, rest);
    try {
      yield* engine;
    } catch (error) {
      throw broken(encoding, error);
    } finally {
      engine.destroy();
    }
    rest = await feeding;
  } while (rest !== undefined);
};

type Unpack = (data: Buffer, bytesMax: number) => Promise<Buffer>;
type Callback = (error: (Error & { readonly code?: string }) | null, unpacked: Buffer) => void;
type Library = (data: Buffer, options: { readonly maxOutputLength: number }, done: Callback) => void;

const blockUnpacking =
  (codec: string, unpack: Library): Unpack =>
  (data, bytesMax) =>
    new Promise((resolve, reject) =>
      unpack(data, { maxOutputLength: Math.max(bytesMax, 1) }, (error, unpacked) => {
        if (!error) resolve(unpacked);
        else if (error.code === 'ERR_BUFFER_TOO_LARGE')
          reject(new FailureError('BODY_TOO_LARGE', 'An Avro block unpacks to more bytes than a body may have'));
        else reject(new FailureError('MALFORMED_BODY', `An Avro block is not what ${codec} writes: ${error.message}`));
      }),
    );

/** How a block of an Avro container is unpacked, by the name of its codec: off the thread, up to so many bytes. */
export const avroCodecs: ReadonlyMap<string, Unpack> = new Map<string, Unpack>([
  ['null', async (data) => data],
  [
    'deflate',
    blockUnpacking('deflate', (data, options, done) =>
      inflateRaw(data, options, done as Parameters<typeof inflateRaw>[2]),
    ),
  ],
  [
    'zstandard',
    blockUnpacking('zstandard', (data, options, done) => zstdDecompress(data, { ...zstdOptions, ...options }, done)),
  ],
]);
