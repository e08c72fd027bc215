import { describe, expect, it } from 'vitest';
import { avroCodecs } from '../../../../ingest/gateway/decompress.ts';
import { createInFlight } from '../../../../ingest/gateway/in-flight.ts';
import { readAvro } from '../../../../ingest/gateway/read-events.ts';
import { openAvroContainer } from '../../../../ingest/parse/avro.ts';
import { BlockWriter, type EventBlock } from '../../../../ingest/parse/event-block.ts';
import { seedsOf } from '../../../../ingest/parse/key-hash.ts';
import { parseNativeBody } from '../../../../ingest/parse/native.ts';
import { FailureError } from '../../../../schemas/failures.ts';
import { fromRow } from '../../../../schemas/usage-event.ts';
import { avroContainer, avroLong, avroText, publicSchema, rawContainer } from '../../../support/avro-containers.ts';

const nowMs = Date.UTC(2026, 10, 20, 12);
const hourMs = 3_600_000;
const horizon = { nowMs, pastMsMax: 35 * 24 * hourMs, futureMsMax: 300_000 };
const origin = { tenant: 'org_1', seeds: seedsOf('a secret of tests', 'org_1'), receivedAtMs: nowMs };
const limits = { eventsMax: 1_000, bodyBytesMax: 1_000_000 };

const read = async (body: Buffer): Promise<EventBlock> => {
  const writer = new BlockWriter(origin, 512);
  await readAvro(body, { writer, horizon, receivedAtMs: nowMs }, limits, createInFlight(10_000_000, () => {})(0));
  return writer.done();
};

const readJson = (events: readonly unknown[]): EventBlock => {
  const writer = new BlockWriter(origin, 512);
  expect(parseNativeBody(Buffer.from(JSON.stringify(events)), writer, horizon, 1_000)).toEqual({ kind: 'events' });
  return writer.done();
};

const event = (key: string, replaced: Record<string, unknown> = {}) => ({
  idempotency_key: key,
  event: 'llm.request',
  customer_id: 'acme',
  timestamp: BigInt(nowMs - hourMs),
  properties: { model: 'small-3', tokens: '540' } as Record<string, unknown>,
  ...replaced,
});

/** The same event in our own JSON. */
const inJson = (one: ReturnType<typeof event>) => ({
  ...one,
  timestamp: one.timestamp === null ? null : new Date(Number(one.timestamp)).toISOString(),
});

const rowsOf = (block: EventBlock) =>
  block.ends.map((end, row) => fromRow(block.rows.subarray(row === 0 ? 0 : (block.ends[row - 1] as number), end)));

/** The code and detail of what refuses the whole. */
const refusalOf = async (body: Buffer): Promise<[string, string]> => {
  try {
    await read(body);
  } catch (error) {
    if (error instanceof FailureError) return [error.code, error.detail ?? ''];
    throw error;
  }
  throw new Error('it was taken');
};

const schemaWith = (timestamp: unknown, properties: unknown, more: readonly unknown[] = []) => ({
  type: 'record',
  name: 'Theirs',
  fields: [
    ...more,
    { name: 'customer_id', type: 'string' },
    { name: 'properties', type: properties },
    { name: 'event', type: { type: 'enum', name: 'Kind', symbols: ['llm_request', 'storage'] } },
    ...(timestamp === undefined ? [] : [{ name: 'timestamp', type: timestamp }]),
    { name: 'idempotency_key', type: 'string' },
  ],
});
const theirs = (replaced: Record<string, unknown> = {}) => ({
  customer_id: 'acme',
  event: 'storage',
  idempotency_key: 'k',
  ...replaced,
});

