/** CloudEvents from their bytes: what is plain, and that it is the same as from the general reader. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBatchBody, parseCloudEvent, parseStructuredBody } from '../../../../ingest/parse/cloudevents.ts';
import { cloudEventForm, PlainEvent } from '../../../../ingest/parse/plain-event.ts';
import { readJson } from '../../../../ingest/parse/read-json.ts';
import { newWriter, readHorizon } from '../../../support/read-body.ts';
import { scaled } from '../../../support/scale.ts';

const example = {
  specversion: '"1.0"',
  id: '"req-1"',
  source: '"/gateways/1"',
  type: '"llm.request"',
  subject: '"cus_1"',
  time: '"2026-11-20T11:59:59.250Z"',
  datacontenttype: '"application/json"',
  data: '{"model":"gpt","tokens":12}',
};

/** An event, some of its attributes replaced by their JSON text; undefined leaves one out. */
const eventText = (replaced: Record<string, string | undefined> = {}): string =>
  `{${Object.entries({ ...example, ...replaced })
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => `"${name}":${text}`)
    .join(',')}}`;

const isPlain = (text: string): boolean =>
  new PlainEvent(cloudEventForm).read(Buffer.from(text), 0) === Buffer.byteLength(text);

/** A batch of the event twice, the event by itself, and both as the general reader makes them. */
const allWays = (text: string) => {
  const [batch, batchGeneral, single, general] = [newWriter(), newWriter(), newWriter(), newWriter()];
  const parsedBatch = parseBatchBody(Buffer.from(` [${text} ,\n${text}] `), batch, readHorizon, 10);
  const parsed = parseStructuredBody(Buffer.from(` ${text} `), single, readHorizon);
  const { value, twins } = readJson(Buffer.from(text));
  for (const writer of [batchGeneral, batchGeneral, general]) writer.add(parseCloudEvent(value, readHorizon, twins));
  return {
    kinds: [parsedBatch.kind, parsed.kind],
    bytes: [batch.done(), single.done()],
    general: [batchGeneral.done(), general.done()],
  };
};

const plain: readonly (readonly [string, string])[] = [
  ['of all attributes', eventText()],
  ['of those that it needs', eventText({ time: undefined, datacontenttype: undefined, data: undefined })],
  ['with null for time and data', eventText({ time: 'null', data: 'null' })],
  ['with an id beyond ASCII', eventText({ id: '"größe 😀"' })],
];
const left: readonly (readonly [string, string])[] = [
  ...Object.keys(example).map((name): [string, string] => [
    `with ${name} twice`,
    `{"${name}":"1.0",${eventText().slice(1)}`,
  ]),
  ...['specversion', 'id', 'source', 'type', 'subject'].map((name): [string, string] => [
    `without ${name}`,
    eventText({ [name]: undefined }),
  ]),
  ['of another version', eventText({ specversion: '"1.1"' })],
  ['of a version that begins like ours', eventText({ specversion: '"1.0.1"' })],
  ['of a version that is a number', eventText({ specversion: '1.0' })],
  ['with an empty source', eventText({ source: '""' })],
  ['with a source that is a number', eventText({ source: '5' })],
  ['with a source of 300 bytes', eventText({ source: JSON.stringify('x'.repeat(300)) })],
  ['with data of another kind', eventText({ data: '"text"' })],
  ['with data in an array', eventText({ data: '[1]' })],
  ['with nested data', eventText({ data: '{"a":{"b":1}}' })],
  ['with another type of its data', eventText({ datacontenttype: '"application/xml"' })],
  ['with a longer type of its data', eventText({ datacontenttype: '"application/json; charset=utf-8"' })],
  ['without a type of its data, in words', eventText({ datacontenttype: 'null' })],
  ['with an extension', eventText({ traceparent: '"00-1"' } as Record<string, string>)],
  ['with data in base 64', eventText({ data_base64: '"eA=="' } as Record<string, string>)],
  ['with an attribute in capitals', eventText({ Subject: '"x"' } as Record<string, string>)],
  ['with an attribute of ours', eventText({ event: '"x"' } as Record<string, string>)],
  ['in our own form', '{"idempotency_key":"a","event":"b","customer_id":"c"}'],
  ['of long ago', eventText({ time: '"2020-01-01T00:00:00Z"' })],
];

describe('a CloudEvent in a body', () => {
  it.each(plain)('is plain: %s', (_, text) => {
    expect(isPlain(text)).toBe(true);
    const { kinds, bytes, general } = allWays(text);
    expect(kinds).toEqual(['events', 'events']);
    expect(bytes).toEqual(general);
    expect(bytes[1]?.rejected).toEqual([]);
  });

  it.each(left)('is left to the general reader: %s', (what, text) => {
    expect(isPlain(text)).toBe(what === 'of long ago');
    const { kinds, bytes, general } = allWays(text);
    expect(kinds).toEqual(['events', 'events']);
    expect(bytes).toEqual(general);
  });

  it.each(['', 'x', ']', ',', '{}'])('is none with %j behind its body, and nothing of it is taken', (tail) => {
    for (const [parse, text] of [
      [parseStructuredBody, `${eventText()}${tail}`],
      [(...of: Parameters<typeof parseStructuredBody>) => parseBatchBody(...of, 10), `[${eventText()}]${tail}`],
    ] as const) {
      const writer = newWriter();
      const parsed = parse(Buffer.from(text), writer, readHorizon);
      expect(parsed.kind).toBe(tail === '' ? 'events' : 'malformed');
      expect(writer.total).toBe(tail === '' ? 1 : 0);
    }
  });

  it('too many of them are counted', () => {
    const body = Buffer.from(`[${Array.from({ length: 11 }, () => eventText()).join()}]`);
    expect(parseBatchBody(body, newWriter(), readHorizon, 10)).toEqual({ kind: 'too_many', events: 11 });
  });

  it('is the same from its bytes and from the general reader, whatever it holds', () => {
    const word = fc.oneof(
      { weight: 6, arbitrary: fc.stringMatching(/^[a-z]{1,4}$/) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
    );
    const value = fc.oneof(word, fc.constant('1.0'), fc.constant(null), fc.integer(), fc.constant('application/json'));
    const data = fc.oneof(fc.dictionary(word, value), fc.constant(null), fc.constant('x'));
    const more = fc.dictionary(fc.constantFrom('trace', 'time2', 'data_base64', 'event'), value, { maxKeys: 1 });
    const attributes = fc.record(
      {
        specversion: fc.constantFrom('1.0', '1.0', '1.0', '1'),
        id: word,
        source: word,
        type: word,
        subject: word,
        time: fc.constantFrom('2026-11-20T11:59:59.250Z', '2026-11-20T11:59:59Z', null, '5'),
        datacontenttype: fc.constantFrom('application/json', 'application/json', 'application/JSON'),
        data,
      },
      { requiredKeys: ['specversion', 'id', 'source', 'type', 'subject'] },
    );
    let plainCount = 0;
    fc.assert(
      fc.property(attributes, more, fc.constantFrom(undefined, 1), (event, extra, blanks) => {
        const text = JSON.stringify({ ...event, ...extra }, undefined, blanks);
        if (isPlain(text)) plainCount += 1;
        const { bytes, general } = allWays(text);
        expect(bytes).toEqual(general);
      }),
      { numRuns: scaled(1_500) },
    );
    expect(plainCount).toBeGreaterThan(100);
  });
});
