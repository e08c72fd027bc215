/** Names that one object has twice, in every form of a body: which of the two counts nobody knows, so neither does. */
import { describe, expect, it } from 'vitest';
import { parseAvroSchema } from '../../../../ingest/parse/avro-schema.ts';
import { parseBatchBody, parseBinaryBody, parseStructuredBody } from '../../../../ingest/parse/cloudevents.ts';
import type { BlockWriter, RejectedEvent } from '../../../../ingest/parse/event-block.ts';
import type { ParsedBody } from '../../../../ingest/parse/native.ts';
import { LineReader } from '../../../../ingest/parse/ndjson.ts';
import { nestingMax } from '../../../../ingest/parse/read-json.ts';
import { eventsOf, eventWith, newWriter, readAtMs, readBody, readHorizon } from '../../../support/read-body.ts';

const good = (key: string): string => eventWith('{"a":1}').replace('req-1', key);

const readBy = (read: (writer: BlockWriter) => ParsedBody) => {
  const writer = newWriter();
  const parsed = read(writer);
  return parsed.kind === 'events' ? eventsOf(writer.done()) : parsed;
};

const faultsOf = (event: unknown): string[] =>
  (event as RejectedEvent).faults.map(({ field, code }) => `${field}: ${code}`);

const events: readonly (readonly [string, string, readonly string[]])[] = [
  ['a field', `{"event":"x",${eventWith('{}').slice(1)}`, ['event: duplicate']],
  ['a field in two spellings', `{"\\u0065vent":"x",${eventWith('{}').slice(1)}`, ['event: duplicate']],
  ['a field, the same each time', `{"customer_id":"cus_1",${eventWith('{}').slice(1)}`, ['customer_id: duplicate']],
  ['a field, once null', `{"timestamp":null,${eventWith('{}').slice(1)}`, ['timestamp: duplicate']],
  ['properties', `{"properties":{},${eventWith('{}').slice(1)}`, ['properties: duplicate']],
  ['a property', eventWith('{"a":1,"b":2,"a":3}'), ['properties.a: duplicate']],
  ['a property, once null', eventWith('{"a":null,"a":3}'), ['properties.a: duplicate']],
  ['a property in two spellings', eventWith('{"a":1,"\\u0061":2}'), ['properties.a: duplicate']],
  ['a property three times', eventWith('{"a":1,"a":2,"a":3}'), ['properties.a: duplicate']],
  ['a property in an object', eventWith('{"x":{"a":1,"a":1}}'), ['properties.x.a: duplicate']],
  [
    'a property in an object in an array',
    eventWith('{"x":[{"a":1},{"y":[0,{"b":1,"b":2}]}]}'),
    ['properties.x[1].y[1].b: duplicate'],
  ],
  ['__proto__', eventWith('{"__proto__":1,"__proto__":2}'), ['properties.__proto__: duplicate']],
  ['a number that no double has', eventWith('{"a":12345678901234567890,"a":1e-20}'), ['properties.a: duplicate']],
  [
    'two properties',
    eventWith('{"a":1,"a":2,"b":{"c":1,"c":2}}'),
    ['properties.a: duplicate', 'properties.b.c: duplicate'],
  ],
];

describe('[I27] an event that has a name twice', () => {
  it.each(events)('is refused with the path, alone and among others, which are taken: %s', (_what, text, faults) => {
    const alone = readBody(text);
    expect(alone.kind === 'events' && alone.events.map(faultsOf)).toEqual([faults]);
    for (const body of [
      `[${good('a')},${text},${good('b')}]`,
      `{"events":[${good('a')}, ${text}, ${good('b')}]}`,
      `[${good('a')},${text},5]`,
    ]) {
      const read = readBody(body);
      if (read.kind !== 'events') throw new Error(body);
      expect(faultsOf(read.events[1])).toEqual(faults);
      expect(read.events[0]).not.toHaveProperty('status');
      expect(JSON.stringify(read.events[1])).toContain('is given twice');
    }
  });

  it.each(events)('is the fault of its line: %s', (_what, text, faults) => {
    const reader = new LineReader(() => ({ writer: newWriter(), horizon: readHorizon, receivedAtMs: readAtMs }), {
      blockEventsMax: 100,
      blockBytesMax: 100_000,
      lineBytesMax: 10_000,
      eventsMax: 100,
    });
    const blocks = [...reader.push(Buffer.from(`\ufeff${good('a')}\n${text}\n${good('b')}\n`)), ...reader.end()];
    const [first, second, third] = blocks.flatMap(({ block }) => eventsOf(block));
    expect(faultsOf(second)).toEqual(faults);
    expect([first, third]).toMatchObject([{ idempotencyKey: 'a' }, { idempotencyKey: 'b' }]);
  });

  it('has no key where that is what it has twice', () => {
    const read = readBody(`{"idempotency_key":"x",${good('y').slice(1)}`);
    expect(read).toMatchObject({
      events: [{ idempotencyKey: undefined, faults: [{ field: 'idempotency_key', code: 'duplicate' }] }],
    });
  });

  it('is told by no more than a hundred faults, and by the beginnings of its names', () => {
    const long = 'x'.repeat(100_000);
    const many = Array.from({ length: 5_000 }, (_, index) => `"p${index}":1,"p${index}":2`).join();
    const read = readBody(`[${eventWith(`{"${long}":[{${many}}]}`)}]`);
    if (read.kind !== 'events') throw new Error('refused');
    expect(JSON.stringify(read.events).length).toBeLessThan(60_000);
    expect(faultsOf(read.events[0]).length).toBeLessThanOrEqual(102);
  });

  it('names that are alike but not the same, or in other objects, are no twins', () => {
    const read = readBody(
      `[${eventWith('{"a":{"a":1},"A":1,"b":[{"a":1},{"a":1}],"c":"a","d":"\\"a\\":1,\\"a\\":2"}')}]`,
    );
    expect(read).toMatchObject({ events: [{ idempotencyKey: 'req-1' }] });
  });
});

