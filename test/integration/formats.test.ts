/**
 * Every form of a body of events, on the running gateway: what is stored of it, and what hostile bodies are answered.
 */

import { once } from 'node:events';
import { request } from 'node:http';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { createClient } from '@clickhouse/client';
import { CloudEvent, emitterFor, HTTP, httpTransport, Mode } from 'cloudevents';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { signRequest } from '../../schemas/request-signature.ts';
import { avroContainer, publicSchema, rawContainer } from '../support/avro-containers.ts';
import { parts } from '../support/parts.ts';
import { type ApiAnswer, call, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { exchangeRaw, openRaw } from '../support/raw-http.ts';

const bodyBytesMax = 2_097_152;
const nowMs = Date.now();
const atMs = nowMs - (nowMs % 1_000) - 60_000;
const timestamp = new Date(atMs).toISOString();

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_BODY_BYTES_MAX: String(bodyBytesMax),
      MILLRACE_REQUEST_TIMEOUT_MS: '4000',
      MILLRACE_IN_FLIGHT_BYTES_MAX: '8388608',
    },
    { services: parts.usage },
  );
});
afterAll(() => pipeline?.stop());

type Options = {
  readonly type: string;
  readonly encoding?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
};

const send = (
  body: string | Buffer,
  { type, encoding, path = '/v1/events', headers = {} }: Options,
): Promise<ApiAnswer> =>
  call(pipeline.stack.ingestUrl, pipeline.key)('POST', path, body as string, {
    'content-type': type,
    ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    ...headers,
  });

const event = (
  key: string,
  customer: string,
  properties: Record<string, unknown> = { model: 'small-3', tokens: '540' },
) => ({
  idempotency_key: key,
  event: 'llm.request',
  customer_id: customer,
  timestamp,
  properties,
});
const lines = (events: readonly unknown[]): string => events.map((one) => `${JSON.stringify(one)}\n`).join('');
const json = 'application/json';
const ndjson = 'application/x-ndjson';

type Row = {
  readonly idempotency_key: string;
  readonly event: string;
  readonly occurred_at: string;
  readonly properties: unknown;
};
const stored = async (customer: string): Promise<Row[]> => {
  const clickhouse = createClient({ url: pipeline.clickhouseUrl });
  const result = await clickhouse.query({
    query: `SELECT idempotency_key, event, occurred_at, properties FROM usage_events FINAL
       WHERE customer = {customer:String} ORDER BY idempotency_key`,
    query_params: { customer },
    format: 'JSONEachRow',
  });
  const rows = await result.json<Row>();
  await clickhouse.close();
  return rows;
};
const untilStored = (customer: string, count: number) =>
  until(
    () => stored(customer),
    (rows) => rows.length >= count,
  );

const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${pipeline.stack.ingestUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
};

const untilNothingHeld = () =>
  until(
    () => metric('millrace_ingest_in_flight_bytes'),
    (bytes) => bytes === 0,
  );

const ofCloudEvent = (id: string, subject: string, replaced: Record<string, unknown> = {}) =>
  new CloudEvent({
    id,
    subject,
    source: '/tests',
    type: 'llm.request',
    time: timestamp,
    data: { model: 'small-3', tokens: '540' },
    ...replaced,
  });

