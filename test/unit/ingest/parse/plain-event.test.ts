import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addEventAt, parseNativeEvent } from '../../../../ingest/parse/native.ts';
import { endOfNested, PlainEvent, skipSpace } from '../../../../ingest/parse/plain-event.ts';
import { readJson } from '../../../../ingest/parse/read-json.ts';
import { eventWith, newWriter, readHorizon } from '../../../support/read-body.ts';
import { scaled } from '../../../support/scale.ts';

const example = {
  idempotency_key: '"req-1"',
  event: '"llm.request"',
  customer_id: '"cus_1"',
  timestamp: '"2026-11-20T11:59:59.250Z"',
  properties: '{"model":"gpt","tokens":12}',
};

/** An event, some of its fields replaced by their JSON text; undefined leaves a field out. */
const eventText = (replaced: Record<string, string | undefined> = {}): string =>
  `{${Object.entries({ ...example, ...replaced })
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => `"${name}":${text}`)
    .join(',')}}`;

const isPlain = (text: string): boolean => new PlainEvent().read(Buffer.from(text), 0) === Buffer.byteLength(text);

const x = (count: number): string => JSON.stringify('x'.repeat(count));
const many = (count: number): string => `{${Array.from({ length: count }, (_, index) => `"p${index}":1`).join(',')}}`;

/** The row and the claim of an event from its bytes, and as the general reader makes them. */
const bothWays = (text: string) => {
  const [plain, general] = [newWriter(), newWriter()];
  const body = Buffer.from(text);
  const end = addEventAt(body, 0, plain, readHorizon);
  const { value, twins } = readJson(body);
  general.add(parseNativeEvent(value, readHorizon, twins));
  return { end, plain: plain.done(), general: general.done() };
};