describe('the public schema', () => {
  const manyProperties = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`p${index}`, 'x']));
  const events = [
    event('plain'),
    event('no properties', { properties: {} }),
    event('no time', { timestamp: null }),
    event('ünïcödé 😀', {
      event: '测试',
      customer_id: 'é',
      properties: { model: 'größe', b: '', 'a.b': 'c', a: '"\\\n' },
    }),
    event('k'.repeat(255), { properties: { [`${'p'.repeat(255)}`]: 'x'.repeat(300), long: 'y'.repeat(20_000) } }),
    event('😀'.repeat(255)),
    event('many', { properties: manyProperties }),
    event('not ascii', { properties: { größe: '1' } }),
  ];

  it.each(['null', 'deflate', 'zstandard'] as const)(
    'gives the same rows and claims as JSON does, with the codec %s',
    async (codec) => {
      const [block, json] = [await read(avroContainer(events, publicSchema, codec, 3)), readJson(events.map(inJson))];
      expect(json.ends).toHaveLength(events.length);
      expect(block.rows.equals(json.rows)).toBe(true);
      expect(block.claims.equals(json.claims)).toBe(true);
      expect(block.untimed).toEqual(json.untimed);
    },
  );

  it('without null as a time gives the same rows, too', async () => {
    const fields = (publicSchema as { fields: { name: string }[] }).fields.map((field) =>
      field.name === 'timestamp' ? { name: 'timestamp', type: 'long' } : field,
    );
    const timed = events.filter(({ timestamp }) => timestamp !== null);
    const block = await read(avroContainer(timed, { type: 'record', name: 'Timed', fields } as never));
    expect(block).toEqual(readJson(timed.map(inJson)));
  });

  it('refuses by event what JSON would, with the same faults', async () => {
    const wrong = [
      event(''),
      event('k'.repeat(256)),
      event('tab\t'),
      event('a', { event: '', customer_id: '\u007f' }),
      event('b', { properties: { '.a': '1' } }),
      event('c', { properties: { 'a..b': '1', '': '2' } }),
      event('d', { properties: { '\u0001': '1', ['p'.repeat(256)]: '2' } }),
      event('e', { timestamp: BigInt(nowMs - 40 * 24 * hourMs) }),
      event('f', { timestamp: BigInt(nowMs + hourMs) }),
      event('g', { properties: Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`p${index}`, 'x'])) }),
      event('h', { properties: { a: 'x'.repeat(70_000) } }),
    ];
    const block = await read(avroContainer(wrong));
    expect(block.ends).toHaveLength(0);
    expect(block.rejected).toEqual(readJson(wrong.map(inJson)).rejected);
  });

  it.each([
    ['before any time', -(2n ** 62n), 'too_old'],
    ['after any time', 2n ** 62n, 'in_future'],
    ['in seconds', BigInt(nowMs / 1000), 'too_old'],
    ['in microseconds', BigInt(nowMs) * 1_000n, 'in_future'],
  ])('a time %s is outside of the horizon', async (_name, timestamp, status) => {
    const block = await read(avroContainer([event('a', { timestamp })]));
    expect(block.rejected).toMatchObject([{ status, idempotencyKey: 'a' }]);
  });

  it('a property that a map holds twice is a fault, and the next event is read', async () => {
    const twice = Buffer.concat([avroLong(2), avroText('a'), avroText('1'), avroText('a'), avroText('2'), avroLong(0)]);
    const data = (key: string) => Buffer.concat([avroText(key), avroText('e'), avroText('c'), avroLong(0), twice]);
    const fine = Buffer.concat([avroText('fine'), avroText('e'), avroText('c'), avroLong(0), avroLong(0)]);
    const block = await read(rawContainer(publicSchema, [{ count: 2, data: Buffer.concat([data('k'), fine]) }]));
    expect(block.rejected).toMatchObject([
      { place: 0, idempotencyKey: 'k', status: 'invalid', faults: [{ field: 'properties.a', code: 'duplicate' }] },
    ]);
    expect(rowsOf(block)).toMatchObject([{ idempotencyKey: 'fine' }]);
  });

  it('a map in blocks that say their length is read', async () => {
    const entry = (name: string) => Buffer.concat([avroText(name), avroText(name)]);
    const sized = Buffer.concat([
      avroLong(-1),
      avroLong(entry('b').length),
      entry('b'),
      avroLong(1),
      entry('a'),
      avroLong(0),
    ]);
    const data = Buffer.concat([avroText('k'), avroText('e'), avroText('c'), avroLong(0), sized]);
    const block = await read(rawContainer(publicSchema, [{ count: 1, data }]));
    expect(rowsOf(block)[0]?.properties).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
  });
});

