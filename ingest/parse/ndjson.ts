/**
 * Newline-delimited JSON, read as its bytes come: one event a line, taken in blocks, so that what is held does not grow
 * with the body. A line that is no event is the fault of that line; blank ones are skipped, and are no events. Pure:
 * who drives it waits for the bytes, and for the blocks to be taken.
 */
import { isUtf8 } from 'node:buffer';
import { withoutMark } from '#platform/json/json-text.ts';
import type { BlockWriter, EventBlock } from './event-block.ts';
import { addEventText, type Horizon } from './native.ts';

/** Where the events of a block are written, by the time at which it is begun. */
export type OpenBlock = { readonly writer: BlockWriter; readonly horizon: Horizon; readonly receivedAtMs: number };
export type LineBlock = { readonly block: EventBlock; readonly receivedAtMs: number };

export type LineLimits = {
  /** A block is full with so many events, or lines of so many bytes. */
  readonly blockEventsMax: number;
  readonly blockBytesMax: number;
  /** A longer line is refused without being held. */
  readonly lineBytesMax: number;
  readonly eventsMax: number;
};

const newline = 0x0a;

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;

/** What is left of a line without the space at its end. */
const trimmed = (bytes: Buffer, from: number, to: number): Buffer => {
  let end = to;
  while (end > from && isSpace(bytes[end - 1])) end -= 1;
  return bytes.subarray(from, end);
};

export class LineReader {
  readonly #open: () => OpenBlock;
  readonly #limits: LineLimits;
  #current: OpenBlock | undefined;
  #blockBytes = 0;
  /**
   * The beginning of a line whose end has not come yet. A buffer of our own: a chunk of one byte may stand for memory
   * of 64 KiB.
   */
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  #isSkipping = false;
  /** A byte order mark is skipped at the beginning of the body alone. */
  #hasBegun = false;
  #full: LineBlock[] = [];
  #events = 0;

  constructor(open: () => OpenBlock, limits: LineLimits) {
    this.#open = open;
    this.#limits = limits;
  }

  /** Whether there are more events than a request may have. What follows is not read. */
  get isTooLong(): boolean {
    return this.#events > this.#limits.eventsMax;
  }

  /** Takes the next bytes; returns the blocks that they filled. */
  push(chunk: Buffer): readonly LineBlock[] {
    this.#full = [];
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0 && !this.isTooLong; end = chunk.indexOf(newline, from)) {
      if (this.#heldBytes > 0 || this.#isSkipping) {
        this.#hold(chunk, from, end);
        this.#endHeld();
      } else this.#line(chunk, from, end);
      from = end + 1;
    }
    if (!this.isTooLong) this.#hold(chunk, from, chunk.length);
    return this.#full;
  }

  /** The last block, which may be empty; a line needs no newline behind it. */
  end(): readonly LineBlock[] {
    this.#full = [];
    this.#endHeld();
    this.#close();
    return this.#full;
  }

  #hold(chunk: Buffer, from: number, to: number): void {
    const bytes = to - from;
    if (bytes === 0 || this.#isSkipping) return;
    const needed = this.#heldBytes + bytes;
    if (needed > this.#limits.lineBytesMax) {
      this.#isSkipping = true;
      return;
    }
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(this.#limits.lineBytesMax, Math.max(needed, 2 * this.#held.length, 4096)),
      );
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#heldBytes, from, to);
    this.#heldBytes = needed;
  }

  #endHeld(): void {
    const bytes = this.#heldBytes;
    this.#heldBytes = 0;
    if (this.#isSkipping) {
      this.#hasBegun = true;
      this.#refuseLength();
    } else this.#line(this.#held, 0, bytes);
    this.#isSkipping = false;
  }

  #line(bytes: Buffer, from: number, to: number): void {
    const isFirst = !this.#hasBegun;
    this.#hasBegun = true;
    const line = trimmed(bytes, from, to);
    const text = isFirst ? withoutMark(line) : line;
    if (text.length === 0) return;
    if (to - from > this.#limits.lineBytesMax) this.#refuseLength();
    else if (!isUtf8(text)) this.#refuse('wrong_format', 'the line is not valid UTF-8');
    else {
      const { writer, horizon } = this.#begin(text.length);
      if (!this.isTooLong) addEventText(text, writer, horizon);
      this.#closeIfFull();
    }
  }

  #refuseLength(): void {
    this.#refuse('too_large', `the line has more than ${this.#limits.lineBytesMax} bytes`);
  }

  #refuse(code: string, message: string): void {
    const { writer } = this.#begin(0);
    if (!this.isTooLong)
      writer.add({ status: 'invalid', idempotencyKey: undefined, faults: [{ field: '', code, message }] });
    this.#closeIfFull();
  }

  #begin(bytes: number): OpenBlock {
    this.#events += 1;
    this.#blockBytes += bytes;
    this.#current ??= this.#open();
    return this.#current;
  }

  #closeIfFull(): void {
    const events = this.#current?.writer.total ?? 0;
    if (events >= this.#limits.blockEventsMax || this.#blockBytes >= this.#limits.blockBytesMax) this.#close();
  }

  #close(): void {
    if (this.#current)
      this.#full.push({ block: this.#current.writer.done(), receivedAtMs: this.#current.receivedAtMs });
    this.#current = undefined;
    this.#blockBytes = 0;
  }
}
