/**
 * Events of the past and receipts, over HTTP on the real servers: who may send them, what is stored, and what a receipt
 * is worth.
 */

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { type Receipt, verifyReceipt } from '#schemas/receipt.ts';
import { deadLetterStreamOf } from '#schemas/usage-stream.ts';
import { openDeadLetters } from '../../ingest/sink/dead-letters.nats.ts';
import { createDeadLetter, createPublish } from '../../ingest/stream/usage-stream.nats.ts';
import { startGatewayByHand } from '../support/gateways.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { call, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { firstTenant, type Hosts, makeKey } from '../support/tenants.ts';
import { exampleEvent, toMessage, toRow } from '../support/usage-rows.ts';

let pipeline: Pipeline;
let clickhouse: ReturnType<typeof connectClickHouse>;
let plain: Hosts;
let backfiller: Hosts;
const secrets = {
  MILLRACE_KEY_PEPPER: 'the-pepper-of-this-test-is-long-enough',
  MILLRACE_MASTER_KEY: Buffer.alloc(32, 5).toString('base64'),
};
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), secrets, { services: parts.usage });
  clickhouse = connectClickHouse(pipeline.clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 2 });
  const { api } = await firstTenant(pipeline);
  plain = await makeKey(pipeline, api, { scopes: ['write:events'] });
  backfiller = await makeKey(pipeline, api, { scopes: ['write:events', 'write:backfill'] });
});
afterAll(async () => {
  await clickhouse?.close();
  await pipeline?.stop();
});

const at = (key: string, time: string) => llmRequest(key, 'old', Date.parse(time), { input: 1, output: 1 });
const backfill = (body: unknown, headers = {}, hosts = backfiller) =>
  hosts.ingest('POST', '/v1/events?backfill=true', body, headers);

type StoredEvent = { readonly key: string; readonly occurredAt: string; readonly isBackfill: number };
const storedLike = (prefix: string): Promise<StoredEvent[]> =>
  readRows<StoredEvent>(clickhouse, {
    query: `SELECT idempotency_key AS key, toString(occurred_at) AS occurredAt, is_backfill AS isBackfill
      FROM usage_events FINAL
      INNER JOIN (SELECT stream_sequence, is_backfill FROM usage_messages FINAL) AS messages USING stream_sequence
      WHERE startsWith(idempotency_key, {prefix:String}) ORDER BY key`,
    params: { prefix },
  });
const untilStored = (prefix: string, count: number) =>
  until(
    () => storedLike(prefix),
    ({ length }) => length === count,
  );

