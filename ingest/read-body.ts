/** Bodies as the bytes that are in them: whole or as they come, unpacked, and never more than a body may have. */
import { FailureError } from '#schemas/failures.ts';
import { decompressed, type Encoding } from './decompress.ts';
import type { Hold } from './in-flight.ts';

/** What comes over a connection. Who stops reading leaves it open: the answer goes the same way. */
type Incoming = { readonly iterator: (options: { readonly destroyOnReturn: boolean }) => AsyncIterator<Buffer> };

/** The connection ends where its caller has hung up or took too long: nobody reads the answer. */
const chunksOf = async function* (incoming: Incoming): AsyncGenerator<Buffer> {
  try {
    yield* { [Symbol.asyncIterator]: () => incoming.iterator({ destroyOnReturn: false }) };
  } catch (error) {
    if (['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes((error as Error & { code?: string }).code ?? ''))
      throw new FailureError('BAD_REQUEST', 'The caller is gone');
    throw error;
  }
};

const bounded = async function* (chunks: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new FailureError('BODY_TOO_LARGE', `The limit is ${bytesMax} bytes, unpacked`);
    yield chunk;
  }
};

const whole = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
};

const once = async function* (body: Buffer): AsyncGenerator<Buffer> {
  yield body;
};

/** What a body holds, as it comes or from what was read of it. */
export const readChunks = (
  from: Incoming | Buffer,
  encoding: Encoding | undefined,
  bytesMax: number,
): AsyncIterable<Buffer> => {
  const chunks = Buffer.isBuffer(from) ? once(from) : chunksOf(from);
  return bounded(encoding === undefined ? chunks : decompressed(chunks, encoding), bytesMax);
};

/** Reads all that comes, packed or not. */
export const readRaw = (incoming: Incoming, bytesMax: number): Promise<Buffer> => whole(bounded(chunksOf(incoming), bytesMax));

/** What was packed; `hold` is asked for room chunk by chunk. */
export const unpacked = (body: Buffer, encoding: Encoding, bytesMax: number, hold: Hold): Promise<Buffer> =>
  whole(
    (async function* () {
      for await (const chunk of readChunks(body, encoding, bytesMax)) {
        hold.grow(chunk.length);
        yield chunk;
      }
    })(),
  );