describe('an envelope that has a name twice', () => {
  it.each([
    [`{"events":[],"events":[${good('a')}]}`, 'the name "events" is given twice in one object, at line 1, column 14'],
    [
      `{"events":[${good('a')}],\n"\\u0065vents":[]}`,
      'the name "events" is given twice in one object, at line 2, column 1',
    ],
    ['{"events":[],"x":1,"x":2}', 'the name "x" is given twice in one object, at line 1, column 20'],
    ['{"events":1,"events":[]}', 'the name "events" is given twice in one object, at line 1, column 13'],
  ])('is refused whole, at the place: %s', (body, reason) => {
    expect(readBody(body)).toEqual({ kind: 'malformed', reason });
  });
});

const cloudEvent = (id: string, data: string, more = ''): string =>
  `{${more}"specversion":"1.0","id":"${id}","source":"/s","type":"t","subject":"c","data":${data}}`;

const cloudEvents: readonly (readonly [string, readonly string[]])[] = [
  [cloudEvent('a', '{}', '"id":"b",'), ['id: duplicate']],
  [cloudEvent('a', '{}', '"source":"/s",'), ['source: duplicate']],
  [cloudEvent('a', '{}', '"traceparent":"1","traceparent":"1",'), ['traceparent: duplicate']],
  [cloudEvent('a', '{}', '"dat\\u0061":null,'), ['data: duplicate']],
  [cloudEvent('a', '{"x":[{"y":1,"y":2}]}'), ['data.x[0].y: duplicate']],
];

describe('a CloudEvent that has a name twice', () => {
  it.each(cloudEvents)('is refused by the names of its attributes: %s', (text, faults) => {
    const one = readBy((writer) => parseStructuredBody(Buffer.from(`\ufeff${text}`), writer, readHorizon));
    expect((one as unknown[]).map(faultsOf)).toEqual([faults]);
    const batch = Buffer.from(`\ufeff[${cloudEvent('x', '{}')},${text},${cloudEvent('y', '{}')}]`);
    const [first, second, third] = readBy((writer) => parseBatchBody(batch, writer, readHorizon, 10)) as unknown[];
    expect(faultsOf(second)).toEqual(faults);
    expect([first, third]).toMatchObject([{ idempotencyKey: 'x' }, { idempotencyKey: 'y' }]);
  });

  it('in the data of binary mode is refused with the path below data', () => {
    const headers = { 'ce-specversion': '1.0', 'ce-id': 'a', 'ce-source': '/s', 'ce-type': 't', 'ce-subject': 'c' };
    const read = (data: string) =>
      readBy((writer) => parseBinaryBody(headers, Buffer.from(data), writer, readHorizon)) as unknown[];
    expect(read('{"a":1,"a":2}').map(faultsOf)).toEqual([['data.a: duplicate']]);
    expect(read('\ufeff{"a":1}')).toMatchObject([{ idempotencyKey: 'a', properties: [['a', '1']] }]);
  });
});

describe('a schema of Avro', () => {
  it.each([
    ['{"type":"string","type":"int"}', 'the name "type" is given twice in one object, at line 1, column 18'],
    [
      '{"type":"array","items":{"type":"int","typ\\u0065":"int"}}',
      'the name "type" is given twice in one object, at line 1, column 39',
    ],
  ])('that has a name twice is refused, at the place: %s', (text, reason) => {
    expect(parseAvroSchema(Buffer.from(text))).toEqual({ reason });
  });
});

describe('[I27] nesting that no event can have', () => {
  const nested = (levels: number, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);

  it('is refused before anything is made of it', () => {
    const places = ['[', '{"":', '[{"\\n":'].map((open) => readBody(open.repeat(1_000_000)));
    for (const read of places)
      expect(read).toMatchObject({ kind: 'malformed', reason: expect.stringMatching(/nested deeper than 128, at/) });
  });

  it('is judged by the body, whether its events are told apart or not', () => {
    for (const last of [good('b'), '5']) {
      const around = nestingMax - 3;
      expect(readBody(`[${eventWith(`{"a":${nested(around)}}`)},${last}]`)).toMatchObject({
        events: [{ faults: [{ code: 'too_deep' }] }, {}],
      });
      expect(readBody(`[${eventWith(`{"a":${nested(around + 1)}}`)},${last}]`)).toMatchObject({ kind: 'malformed' });
      expect(readBody(`{"events":[${eventWith(`{"a":${nested(around)}}`)},${last}]}`)).toMatchObject({
        kind: 'malformed',
      });
    }
  });
});

describe('[I27] an event of more values than its properties may have bytes', () => {
  it.each([
    ['arrays', `{"a":[${Array(400_000).fill('[]').join()}]}`, 'too_large'],
    ['objects', `{"a":[${Array(400_000).fill('{}').join()}]}`, 'too_large'],
    ['properties', `{${Array.from({ length: 200_000 }, (_, index) => `"p${index}":1`).join()}}`, 'too_many_properties'],
  ])('is refused without reading them all: %s', (_what, properties, code) => {
    const read = readBody(eventWith(properties));
    expect(read).toMatchObject({ events: [{ status: 'invalid', faults: [{ field: 'properties', code }] }] });
  });
});