describe('another schema', () => {
  it('is read by its names: other order, enums, further fields, nested records, arrays', async () => {
    const properties = {
      type: 'record',
      name: 'Usage',
      fields: [
        { name: 'tokens', type: 'long' },
        { name: 'seconds', type: 'double' },
        { name: 'share', type: 'float' },
        { name: 'cached', type: 'boolean' },
        { name: 'none', type: ['null', 'string'] },
        {
          name: 'where',
          type: { type: 'record', name: 'Where', namespace: 'place', fields: [{ name: 'region', type: 'string' }] },
        },
        { name: 'sizes', type: { type: 'array', items: 'int' } },
        { name: 'more', type: { type: 'map', values: 'place.Where' } },
      ],
    };
    const values = { tokens: 540n, seconds: 0.1, share: Math.fround(0.1), cached: true, none: null };
    const nested = { where: { region: 'eu' }, sizes: [1, 2], more: { there: { region: 'us' } } };
    const [schema, value] = [
      schemaWith('string', properties, [{ name: 'trace', type: 'bytes' }]),
      { ...values, ...nested },
    ];
    const body = avroContainer(
      [theirs({ trace: Buffer.from('x'), timestamp: '2026-11-20T11:00:00.123456Z', properties: value })],
      schema as never,
    );
    const json = { timestamp: '2026-11-20T11:00:00.123Z', properties: { ...value, tokens: 540, share: 0.1 } };
    const block = await read(body);
    expect(block.rejected).toEqual([]);
    const expected = readJson([theirs(json)]);
    expect(block.rows.equals(expected.rows)).toBe(true);
    expect(block.claims.equals(expected.claims)).toBe(true);
  });

  it.each([
    [{ type: 'long', logicalType: 'timestamp-millis' }, BigInt(nowMs - 1)],
    ['long', BigInt(nowMs - 1)],
    [{ type: 'long', logicalType: 'timestamp-micros' }, BigInt(nowMs) * 1_000n - 1n],
    [{ type: 'long', logicalType: 'timestamp-nanos' }, BigInt(nowMs) * 1_000_000n - 1n],
    [['null', { type: 'long', logicalType: 'timestamp-micros' }, 'string'], new Date(nowMs - 1).toISOString()],
  ])('a time as %j is the millisecond that it lies in', async (type, timestamp) => {
    const schema = schemaWith(type, { type: 'map', values: 'string' });
    const block = await read(avroContainer([theirs({ timestamp, properties: {} })], schema as never));
    expect(rowsOf(block)).toMatchObject([{ occurredAtMs: nowMs - 1 }]);
  });

  it('[I13] a long keeps all of its digits, and a decimal is exact', async () => {
    const record = {
      type: 'record',
      name: 'P',
      fields: [
        { name: 'least', type: 'long' },
        { name: 'most', type: 'long' },
        { name: 'cost', type: { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 4 } },
        { name: 'back', type: { type: 'fixed', name: 'F', size: 3, logicalType: 'decimal', precision: 6, scale: 2 } },
      ],
    };
    const cost = Buffer.from(123_456_789_012_345_678_901_230n.toString(16).padStart(22, '0'), 'hex');
    const properties = { least: -(2n ** 63n), most: 2n ** 63n - 1n, cost, back: Buffer.from([0xff, 0xff, 0x38]) };
    const block = await read(avroContainer([theirs({ properties })], schemaWith(undefined, record) as never));
    expect(rowsOf(block)[0]?.properties).toEqual([
      ['back', '-2'],
      ['cost', '12345678901234567890.123'],
      ['least', '-9223372036854775808'],
      ['most', '9223372036854775807'],
    ]);
  });

  it('[I13] a double with more digits than JSON keeps is stored with all of them', async () => {
    const schema = schemaWith(undefined, { type: 'map', values: 'double' }) as never;
    const block = await read(avroContainer([theirs({ properties: { a: 0.1 + 0.2, b: 1e-7 } })], schema));
    expect(rowsOf(block)[0]?.properties).toEqual([
      ['a', '0.30000000000000004'],
      ['b', '0.0000001'],
    ]);
  });

  it.each([
    ['double', 5e-324, 'number_range'],
    ['double', Number.NaN, 'number_range'],
    ['float', Number.POSITIVE_INFINITY, 'number_range'],
    ['bytes', Buffer.from('x'), 'wrong_type'],
  ])('[I13] a property of type %s that has no exact text is a fault: %s', async (type, value, code) => {
    const block = await read(
      avroContainer(
        [theirs({ properties: { a: value } })],
        schemaWith(undefined, { type: 'map', values: type }) as never,
      ),
    );
    expect(block.rejected).toMatchObject([
      { status: 'invalid', idempotencyKey: 'k', faults: [{ field: 'properties.a', code }] },
    ]);
  });
});