const plainEvents: readonly (readonly [string, string])[] = [
  ['of all fields', eventText()],
  ['of the three that it needs', eventText({ timestamp: undefined, properties: undefined })],
  ['with null for the others', eventText({ timestamp: 'null', properties: 'null' })],
  [
    'in another order',
    '{"properties":{"b":"1","a":"2"},"timestamp":null,"customer_id":"c","event":"e","idempotency_key":"k"}',
  ],
  [
    'with blanks everywhere',
    eventText()
      .replaceAll(/([{}:,])(?=")/g, ' \t$1\r\n ')
      .replaceAll(/"(?=[:,}])/g, '" ')
      .trimStart(),
  ],
  ['with ids beyond ASCII', eventText({ idempotency_key: '"größe 😀"', event: '"ü"', customer_id: '"日本"' })],
  [
    'with ids of characters beside C1',
    eventText({ idempotency_key: '"\u00a0"', event: '"\u00bf"', customer_id: '"\u00c0\u2028\ufeff"' }),
  ],
  ['with ids of 255 bytes', eventText({ idempotency_key: x(255), event: x(255), customer_id: x(255) })],
  ['without properties', eventWith('{}')],
  ['with properties that are null', eventWith('{"a":null,"b":"1","c":null}')],
  ['with words', eventWith('{"yes":true,"no":false}')],
  ['with an empty text', eventWith('{"a":""}')],
  ['with a text beyond ASCII', eventWith('{"a":"größe 😀"}')],
  ['with DEL in a text', eventWith('{"a":"x\u007fy"}')],
  ['with a text of 200 bytes', eventWith(`{"a":${x(200)}}`)],
  ['with dotted paths', eventWith('{"b.c":"1","a":"2","a.b":"3"}')],
  ['with a path of 255 characters', eventWith(`{${x(255)}:1}`)],
  ['with 64 properties', eventWith(many(64))],
  ['of 16,384 bytes', eventWith(`{"a":${x(16_384 - eventWith('{"a":""}').length)}}`)],
  ...['0', '-1', '1', '12.5', '-0.5', '0.001', '123456789012345', '12345678901234.5', '0.12345678901234'].map(
    (number): [string, string] => [`with the number ${number}`, eventWith(`{"n":${number}}`)],
  ),
];

const otherEvents: readonly (readonly [string, string])[] = [
  ['without a field that it needs', eventText({ customer_id: undefined })],
  ['with a field twice', `{"event":"a",${eventText().slice(1)}`],
  ['with an unknown field', `{"extra":"a",${eventText().slice(1)}`],
  ['with an unknown field as long as a known one', `{"evens":"a",${eventText({ event: undefined }).slice(1)}`],
  ['with an escape in a field name', eventText().replace('"event"', '"\\u0065vent"')],
  ['with an escape in an id', eventText({ event: '"a\\u0041"' })],
  ['with an escaped quote in an id', eventText({ event: '"a\\"b"' })],
  ['with an empty id', eventText({ event: '""' })],
  ['with an id of 256 bytes', eventText({ event: x(256) })],
  ...['\u0080', '\u0085', '\u009f'].flatMap((control): [string, string][] =>
    ['idempotency_key', 'event', 'customer_id'].map((field) => [
      `with C1 in ${field}`,
      eventText({ [field]: `"a${control}b"` }),
    ]),
  ),
  ['with DEL in an id', eventText({ event: '"a\u007f"' })],
  ['with an id that is a number', eventText({ event: '5' })],
  ['with an id that is null', eventText({ event: 'null' })],
  ['with a time that is a number', eventText({ timestamp: '5' })],
  ['with a time that the general reader words', eventText({ timestamp: '"2026-11-20t12:00:00Z"' })],
  ['with properties that are an array', eventWith('[]')],
  ['with properties that are a text', eventWith('"a"')],
  ['with an object in its properties', eventWith('{"a":{"b":1}}')],
  ['with an array in its properties', eventWith('{"a":[1]}')],
  ['with an escape in a path', eventWith('{"\\u0061":1}')],
  ['with an escape in a text', eventWith('{"a":"x\\ny"}')],
  ['with an empty path', eventWith('{"":1}')],
  ['with a path that begins with a dot', eventWith('{".a":1}')],
  ['with a path that ends with a dot', eventWith('{"a.":1}')],
  ['with a path with an empty part', eventWith('{"a..b":1}')],
  ['with a path beyond ASCII', eventWith('{"größe":1}')],
  ['with DEL in a path', eventWith('{"a\u007f":1}')],
  ['with a path of 256 characters', eventWith(`{${x(256)}:1}`)],
  ['with a path twice', eventWith('{"a":1,"b":2,"a":3}')],
  ['with a path twice, once null', eventWith('{"a":null,"a":3}')],
  ['with 65 properties', eventWith(many(65))],
  ['of 16,385 bytes', eventWith(`{"a":${x(16_385 - eventWith('{"a":""}').length)}}`)],
  ...['1.0', '0.10', '-0', '-0.0', '1e3', '1E3', '1234567890123456', '0.000000000000001', '123456789012.3456'].map(
    (number): [string, string] => [`with the number ${number}`, eventWith(`{"n":${number}}`)],
  ),
];

const broken: readonly (readonly [string, string])[] = [
  ...['01', '1.', '.5', '+1', '-', '1..2', 'nul', 'tru', 'falsy', 'NaN', '"a', '', '1 2'].map(
    (value): [string, string] => [`a property ${value || 'without a value'}`, eventWith(`{"n":${value}}`)],
  ),
  ['a trailing comma', eventText().replace(/}$/, ',}')],
  ['a trailing comma in properties', eventWith('{"a":1,}')],
  ['no comma', eventText().replace('","event"', '" "event"')],
  ['no colon', eventText().replace('"event":', '"event" ')],
  ['no end', eventText().slice(0, -1)],
  ['a control character in an id', eventText({ event: '"a\u0001b"' })],
  ['a newline in a text', eventWith('{"a":"x\ny"}')],
];

describe('an event in a body is plain', () => {
  it.each(plainEvents)('%s', (_what, text) => {
    expect(isPlain(text)).toBe(true);
    const { plain, general } = bothWays(text);
    expect(plain).toEqual(general);
  });
});

describe('an event in a body is left to the general reader', () => {
  it.each(otherEvents)('%s', (_what, text) => {
    expect(isPlain(text)).toBe(false);
    const { end, plain, general } = bothWays(text);
    expect(end).toBe(Buffer.byteLength(text));
    expect(plain).toEqual(general);
  });

  it.each(broken)('and is no JSON: %s', (_what, text) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(new PlainEvent().read(Buffer.from(text), 0)).toBe(-1);
    expect(addEventAt(Buffer.from(text), 0, newWriter(), readHorizon)).toBe(-1);
  });

  it.each([
    ['35 days ago', -readHorizon.pastMsMax, 0],
    ['a millisecond more', -readHorizon.pastMsMax - 1, 1],
    ['in 5 minutes', readHorizon.futureMsMax, 0],
    ['a millisecond later', readHorizon.futureMsMax + 1, 1],
  ])('where its time is out of the horizon: %s', (_what, offsetMs, rejected) => {
    const timestamp = JSON.stringify(new Date(readHorizon.nowMs + offsetMs).toISOString());
    const { plain, general } = bothWays(eventText({ timestamp }));
    expect(plain).toEqual(general);
    expect(plain.rejected).toHaveLength(rejected);
  });
});

describe('for any event', () => {
  const word = fc.oneof(
    fc.stringMatching(/^[a-z]{1,4}$/),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.constantFrom('a.b', '', '__proto__', 'constructor'),
  );
  const leaf = fc.oneof(
    word,
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => Number(value.toPrecision(9))),
  );
  const events = fc
    .record(
      {
        idempotency_key: word,
        event: word,
        customer_id: word,
        timestamp: fc.oneof(
          fc.date({
            min: new Date(readHorizon.nowMs - 40 * 86_400_000),
            max: new Date(readHorizon.nowMs),
            noInvalidDate: true,
          }),
          fc.constant(null),
        ),
        properties: fc.oneof(
          fc.dictionary(word, leaf),
          fc.dictionary(word, fc.dictionary(word, leaf)),
          fc.constant(null),
        ),
      },
      { requiredKeys: [] },
    )
    .chain((event) =>
      fc
        .shuffledSubarray(Object.entries(event), { minLength: Object.keys(event).length })
        .map((fields) => Object.fromEntries(fields)),
    );

  it('the row and the claim are the same from its bytes and from the general reader, so a retry in another form is no conflict', () => {
    let plain = 0;
    fc.assert(
      fc.property(events, fc.constantFrom(undefined, 1, '\t'), (event, blanks) => {
        const text = JSON.stringify(event, undefined, blanks);
        if (isPlain(text)) plain += 1;
        const both = bothWays(text);
        expect(both.plain).toEqual(both.general);
      }),
      { numRuns: scaled(10_000) },
    );
    expect(plain).toBeGreaterThan(500);
  });
});

describe('the end of nested JSON', () => {
  it.each([
    ['{}x', 2],
    ['[{"a":[1,{"b":"}]"}]}],{}', 22],
    ['{"a":"\\"}"}', 11],
    ['{"a":"\\\\"}}', 10],
    ['{', -1],
    ['[[]', -1],
    ['{"a":"}', -1],
    ['', -1],
  ])('of %s is at %i', (text, end) => {
    expect(endOfNested(Buffer.from(text), 0)).toBe(end);
  });

  it('white space is what JSON calls so, and nothing else', () => {
    expect(skipSpace(Buffer.from(' \t\r\n x'), 0)).toBe(5);
    for (const other of ['\u0000', '\u000b', '\u000c', '\u00a0', '\u2003', '\ufeff'])
      expect(skipSpace(Buffer.from(other), 0)).toBe(0);
  });
});
