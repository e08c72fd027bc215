/** The ingest gateway over HTTP, on the real servers: outcomes, refusals, and what is stored. */
import { once } from 'node:events';
import { request } from 'node:http';
import { createClient } from '@clickhouse/client';
import { CloudEvent, HTTP } from 'cloudevents';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { processNames } from '#platform/config/processes.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { exchangeRaw } from '../support/raw-http.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {
    MILLRACE_BODY_BYTES_MAX: '1048576',
    MILLRACE_EVENTS_PER_REQUEST_MAX: '1000',
  });
});
afterAll(() => pipeline?.stop());

const nowMs = Date.now();
const event = (key: string, customer = 'acme') => llmRequest(key, customer, nowMs - 60_000, { input: 10, output: 1 });

const stored = async (
  customer: string,
): Promise<
  { idempotency_key: string; properties: Record<string, string>; stream_sequence: string; occurred_at: string }[]
> => {
  const clickhouse = createClient({ url: pipeline.clickhouseUrl });
  const result = await clickhouse.query({
    query: `SELECT idempotency_key, properties, stream_sequence, occurred_at FROM usage_events FINAL
       WHERE customer = {customer:String} ORDER BY idempotency_key`,
    query_params: { customer },
    format: 'JSONEachRow',
  });
  const rows = await result.json<never>();
  await clickhouse.close();
  return rows;
};

describe('authentication', () => {
  it.each([
    ['no key', {}],
    ['an unknown key', { authorization: 'Bearer mr_live_nobody_knows_this_key' }],
    ['a key in another scheme', { authorization: 'Basic bXI6bXI=' }],
  ])("%s is answered 401 with the product's problem document", async (_name, headers) => {
    const answer = await pipeline.sendEvents([event('auth')], { authorization: '', ...headers });
    expect(answer).toMatchObject({ status: 401, body: { error_code: 'UNKNOWN_API_KEY', status: 401 } });
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.headers.get('x-request-id')).toBe(answer.body.request_id);
    expect(answer.headers.get('api-version')).toBe('2026-11-20');
  });

  it('a key without the scope is answered 403 and nothing is taken', async () => {
    const { body } = await pipeline.api('POST', '/v1/api-keys', { name: 'reader', scopes: ['read:invoices'] });
    const headers = { authorization: `Bearer ${body.key}` };
    expect(await pipeline.sendEvents([event('scope')], headers)).toMatchObject({
      status: 403,
      body: { error_code: 'MISSING_SCOPE' },
    });
    expect(await pipeline.api('GET', '/v1/invoices', undefined, headers)).toMatchObject({ status: 200 });
  });
});

