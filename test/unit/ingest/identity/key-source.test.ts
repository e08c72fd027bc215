/** From where the keys are read: the stream wherever it can be trusted and has them, and the store for the rest. */
import { describe, expect, it } from 'vitest';
import { toMessage, type UsageEvent } from '#schemas/usage-event.ts';
import { createKeySource, type StreamPart } from '../../../../ingest/identity/key-source.ts';
import { keysOfMessages } from '../../../../ingest/identity/message-keys.ts';

const eventOf = (idempotencyKey: string): UsageEvent => ({
  tenant: 'org_1',
  idempotencyKey,
  event: 'e',
  customer: 'c',
  occurredAtMs: 1,
  receivedAtMs: 2,
  properties: [],
});
const bodyOf = (key: string): Buffer => toMessage([eventOf(key)]);

/** A stream that ends with `messages`, and a store that answers every read with no rows up to its end. */
const sourceOf = ({ highest = 0, parts }: { highest?: number; parts: (after: number) => StreamPart }, doubtMs = 0) => {
  const state = { meeting: 1, highest, nowMs: 0, onHighest: () => {} };
  const asked: string[] = [];
  const none = keysOfMessages([]);
  const ports = {
    clock: { nowMs: () => state.nowMs },
    stream: {
      meeting: () => state.meeting,
      take: async (after: number, upTo: number) => {
        asked.push(`stream ${after} ${upTo}`);
        return parts(after);
      },
    },
    store: {
      highest: async () => {
        state.onHighest();
        return state.highest;
      },
      read: async (after: number, upTo: number) => {
        asked.push(`store ${after} ${upTo}`);
        return { rows: none, upTo };
      },
    },
  };
  return { ...createKeySource(ports, doubtMs), asked, state };
};

const oneMessage = (after: number): StreamPart => ({ messages: [{ sequence: after + 1, body: bodyOf('a') }] });

describe('keys are read', () => {
  it('from the store up to what it had when the stream was met, from the stream behind it, and so at each meeting', async () => {
    const { read, asked, state } = sourceOf({ highest: 5, parts: oneMessage });
    expect((await read(2, 9, 100)).upTo).toBe(5);
    const { rows, upTo } = await read(5, 9, 100);
    expect([rows.count, upTo]).toEqual([1, 6]);
    // What the store takes up meanwhile came with the stream.
    state.highest = 8;
    await read(6, 9, 100);
    state.meeting += 1;
    await read(7, 9, 100);
    await read(8, 9, 100);
    expect(asked).toEqual(['store 2 5', 'stream 5 9', 'stream 6 9', 'store 7 8', 'stream 8 9']);
  });

  it('[I7] from the store for as long as an insert of before the meeting may be under way', async () => {
    const { read, asked, state } = sourceOf({ highest: 5, parts: oneMessage }, 60_000);
    await read(5, 5.5, 100);
    // It came late, under sequences that the stream gives again.
    state.highest = 9;
    state.nowMs = 59_999;
    await read(5, 12, 100);
    state.highest = 12;
    state.nowMs = 60_000;
    await read(9, 12, 100);
    state.meeting += 1;
    await read(9, 12, 100);
    expect(asked).toEqual(['stream 5 5.5', 'store 5 9', 'stream 9 12', 'store 9 12']);
  });

  it('nowhere while the server is met anew: what was asked of the store is of before', async () => {
    const { read, asked, state } = sourceOf({ highest: 5, parts: oneMessage });
    state.onHighest = () => {
      state.meeting += 1;
    };
    await expect(read(5, 9, 100)).rejects.toThrow('met anew');
    expect(asked).toEqual([]);
  });

  it('from the store again where it has more than the stream: all that it has by then', async () => {
    const { read, doubt, asked, state } = sourceOf({ highest: 5, parts: oneMessage });
    await read(5, 9, 100);
    state.highest = 9;
    await read(6, 9, 100);
    doubt();
    await read(5, 9, 100);
    expect(asked).toEqual(['stream 5 9', 'stream 6 9', 'store 5 9']);
  });

  it('from the store where the stream has them no more', async () => {
    const { read, asked } = sourceOf({ parts: () => ({ missingUpTo: 7 }) });
    expect((await read(2, 9, 100)).upTo).toBe(7);
    expect(asked).toEqual(['stream 2 9', 'store 2 7']);
  });

  it('from the store where a message can not be read, and from the stream before and behind it', async () => {
    const bodies = ['a', 'b', 'no message', 'd'].map((key) => (key === 'no message' ? Buffer.from(key) : bodyOf(key)));
    const parts = (after: number): StreamPart => ({
      messages: bodies.slice(after).map((body, index) => ({ sequence: after + index + 1, body })),
    });
    const { read, asked } = sourceOf({ parts });
    const ends: number[] = [];
    for (let after = 0; after < 4; after = ends.at(-1) as number) ends.push((await read(after, 4, 100)).upTo);
    expect(ends).toEqual([2, 3, 4]);
    expect(asked.filter((one) => one.startsWith('store'))).toEqual(['store 2 3']);
  });
});
