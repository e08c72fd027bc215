/**
 * The use case of a body that is taken while it arrives: its events are accepted in blocks, one block while the next is
 * read. Blocks follow each other, so that of twins in two blocks the first one wins.
 */
import { FailureError } from '#schemas/failures.ts';
import type { LineBlock, LineReader } from '../parse/ndjson.ts';

/** Bytes that one such body may hold at a time: a block that is accepted, the next one, and the beginning of a line. */
export const lineHoldBytes = 1_572_864;
export const lineLimits = { blockEventsMax: 1_000, blockBytesMax: 524_288, lineBytesMax: 524_288 };

/** Returns what ended the reading before the body's end, once every block that was whole by then has been taken. */
export const takeLines = async (
  chunks: AsyncIterable<Buffer>,
  reader: LineReader,
  eventsMax: number,
  take: (block: LineBlock) => Promise<void>,
): Promise<FailureError | undefined> => {
  let taking: Promise<void> = Promise.resolve();
  const takeAll = async (blocks: readonly LineBlock[]): Promise<void> => {
    for (const block of blocks) {
      await taking;
      taking = take(block);
      // Looked at when the next block is there, which may be a while; a rejection must not be unheard until then.
      taking.catch(() => {});
    }
  };
  let refused: FailureError | undefined;
  try {
    for await (const chunk of chunks) {
      await takeAll(reader.push(chunk));
      if (reader.isTooLong) throw new FailureError('TOO_MANY_EVENTS', `The limit is ${eventsMax} events a request`);
    }
    await takeAll(reader.end());
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    refused = error;
  }
  await taking;
  return refused;
};