describe('outcomes', () => {
  it('one event, an array and {"events"} are taken', async () => {
    expect(await pipeline.sendEvents(event('form-1', 'forms'))).toMatchObject({
      status: 200,
      body: { accepted: 1, results: [] },
    });
    expect(await pipeline.sendEvents([event('form-2', 'forms')])).toMatchObject({ status: 200, body: { accepted: 1 } });
    expect(await pipeline.sendEvents({ events: [event('form-3', 'forms')] })).toMatchObject({
      status: 200,
      body: { accepted: 1 },
    });
    expect(await pipeline.sendEvents([])).toMatchObject({ status: 200, body: { accepted: 0 } });
    const rows = await until(
      () => stored('forms'),
      (found) => found.length === 3,
    );
    expect(rows.map((row) => row.idempotency_key)).toEqual(['form-1', 'form-2', 'form-3']);
  });

  it('each invalid event is named by index, field and reason while the valid ones are accepted', async () => {
    const answer = await pipeline.sendEvents([
      event('mixed-1', 'mixed'),
      { ...event('mixed-2', 'mixed'), timestamp: 'yesterday', colour: 'red' },
      { event: 'llm.request', customer_id: 'mixed' },
      { ...event('mixed-3', 'mixed'), timestamp: new Date(nowMs - 63 * 86_400_000).toISOString() },
      { ...event('mixed-4', 'mixed'), timestamp: new Date(nowMs + 3_600_000).toISOString() },
      event('mixed-5', 'mixed'),
      event('mixed-1', 'mixed'),
      { ...event('mixed-5', 'mixed'), properties: { input_tokens: 11 } },
    ]);
    expect(answer).toMatchObject({ status: 200, body: { accepted: 2, duplicates: 1, conflicts: 1, rejected: 4 } });
    const faults = answer.body.results.map((result: { index: number; status: string; errors: { field: string }[] }) => [
      result.index,
      result.status,
      result.errors.map(({ field }) => field),
    ]);
    expect(faults).toEqual([
      [1, 'invalid', ['timestamp', 'colour']],
      [2, 'invalid', ['idempotency_key']],
      [3, 'too_old', ['timestamp']],
      [4, 'in_future', ['timestamp']],
      [6, 'duplicate', []],
      [7, 'conflict', ['idempotency_key']],
    ]);
  });

  it('a request of which nothing is accepted is no success: 422, or 409 where all of it is conflict', async () => {
    expect(await pipeline.sendEvents({ idempotency_key: 'nothing' })).toMatchObject({
      status: 422,
      body: { error_code: 'EVENTS_REJECTED', rejected: 1 },
    });
    await pipeline.sendEvents(event('stands'));
    expect(await pipeline.sendEvents({ ...event('stands'), customer_id: 'other' })).toMatchObject({
      status: 409,
      body: { error_code: 'IDEMPOTENCY_CONFLICT', conflicts: 1 },
    });
  });

  it('[I4] the same key with another payload never changes what is stored', async () => {
    await pipeline.sendEvents({ ...event('first-wins', 'first-wins'), properties: { input_tokens: 1 } });
    await pipeline.sendEvents({ ...event('first-wins', 'first-wins'), properties: { input_tokens: 2 } });
    await pipeline.sendEvents(event('first-wins-end', 'first-wins'));
    const rows = await until(
      () => stored('first-wins'),
      (found) => found.length === 2,
    );
    expect(rows[0]?.properties).toEqual({ input_tokens: '1' });
  });

  it('twins sent at the same moment are accepted once', async () => {
    const batch = Array.from({ length: 50 }, (_, index) => event(`twin-${index}`, 'twins'));
    const counts = { accepted: 0, duplicates: 0 };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const answer = await until(
          () => pipeline.sendEvents(batch),
          ({ status }) => status === 200,
        );
        counts.accepted += answer.body.accepted;
        counts.duplicates += answer.body.duplicates;
      }),
    );
    expect(counts).toEqual({ accepted: 50, duplicates: 350 });
    expect(
      await until(
        () => stored('twins'),
        (found) => found.length === 50,
      ),
    ).toHaveLength(50);
  });

  it('?results=all lists the accepted ones, too; an unknown query parameter is 400', async () => {
    const base = pipeline.stack.ingestUrl.replace(/\/$/, '');
    const post = (query: string) =>
      fetch(`${base}/v1/events?${query}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${pipeline.key}`, 'content-type': 'application/json' },
        body: JSON.stringify([event('listed')]),
      });
    expect(await (await post('results=all')).json()).toMatchObject({
      results: [{ index: 0, idempotency_key: 'listed', status: 'accepted' }],
    });
    expect((await post('result=all')).status).toBe(400);
  });
});

