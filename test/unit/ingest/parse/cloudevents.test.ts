import { describe, expect, it } from 'vitest';
import {
  isBinaryMode,
  parseBatchBody,
  parseBinaryBody,
  parseCloudEvent,
  parseStructuredBody,
} from '../../../../ingest/parse/cloudevents.ts';
import { BlockWriter } from '../../../../ingest/parse/event-block.ts';
import { seedsOf } from '../../../../ingest/parse/key-hash.ts';
import { parseNativeBody, parseNativeEvent } from '../../../../ingest/parse/native.ts';

const nowMs = Date.UTC(2026, 10, 20, 12);
const horizon = { nowMs, pastMsMax: 35 * 86_400_000, futureMsMax: 300_000 };
const newWriter = () =>
  new BlockWriter({ tenant: 'org_1', seeds: seedsOf('a secret of tests', 'org_1'), receivedAtMs: nowMs }, 512);

const cloudEvent = (replaced: Record<string, unknown> = {}): Record<string, unknown> => ({
  specversion: '1.0',
  id: 'a',
  source: '/tests',
  type: 'llm.request',
  subject: 'acme',
  time: '2026-11-20T11:00:00Z',
  data: { tokens: 12, where: { region: 'eu' } },
  ...replaced,
});
const native = {
  idempotency_key: 'a',
  event: 'llm.request',
  customer_id: 'acme',
  timestamp: '2026-11-20T11:00:00Z',
  properties: { tokens: 12, where: { region: 'eu' } },
};

const faultsOf = (raw: unknown): (readonly [string, string])[] => {
  const parsed = parseCloudEvent(raw, horizon);
  return 'status' in parsed ? parsed.faults.map(({ field, code }) => [field, code] as const) : [];
};

describe('a CloudEvent', () => {
  it('is the event whose key is its id, name its type, customer its subject, time its time and properties its data', () => {
    expect(parseCloudEvent(cloudEvent(), horizon)).toEqual(parseNativeEvent(native, horizon));
  });

  it('is the same event whatever its source and its extensions are, so that a retry is no conflict', () => {
    const other = cloudEvent({
      source: 'urn:other',
      traceparent: '00-1-2-01',
      partitionkey: 7,
      datacontenttype: 'application/json',
      dataschema: 'x',
    });
    expect(parseCloudEvent(other, horizon)).toEqual(parseCloudEvent(cloudEvent(), horizon));
  });

  it('may leave out its time and its data', () => {
    const { time: _, data: __, ...bare } = cloudEvent();
    expect(parseCloudEvent(bare, horizon)).toEqual({
      ...parseNativeEvent(native, horizon),
      occurredAtMs: undefined,
      properties: [],
    });
  });

  it.each<[string, unknown, (readonly [string, string])[]]>([
    ['no object', 7, [['', 'wrong_type']]],
    ['another version', cloudEvent({ specversion: '0.3' }), [['specversion', 'not_allowed']]],
    ['no version', cloudEvent({ specversion: undefined }), [['specversion', 'missing']]],
    ['no source', cloudEvent({ source: undefined }), [['source', 'missing']]],
    ['an empty source', cloudEvent({ source: '' }), [['source', 'wrong_length']]],
    ['a source that is no text', cloudEvent({ source: 7 }), [['source', 'wrong_type']]],
    ['a schema that is no text', cloudEvent({ dataschema: {} }), [['dataschema', 'wrong_type']]],
    ['no id', cloudEvent({ id: undefined }), [['id', 'missing']]],
    ['no subject', cloudEvent({ subject: undefined }), [['subject', 'missing']]],
    ['an empty type', cloudEvent({ type: '' }), [['type', 'wrong_length']]],
    ['a time that is none', cloudEvent({ time: 'yesterday' }), [['time', 'not_rfc3339']]],
    ['a time long ago', cloudEvent({ time: '2020-01-01T00:00:00Z' }), [['time', 'too_old']]],
    ['a time ahead', cloudEvent({ time: '2027-01-01T00:00:00Z' }), [['time', 'in_future']]],
    ['data that is no object', cloudEvent({ data: [1] }), [['data', 'wrong_type']]],
    [
      'data of another type',
      cloudEvent({ datacontenttype: 'text/xml', data: '<a/>' }),
      [
        ['datacontenttype', 'not_allowed'],
        ['data', 'wrong_type'],
      ],
    ],
    ['binary data', cloudEvent({ data_base64: 'AAAA', data: undefined }), [['data_base64', 'not_allowed']]],
    ['a property without a name', cloudEvent({ data: { '': 1 } }), [['data.', 'property_name']]],
    ['an attribute that is misspelt', cloudEvent({ Time: 'x' }), [['Time', 'unknown_field']]],
    ['a name of ours as an attribute', cloudEvent({ customer_id: 'x' }), [['customer_id', 'unknown_field']]],
    [
      'several faults',
      { id: 'a' },
      [
        ['specversion', 'missing'],
        ['source', 'missing'],
        ['type', 'missing'],
        ['subject', 'missing'],
      ],
    ],
  ])('with %s is refused by the names of its attributes', (_name, raw, faults) => {
    expect(faultsOf(raw)).toEqual(faults);
  });

  it('a fault says the name of the attribute in its words, too', () => {
    const parsed = parseCloudEvent(cloudEvent({ subject: 7, data: 'x' }), horizon);
    expect('status' in parsed && parsed.faults.map(({ message }) => message)).toEqual([
      'subject must be a string',
      'data must be a JSON object',
    ]);
  });

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/Vnd.Acme+JSON', 'text/json'])(
    'data of the type %s is read',
    (type) => {
      expect(faultsOf(cloudEvent({ datacontenttype: type }))).toEqual([]);
    },
  );

  it('[I13] a number that no meter can measure is a fault of its property', () => {
    const writer = newWriter();
    parseStructuredBody(Buffer.from(JSON.stringify(cloudEvent()).replace('12', '1e-53')), writer, horizon);
    expect(writer.done().rejected).toMatchObject([{ faults: [{ field: 'data.tokens', code: 'number_range' }] }]);
  });
});

