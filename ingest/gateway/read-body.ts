/** Bodies as the bytes that are in them: whole or as they come, unpacked, and never more than a body may have. */
import { FailureError } from '#schemas/failures.ts';
import { decompressed, type Encoding } from './decompress.ts';
import type { Hold } from './in-flight.ts';

/** What comes over a connection. Who stops reading leaves it open: the answer goes the same way. */
export type Incoming = {
  readonly iterator: (options: { readonly destroyOnReturn: boolean }) => AsyncIterator<Buffer>;
  readonly destroy: () => unknown;
};

const codesOfLoss = ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'];

/** The connection ends where its caller has hung up or took too long: nobody reads the answer. */
const toFailure = (error: unknown): unknown =>
  codesOfLoss.includes((error as Error & { code?: string }).code ?? '')
    ? new FailureError('BAD_REQUEST', 'The caller is gone')
    : error;

const bounded = async function* (chunks: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new FailureError('BODY_TOO_LARGE', `The limit is ${bytesMax} bytes, unpacked`);
    yield chunk;
  }
};

const unpacking = (
  chunks: AsyncIterable<Buffer>,
  encoding: Encoding | undefined,
  bytesMax: number,
): AsyncIterable<Buffer> => bounded(encoding === undefined ? chunks : decompressed(chunks, encoding), bytesMax);

const once = async function* (body: Buffer): AsyncGenerator<Buffer> {
  yield body;
};

const whole = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
};

export type Body = {
  readonly chunks: AsyncIterable<Buffer>;
  /**
   * Reads on to the end and throws it away, where the answer was found before: a client reads its answer once it has
   * sent all, and its next request comes behind the end of this one. What is longer than a body may be ends with the
   * connection.
   */
  readonly drain: () => void;
};

/** What a body holds, as it comes. */
export const readChunks = (incoming: Incoming, encoding: Encoding | undefined, bytesMax: number): Body => {
  const input = incoming.iterator({ destroyOnReturn: false });
  // No `return`: who stops early does not end what is drained later.
  const next = async (): Promise<IteratorResult<Buffer>> => {
    try {
      return await input.next();
    } catch (error) {
      throw toFailure(error);
    }
  };
  const drain = async (): Promise<void> => {
    try {
      for (let bytes = 0; bytes <= bytesMax; ) {
        const { done, value } = await input.next();
        if (done) return;
        bytes += value.length;
      }
      incoming.destroy();
    } catch {
      // It was cut off, which is an end, too.
    }
  };
  return {
    chunks: unpacking({ [Symbol.asyncIterator]: () => ({ next }) }, encoding, bytesMax),
    drain: () => void drain(),
  };
};

/** The same of a body that was read before. */
export const readAgain = (body: Buffer, encoding: Encoding | undefined, bytesMax: number): Body => ({
  chunks: unpacking(once(body), encoding, bytesMax),
  drain: () => {},
});

/** Reads all that comes, packed or not. */
export const readRaw = (incoming: Incoming, bytesMax: number): Promise<Buffer> =>
  whole(readChunks(incoming, undefined, bytesMax).chunks);

/** What was packed; `hold` is asked for room chunk by chunk. */
export const unpacked = (body: Buffer, encoding: Encoding, bytesMax: number, hold: Hold): Promise<Buffer> =>
  whole(
    (async function* () {
      for await (const chunk of unpacking(once(body), encoding, bytesMax)) {
        hold.grow(chunk.length);
        yield chunk;
      }
    })(),
  );