describe('numbers and times', () => {
  it('[I13] numbers keep their decimal digits in the store, also where a double would change them', async () => {
    const raw = `[{"idempotency_key":"digits-1","event":"e","customer_id":"digits","timestamp":"${new Date(nowMs).toISOString()}","properties":{"a":0.1,"b":123456789012345,"c":1e3,"d":"0.10","e":true,"f":[1,2.50],"g":{"h":-0.5},"i":9007199254740993,"j":0.30000000000000004,"k":1e-7}},
      {"idempotency_key":"digits-2","event":"e","customer_id":"digits","properties":{"a":1e400}}]`;
    const answer = await pipeline.sendEvents(raw);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        accepted: 1,
        rejected: 1,
        results: [{ index: 1, status: 'invalid', errors: [{ field: 'properties.a' }] }],
      },
    });
    const [row] = await until(
      () => stored('digits'),
      (found) => found.length === 1,
    );
    expect(row?.properties).toMatchObject({
      a: '0.1',
      b: '123456789012345',
      c: '1000',
      d: '0.10',
      e: 'true',
      g: { h: '-0.5' },
    });
    expect(row?.properties).toMatchObject({ i: '9007199254740993', j: '0.30000000000000004', k: '0.0000001' });
  });

  it('text that looks like a date or a number stays the text that was sent', async () => {
    await pipeline.sendEvents({
      ...event('texts', 'texts'),
      properties: { day: '2026-01-01', at: '2026-01-01 00:00:00', version: '1.10', empty: '' },
    });
    const [row] = await until(
      () => stored('texts'),
      (found) => found.length === 1,
    );
    expect(row?.properties).toEqual({ day: '2026-01-01', at: '2026-01-01 00:00:00', version: '1.10', empty: '' });
  });

  it('an event without a timestamp has the time of its receipt, and a retry of it is a duplicate', async () => {
    const { timestamp: _none, ...untimed } = event('untimed', 'untimed');
    const before = Date.now();
    expect(await pipeline.sendEvents(untimed)).toMatchObject({ body: { accepted: 1 } });
    expect(await pipeline.sendEvents(untimed)).toMatchObject({ body: { duplicates: 1 } });
    const [row] = await until(
      () => stored('untimed'),
      (found) => found.length === 1,
    );
    const at = Date.parse(`${row?.occurred_at.replace(' ', 'T')}Z`);
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
  });
});

describe('refusals', () => {
  it.each([
    ['malformed JSON', '{"idempotency_key":', 400, 'MALFORMED_BODY'],
    ['an empty body', '', 400, 'MALFORMED_BODY'],
    ['a JSON text that is no event', '7', 400, 'MALFORMED_BODY'],
    ['a body over the limit', `[${JSON.stringify('x'.repeat(1_100_000))}]`, 413, 'BODY_TOO_LARGE'],
    ['more events than the limit', JSON.stringify(Array(1001).fill({})), 413, 'TOO_MANY_EVENTS'],
    ['JSON that is nested 100,000 deep', '['.repeat(100_000) + ']'.repeat(100_000), 400, 'MALFORMED_BODY'],
  ])('%s is answered, and the process lives on', async (_name, body, status, code) => {
    expect(await pipeline.sendEvents(body)).toMatchObject({ status, body: { error_code: code } });
    expect((await fetch(new URL('/health/live', pipeline.stack.ingestUrl))).status).toBe(200);
  });

  it('another content type is answered 415', async () => {
    expect(await pipeline.sendEvents('a,b', { 'content-type': 'text/csv' })).toMatchObject({
      status: 415,
      body: { error_code: 'UNSUPPORTED_MEDIA_TYPE' },
    });
  });

  it('a body in an encoding that is not read is answered 415', async () => {
    expect(await pipeline.sendEvents('[]', { 'content-encoding': 'br' })).toMatchObject({
      status: 415,
      body: { error_code: 'UNSUPPORTED_MEDIA_TYPE' },
    });
  });

  it('invalid UTF-8 is answered 400', async () => {
    const answer = await fetch(new URL('/v1/events', pipeline.stack.ingestUrl), {
      method: 'POST',
      headers: { authorization: `Bearer ${pipeline.key}`, 'content-type': 'application/json' },
      body: Buffer.from('{"idempotency_key":"\xff"}', 'latin1'),
    });
    expect(answer.status).toBe(400);
  });
});