describe('a body', () => {
  it.each<[string, string]>([
    ['no JSON', '{'],
    ['an array', '[]'],
    ['a text', '"a"'],
    ['nothing', ''],
  ])('in structured mode with %s is malformed', (_name, body) => {
    expect(parseStructuredBody(Buffer.from(body), newWriter(), horizon)).toEqual({
      kind: 'malformed',
      reason: expect.any(String),
    });
  });

  it('in batched mode is an array, whose events are judged one by one', () => {
    const writer = newWriter();
    const body = Buffer.from(JSON.stringify([cloudEvent(), 7, cloudEvent({ id: 'b' })]));
    expect(parseBatchBody(body, writer, horizon, 3)).toEqual({ kind: 'events' });
    expect(writer.done()).toMatchObject({ places: [0, 2], rejected: [{ place: 1 }] });
    expect(parseBatchBody(body, newWriter(), horizon, 2)).toEqual({ kind: 'too_many', events: 3 });
    expect(parseBatchBody(Buffer.from('{}'), newWriter(), horizon, 2)).toMatchObject({ kind: 'malformed' });
    expect(parseBatchBody(Buffer.from([0x5b, 0xff, 0x5d]), newWriter(), horizon, 2)).toMatchObject({
      kind: 'malformed',
    });
  });
});

