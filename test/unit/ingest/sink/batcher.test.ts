import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchLimits, createBatcher } from '../../../../ingest/sink/batcher.ts';
import { scaled } from '../../../support/scale.ts';

const limits: BatchLimits = { rowsMax: 10, bytesMax: 1_000, ageMsMax: 500 };

describe('a batch', () => {
  it('that is empty is never cut', () => {
    const batcher = createBatcher<string>(limits);
    expect(batcher.take(1_000_000)).toBeUndefined();
    expect(batcher.take(1_000_000, true)).toBeUndefined();
  });

  it.each([
    ['rows under the limit', 9, 10, false],
    ['rows at the limit', 10, 10, true],
    ['rows above it in one message', 11, 10, true],
    ['bytes under the limit', 1, 999, false],
    ['bytes at the limit', 1, 1_000, true],
    ['bytes above it in one message', 1, 5_000, true],
  ])('with %s is due: %i rows, %i bytes', (_what, rows, bytes, due) => {
    const batcher = createBatcher<string>(limits);
    expect(batcher.add('a', rows, bytes, 0)).toBeUndefined();
    expect(batcher.take(0)).toEqual(due ? { messages: ['a'], rows, bytes } : undefined);
  });

  it.each([
    [499, false],
    [500, true],
    [501, true],
  ])('is due %i ms after its oldest message: %s', (ageMs, due) => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', 1, 1, 1_000);
    batcher.add('b', 1, 1, 1_000 + ageMs - 1);
    expect(batcher.take(1_000 + ageMs) !== undefined).toBe(due);
  });

  it('says when it will be due by its age, which only one that is empty never is', () => {
    const batcher = createBatcher<string>(limits);
    expect(batcher.dueInMs(0)).toBeUndefined();
    batcher.add('a', 1, 1, 1_000);
    batcher.add('b', 1, 1, 1_400);
    expect([1_400, 1_499, 1_500, 2_000].map(batcher.dueInMs)).toEqual([100, 1, 0, 0]);
    batcher.take(1_500);
    expect(batcher.dueInMs(1_500)).toBeUndefined();
  });

  it('counts its age anew from the first message after a cut', () => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', 1, 1, 0);
    expect(batcher.take(500)?.messages).toEqual(['a']);
    batcher.add('b', 1, 1, 900);
    expect(batcher.take(1_399)).toBeUndefined();
    expect(batcher.take(1_400)?.messages).toEqual(['b']);
  });

  it('counts its age anew from the message that overfilled the one before', () => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', 8, 1, 0);
    expect(batcher.add('b', 8, 1, 400)?.messages).toEqual(['a']);
    expect(batcher.take(899)).toBeUndefined();
    expect(batcher.take(900)?.messages).toEqual(['b']);
  });

  it.each([
    ['rows', 4, 1],
    ['bytes', 1, 400],
  ])('goes first where another message would overfill its %s', (_what, rows, bytes) => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', rows, bytes, 0);
    batcher.add('b', rows, bytes, 0);
    expect(batcher.add('c', rows, bytes, 0)).toEqual({ messages: ['a', 'b'], rows: 2 * rows, bytes: 2 * bytes });
    expect(batcher.take(0, true)).toEqual({ messages: ['c'], rows, bytes });
  });

  it('waits as long as inserts take, for its age at most and for half of it at least', () => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', 1, 1, 0);
    expect(batcher.dueInMs(0)).toBe(500);
    batcher.inserted(300);
    expect([batcher.take(299), batcher.dueInMs(299)]).toEqual([undefined, 1]);
    expect(batcher.take(300)?.messages).toEqual(['a']);
    batcher.add('b', 1, 1, 1_000);
    // One that took long is a part of what inserts take.
    batcher.inserted(360);
    expect(batcher.dueInMs(1_000)).toBe(330);
    for (let slow = 0; slow < 20; slow += 1) batcher.inserted(30_000);
    expect(batcher.dueInMs(1_000)).toBe(500);
    for (let fast = 0; fast < 60; fast += 1) batcher.inserted(1);
    expect(batcher.dueInMs(1_000)).toBe(250);
  });

  it('is cut on demand, whatever it holds', () => {
    const batcher = createBatcher<string>(limits);
    batcher.add('a', 1, 1, 0);
    expect(batcher.take(0, true)).toEqual({ messages: ['a'], rows: 1, bytes: 1 });
  });

  it('loses no message, keeps their order and stays within its limits, but for a message that is larger by itself', () => {
    const sizes = fc.record({
      rows: fc.integer({ min: 1, max: 14 }),
      bytes: fc.integer({ min: 1, max: 1_400 }),
      waitMs: fc.nat({ max: 600 }),
    });
    fc.assert(
      fc.property(fc.array(sizes, { maxLength: 60 }), (added) => {
        const batcher = createBatcher<number>(limits);
        const cut = [];
        let nowMs = 0;
        for (const [index, { rows, bytes, waitMs }] of added.entries()) {
          nowMs += waitMs;
          cut.push(batcher.add(index, rows, bytes, nowMs), batcher.take(nowMs));
        }
        cut.push(batcher.take(nowMs, true));
        const batches = cut.filter((batch) => batch !== undefined);
        expect(batches.flatMap(({ messages }) => messages)).toEqual(added.map((_, index) => index));
        for (const { messages, rows, bytes } of batches) {
          expect(rows).toBe(messages.reduce((sum, index) => sum + (added[index]?.rows ?? 0), 0));
          expect(bytes).toBe(messages.reduce((sum, index) => sum + (added[index]?.bytes ?? 0), 0));
          if (messages.length > 1) expect(rows <= limits.rowsMax && bytes <= limits.bytesMax).toBe(true);
        }
      }),
      { numRuns: scaled(500) },
    );
  });
});