describe('every process', () => {
  it('tells its health, each dependency by name, and its metrics', async () => {
    const urls = pipeline.stack.processes.flatMap(({ name, url }) =>
      url?.startsWith('http') && name !== 'clickhouse' ? [[name, url] as const] : [],
    );
    expect(urls.map(([name]) => name).sort()).toEqual(processNames.toSorted());
    for (const [name, url] of urls) {
      expect(await (await fetch(new URL('/health/live', url))).json(), name).toEqual({ status: 'live' });
      const ready = await fetch(new URL('/health/ready', url));
      expect(ready.status, name).toBe(200);
      expect(
        Object.values(((await ready.json()) as { dependencies: Record<string, string> }).dependencies),
        name,
      ).not.toContain('down');
      expect(await (await fetch(new URL('/metrics', url))).text(), name).toContain('process_cpu_user_seconds_total');
    }
  });
});

const untilStored = (customer: string, count: number) =>
  until(
    () => stored(customer),
    (rows) => rows.length >= count,
  );

describe('a CloudEvent in binary mode', () => {
  const attributes = (key: string, subject: string) => ({
    'ce-specversion': '1.0',
    'ce-id': key,
    'ce-source': '/tests',
    'ce-type': 'llm.request',
    'ce-subject': subject,
    'ce-time': new Date(nowMs - 60_000).toISOString(),
  });
  /** By hand: `fetch` would name a type. */
  const post = (headers: Record<string, string>, body: string): Promise<number> => {
    const sent = request(`${pipeline.stack.ingestUrl}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${pipeline.key}`, 'content-length': Buffer.byteLength(body), ...headers },
    });
    // As bytes: Node writes headers in the encoding of a text that goes with them.
    sent.end(Buffer.from(body));
    return once(sent, 'response').then(([response]) => {
      response.resume();
      return response.statusCode;
    });
  };

  it.each([
    ['of no type, as the official client for Python sends it', undefined],
    ['of a type that ends in +json', 'application/vnd.acme+json; charset=utf-8'],
    ['of the older type', 'text/json'],
  ])('is taken with data %s', async (_what, type) => {
    const customer = `binary-${type ?? 'none'}`.replaceAll(/[^a-z]/g, '-').slice(0, 40);
    const headers = { ...attributes(customer, customer), ...(type === undefined ? {} : { 'content-type': type }) };
    expect(await post(headers, '{"tokens":7}')).toBe(200);
    expect((await untilStored(customer, 1))[0]).toMatchObject({
      idempotency_key: customer,
      properties: { tokens: '7' },
    });
  });

  it('lands on the customer that is meant, however its name is written', async () => {
    const written = ['größe', '"größe"', 'gr%C3%B6%C3%9Fe'];
    for (const [index, subject] of written.entries())
      expect(await post(attributes(`written-${index}`, Buffer.from(subject).toString('latin1')), '{}')).toBe(200);
    expect(await untilStored('größe', written.length)).toHaveLength(written.length);
    const message = HTTP.binary(
      new CloudEvent({ id: 'by-the-client', source: '/tests', type: 'llm.request', subject: 'größe', data: {} }),
    );
    expect(await post(message.headers as Record<string, string>, '{}')).toBe(200);
    expect(await untilStored('größe', written.length + 1)).toHaveLength(written.length + 1);
  });

  it('with an attribute that is given twice is refused, not joined', async () => {
    const body = '{}';
    const text = [
      'POST /v1/events HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${pipeline.key}`,
      ...Object.entries(attributes('twice', 'acme')).map(([name, value]) => `${name}: ${value}`),
      'CE-Subject: other',
      `Content-Length: ${body.length}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n');
    const answer = await exchangeRaw(pipeline.stack.ingestUrl, text);
    expect(JSON.stringify(answer)).toMatch(/400.*ce-subject is given more than once/s);
  });
});
