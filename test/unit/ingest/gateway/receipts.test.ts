import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventsDigestOf, type Receipt, receiptText, thumbprintOf, verifyReceipt } from '#schemas/receipt.ts';
import type { Outcomes, Status } from '../../../../ingest/gateway/accept-events.ts';
import { addToTally, answerOfTally, countsOf, lastLineOf, newTally } from '../../../../ingest/gateway/answer.ts';
import { createReceiptSigner, draftReceipt } from '../../../../ingest/gateway/receipts.ts';
import { blockOf, event, startMs } from '../../../support/memory-gateway.ts';
import { scaled } from '../../../support/scale.ts';

const signer = createReceiptSigner('a secret of tests');
const origin = { organization: 'org_1', requestId: 'req_1', receivedAtMs: startMs };

/** What a request is answered whose events come in these blocks: of each its key and its outcome. */
const tallyOf = (blocks: readonly (readonly (readonly [key: string, status: Status])[])[], isAsked = true) => {
  const tally = newTally(isAsked ? draftReceipt(signer, origin) : undefined);
  for (const events of blocks) {
    const block = blockOf(
      events.map(([key]) => event(key)),
      startMs,
    );
    const outcomes: Outcomes = { statuses: events.map(([, status]) => status), faults: new Map() };
    addToTally(tally, block, outcomes, countsOf(outcomes), { everyResult: false, keyField: 'idempotency_key' });
  }
  return tally;
};
const answerTo = (...blocks: Parameters<typeof tallyOf>[0]) => JSON.parse(answerOfTally(tallyOf(blocks), 'req_1').body);
const receiptFor = (...blocks: Parameters<typeof tallyOf>[0]): Receipt => answerTo(...blocks).receipt;

const taken = receiptFor([
  ['a', 'accepted'],
  ['b', 'duplicate'],
  ['c', 'accepted'],
]);

describe('a receipt', () => {
  it('holds for the events that were taken, in their order, and for no others', () => {
    expect(taken).toMatchObject({
      organization: 'org_1',
      request_id: 'req_1',
      received_at: '2026-11-20T12:00:00.000Z',
      accepted: 2,
      duplicates: 1,
    });
    expect(verifyReceipt(taken, signer.key)).toEqual({ isValid: true });
    expect(verifyReceipt(taken, signer.key, ['a', 'b', 'c'])).toEqual({ isValid: true });
    for (const others of [['a', 'c', 'b'], ['a', 'b'], ['a', 'b', 'c', 'd'], ['ab', 'c'], []])
      expect(verifyReceipt(taken, signer.key, others)).toMatchObject({
        isValid: false,
        reason: expect.stringContaining('other events'),
      });
  });

  it('leaves out what was not taken', () => {
    const receipt = receiptFor([
      ['a', 'conflict'],
      ['b', 'accepted'],
      ['c', 'in_future'],
      ['d', 'duplicate'],
    ]);
    expect(verifyReceipt(receipt, signer.key, ['b', 'd'])).toEqual({ isValid: true });
  });

  it('is the same for lines that come in several blocks', () => {
    const receipt = receiptFor([['a', 'accepted']], [['b', 'duplicate']], [['c', 'accepted']]);
    expect(receipt).toEqual(taken);
    const line = JSON.parse(lastLineOf(tallyOf([[['a', 'accepted']]]), 'req_1').body);
    expect(verifyReceipt(line.receipt, signer.key, ['a'])).toEqual({ isValid: true });
  });

  it.each<[string, Partial<Receipt>]>([
    ['organization', { organization: 'org_2' }],
    ['request', { request_id: 'req_2' }],
    ['time', { received_at: '2026-11-20T12:00:01Z' }],
    ['count of accepted events', { accepted: 3 }],
    ['count of duplicates', { duplicates: 0 }],
    ['digest', { events_digest: eventsDigestOf(['x']) }],
    ['signature', { signature: taken.signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) }],
    ['signature, which is none', { signature: 'no base64!' }],
    ['order of what is signed', { organization: 'org_1\nreq_1', request_id: '2026-11-20T12:00:00Z' }],
  ])('with another %s is refused', (_, changed) => {
    expect(verifyReceipt({ ...taken, ...changed }, signer.key)).toMatchObject({
      isValid: false,
      reason: expect.stringContaining('signature'),
    });
  });

  it('of another installation is refused, although it names our key', () => {
    const other = createReceiptSigner('another secret');
    const forged = { ...taken, signature: other.sign(receiptText(taken)) };
    expect(verifyReceipt(forged, signer.key).isValid).toBe(false);
    expect(verifyReceipt({ ...forged, key_id: other.key.kid }, signer.key)).toEqual({
      isValid: false,
      reason: 'it was signed with another key',
    });
    expect(verifyReceipt({ ...forged, key_id: other.key.kid }, other.key).isValid).toBe(true);
    expect(verifyReceipt({ ...taken, key_id: thumbprintOf('AAAA') }, { ...signer.key, x: 'AAAA' }).isValid).toBe(false);
  });

  it('is signed alike by all gateways that share the secret, with a key that the secret is not seen in', () => {
    const { key, sign } = createReceiptSigner('a secret of tests');
    expect([key, sign(receiptText(taken))]).toEqual([signer.key, taken.signature]);
    expect(JSON.stringify(key)).not.toContain(Buffer.from('a secret of tests').toString('base64url'));
    expect(
      verify(
        null,
        receiptText(taken),
        createPublicKey({ key: { ...key }, format: 'jwk' }),
        Buffer.from(taken.signature, 'base64url'),
      ),
    ).toBe(true);
  });

  it.each<[string, Status[]]>([
    ['is to be sent again', ['accepted', 'in_flight']],
    ['took nothing', ['invalid']],
    ['is a conflict', ['conflict']],
  ])('is not given for a request that %s', (_, found) => {
    const blocks = [found.map((status, index) => [`k${index}`, status] as const)];
    expect(answerTo(...blocks)).not.toHaveProperty('receipt');
    expect(JSON.parse(lastLineOf(tallyOf(blocks), 'req_1').body)).not.toHaveProperty('receipt');
  });

  it('is not given to who did not ask', () => {
    expect(JSON.parse(answerOfTally(tallyOf([[['a', 'accepted']]], false), 'req_1').body)).not.toHaveProperty(
      'receipt',
    );
  });
});

it('two lists of keys have one digest only where they are the same bytes in the same cuts', () => {
  const keys = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\0', '\u0001', 'é'), maxLength: 2 }), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(keys, keys, (one, other) => {
      expect(eventsDigestOf(one) === eventsDigestOf(other)).toBe(JSON.stringify(one) === JSON.stringify(other));
    }),
    { numRuns: scaled(2_000) },
  );
});

describe('the example of docs/ingest.md', () => {
  it('believes a receipt where ours does, and no other', async () => {
    const document = readFileSync(new URL('../../../../docs/ingest.md', import.meta.url), 'utf8');
    const code = /```js\n(.*?)```/s.exec(document)?.[1] ?? '';
    const { isReceiptFor } = await import(
      /* @vite-ignore */ `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`
    );
    const keys = ['h\u00e9llo', '\u65e5\u672c'];
    const receipt = receiptFor(keys.map((key) => [key, 'accepted'] as const));
    expect(isReceiptFor(receipt, signer.key, keys)).toBe(true);
    expect(isReceiptFor(receipt, signer.key, keys.toReversed())).toBe(false);
    expect(isReceiptFor({ ...receipt, accepted: 3 }, signer.key, keys)).toBe(false);
    expect(isReceiptFor(receipt, createReceiptSigner('another secret').key, keys)).toBe(false);
  });
});