describe('a backfill', () => {
  it('needs a scope of its own, whatever the format, and nothing of it is taken without', async () => {
    for (const [type, body] of [
      ['application/json', [at('refused', '2020-01-01T00:00:00Z')]],
      ['application/x-ndjson', JSON.stringify(at('refused', '2020-01-01T00:00:00Z'))],
      ['application/cloudevents+json', '{}'],
    ] as const) {
      expect(await backfill(body, { 'content-type': type }, plain)).toMatchObject({
        status: 403,
        body: { error_code: 'MISSING_SCOPE' },
      });
      expect(
        await plain.ingest('POST', '/v1/events/validate?backfill=true', body, { 'content-type': type }),
      ).toMatchObject({
        status: 403,
      });
    }
    const alone = await makeKey(pipeline, pipeline.api, { scopes: ['write:backfill'] });
    expect(await backfill([at('refused', '2020-01-01T00:00:00Z')], {}, alone)).toMatchObject({ status: 403 });
    const all = await makeKey(pipeline, pipeline.api, { scopes: ['write:*'] });
    expect(await backfill([at('all-scopes', '2020-01-01T00:00:00Z')], {}, all)).toMatchObject({
      status: 200,
      body: { accepted: 1 },
    });
    expect(await storedLike('refused')).toEqual([]);
  });

  it('takes events of any time since the year 2000 and up to the bound ahead, and stores them as of then', async () => {
    const { body } = await backfill([
      at('time-0', '1999-12-31T23:59:59.999Z'),
      at('time-1', '2000-01-01T00:00:00Z'),
      at('time-2', '2019-02-28T23:59:59.999Z'),
      at('time-3', new Date().toISOString()),
      at('time-4', new Date(Date.now() + 600_000).toISOString()),
      at('time-5', '9999-12-31T23:59:59Z'),
      { ...at('time-6', '2000-01-01T00:00:00Z'), timestamp: '-271821-04-20T00:00:00Z' },
    ]);
    expect(body).toMatchObject({ accepted: 3, rejected: 4 });
    expect(body.results.map(({ index, status }: { index: number; status: string }) => [index, status])).toEqual([
      [0, 'too_old'],
      [4, 'in_future'],
      [5, 'in_future'],
      [6, 'invalid'],
    ]);
    expect(body.results[0].errors[0].message).toBe('timestamp is before the year 2000');
    const stored = await untilStored('time-', 3);
    expect(stored.map(({ occurredAt }) => occurredAt).slice(0, 2)).toEqual([
      '2000-01-01 00:00:00.000',
      '2019-02-28 23:59:59.999',
    ]);
    expect(stored.map(({ isBackfill }) => isBackfill)).toEqual([1, 1, 1]);
  });

  it('comes in every format', async () => {
    const time = '2021-06-01T00:00:00Z';
    const cloudEvent = (id: string) => ({
      specversion: '1.0',
      id,
      source: '/a',
      type: 'llm.request',
      subject: 'old',
      time,
      data: {},
    });
    const sent: [string, unknown][] = [
      ['application/x-ndjson', ['form-1', 'form-2'].map((key) => JSON.stringify(at(key, time))).join('\n')],
      ['application/cloudevents+json', cloudEvent('form-3')],
      ['application/cloudevents-batch+json', [cloudEvent('form-4'), cloudEvent('form-5')]],
      ['application/json', { events: [at('form-6', time)] }],
    ];
    for (const [type, body] of sent) {
      expect(await plain.ingest('POST', '/v1/events', body, { 'content-type': type })).toMatchObject({ status: 422 });
      expect(await backfill(body, { 'content-type': type })).toMatchObject({ status: 200, body: { rejected: 0 } });
    }
    expect((await untilStored('form-', 6)).every(({ isBackfill }) => isBackfill === 1)).toBe(true);
  });

  it('is what the refusal of an old event leads to, and a dry run tells the same', async () => {
    const old = at('cure', '2020-01-01T00:00:00Z');
    const { body } = await plain.ingest('POST', '/v1/events', [old]);
    expect(body.errors[0]).toMatchObject({
      code: 'too_old',
      message: expect.stringMatching(/\?backfill=true.*write:backfill/),
    });
    expect(await backfiller.ingest('POST', '/v1/events/validate', [old])).toMatchObject({
      body: { valid: 0, rejected: 1 },
    });
    expect(await backfiller.ingest('POST', '/v1/events/validate?backfill=true', [old])).toMatchObject({
      body: { valid: 1, rejected: 0 },
    });
  });

  it('[I5] of an event that was sent before is a duplicate, and with another payload a conflict', async () => {
    const first = at('again', new Date(Date.now() - 86_400_000).toISOString());
    expect((await plain.ingest('POST', '/v1/events', [first])).body.accepted).toBe(1);
    expect((await backfill([first])).body.duplicates).toBe(1);
    expect(await backfill([{ ...first, timestamp: '2020-01-01T00:00:00Z' }])).toMatchObject({ status: 409 });
  });

  it('is never joined with other requests: no event beside it is stored as one', async () => {
    const now = new Date().toISOString();
    const requests = Array.from({ length: 60 }, (_, index) =>
      index % 2 === 0
        ? backfill([at(`beside-old-${index}`, '2020-01-01T00:00:00Z')])
        : plain.ingest('POST', '/v1/events', [at(`beside-new-${index}`, now)]),
    );
    for (const { status } of await Promise.all(requests)) expect(status).toBe(200);
    const stored = await untilStored('beside-', 60);
    for (const { key, isBackfill } of stored)
      expect([key, isBackfill]).toEqual([key, key.startsWith('beside-old-') ? 1 : 0]);
  });

  it('that was put aside stays one when it is given back', async () => {
    const nats = await connectNats(inject('serverUrls').nats, 'test', pino({ level: 'silent' }));
    const { organizationId } = await firstTenant(pipeline);
    const body = toMessage([toRow({ ...exampleEvent, tenant: organizationId, idempotencyKey: 'aside-1' })]);
    const putAside = createDeadLetter(nats, pipeline.streamName);
    await putAside(
      { sequence: 1, body, publishedAtMs: 1, isBackfill: true, ack: () => {}, working: () => {} },
      'put aside by this test',
    );
    const publish = createPublish(nats, {
      streamName: pipeline.streamName,
      timeoutMs: 2_000,
      attemptsMax: 2,
      onNoStream: () => {},
    });
    const letters = await openDeadLetters(nats, pipeline.streamName, publish);
    const [letter] = await Array.fromAsync(letters.all());
    expect(letter).toMatchObject({ isBackfill: true });
    expect(await letters.redrive(letter?.sequence ?? 0)).toBeGreaterThan(0);
    expect(await untilStored('aside-', 1)).toMatchObject([{ isBackfill: 1 }]);
    await nats.close();
    const connection = await connect({ servers: new URL(inject('serverUrls').nats).host });
    expect(
      (await (await jetstreamManager(connection)).streams.info(deadLetterStreamOf(pipeline.streamName))).state.messages,
    ).toBe(0);
    await connection.close();
  });
});

