/** Keys of messages: the digests that the store makes of the same rows, and what else the check asks of a row. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toMessage, type UsageEvent } from '#schemas/usage-event.ts';
import { keysOfMessages } from '../../../../ingest/identity/message-keys.ts';

const tenant = 'org_1';
const eventOf = (idempotencyKey: string, change: Partial<UsageEvent> = {}): UsageEvent => ({
  tenant,
  idempotencyKey,
  event: 'e',
  customer: 'c',
  occurredAtMs: -5,
  receivedAtMs: 1_795_000_000_001,
  properties: [['cost', '0.1']],
  ...change,
});
const digestOf = (key: string, of = tenant): string =>
  createHash('sha256').update(`${of}\0${key}`).digest('hex').slice(0, 32);

describe('keys of messages', () => {
  it('are those of the store, with sequence and times, whatever the length of a key', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 1_200 }).filter((key) => !key.includes('\0'));
    const message = fc.record({ sequence: fc.nat(2 ** 40), keys: fc.array(text, { minLength: 1, maxLength: 5 }) });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), text, (sent, of) => {
        const messages = sent.map(({ sequence, keys }) => ({
          sequence,
          body: toMessage(keys.map((key) => eventOf(key, { tenant: of }))),
        }));
        const before = messages.map(({ body }) => body.toString('hex'));
        const rows = keysOfMessages(messages);
        const expected = sent.flatMap(({ sequence, keys }) => keys.map((key) => ({ sequence, key })));
        expect(rows.count).toBe(expected.length);
        for (const [row, { sequence, key }] of expected.entries()) {
          const digest = digestOf(key, of);
          const times = { receivedAtMs: 1_795_000_000_001, occurredAtMs: -5 };
          expect(rows.decode(row)).toEqual({ tenant: of, digest, sequence, ...times });
          expect([rows.receivedAtMs(row), rows.occurredAtMs(row), rows.sequence(row)]).toEqual([
            ...[times.receivedAtMs, times.occurredAtMs, sequence],
          ]);
          const bytes = Buffer.from(digest, 'hex');
          expect([rows.low(row), rows.high(row)]).toEqual([bytes.readUInt32LE(0), bytes.readUInt32LE(4)]);
        }
        expect(messages.map(({ body }) => body.toString('hex'))).toEqual(before);
      }),
    );
  });

  it('of amendments are none: a zero byte in a key is that of no event, and one behind it tells nothing', () => {
    const rows = keysOfMessages([
      { sequence: 1, body: toMessage([eventOf('amended\0by'), eventOf('a', { properties: [['p', '\0']] })]) },
      { sequence: 2, body: toMessage([eventOf('b')]) },
    ]);
    expect([0, 1].map((row) => [rows.decode(row).digest, rows.sequence(row)])).toEqual([
      [digestOf('a'), 1],
      [digestOf('b'), 2],
    ]);
    expect(rows.count).toBe(2);
  });

  it('of what is no message, or of one that is cut, are refused', () => {
    const body = toMessage([eventOf('a'), eventOf('b')]);
    for (let length = 0; length < body.length; length += 1)
      expect(() => keysOfMessages([{ sequence: 1, body: body.subarray(0, length) }]), String(length)).toThrow();
    const longer = Buffer.from(body);
    // The length of the first key: it would end behind its row.
    longer[8 + 8 + 24 + 1 + tenant.length] = 100;
    expect(() => keysOfMessages([{ sequence: 1, body: longer }])).toThrow('behind its row');
  });
});
