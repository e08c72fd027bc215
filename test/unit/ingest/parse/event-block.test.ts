import { describe, expect, it } from 'vitest';
import type { ParsedEvent, RejectedEvent } from '../../../../ingest/parse/event-block.ts';
import {
  BlockWriter,
  claimBytes,
  digestBytes,
  type EventBlock,
  keyOfRow,
} from '../../../../ingest/parse/event-block.ts';
import { seedsOf } from '../../../../ingest/parse/key-hash.ts';
import { eventsOf, newWriter, readAtMs, readBody } from '../../../support/read-body.ts';

const example: ParsedEvent = {
  idempotencyKey: 'req-1',
  event: 'llm.request',
  customer: 'cus_1',
  occurredAtMs: readAtMs - 750,
  properties: [
    ['model', 'gpt'],
    ['tokens', '12'],
  ],
};

const rejected = (faults: number): RejectedEvent => ({
  status: 'invalid',
  idempotencyKey: 'bad',
  faults: Array.from({ length: faults }, () => ({
    field: 'event',
    code: 'missing' as const,
    message: 'event is required',
  })),
});

const blockOf = (...events: readonly (ParsedEvent | RejectedEvent)[]): EventBlock => {
  const writer = newWriter();
  for (const event of events) writer.add(event);
  return writer.done();
};

const digestOf = ({ claims }: EventBlock, row = 0): string =>
  claims.toString('hex', row * claimBytes, row * claimBytes + digestBytes);
const fingerprintOf = ({ claims }: EventBlock, row = 0): string =>
  claims.toString('hex', row * claimBytes + digestBytes, (row + 1) * claimBytes);

describe('a block of events', () => {
  it('holds each event in its place, taken or rejected, and its key can be read back', () => {
    const block = blockOf(
      example,
      rejected(1),
      { ...example, idempotencyKey: 'req-2', occurredAtMs: undefined },
      rejected(2),
    );
    expect(block).toMatchObject({ tenant: 'org_1', total: 4, places: [0, 2], untimed: [1] });
    expect(block.rejected.map(({ place }) => place)).toEqual([1, 3]);
    expect([keyOfRow(block, 0), keyOfRow(block, 1)]).toEqual(['req-1', 'req-2']);
    expect(eventsOf(block)[2]).toEqual({ ...example, idempotencyKey: 'req-2', occurredAtMs: undefined });
  });

  it.each([0, 1, 127, 128, 255, 16_383, 16_384, 65_000])(
    'holds texts of %i characters, of one to four bytes each, as they are',
    (length) => {
      for (const character of ['x', 'ü', '日', '😀']) {
        const text = character.repeat(length);
        const event: ParsedEvent = {
          ...example,
          idempotencyKey: text,
          event: text,
          customer: text,
          properties: [['path', text]],
        };
        const block = blockOf(event, example);
        expect(eventsOf(block)).toEqual([event, example]);
        expect(keyOfRow(block, 0)).toBe(text);
      }
    },
  );

  it('grows with its events, whatever was guessed', () => {
    const events = Array.from(
      { length: 5_000 },
      (_, index): ParsedEvent => ({ ...example, idempotencyKey: `req-${index}` }),
    );
    const block = blockOf(...events);
    expect(block.claims).toHaveLength(5_000 * claimBytes);
    expect(eventsOf(block)).toEqual(events);
    const body = Buffer.from(JSON.stringify({ idempotency_key: 'k', event: 'e', customer_id: 'c' }));
    const short = readBody(`[${Array(3_000).fill(body).join(',')}]`);
    expect(short.kind === 'events' && short.block.ends.length).toBe(3_000);
  });

  it('that was cleared holds what came afterwards only', () => {
    const writer = newWriter();
    for (const event of [example, rejected(3), { ...example, occurredAtMs: undefined }]) writer.add(event);
    writer.clear();
    expect(writer.total).toBe(0);
    writer.add({ ...example, idempotencyKey: 'later' });
    expect(writer.done()).toEqual(blockOf({ ...example, idempotencyKey: 'later' }));
  });

  it('[I27] lists 10,000 faults, and of each event beyond them the first', () => {
    const block = blockOf(...Array.from({ length: 200 }, () => rejected(101)));
    const listed = block.rejected.map(({ faults }) => faults.length);
    expect(listed.slice(0, 99)).toEqual(Array(99).fill(101));
    expect(listed[99]).toBe(1);
    expect(new Set(listed.slice(100))).toEqual(new Set([1]));
  });
});

describe('what is claimed for an event', () => {
  it('is one for a retry, whenever it arrives', () => {
    const writer = new BlockWriter(
      { tenant: 'org_1', seeds: seedsOf('a secret of tests', 'org_1'), receivedAtMs: readAtMs + 86_400_000 },
      0,
    );
    for (const event of [example, { ...example, occurredAtMs: undefined }]) writer.add(event);
    const again = writer.done();
    expect(again.claims).toEqual(blockOf(example, { ...example, occurredAtMs: undefined }).claims);
  });

  it.each<[string, Partial<ParsedEvent>]>([
    ['event', { event: 'llm.response' }],
    ['customer', { customer: 'cus_2' }],
    ['a millisecond of its time', { occurredAtMs: readAtMs - 751 }],
    ['49.7 days of its time, which are 2^32 milliseconds', { occurredAtMs: readAtMs - 750 - 2 ** 32 }],
    ['no time', { occurredAtMs: undefined }],
    [
      'a value',
      {
        properties: [
          ['model', 'gpt'],
          ['tokens', '13'],
        ],
      },
    ],
    [
      'a path',
      {
        properties: [
          ['model', 'gpt'],
          ['token', '12'],
        ],
      },
    ],
    [
      'a property more',
      {
        properties: [
          ['model', 'gpt'],
          ['tokens', '12'],
          ['x', ''],
        ],
      },
    ],
    ['no properties', { properties: [] }],
    ['fields that run into each other', { event: 'llm.requestcus', customer: '_1' }],
    [
      'properties that run into each other',
      {
        properties: [
          ['model', 'gpttokens'],
          ['', '12'],
        ],
      },
    ],
  ])('[I4] has the same key and another fingerprint for another payload: %s', (_what, replaced) => {
    const [one, other] = [blockOf(example), blockOf({ ...example, ...replaced })];
    expect(digestOf(other)).toBe(digestOf(one));
    expect(fingerprintOf(other)).not.toBe(fingerprintOf(one));
  });

  it('has another key for another key or organization, also where both read the same when put together', () => {
    const of = (tenant: string, idempotencyKey: string): string => {
      const writer = newWriter(0, tenant);
      writer.add({ ...example, idempotencyKey });
      return digestOf(writer.done());
    };
    const digests = [of('a', 'bc'), of('ab', 'c'), of('a', 'b'), of('b', 'bc'), of('a', 'bc\0')];
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('tells 50,000 times apart that lie a second from each other', () => {
    const block = blockOf(
      ...Array.from({ length: 50_000 }, (_, index) => ({ ...example, occurredAtMs: readAtMs - index * 1000 })),
    );
    const prints = new Set(Array.from({ length: 50_000 }, (_, row) => fingerprintOf(block, row)));
    // Of 32 bits, 50,000 have 0.3 pairs by chance.
    expect(prints.size).toBeGreaterThan(49_995);
  });
});
