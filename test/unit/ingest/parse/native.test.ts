import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { idCharactersMax } from '#schemas/event-fields.ts';
import { faultsPerEventMax } from '#schemas/event-properties.ts';
import { readHorizon as horizon, readAtMs as nowMs, readBody, readEvent } from '../../../support/read-body.ts';
import { scaled } from '../../../support/scale.ts';

const example = {
  idempotency_key: 'req-1',
  event: 'llm.request',
  customer_id: 'cus_1',
  timestamp: '2026-11-20T11:59:59.250Z',
  properties: { model: 'gpt', tokens: 12 },
};

/** An event as a body carries it, with some fields replaced by their JSON text; undefined leaves a field out. */
const eventText = (replaced: Record<string, string | undefined> = {}): string => {
  const fields = {
    ...Object.fromEntries(Object.entries(example).map(([name, value]) => [name, JSON.stringify(value)])),
    ...replaced,
  };
  const given = Object.entries(fields).filter(([, text]) => text !== undefined);
  return `{${given.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
};

const faultsOf = (text: string): string[] => {
  const parsed = readEvent(text);
  return 'status' in parsed ? parsed.faults.map(({ field, code }) => `${field}: ${code}`) : [];
};

describe('a body', () => {
  it.each([
    ['one event', eventText(), 1],
    ['an array of events', `[${eventText()},${eventText()}]`, 2],
    ['events in an object', `{"events":[${eventText()}]}`, 1],
    ['no events', '[]', 0],
    ['no events in an object', '{"events":[]}', 0],
    ['events in an object that names them with an escape', `{"\\u0065vents":[${eventText()},${eventText()}]}`, 2],
    ['a byte order mark before it', `\ufeff[${eventText()}]`, 1],
    ['a byte order mark before one event', `\ufeff${eventText()}`, 1],
    ['blanks around it', ` \r\n\t[${eventText()}] `, 1],
    ['things that are no events, which are faults of their own', '[1,null,"x",[]]', 4],
  ])('%s', (_what, text, count) => {
    const body = readBody(text);
    expect(body.kind === 'events' && body.events.length).toBe(count);
  });

  it.each([
    ['nothing', ''],
    ['blanks', '  '],
    ['null', 'null'],
    ['a number', '5'],
    ['a number that a double does not carry', '12345678901234567890'],
    ['a text', '"event"'],
    ['a boolean', 'true'],
    ['two values', '{}{}'],
    ['half an object', '{"idempotency_key":"a"'],
    ['a trailing comma', '[{},]'],
    ['a comment', '[] // none'],
    ['NaN', '[NaN]'],
    ['a leading zero', '[{"properties":{"a":01}}]'],
    ['a leading zero before many digits', '[{"properties":{"a":01234567890123456789}}]'],
    ['a plus sign before many digits', '[{"properties":{"a":+1234567890123456789}}]'],
    ['a point behind many digits', '[{"properties":{"a":1234567890123456789.}}]'],
    ['two numbers in one', '[{"properties":{"a":1234567890123456789-1}}]'],
    ['a byte order mark behind a blank', ' \ufeff[]'],
    ['two byte order marks', '\ufeff\ufeff[]'],
    ['nothing but a byte order mark', '\ufeff'],
    ['a control character in a text', '["\u0001"]'],
    ['events that are no array', '{"events":{}}'],
    ['events that are a number', '{"events":12345678901234567890}'],
    ['another field beside events', '{"events":[],"customer_id":"a"}'],
    ['another field in front of events', '{"customer_id":"a","events":[]}'],
    ['a whole event in front of events', eventText({ events: '[]' })],
    ['a byte that UTF-8 never has', Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])],
    ['a UTF-8 sequence cut short', Buffer.from([0x5b, 0x22, 0xe2, 0x82, 0x22, 0x5d])],
    ['an overlong NUL', Buffer.from([0x5b, 0x22, 0xc0, 0x80, 0x22, 0x5d])],
    ['a surrogate in UTF-8', Buffer.from([0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d])],
    ['UTF-16', Buffer.from('[]', 'utf16le')],
  ])('%s is malformed, with a reason', (_what, text) => {
    const body = readBody(text);
    expect(body).toMatchObject({ kind: 'malformed', reason: expect.stringMatching(/./) });
  });

  it.each([
    ['an array', (events: string) => `[${events}]`],
    ['an object', (events: string) => `{"events":[${events}]}`],
  ])('of one event more than the limit is refused whole, with their number: %s', (_form, wrap) => {
    const events = (count: number) => wrap(Array(count).fill(eventText()).join(','));
    expect(readBody(events(3), 3)).toMatchObject({ kind: 'events' });
    expect(readBody(events(4), 3)).toEqual({ kind: 'too_many', events: 4 });
    expect(readBody(wrap(Array(4).fill('5').join(',')), 3)).toEqual({ kind: 'too_many', events: 4 });
  });

  it('that breaks off behind good events gives none of them', () => {
    expect(readBody(`[${eventText()},${eventText()},{"idempotency_key":`)).toMatchObject({ kind: 'malformed' });
  });

  it('the reason quotes what the caller sent, also beside a number that was looked at more closely', () => {
    expect(readBody('[1234567890123456789, oops]')).toMatchObject({
      reason: expect.stringContaining('"23456789, oops]"'),
    });
    expect(readBody('[1234567890123456789, oops]')).not.toMatchObject({ reason: expect.stringContaining('inexact') });
  });
});

describe('an event', () => {
  it('has the properties that it names, whatever another caller named before', () => {
    const other = '{"a":1,"gr\\\\u0":2}';
    const mine = '{"a":1,"gr\\u00f6\\u00dfe":2}';
    for (const properties of [other, mine, mine]) JSON.parse(properties);
    readEvent(eventText({ properties: other }));
    expect(readEvent(eventText({ properties: mine }))).toMatchObject({
      properties: [
        ['a', '1'],
        ['größe', '2'],
      ],
    });
  });

  it('has its fields, its time in milliseconds and its properties as texts', () => {
    expect(readEvent(eventText())).toEqual({
      idempotencyKey: 'req-1',
      event: 'llm.request',
      customer: 'cus_1',
      occurredAtMs: nowMs - 750,
      properties: [
        ['model', 'gpt'],
        ['tokens', '12'],
      ],
    });
  });

  it.each([undefined, 'null'])('may leave out its time and its properties (%s)', (absent) => {
    expect(readEvent(eventText({ timestamp: absent, properties: absent }))).toMatchObject({
      occurredAtMs: undefined,
      properties: [],
    });
  });

  it.each(['null', '5', '"text"', 'true', '[]', `[${eventText()}]`, '12345678901234567890'])(
    '%s in its place is a fault',
    (text) => {
      expect(readEvent(text)).toMatchObject({ status: 'invalid', idempotencyKey: undefined });
      expect(faultsOf(text)).toEqual([': wrong_type']);
    },
  );

  describe.each(['idempotency_key', 'event', 'customer_id'])('%s', (field) => {
    it.each([
      ['absent', undefined, 'missing'],
      ['null', 'null', 'wrong_type'],
      ['a number', '5', 'wrong_type'],
      ['a number of many digits', '12345678901234567890', 'wrong_type'],
      ['an object', '{}', 'wrong_type'],
      ['empty', '""', 'wrong_length'],
      [`of ${idCharactersMax + 1} characters`, JSON.stringify('x'.repeat(idCharactersMax + 1)), 'wrong_length'],
      ['with NUL', '"a\\u0000b"', 'wrong_format'],
      ['with a newline', '"a\\nb"', 'wrong_format'],
      ['with DEL', '"a\\u007fb"', 'wrong_format'],
      ['with half a surrogate pair', '"a\\ud83d"', 'wrong_format'],
      ['with a surrogate pair in the wrong order', '"\\ude00\\ud83d"', 'wrong_format'],
    ])('%s is a fault', (_what, text, code) => {
      expect(faultsOf(eventText({ [field]: text }))).toEqual([`${field}: ${code}`]);
    });

    it.each([
      ['of 1 character', '"x"'],
      [`of ${idCharactersMax} characters`, JSON.stringify('x'.repeat(idCharactersMax))],
      ['beyond ASCII', '"größe 😀"'],
      ['of many digits', '"12345678901234567890"'],
      ['that a prototype has', '"__proto__"'],
    ])('%s is taken', (_what, text) => {
      expect(faultsOf(eventText({ [field]: text }))).toEqual([]);
    });
  });

  it('all of its faults are listed at once, each with its field', () => {
    const text =
      '{"idempotency_key":"","event":5,"timestamp":"yesterday","properties":{"a":1e400,"b":{"c":1e40}},"customerId":"c","__proto__":{}}';
    expect(faultsOf(text)).toEqual([
      'idempotency_key: wrong_length',
      'event: wrong_type',
      'customer_id: missing',
      'timestamp: not_rfc3339',
      'properties.a: number_range',
      'properties.b.c: number_range',
      'customerId: unknown_field',
      '__proto__: unknown_field',
    ]);
  });

  it('[I27] a body full of unknown fields does not become a list of faults of its size', () => {
    const names = Array.from({ length: 100_000 }, (_, index) => `"${index}":1`);
    const faults = faultsOf(`{${names.join(',')}}`);
    expect(faults).toHaveLength(faultsPerEventMax + 1);
    expect(faults.at(-1)).toBe(': too_many_faults');
  });

  it.each([
    ['a number', '1795176000', 'wrong_type'],
    ['a text without zone', '"2026-11-20T12:00:00"', 'not_rfc3339'],
    ['a leap second in the middle of a month', '"2026-06-29T23:59:60Z"', 'not_rfc3339'],
    ['empty', '""', 'not_rfc3339'],
  ])('a timestamp that is %s is a fault', (_what, text, code) => {
    expect(faultsOf(eventText({ timestamp: text }))).toEqual([`timestamp: ${code}`]);
  });

  it.each([
    ['35 days ago', -horizon.pastMsMax, 'taken'],
    ['a millisecond more', -horizon.pastMsMax - 1, 'too_old'],
    ['in 5 minutes', horizon.futureMsMax, 'taken'],
    ['a millisecond later', horizon.futureMsMax + 1, 'in_future'],
  ])('a timestamp of %s (%i ms) is %s', (_what, offsetMs, expected) => {
    const parsed = readEvent(eventText({ timestamp: JSON.stringify(new Date(nowMs + offsetMs).toISOString()) }));
    expect('status' in parsed ? parsed.status : 'taken').toBe(expected);
    if ('status' in parsed) {
      expect(parsed).toMatchObject({ idempotencyKey: 'req-1', faults: [{ field: 'timestamp', code: expected }] });
    }
  });

  it('with faults and an old timestamp is invalid, so that all of it is corrected at once', () => {
    expect(readEvent(eventText({ event: '""', timestamp: '"2020-01-01T00:00:00Z"' }))).toMatchObject({
      status: 'invalid',
    });
  });

  it('a prototype lends it no field, and it gives none to a prototype', () => {
    expect(faultsOf(`{"__proto__":${eventText()}}`)).toEqual([
      'idempotency_key: missing',
      'event: missing',
      'customer_id: missing',
      '__proto__: unknown_field',
    ]);
    expect(faultsOf(`{"constructor":{"prototype":{"event":"x"}},${eventText().slice(1)}`)).toEqual([
      'constructor: unknown_field',
    ]);
    expect(({} as { event?: unknown }).event).toBeUndefined();
  });
});

describe('[I27] no body ends in an exception', () => {
  const outcomesOf = (body: Buffer): string[] => {
    const parsed = readBody(body);
    if (parsed.kind !== 'events') return [parsed.kind];
    return parsed.events.map((read) => {
      if (!('status' in read)) return 'taken';
      expect(read.faults.length).toBeGreaterThan(0);
      return read.status;
    });
  };

  it.each([
    ['arrays', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['open arrays', '['.repeat(100_000)],
    ['objects', '{"events":'.repeat(100_000) + '1'.padEnd(100_001, '}')],
    ['arrays around an inexact number', `${'['.repeat(100_000)}12345678901234567890${']'.repeat(100_000)}`],
    ['objects around an inexact number', `[${'{"a":'.repeat(100_000)}1e-400${'}'.repeat(100_000)}]`],
    ['properties', `[${eventText({ properties: '{"a":'.repeat(100_000) + '1'.padEnd(100_001, '}') })}]`],
    ['an array in properties', `[${eventText({ properties: `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}` })}]`],
    ['a timestamp', `[${eventText({ timestamp: `${'['.repeat(100_000)}${']'.repeat(100_000)}` })}]`],
    ['an unknown field', `[${eventText({ extra: `${'['.repeat(100_000)}${']'.repeat(100_000)}` })}]`],
  ])('%s nested 100,000 deep', (_what, text) => {
    expect(outcomesOf(Buffer.from(text))).not.toContain('taken');
  });

  it('10,000 bodies of random bytes', () => {
    let cases = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        outcomesOf(Buffer.from(bytes));
        cases += 1;
      }),
      { numRuns: scaled(10_000) },
    );
    expect(cases).toBe(10_000);
  });

  it('20,000 valid bodies with random damage, most of which stay readable or become malformed', () => {
    const valid = Buffer.from(
      `{"events":[${eventText()},${eventText({ properties: '{"a":[1.5e-7,{"b":"\\u00e9😀"}],"c.d":12345678901234567890,"c":{"d":-0}}' })}]}`,
    );
    const pieces = [
      '"',
      '\\',
      '\\u',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '0',
      '-',
      'e',
      '.',
      '\0',
      '\xff',
      '1234567890123456',
      '1e-400',
      '__proto__',
    ];
    const damage = fc.record({
      at: fc.nat({ max: valid.length }),
      remove: fc.nat({ max: 6 }),
      insert: fc.oneof(
        fc.constantFrom(...pieces).map((piece) => Buffer.from(piece, 'latin1')),
        fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
        fc
          .tuple(fc.nat({ max: valid.length }), fc.nat({ max: 40 }))
          .map(([from, length]) => valid.subarray(from, from + length)),
      ),
    });
    const seen = new Map<string, number>();
    let cases = 0;
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        let body = valid;
        for (const { at, remove, insert } of damages) {
          body = Buffer.concat([body.subarray(0, at), insert, body.subarray(at + remove)]);
        }
        for (const outcome of new Set(outcomesOf(body))) seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        cases += 1;
      }),
      { numRuns: scaled(20_000) },
    );
    expect(cases).toBe(20_000);
    // The damage reaches every branch: otherwise this test would prove little.
    for (const outcome of ['malformed', 'invalid', 'taken']) expect(seen.get(outcome)).toBeGreaterThan(1_000);
  });

  it('a text is malformed exactly where JSON.parse refuses it, however many digits its numbers have', () => {
    const pieces = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '"a"',
        '"k":',
        ' ',
        '-',
        '+',
        '.',
        'e',
        'E',
        '0',
        '1',
        '12345678901234567',
        '0.1',
        '1e-400',
      ],
      ...[
        'true',
        'null',
        '"\\"12345678901234567"',
        '1234567890.1234567',
        '01234567890123456789',
        '{"a":12345678901234567}',
      ],
    );
    const shapes = fc.oneof(
      fc.array(pieces, { maxLength: 8 }).map((parts) => `[${parts.join('')}]`),
      fc.array(pieces, { minLength: 1, maxLength: 8 }).map((parts) => `[${parts.join(',')}]`),
    );
    let readable = 0;
    fc.assert(
      fc.property(shapes, (text) => {
        let expected: unknown[] | undefined;
        try {
          expected = JSON.parse(text);
        } catch {
          expected = undefined;
        }
        const body = readBody(text);
        expect(body.kind, text).toBe(expected ? 'events' : 'malformed');
        if (body.kind === 'events') {
          readable += 1;
          expect(body.events).toHaveLength(expected?.length ?? -1);
        }
      }),
      { numRuns: scaled(20_000) },
    );
    expect(readable).toBeGreaterThan(2_000);
  });
});