describe('refused as a whole', () => {
  it('a container whose header names its codec twice', () => {
    const entries = [
      ['avro.schema', JSON.stringify(publicSchema)],
      ['avro.codec', 'null'],
      ['avro.codec', 'deflate'],
    ].flatMap(([name = '', value = '']) => [avroText(name), avroText(value)]);
    const container = Buffer.concat([Buffer.from('Obj\u0001'), avroLong(3), ...entries, avroLong(0), Buffer.alloc(16)]);
    expect(openAvroContainer(container)).toMatchObject({
      kind: 'malformed',
      reason: expect.stringContaining('"avro.codec" twice'),
    });
  });

  const map = { type: 'map', values: 'string' };
  const nested = (levels: number): unknown => (levels === 0 ? 'string' : { type: 'array', items: nested(levels - 1) });
  it.each<[string, unknown]>([
    ['no JSON', '{"type":'],
    ['no record', { type: 'map', values: 'string' }],
    ['a record without the fields', { type: 'record', name: 'R', fields: [{ name: 'event', type: 'string' }] }],
    ['a time without a unit of ours', schemaWith({ type: 'int', logicalType: 'date' }, map)],
    ['a local time', schemaWith({ type: 'long', logicalType: 'local-timestamp-millis' }, map)],
    ['an unknown type', schemaWith('string', 'Unknown')],
    ['a type that is defined twice', schemaWith('string', { type: 'record', name: 'Theirs', fields: [] })],
    ['a field that is there twice', schemaWith('string', map, [{ name: 'event', type: 'string' }])],
    ['a union in a union', schemaWith('string', ['null', ['string', 'int']])],
    ['an empty union', schemaWith('string', [])],
    ['a name that is none', schemaWith('string', map, [{ name: 'a b"]; evil()', type: 'string' }])],
    ['a name of 60,000 characters', schemaWith('string', map, [{ name: 'n'.repeat(60_000), type: 'string' }])],
    ['a fixed of 2^50 bytes', schemaWith('string', { type: 'fixed', name: 'F', size: 2 ** 50 })],
    ['types nested 10,000 deep', `{"type":`.repeat(5_000)],
    ['arrays nested 100 deep', schemaWith('string', nested(100))],
    ['more than 64 KiB', `${JSON.stringify(publicSchema)}${' '.repeat(70_000)}`],
    ['nothing', ''],
    ['null', 'null'],
  ])('[I27] a schema with %s', async (_name, schema) => {
    expect(await refusalOf(rawContainer(schema, []))).toEqual(['UNUSABLE_AVRO_SCHEMA', expect.any(String)]);
  });

  const one = Buffer.concat([avroText('k'), avroText('e'), avroText('c'), avroLong(0), avroLong(0)]);
  const whole = rawContainer(publicSchema, [{ count: 1, data: one }]);
  const nulls = { type: 'array', items: 'null' };
  const list = { type: 'record', name: 'Node', fields: [{ name: 'next', type: ['null', 'Node'] }] };
  const wide = {
    type: 'record',
    name: 'Wide',
    fields: Array.from({ length: 1_000 }, (_, index) => ({ name: `n${index}`, type: 'null' })),
  };
  /** An event of `theirs` in another order, up to its properties. */
  const until = (properties: Buffer) => Buffer.concat([avroText('acme'), properties, avroLong(0), avroText('k')]);
  it.each<[string, Buffer]>([
    ['no container', Buffer.from('[]')],
    ['nothing', Buffer.alloc(0)],
    ['a header that is cut off', whole.subarray(0, 20)],
    ['a header of 2^40 entries', Buffer.concat([Buffer.from('Obj\x01'), avroLong(2 ** 40)])],
    ['a block that is cut off', whole.subarray(0, -20)],
    ['a sync marker that is cut off', whole.subarray(0, -1)],
    ['another sync marker', rawContainer(publicSchema, [{ count: 1, data: one, sync: Buffer.alloc(16) }])],
    ['a count that is negative', rawContainer(publicSchema, [{ count: -1, data: one }])],
    ['a length that is negative', rawContainer(publicSchema, [{ count: 1, data: one, bytes: -5 }])],
    ['a length of 2^62', rawContainer(publicSchema, [{ count: 1, data: one, bytes: 2n ** 62n }])],
    ['more bytes than events', rawContainer(publicSchema, [{ count: 1, data: Buffer.concat([one, one]) }])],
    ['more events than bytes', rawContainer(publicSchema, [{ count: 2, data: one }])],
    ['a number of eleven bytes', rawContainer(publicSchema, [{ count: 1, data: Buffer.alloc(11, 0xff) }])],
    [
      'a text that is no UTF-8',
      rawContainer(publicSchema, [{ count: 1, data: Buffer.concat([avroText(Buffer.from([0xff])), one.subarray(2)]) }]),
    ],
    [
      'a branch that is none',
      rawContainer(publicSchema, [{ count: 1, data: Buffer.concat([one.subarray(0, 6), avroLong(9)]) }]),
    ],
    [
      'an array of 2^50 nulls',
      rawContainer(schemaWith(undefined, nulls), [{ count: 1, data: until(avroLong(2n ** 50n)) }]),
    ],
    [
      'a map of 2^50 entries',
      rawContainer(publicSchema, [{ count: 1, data: Buffer.concat([one.subarray(0, 7), avroLong(2n ** 50n)]) }]),
    ],
    [
      'a list of 10,000 links',
      rawContainer(schemaWith(undefined, list), [{ count: 1, data: until(Buffer.alloc(10_000, 2)) }]),
    ],
    [
      'records of 1,000 nulls',
      rawContainer(schemaWith(undefined, { type: 'array', items: wide }), [{ count: 1, data: until(avroLong(1_000)) }]),
    ],
    ['a block that is not what its codec says', rawContainer(publicSchema, [{ count: 1, data: one }], 'deflate')],
  ])('[I27] a container with %s', async (_name, body) => {
    const start = performance.now();
    expect(await refusalOf(body)).toEqual(['MALFORMED_BODY', expect.any(String)]);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('[I27] any container that is cut off or changed in one byte is read or refused, and never ends in a bug', async () => {
    const body = avroContainer(
      [event('a'), event('b', { timestamp: null }), event('c', { properties: { x: 'é' } })],
      publicSchema,
      'null',
      2,
    );
    for (let at = 0; at < body.length; at += 1) {
      const changed = Buffer.from(body);
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      for (const one of [body.subarray(0, at), changed]) {
        const outcome = await read(one).catch((error: unknown) => error);
        expect(outcome instanceof FailureError || (outcome as EventBlock).total >= 0).toBe(true);
      }
    }
  });

  it('more events than a request may have, however few bytes they are', async () => {
    expect(await refusalOf(rawContainer(publicSchema, [{ count: 2 ** 40, data: one }]))).toMatchObject([
      'TOO_MANY_EVENTS',
      expect.any(String),
    ]);
    expect(
      await refusalOf(avroContainer(Array.from({ length: 1_001 }, (_, index) => event(`k${index}`)))),
    ).toMatchObject(['TOO_MANY_EVENTS', expect.any(String)]);
  });

  it.each(['deflate', 'zstandard'] as const)(
    '[I27] a block that unpacks with %s to more bytes than a body may have',
    async (codec) => {
      const body = avroContainer([event('a', { properties: { a: 'x'.repeat(2_000_000) } })], publicSchema, codec);
      expect(body.length).toBeLessThan(5_000);
      expect(await refusalOf(body)).toMatchObject(['BODY_TOO_LARGE', expect.any(String)]);
    },
  );

  it('a codec that is not read here, which names those that are', async () => {
    const refusal = await refusalOf(rawContainer(publicSchema, [{ count: 1, data: one }], 'snappy'));
    expect(refusal).toEqual([
      'UNSUPPORTED_MEDIA_TYPE',
      `The Avro codec snappy is not read: use ${[...avroCodecs.keys()].join(', ')}`,
    ]);
  });
});
