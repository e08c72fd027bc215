import { Readable } from 'node:stream';
import avro from 'avsc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countInMessage, digestOfKey, fromMessage, toAvro, toAvroContainer, toMessage, type UsageEvent } from '#schemas/usage-event.ts';

const texts = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.constantFrom('', '\0', 'ü', '😀', '"\\'));
const instants = fc.oneof(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.constantFrom(0, 1, -1, Number.MAX_SAFE_INTEGER - 1));

const usageEvents: fc.Arbitrary<UsageEvent> = fc
  .record({
    tenant: texts,
    idempotencyKey: texts,
    event: texts,
    customer: texts,
    occurredAtMs: instants,
    receivedAtMs: instants,
    properties: fc.oneof(
      fc.dictionary(fc.string(), fc.string()).map((properties) => JSON.stringify(properties)),
      fc.integer({ min: 1_000, max: 70_000 }).map((length) => JSON.stringify({ a: 'x'.repeat(length) })),
    ),
  })
  .map((event) => ({ ...event, keyDigest: digestOfKey(event.tenant, event.idempotencyKey) }));

const batches = fc.array(usageEvents, { minLength: 1, maxLength: 8 });
const messageOf = (events: readonly UsageEvent[]): Buffer => toMessage(events.map(toAvro));

const example: UsageEvent = {
  tenant: 'org_1',
  idempotencyKey: 'a',
  keyDigest: digestOfKey('org_1', 'a'),
  event: 'llm.request',
  customer: 'cus_1',
  occurredAtMs: 1_795_000_000_000,
  receivedAtMs: 1_795_000_000_001,
  properties: '{"cost":"0.1"}',
};

/** What another reader of Avro finds in an object container. */
const decodeContainer = (parts: readonly Buffer[]): Promise<Record<string, unknown>[]> =>
  new Promise((resolve, reject) => {
    const records: Record<string, unknown>[] = [];
    Readable.from(parts, { objectMode: false })
      .pipe(new avro.streams.BlockDecoder())
      .on('data', (record) => records.push(record))
      .on('end', () => resolve(records))
      .on('error', reject);
  });

describe('a message of usage events', () => {
  it('[I13] gives back the events that were put in, in their order, to the last character', () => {
    fc.assert(
      fc.property(batches, (events) => {
        expect(fromMessage(messageOf(events))).toEqual(events);
      }),
      { numRuns: 500 },
    );
  });

  it('tells how many events it holds without being decoded', () => {
    fc.assert(
      fc.property(batches, (events) => {
        expect(countInMessage(messageOf(events))).toBe(events.length);
      }),
      { numRuns: 200 },
    );
    const record = toAvro(example);
    for (const count of [1, 63, 64, 8_191, 8_192]) {
      expect(countInMessage(toMessage(Array.from({ length: count }, () => record)))).toBe(count);
    }
  });

  it('is as long as its records and at most 16 bytes more, which packing counts on', () => {
    const record = toAvro(example);
    for (const count of [1, 10_000, 1_000_000]) {
      const frame = toMessage(Array.from({ length: count }, () => Buffer.alloc(0))).length;
      expect(frame).toBeLessThanOrEqual(16);
    }
    expect(toMessage([record, record]).length).toBe(2 * record.length + 2);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a count of zero', Buffer.from([0])],
    ['a negative count', Buffer.from([1])],
    ['a count that does not end', Buffer.from([0x80])],
    ['a count that never ends', Buffer.alloc(64, 0xff)],
    ['a count beyond what a number holds', Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])],
    ['JSON', Buffer.from('{"events":[]}')],
  ])('%s is none: counting throws', (_what, body) => {
    expect(() => countInMessage(body)).toThrow();
  });

  it('any bytes are counted or refused, never counted as less than one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        let count: number | undefined;
        try {
          count = countInMessage(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
        if (count !== undefined) expect(Number.isSafeInteger(count) && count > 0).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('an object container of messages', () => {
  it('[I8] is read by another reader of Avro as the same events under the sequences of their messages', async () => {
    const streams = fc.array(fc.tuple(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 }), batches), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(streams, async (messages) => {
        const container = toAvroContainer(messages.map(([sequence, events]) => ({ sequence, body: messageOf(events) })));
        const records = await decodeContainer(container);
        expect(records.map((record) => record.stream_sequence)).toEqual(messages.map(([sequence]) => sequence));
        for (const [index, [, events]] of messages.entries()) {
          const found = (records[index]?.events ?? []) as Record<string, unknown>[];
          expect(found.map((record) => ({ ...record, key_digest: Buffer.from(record.key_digest as Uint8Array).toString('hex') }))).toEqual(
            events.map((event) => ({
              tenant: event.tenant,
              idempotency_key: event.idempotencyKey,
              key_digest: event.keyDigest.toString('hex'),
              event: event.event,
              customer: event.customer,
              occurred_at: event.occurredAtMs,
              received_at: event.receivedAtMs,
              properties: event.properties,
            })),
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  it('of the same messages is the same bytes, so that an insert that is tried again is recognized', () => {
    const messages = [{ sequence: 7, body: messageOf([example]) }];
    expect(Buffer.concat(toAvroContainer(messages)).equals(Buffer.concat(toAvroContainer(messages)))).toBe(true);
  });
});

describe('the identity of an event', () => {
  it('is its tenant and its key: neither runs into the other', () => {
    expect(digestOfKey('a', 'bc').equals(digestOfKey('ab', 'c'))).toBe(false);
    expect(digestOfKey('a', 'b').equals(digestOfKey('a', 'b'))).toBe(true);
    expect(digestOfKey('a', 'b')).toHaveLength(16);
  });

  it('is the first 16 bytes of SHA-256 over both, as other languages would make it', () => {
    // printf 'org_1\0a' | sha256sum
    expect(digestOfKey('org_1', 'a').toString('hex')).toBe('b494392daddbde20949b5a490a983934');
  });
});