describe('one event in every form', () => {
  it('[I4] is the same event: the first one is taken, the others are its duplicates, and one row is stored', async () => {
    const one = event('same', 'same-customer');
    const structured = HTTP.structured(ofCloudEvent('same', 'same-customer'));
    const binary = HTTP.binary(ofCloudEvent('same', 'same-customer'));
    const container = avroContainer([{ ...one, timestamp: BigInt(atMs) }]);
    const forms: [string | Buffer, Options][] = [
      [JSON.stringify(one), { type: json }],
      [JSON.stringify([one]), { type: `${json}; charset=utf-8` }],
      [lines([one]), { type: ndjson }],
      [
        structured.body as string,
        { type: 'application/cloudevents+json', headers: structured.headers as Record<string, string> },
      ],
      [`[${structured.body as string}]`, { type: 'application/cloudevents-batch+json' }],
      [binary.body as string, { type: json, headers: binary.headers as Record<string, string> }],
      [container, { type: 'application/avro' }],
      [container, { type: 'avro/binary' }],
      [avroContainer([{ ...one, timestamp: BigInt(atMs) }], publicSchema, 'deflate'), { type: 'application/avro' }],
      [avroContainer([{ ...one, timestamp: BigInt(atMs) }], publicSchema, 'zstandard'), { type: 'application/avro' }],
    ];
    const packed = forms.flatMap(([body, options]): [string | Buffer, Options][] => [
      [body, options],
      [gzipSync(body), { ...options, encoding: 'gzip' }],
      [gzipSync(body), { ...options, encoding: 'X-GZIP' }],
      [zstdCompressSync(body), { ...options, encoding: 'zstd' }],
    ]);
    const answers: ApiAnswer[] = [];
    for (const [body, options] of packed) answers.push(await send(body, options));
    expect(answers.map(({ status, body }) => [status, body.accepted, body.duplicates, body.conflicts])).toEqual([
      [200, 1, 0, 0],
      ...packed.slice(1).map(() => [200, 0, 1, 0]),
    ]);
    expect(await untilStored('same-customer', 1)).toMatchObject([
      { idempotency_key: 'same', event: 'llm.request', properties: { model: 'small-3', tokens: '540' } },
    ]);
  });

  it('a dry run answers what is wrong, in every form, and leaves nothing behind', async () => {
    const good = event('dry', 'dry-customer');
    const bad = event('', 'dry-customer');
    const path = '/v1/events/validate';
    const container = avroContainer([good, bad].map((one) => ({ ...one, timestamp: BigInt(atMs) })));
    for (const [body, type] of [
      [JSON.stringify([good, bad]), json],
      [lines([good, bad]), ndjson],
      [container, 'application/avro'],
    ] as const) {
      const expected = {
        index: 1,
        idempotency_key: null,
        status: 'invalid',
        errors: [{ field: 'idempotency_key', code: 'wrong_length' }],
      };
      const answer = await send(body, { type, path });
      expect(answer).toMatchObject({ status: 200, body: { valid: 1, rejected: 1, results: [expected] } });
      const all = await send(gzipSync(body), { type, path: `${path}?results=all`, encoding: 'gzip' });
      expect(all.body.results).toMatchObject([
        { index: 0, idempotency_key: 'dry', status: 'valid', errors: [] },
        expected,
      ]);
    }
    const events = [
      { ...ofCloudEvent('dry', 'dry-customer').toJSON(), subject: 7 },
      ofCloudEvent('dry', 'dry-customer').toJSON(),
    ];
    expect(await send(JSON.stringify(events), { type: 'application/cloudevents-batch+json', path })).toMatchObject({
      body: { valid: 1, rejected: 1, results: [{ index: 0, errors: [{ field: 'subject', code: 'wrong_type' }] }] },
    });
    expect(await send('[', { type: json, path })).toMatchObject({
      status: 400,
      body: { error_code: 'MALFORMED_BODY' },
    });
    // Had a dry run claimed its key, this would be a duplicate.
    expect(await send(JSON.stringify(good), { type: json })).toMatchObject({ body: { accepted: 1, duplicates: 0 } });
    expect(await untilStored('dry-customer', 1)).toHaveLength(1);
  });
});

describe('the CloudEvents client', () => {
  it.each([
    ['binary', Mode.BINARY],
    ['structured', Mode.STRUCTURED],
  ])('emits in %s mode what is stored', async (name, mode) => {
    const emit = emitterFor(httpTransport(`${pipeline.stack.ingestUrl}/v1/events`), { binding: HTTP, mode });
    const one = ofCloudEvent(`größe ${name}`, `cloud ${name}`, {
      data: { tokens: 540, where: { region: 'eu' } },
      traceparent: 'x',
    });
    await emit(one, { headers: { authorization: `Bearer ${pipeline.key}` } });
    expect(await untilStored(`cloud ${name}`, 1)).toMatchObject([
      {
        idempotency_key: `größe ${name}`,
        event: 'llm.request',
        properties: { tokens: '540', where: { region: 'eu' } },
      },
    ]);
  });

  it('a batch says what became of each, by the names of its attributes', async () => {
    const batch = [
      ofCloudEvent('batch-1', 'cloud-batch'),
      ofCloudEvent('batch-1', 'cloud-batch', { data: { tokens: '1' } }),
      { ...ofCloudEvent('batch-2', 'cloud-batch').toJSON(), specversion: '0.3', time: 'yesterday' },
    ];
    const answer = await send(JSON.stringify(batch), { type: 'application/cloudevents-batch+json' });
    expect(answer).toMatchObject({ status: 200, body: { accepted: 1, conflicts: 1, rejected: 1 } });
    expect(answer.body.results).toMatchObject([
      {
        index: 1,
        idempotency_key: 'batch-1',
        status: 'conflict',
        errors: [{ field: 'id', code: 'idempotency_conflict' }],
      },
      { index: 2, status: 'invalid', errors: [{ field: 'specversion' }, { field: 'time', code: 'not_rfc3339' }] },
    ]);
  });
});