describe('a receipt', () => {
  const keyOf = async (hosts: Hosts) => (await hosts.ingest('GET', '/v1/receipts/key')).body;

  it('is given with what was taken, for its request and its organization, and verifies with the key of the host', async () => {
    const now = new Date().toISOString();
    const events = ['r-1', 'r-2', 'r-1'].map((key) => at(key, now));
    const { body } = await plain.ingest('POST', '/v1/events?receipt=true', events, {
      'x-request-id': 'of-the-receipt',
    });
    const receipt: Receipt = body.receipt;
    const { organizationId } = await firstTenant(pipeline);
    expect(receipt).toMatchObject({
      organization: organizationId,
      request_id: 'of-the-receipt',
      accepted: 2,
      duplicates: 1,
    });
    expect(verifyReceipt(receipt, await keyOf(plain), ['r-1', 'r-2', 'r-1'])).toEqual({ isValid: true });
    expect(Math.abs(Date.parse(receipt.received_at) - Date.now())).toBeLessThan(60_000);
    expect((await plain.ingest('POST', '/v1/events?receipt=false', events)).body).not.toHaveProperty('receipt');
    expect((await plain.ingest('POST', '/v1/events', events)).body).not.toHaveProperty('receipt');
  });

  it('stands in the last line of an answer in lines, and is over all of its blocks', async () => {
    const now = new Date().toISOString();
    const keys = Array.from({ length: 2_500 }, (_, index) => `line-${index}`);
    const body = keys.map((key) => JSON.stringify(at(key, now))).join('\n');
    const answer = await fetch(new URL('/v1/events?receipt=true', pipeline.stack.ingestUrl), {
      method: 'POST',
      body,
      headers: {
        authorization: `Bearer ${plain.key}`,
        'content-type': 'application/x-ndjson',
        accept: 'application/x-ndjson',
      },
    });
    const last = JSON.parse((await answer.text()).trim().split('\n').at(-1) ?? '');
    expect(last).toMatchObject({ final: true, accepted: 2_500 });
    expect(verifyReceipt(last.receipt, await keyOf(plain), keys)).toEqual({ isValid: true });
    const document = await plain.ingest('POST', '/v1/events?receipt=true', body, {
      'content-type': 'application/x-ndjson',
    });
    expect(document.body.receipt).toMatchObject({
      accepted: 0,
      duplicates: 2_500,
      events_digest: last.receipt.events_digest,
    });
  });

  it('of any gateway of the installation verifies with the key of any other', async () => {
    const gateway = await startGatewayByHand(pipeline, inject('serverUrls'), secrets);
    const other = { ...plain, ingest: call(gateway.url, plain.key) };
    const { body } = await other.ingest('POST', '/v1/events?receipt=true', [
      at('other-gateway', new Date().toISOString()),
    ]);
    expect(verifyReceipt(body.receipt, await keyOf(plain), ['other-gateway'])).toEqual({ isValid: true });
    gateway.process.kill('SIGTERM');
    await gateway.exited;
  });

  it('is not given where nothing was taken, and its key not to who has no key', async () => {
    const refused = await plain.ingest('POST', '/v1/events?receipt=true', [{ idempotency_key: 'x' }]);
    expect(refused).toMatchObject({ status: 422 });
    expect(refused.body).not.toHaveProperty('receipt');
    expect(await plain.ingest('GET', '/v1/receipts/key', undefined, { authorization: '' })).toMatchObject({
      status: 401,
    });
  });

  it.each(['backfill=yes', 'receipt=1', 'backfill=true&backfill=true', 'receipt=true&receipt=true', 'backfil=true'])(
    'and a backfill are asked for in one way: %s is refused',
    async (query) => {
      expect(await backfiller.ingest('POST', `/v1/events?${query}`, [])).toMatchObject({
        status: 400,
        body: { error_code: 'BAD_REQUEST' },
      });
    },
  );
});
