import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  countInMessage,
  fromMessage,
  fromRow,
  fromRows,
  messageBytesOf,
  newMessage,
  rowOffsets,
  rowsWithSequence,
  toMessage as toMessageOfProduct,
  type UsageEvent,
  writeInteger,
} from '#schemas/usage-event.ts';
import { scaled } from '../../support/scale.ts';
import { exampleEvent, messageOf, toMessage, toRow } from '../../support/usage-rows.ts';

const texts = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\0', 'ü', '😀', '"\\', 'x'.repeat(128)),
);
const instants = fc.oneof(
  fc.integer({ min: -62_135_596_800_000, max: 4_102_444_800_000 }),
  fc.constantFrom(0, 1, -1, 2 ** 32, -(2 ** 32), 2 ** 32 - 1),
);

const usageEvents: fc.Arbitrary<UsageEvent> = fc.record({
  tenant: texts,
  idempotencyKey: texts,
  event: texts,
  customer: texts,
  occurredAtMs: instants,
  receivedAtMs: instants,
  properties: fc.oneof(
    fc.array(fc.tuple(texts, texts), { maxLength: 5 }),
    fc.integer({ min: 1_000, max: 70_000 }).map((length): [string, string][] => [['a', 'x'.repeat(length)]]),
    fc.constant(Array.from({ length: 256 }, (_, index): [string, string] => [`p${index}`, String(index)])),
  ),
});

const batches = fc.array(usageEvents, { minLength: 1, maxLength: 8 });
const ofEvents = (events: readonly UsageEvent[]): Buffer => toMessage(events.map((event) => toRow(event)));
const sequences = fc.oneof(
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(1, 2 ** 32 - 1, 2 ** 32, 2 ** 48, Number.MAX_SAFE_INTEGER),
);

describe('a message of usage events', () => {
  it('[I13] gives back the events that were put in, in their order, to the last character', () => {
    fc.assert(
      fc.property(batches, (events) => {
        expect(fromMessage(ofEvents(events))).toEqual(events);
      }),
      { numRuns: scaled(500) },
    );
  });

  it('is made with room for its rows, and is then as long as was foretold', () => {
    fc.assert(
      fc.property(batches, (events) => {
        const rows = events.map((event) => toRow(event));
        const { message, rowsAt } = newMessage(rows.map(({ length }) => length));
        Buffer.concat(rows).copy(message, rowsAt);
        expect(message.equals(toMessage(rows))).toBe(true);
        expect(message).toHaveLength(messageBytesOf(rows.length, Buffer.concat(rows).length));
      }),
      { numRuns: scaled(200) },
    );
  });

  it('tells how many events it holds without being decoded', () => {
    for (const count of [1, 2, 255, 256, 65_536]) expect(countInMessage(messageOf(count))).toBe(count);
  });

  const good = messageOf(2);
  const changed = (change: (body: Buffer) => void): Buffer => {
    const body = Buffer.from(good);
    change(body);
    return body;
  };
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a header without its end', good.subarray(0, 7)],
    ['another mark', changed((body) => body.writeUInt8(0x4e, 0))],
    ['a later form', changed((body) => body.writeUInt8(2, 3))],
    ['a count of zero', toMessage([])],
    ['a count without its lengths', changed((body) => body.writeUInt32LE(0xffffffff, 4)).subarray(0, 4_000)],
    ['JSON', Buffer.from('{"events":[]}')],
    ['zeros', Buffer.alloc(64)],
  ])('%s is none: counting throws, and so do decoding and storing', (_what, body) => {
    expect(() => countInMessage(body)).toThrow();
    expect(() => fromMessage(body)).toThrow();
    expect(() => rowsWithSequence(Buffer.from(body), 1)).toThrow();
  });

  it.each([
    ['bytes behind its last row', Buffer.concat([good, Buffer.from([0])])],
    ['its last row cut short', good.subarray(0, -1)],
    ['a row shorter than its fixed fields', toMessage([Buffer.alloc(rowOffsets.texts - 1)])],
    ['a length beyond its end', changed((body) => body.writeUInt32LE(1_000_000, 8))],
    ['a length that leaves some over', changed((body) => body.writeUInt32LE(body.readUInt32LE(12) - 1, 12))],
  ])('with %s is not stored', (_what, body) => {
    expect(() => rowsWithSequence(Buffer.from(body), 1)).toThrow();
  });

  it('any bytes are counted or refused, never counted as less than one', () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 24 }),
      fc.uint8Array({ minLength: 4, maxLength: 40 }).map((bytes) => Buffer.concat([good.subarray(0, 4), bytes])),
    );
    fc.assert(
      fc.property(bodies, (bytes) => {
        let count: number | undefined;
        try {
          count = countInMessage(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
        if (count !== undefined) expect(Number.isSafeInteger(count) && count > 0).toBe(true);
      }),
      { numRuns: scaled(5_000) },
    );
  });
});

describe('the rows of a message', () => {
  it('[I8] have the sequence of their message and are otherwise as they were, also when it is delivered again', () => {
    fc.assert(
      fc.property(batches, sequences, sequences, (events, first, again) => {
        const body = ofEvents(events);
        for (const sequence of [first, again, first]) {
          const rows = rowsWithSequence(body, sequence);
          expect(rows.equals(Buffer.concat(events.map((event) => toRow(event, sequence))))).toBe(true);
        }
      }),
      { numRuns: scaled(200) },
    );
  });

  it('damaged in one byte are decoded to other events or refused, never with an endless loop or beyond their end', () => {
    const body = ofEvents([exampleEvent, exampleEvent]);
    fc.assert(
      fc.property(fc.nat({ max: body.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const damaged = Buffer.from(body);
        damaged[at] = (damaged[at] as number) ^ by;
        try {
          fromMessage(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: scaled(2_000) },
    );
  });

  it.each([
    ['bytes behind its end', Buffer.concat([toRow(exampleEvent), Buffer.from([0])])],
    ['its end missing', toRow(exampleEvent).subarray(0, -1)],
    [
      'a property of another type',
      Buffer.from(toRow(exampleEvent).toString('latin1').replace('\x15', '\x16'), 'latin1'),
    ],
  ])('one with %s is refused', (_what, row) => {
    expect(() => fromRow(row)).toThrow();
  });
});

describe('whole numbers in a row', () => {
  it('are written as 64 bits with a sign, least significant byte first, as far as a double counts', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), instants, sequences), (value) => {
        const target = Buffer.alloc(10, 0xaa);
        writeInteger(target, value, 1);
        expect(target.readBigInt64LE(1)).toBe(BigInt(value));
        expect([target[0], target[9]]).toEqual([0xaa, 0xaa]);
      }),
      { numRuns: scaled(5_000) },
    );
  });
});

describe('events that are written one by one', () => {
  it('are the same bytes as by the description of the form', () => {
    fc.assert(
      fc.property(batches, (events) => {
        expect(toMessageOfProduct(events).equals(ofEvents(events))).toBe(true);
      }),
    );
  });
});

describe('rows as ClickHouse gives them, one after the other', () => {
  it('are the events with their sequences, and nothing else is taken', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 0, max: 2 ** 53 - 1 }), (events, sequence) => {
        const rows = Buffer.concat(events.map((event) => toRow(event, sequence)));
        expect(fromRows(rows)).toEqual(events.map((event) => ({ event, sequence: BigInt(sequence) })));
        expect(() => fromRows(rows.subarray(0, -1))).toThrow();
      }),
    );
    expect(fromRows(Buffer.alloc(0))).toEqual([]);
  });
});