/** A request whose body is sent part by part. */
const openRequest = (headers: Record<string, string>) => {
  const sent = request(new URL('/v1/events', pipeline.stack.ingestUrl), {
    method: 'POST',
    headers: { authorization: `Bearer ${pipeline.key}`, 'content-type': ndjson, ...headers },
  });
  const received: string[] = [];
  const answered = once(sent, 'response').then(async ([response]) => {
    for await (const part of response) received.push(String(part));
    return { status: response.statusCode as number, type: String(response.headers['content-type']) };
  });
  answered.catch(() => {});
  return { sent, answered, lines: () => received.join('').split('\n').filter(Boolean) };
};

describe('lines', () => {
  it('10,000 events are taken, with faults and twins that lie far apart told by their place', async () => {
    const events: unknown[] = Array.from({ length: 10_000 }, (_, index) => event(`line-${index}`, 'lines'));
    events[4_321] = event('', 'lines');
    events[9_999] = events[5];
    const text = events.map((one) => JSON.stringify(one)).join('\r\n\n');
    const body = text.replace(`"line-1234"`, '"line-1234');
    const answer = await send(body, { type: ndjson });
    expect(answer).toMatchObject({ status: 200, body: { accepted: 9_997, duplicates: 1, conflicts: 0, rejected: 2 } });
    expect(answer.body.results).toMatchObject([
      { index: 1_234, idempotency_key: null, status: 'invalid', errors: [{ field: '', code: 'not_json' }] },
      { index: 4_321, status: 'invalid', errors: [{ field: 'idempotency_key' }] },
      { index: 9_999, idempotency_key: 'line-5', status: 'duplicate' },
    ]);
    const again = await send(gzipSync(body), { type: ndjson, encoding: 'gzip' });
    expect(again).toMatchObject({ status: 200, body: { accepted: 0, duplicates: 9_998, rejected: 2 } });
  });

  it('answers in lines while the rest is still to come, and sums up in the last one', async () => {
    const { sent, answered, lines: answers } = openRequest({ accept: ndjson });
    sent.write(
      lines([event('', 'stream'), ...Array.from({ length: 999 }, (_, index) => event(`stream-${index}`, 'stream'))]),
    );
    const [first] = await until(
      async () => answers(),
      (found) => found.length > 0,
    );
    expect(JSON.parse(first as string)).toMatchObject({ index: 0, status: 'invalid' });
    sent.end(lines([event('stream-5', 'stream'), event('stream-5', 'stream', {})]));
    expect(await answered).toEqual({ status: 200, type: ndjson });
    expect(answers().map((line) => JSON.parse(line))).toMatchObject([
      { index: 0, status: 'invalid' },
      { index: 1_000, status: 'duplicate' },
      { index: 1_001, status: 'conflict', errors: [{ code: 'idempotency_conflict' }] },
      { final: true, status: 200, accepted: 999, duplicates: 1, conflicts: 1, rejected: 1 },
    ]);
  });

  it('an answer in lines to events of which none is taken says so in its last line', async () => {
    const { sent, answered, lines: answers } = openRequest({ accept: ndjson });
    sent.end('{}\nnothing\n');
    await answered;
    expect(JSON.parse(answers().at(-1) as string)).toMatchObject({
      final: true,
      status: 422,
      error_code: 'EVENTS_REJECTED',
    });
  });

  it('[I1] more events than a request may have are 413, which says what was taken up to there', async () => {
    const events = Array.from({ length: 10_001 }, (_, index) => event(`over-${index}`, 'over'));
    const answer = await send(lines(events), { type: ndjson });
    expect(answer).toMatchObject({ status: 413, body: { error_code: 'TOO_MANY_EVENTS', accepted: 10_000 } });
    expect(await untilStored('over', 10_000)).toHaveLength(10_000);
    const { sent, answered, lines: answers } = openRequest({ accept: ndjson });
    sent.end(lines(events));
    await answered;
    expect(JSON.parse(answers().at(-1) as string)).toMatchObject({
      final: false,
      status: 413,
      error_code: 'TOO_MANY_EVENTS',
      accepted: 0,
      duplicates: 10_000,
    });
  });

  it('[I1] what was answered of a body that is cut off is stored, and the whole can be sent again', async () => {
    const events = Array.from({ length: 1_500 }, (_, index) => event(`cut-${index}`, 'cut'));
    const { sent, answered } = openRequest({ accept: `${ndjson}`, 'content-length': '1000000' });
    const begun = once(sent, 'response');
    sent.write(lines([{}, ...events]).slice(0, -20));
    await begun;
    sent.destroy();
    await expect(answered).rejects.toThrow();
    expect((await untilStored('cut', 999)).length).toBe(999);
    const again = await send(lines(events), { type: ndjson });
    expect(again).toMatchObject({ status: 200, body: { accepted: 501, duplicates: 999 } });
    expect(await untilStored('cut', 1_500)).toHaveLength(1_500);
  });

  it('[I27] a body that comes too slowly is 408, and leaves nothing held', async () => {
    const head = `POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${pipeline.key}\r\nContent-Type: ${ndjson}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const connection = await openRaw(pipeline.stack.ingestUrl);
    connection.send(`${head}5\r\n{"ide\r\n`);
    expect(await connection.answer).toMatchObject({ status: 408 });
    await connection.closed;
    await untilNothingHeld();
  });

  it('are signed as a whole, packed as they are: nothing is taken of lines whose signature is not good', async () => {
    const made = await pipeline.api('POST', '/v1/api-keys', {
      name: 'signed',
      scopes: ['write:events'],
      signed_requests: true,
    });
    const body = gzipSync(lines([event('signed', 'signed')]));
    const sign = (secret: string) => signRequest(secret, Date.now(), { method: 'POST', path: '/v1/events', body });
    const sendSigned = (signature: string) =>
      send(body, {
        type: ndjson,
        encoding: 'gzip',
        headers: { authorization: `Bearer ${made.body.key}`, 'x-signature': signature },
      });
    expect(await sendSigned(sign('mrsig_another'))).toMatchObject({
      status: 401,
      body: { error_code: 'INVALID_SIGNATURE' },
    });
    expect(await sendSigned(sign(made.body.signing_secret))).toMatchObject({ status: 200, body: { accepted: 1 } });
  });
});

describe('hostile bodies', () => {
  const bomb = Buffer.alloc(512 * 1_048_576 - 1_000, 0x20);
  it.each([
    ['gzip', () => gzipSync(bomb)],
    ['zstd', () => zstdCompressSync(bomb)],
  ])('[I27] half a gigabyte in %s is 413 in every form, and costs no memory', async (encoding, pack) => {
    const packed = pack();
    expect(packed.length).toBeLessThan(bodyBytesMax);
    const before = await metric('process_resident_memory_bytes');
    for (const type of [json, ndjson, 'application/avro', 'application/cloudevents+json'])
      expect(await send(packed, { type, encoding })).toMatchObject({
        status: 413,
        body: { error_code: 'BODY_TOO_LARGE' },
      });
    expect((await metric('process_resident_memory_bytes')) - before).toBeLessThan(100 * 1_048_576);
    await untilNothingHeld();
  });

  it('[I10] bodies that would unpack to more than the memory that is set aside are refused for now', async () => {
    const packed = gzipSync(Buffer.alloc(bodyBytesMax - 10, 0x20));
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(packed, { type: json, encoding: 'gzip' })));
    const codes = answers.map(({ body }) => body.error_code);
    expect(new Set(codes)).toEqual(new Set(['OVERLOADED', 'MALFORMED_BODY']));
    await untilNothingHeld();
  });

  it.each([
    ['cut off', (packed: Buffer) => packed.subarray(0, -5)],
    [
      'changed',
      (packed: Buffer) => Buffer.concat([packed.subarray(0, 15), Buffer.from([255, 255, 255]), packed.subarray(18)]),
    ],
    ['followed by something else', (packed: Buffer) => Buffer.concat([packed, Buffer.from('something else')])],
    ['not packed at all', () => Buffer.from('[]')],
    ['empty', () => Buffer.alloc(0)],
  ])('a packed body that is %s is 400', async (_name, spoil) => {
    for (const [encoding, pack] of [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ] as const)
      for (const type of [json, ndjson]) {
        const text = type === json ? JSON.stringify([event('spoilt', 'spoilt')]) : lines([event('spoilt', 'spoilt')]);
        expect(await send(spoil(pack(text)), { type, encoding })).toMatchObject({
          status: 400,
          body: { error_code: 'MALFORMED_BODY' },
        });
      }
  });

  it('several members one behind the other are one body', async () => {
    const parts = [event('member-1', 'members'), event('member-2', 'members')].map((one) => lines([one]));
    expect(
      await send(Buffer.concat(parts.map((part) => gzipSync(part))), { type: ndjson, encoding: 'gzip' }),
    ).toMatchObject({
      body: { accepted: 2 },
    });
    expect(
      await send(Buffer.concat(parts.map((part) => zstdCompressSync(part))), { type: ndjson, encoding: 'zstd' }),
    ).toMatchObject({
      body: { duplicates: 2 },
    });
  });

  it('a 415 says what is taken: the types of a body, or its encodings', async () => {
    const type = await send('a,b', { type: 'text/csv' });
    expect(type.headers.get('accept')).toContain(
      'application/json, application/x-ndjson, application/cloudevents+json',
    );
    expect(type.body.detail).toContain('application/cloudevents+json');
    const encoding = await send('{}', { type: json, encoding: 'br' });
    expect([encoding.headers.get('accept-encoding'), encoding.headers.get('accept')]).toEqual([
      'gzip, x-gzip, zstd',
      null,
    ]);
    const api = await call(pipeline.stack.apiUrl, pipeline.key)('POST', '/v1/meters', 'a,b', {
      'content-type': 'text/csv',
    });
    expect([api.status, api.headers.get('accept')]).toEqual([415, 'application/json']);
  });

  it.each(['deflate', 'br', 'gzip, gzip', 'compress'])('the content encoding %s is 415', async (encoding) => {
    expect(await send(gzipSync('[]'), { type: json, encoding })).toMatchObject({
      status: 415,
      body: { error_code: 'UNSUPPORTED_MEDIA_TYPE' },
    });
  });

  it('other routes and types read nothing packed, and no type that is not theirs', async () => {
    const packed = await pipeline.api('POST', '/v1/customers', '{}', { 'content-encoding': 'gzip' });
    expect(packed).toMatchObject({ status: 415 });
    expect(await send('a,b', { type: 'text/csv' })).toMatchObject({
      status: 415,
      body: { error_code: 'UNSUPPORTED_MEDIA_TYPE' },
    });
    expect(await send(rawContainer(publicSchema, [], 'snappy'), { type: 'application/avro' })).toMatchObject({
      status: 415,
    });
    expect(await send(rawContainer('"string"', []), { type: 'application/avro' })).toMatchObject({
      status: 422,
      body: { error_code: 'UNUSABLE_AVRO_SCHEMA' },
    });
  });

  it('[I27] a line of a megabyte is the fault of that line', async () => {
    const body = `${lines([event('long-1', 'long')])}${'x'.repeat(1_048_576)}\n${lines([event('long-2', 'long')])}`;
    const answer = await send(body, { type: ndjson });
    expect(answer).toMatchObject({ status: 200, body: { accepted: 2, rejected: 1 } });
    expect(answer.body.results).toMatchObject([{ index: 1, errors: [{ code: 'too_large' }] }]);
  });

  it('[I27] a caller who announces more than it may send is refused before it sends it', async () => {
    const head = `POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${pipeline.key}\r\nContent-Type: ${ndjson}\r\nContent-Length: 3000000\r\n\r\n`;
    expect(await exchangeRaw(pipeline.stack.ingestUrl, head)).toMatchObject({ status: 413 });
  });

  it('an Avro block that is a bomb is 413', async () => {
    const data = deflateRawSync(Buffer.alloc(100 * 1_048_576));
    expect(data.length).toBeLessThan(bodyBytesMax);
    expect(
      await send(rawContainer(publicSchema, [{ count: 1, data }], 'deflate'), { type: 'application/avro' }),
    ).toMatchObject({
      status: 413,
    });
  });
});
