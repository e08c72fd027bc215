import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonText } from '#platform/json/json-text.ts';
import { amendmentMessage, amendmentsFromJson, keyDigest, replacementKey, shownKey } from '#schemas/amendment.ts';
import { wrapInexactNumbers } from '#schemas/exact-numbers.ts';
import { fromMessage } from '#schemas/usage-event.ts';
import { type Horizon, parseNativeEvent } from '../../../ingest/parse/native.ts';
import { scaled } from '../../support/scale.ts';

const nowMs = Date.UTC(2026, 10, 21);
const futureMsMax = 300_000;
const parsed = (text: string): unknown => parseJsonText(wrapInexactNumbers(Buffer.from(text), text));

describe('a replacement', () => {
  const horizon: Horizon = { nowMs, pastMsMax: nowMs - Date.UTC(2000), futureMsMax, isBackfill: true };
  const scalar = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.constantFrom('1e400', '0.1000000000000000055', 'null', 'true', '9007199254740993'),
  );
  const values = fc.oneof(
    fc.json({ maxDepth: 3 }),
    fc.string().map((text) => JSON.stringify(text)),
    scalar.map((text) => (/^[-0-9tn]/.test(text) ? text : JSON.stringify(text))),
  );
  const times = fc.constantFrom(
    '"2026-11-20T00:00:00Z"',
    '"1999-12-31T23:59:59Z"',
    '"2000-01-01T00:00:00+01:00"',
    '"2026-11-21T00:05:00.001Z"',
    '"2026-02-30T00:00:00Z"',
    '7',
  );
  const ids = fc
    .oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('', 'a', 'x'.repeat(255), 'x'.repeat(256), '\u{1f4b6}'.repeat(255), 'a\u0000', 'a\u007f'),
    )
    .map((text) => JSON.stringify(text));
  const objects = fc
    .dictionary(
      fc.constantFrom('a', 'b', 'c.d', 'e'),
      scalar.map((text) => (/^[-0-9tn]/.test(text) ? text : JSON.stringify(text))),
    )
    .map(
      (of) =>
        `{${Object.entries(of)
          .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
          .join(',')}}`,
    );
  const all = fc.record({
    event: fc.oneof({ weight: 4, arbitrary: fc.constant('"e"') }, ids),
    customer_id: fc.oneof({ weight: 4, arbitrary: fc.constant('"c"') }, ids),
    timestamp: fc.oneof({ weight: 4, arbitrary: fc.constant('"2026-11-20T00:00:00Z"') }, times),
    properties: fc.oneof({ weight: 4, arbitrary: objects }, values),
  });
  const fields = fc.oneof(
    { weight: 4, arbitrary: all },
    fc.tuple(all, fc.constantFrom('event', 'customer_id', 'properties')).map(([{ ...raw }, name]) => {
      delete (raw as Record<string, string>)[name];
      return { ...raw, colour: '1' };
    }),
  );

  it('is taken and refused exactly as the gateway takes and refuses that event, fault by fault', () => {
    const seen = { taken: 0, refused: 0 };
    fc.assert(
      fc.property(fields, (raw) => {
        const text = Object.entries(raw)
          .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
          .join(',');
        const sent = (prefix: string) => {
          try {
            return parsed(`${prefix}${text}}`);
          } catch {
            return undefined;
          }
        };
        const event = sent('{"idempotency_key":"k",');
        fc.pre(event !== undefined);
        const byGateway = parseNativeEvent(event, horizon);
        const amendment = { idempotency_key: 'k', action: 'replace', reason: 'r', replacement: sent('{') };
        const byApi = amendmentsFromJson({ amendments: [amendment] }, { nowMs, futureMsMax });
        if (byApi.ok) seen.taken += 1;
        else seen.refused += 1;
        if ('status' in byGateway) {
          const codes = byGateway.faults.map(({ field, code }) => `${field} ${code}`);
          // The gateway stops at a time that is too old or too new only once all else is right; here all are told.
          if (byGateway.status === 'invalid')
            expect(
              byApi.ok
                ? []
                : byApi.faults.map(({ field, code }) => `${field.replace('amendments[0].replacement.', '')} ${code}`),
            ).toEqual(expect.arrayContaining(codes));
          expect(byApi.ok).toBe(false);
        } else
          expect(byApi).toMatchObject({
            ok: true,
            value: [
              {
                replacement: {
                  event: byGateway.event,
                  customer: byGateway.customer,
                  occurredAtMs: byGateway.occurredAtMs,
                  properties: byGateway.properties,
                },
              },
            ],
          });
      }),
      { numRuns: scaled(2_000) },
    );
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(100);
  });

  it('must say when it happened', () => {
    const replacement = { event: 'e', customer_id: 'c' };
    const { ok, ...rest } = amendmentsFromJson(
      { amendments: [{ idempotency_key: 'k', action: 'replace', reason: 'r', replacement }] },
      { nowMs, futureMsMax },
    );
    expect([ok, rest]).toMatchObject([
      false,
      { faults: [{ field: 'amendments[0].replacement.timestamp', code: 'missing' }] },
    ]);
  });
});

describe('the message of an amendment', () => {
  const removed = [{ event: 'llm', customer: 'c', occurredAtMs: 5, digest: Buffer.alloc(16, 7) }];
  const added = { event: 'llm', customer: 'd', occurredAtMs: 6, properties: [['tokens', '3']] as const };
  const amendment = { id: 'amd_1', organizationId: 'org_1', idempotencyKey: 'k', createdAtMs: 9, removed, added };

  it('has a row for what it takes away, and one for what stands instead', () => {
    const rows = fromMessage(amendmentMessage(amendment));
    expect(rows).toEqual([
      {
        tenant: 'org_1\0',
        idempotencyKey: '\0amd_1',
        event: 'replaced',
        customer: 'c',
        occurredAtMs: 5,
        receivedAtMs: 9,
        properties: [
          ['event', 'llm'],
          ['key', 'k'],
          ['row_digest', '07'.repeat(16)],
        ],
      },
      {
        tenant: 'org_1',
        idempotencyKey: 'k\0amd_1',
        event: 'llm',
        customer: 'd',
        occurredAtMs: 6,
        receivedAtMs: 9,
        properties: [['tokens', '3']],
      },
    ]);
    expect(fromMessage(amendmentMessage({ ...amendment, added: undefined })).map(({ event }) => event)).toEqual([
      'voided',
    ]);
  });

  it('is the same bytes whenever it is made', () => {
    expect(amendmentMessage(amendment).equals(amendmentMessage({ ...amendment }))).toBe(true);
  });

  it('names a replacement so that no event of a caller has its name, and shows the key of the caller', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }).filter((key) => !key.includes('\0')),
        (key) => {
          expect(shownKey(replacementKey(key, 'amd_1'))).toBe(key);
          expect(shownKey(key)).toBe(key);
          expect(
            keyDigest('org_1', key).equals(createHash('sha256').update(`org_1\0${key}`).digest().subarray(0, 16)),
          ).toBe(true);
        },
      ),
    );
  });
});