describe('binary mode', () => {
  const headers = {
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': 'a',
    'ce-source': '/tests',
    'ce-type': 'llm.request',
    'ce-subject': 'acme',
    'ce-time': '2026-11-20T11:00:00Z',
    'ce-traceparent': 'x',
  };
  const data = Buffer.from(JSON.stringify(native.properties));
  const rowsOf = (given: Record<string, string>, body: Buffer) => {
    const writer = newWriter();
    expect(parseBinaryBody(given, body, writer, horizon)).toEqual({ kind: 'events' });
    return writer.done();
  };

  it('is told by its header, and is the event that the other modes hold', () => {
    expect([isBinaryMode(headers), isBinaryMode({ 'content-type': 'application/json' })]).toEqual([true, false]);
    const writer = newWriter();
    parseStructuredBody(Buffer.from(JSON.stringify(cloudEvent())), writer, horizon);
    expect(rowsOf(headers, data)).toEqual(writer.done());
  });

  it('its headers are percent-encoded UTF-8, and what is not is refused', () => {
    expect(rowsOf({ ...headers, 'ce-id': 'gr%C3%B6%C3%9Fe%20%2520' }, data)).toEqual(
      (() => {
        const writer = newWriter();
        parseStructuredBody(Buffer.from(JSON.stringify(cloudEvent({ id: 'größe %20' }))), writer, horizon);
        return writer.done();
      })(),
    );
    expect(parseBinaryBody({ ...headers, 'ce-id': '100%' }, data, newWriter(), horizon)).toMatchObject({
      kind: 'malformed',
    });
  });

  /** As Node gives the bytes of a header: one character each. */
  const sent = (text: string): string => Buffer.from(text).toString('latin1');

  it.each([
    ['UTF-8 as it is', sent('größe/日本'), 'größe/日本'],
    ['UTF-8 partly encoded', sent('gr%C3%B6ße'), 'größe'],
    ['a quoted string', '"a b"', 'a b'],
    ['a quoted string with escapes', '"say \\"hi\\" \\\\ %22"', 'say "hi" \\ "'],
    ['a quoted string of UTF-8', sent('"größe"'), 'größe'],
    ['blanks around it', ' \tacme\t ', 'acme'],
    ['a quote inside', 'a"b', 'a"b'],
    ['a quote that is not closed', '"acme', '"acme'],
    ['encoded characters that need none', '%61cme', 'acme'],
    ['an encoded per cent sign', '100%25', '100%'],
    ['ISO-8859-1', 'gr\u00f6\u00dfe', 'größe'],
  ])('[I2] a header holds the text that was meant: %s', (_what, value, meant) => {
    const expected = newWriter();
    parseStructuredBody(Buffer.from(JSON.stringify(cloudEvent({ subject: meant }))), expected, horizon);
    expect(rowsOf({ ...headers, 'ce-subject': value }, data)).toEqual(expected.done());
  });

  it.each(['%', '%4', '%zz', '100%', '%ff', '%c3', '%c0%af', '%ed%a0%80', '%f5%80%80%80', '\u00ff%20', '"%"'])(
    'a header that holds no text, %j, is refused by its name',
    (value) => {
      const parsed = parseBinaryBody({ ...headers, 'ce-subject': value }, data, newWriter(), horizon);
      expect(parsed).toEqual({ kind: 'malformed', reason: expect.stringContaining('ce-subject') });
    },
  );

  it('control characters in a header are refused as in any other name', () => {
    for (const value of ['a%00b', 'a%0Ab', 'a%7Fb'])
      expect(rowsOf({ ...headers, 'ce-subject': value }, data).rejected).toMatchObject([
        { faults: [{ field: 'subject' }] },
      ]);
  });

  it('without ce-specversion is told so', () => {
    const { 'ce-specversion': _none, ...others } = headers;
    expect(isBinaryMode(others)).toBe(true);
    expect(rowsOf(others, data).rejected).toMatchObject([{ faults: [{ field: 'specversion', code: 'missing' }] }]);
    expect(isBinaryMode({ 'content-type': 'application/json', 'ce-id': 'of a proxy' })).toBe(false);
  });

  it('an empty body is an event without data, and one that is no JSON is malformed', () => {
    expect(rowsOf(headers, Buffer.alloc(0)).ends).toHaveLength(1);
    expect(parseBinaryBody(headers, Buffer.from('{'), newWriter(), horizon)).toMatchObject({ kind: 'malformed' });
    expect(rowsOf(headers, Buffer.from('[1]')).rejected).toMatchObject([
      { faults: [{ field: 'data', code: 'wrong_type' }] },
    ]);
  });
});

describe('one form sent as the other', () => {
  const faultsOfNative = (body: unknown) => {
    const writer = newWriter();
    parseNativeBody(Buffer.from(JSON.stringify(body)), writer, horizon, 10);
    return writer.done().rejected;
  };

  it.each([
    ['alone', cloudEvent()],
    ['in an array', [cloudEvent()]],
    ['in a batch of ours', { events: [cloudEvent()] }],
    ['without a subject', cloudEvent({ subject: undefined })],
  ])('a CloudEvent as application/json is one fault, which says how it is sent: %s', (_where, body) => {
    const hint = { field: '', code: 'not_allowed', message: expect.stringContaining('application/cloudevents+json') };
    expect(faultsOfNative(body)).toMatchObject([{ faults: [hint] }]);
  });

  it('an event of ours as a CloudEvent is one fault, which says how it is sent', () => {
    const writer = newWriter();
    parseBatchBody(Buffer.from(JSON.stringify([native])), writer, horizon, 10);
    const hint = { field: '', code: 'not_allowed', message: expect.stringContaining('application/json') };
    expect(writer.done().rejected).toMatchObject([{ faults: [hint] }]);
  });

  it('an event of ours whose properties look like a CloudEvent is taken', () => {
    expect(faultsOfNative({ ...native, properties: cloudEvent() })).toEqual([]);
  });
});
