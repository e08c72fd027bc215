/**
 * Every event that was received is billed, or not billed for a reason that is told: `GET /v1/reconciliation` over a
 * closed month and an open one.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectNats } from '#platform/stores/nats.ts';
import { createPublish } from '../../ingest/stream/usage-stream.nats.ts';
import { startGatewayByHand } from '../support/gateways.ts';
import { parts } from '../support/parts.ts';
import { call, lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { firstTenant } from '../support/tenants.ts';
import { toMessage, toRow } from '../support/usage-rows.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  const made = async (path: string, body: unknown) =>
    expect(await pipeline.api('POST', path, body)).toMatchObject({ status: 201 });
  await made('/v1/meters', { code: 'tokens', name: 'Tokens', event: 'call', aggregation: 'sum', property: 'tokens' });
  const price = { model: 'per_unit', unit_amount: '0.01' };
  await made('/v1/plans', {
    code: 'by-token',
    name: 'By token',
    currency: 'USD',
    charges: [{ code: 'tokens', name: 'Tokens', meter: 'tokens', price }],
  });
  for (const external of ['acme', 'idle']) await made('/v1/customers', { external_id: external, name: external });
  const startedAt = new Date(month.start).toISOString();
  await made('/v1/subscriptions', { customer_id: 'acme', plan: 'by-token', started_at: startedAt });
});
afterAll(() => pipeline?.stop());

const month = lastMonth();
const inMonth = month.end - 86_400_000;
const eventOf = (key: string, some: Record<string, unknown> = {}) => ({
  idempotency_key: key,
  event: 'call',
  customer_id: 'acme',
  timestamp: new Date(inMonth).toISOString(),
  properties: { tokens: '5' },
  ...some,
});

// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
type Total = any;
/** What stands in the answer once so many events are stored and checked. */
const balanced = async (distinct: number): Promise<Total> => {
  const { body } = await until(
    () => pipeline.api('GET', '/v1/reconciliation'),
    ({ status, body: { total, is_settled } }) =>
      status === 200 &&
      is_settled &&
      total.distinct === distinct &&
      total.unbilled.unchecked === 0 &&
      total.received >= distinct,
    40_000,
  );
  expect(body.total).toMatchObject({ is_balanced: true, differences: [] });
  const { unbilled } = body.total as { unbilled: Record<string, number> };
  expect(body.total.billed + Object.values(unbilled).reduce((sum, events) => sum + events, 0)).toBe(distinct);
  return body.total;
};
const send = async (events: readonly unknown[], query = '') => {
  const ingest = call(pipeline.stack.ingestUrl, pipeline.key);
  expect(await ingest('POST', `/v1/events${query}`, events)).toMatchObject({
    status: 200,
    body: { accepted: events.length },
  });
};
const none = {
  unchecked: 0,
  voided: 0,
  replaced: 0,
  no_customer: 0,
  no_subscription: 0,
  trial: 0,
  paused: 0,
  no_charge: 0,
  unmeasured: 0,
  no_amount: 0,
  waived: 0,
  period_open: 0,
  late: 0,
};

describe('[I11] distinct events are billed or unbilled for a stated reason', () => {
  it('before any invoice, each by what keeps it from being billed', async () => {
    await send([
      eventOf('in-period-1'),
      eventOf('in-period-2'),
      eventOf('now', { timestamp: new Date().toISOString() }),
      eventOf('nobody', { customer_id: 'somebody else' }),
      eventOf('idle', { customer_id: 'idle' }),
      eventOf('another event', { event: 'upload' }),
      eventOf('no number', { properties: { tokens: 'many' } }),
      eventOf('no property', { properties: {} }),
    ]);
    await send([eventOf('long ago', { timestamp: '2020-01-01T00:00:00Z' })], '?backfill=true');
    const total = await balanced(9);
    expect(total).toMatchObject({ billed: 0, backfilled: 1, twins: 0, stored_conflicts: 0, voided: 0, replaced: 0 });
    expect(total.unbilled).toEqual({
      ...none,
      period_open: 3,
      no_customer: 1,
      no_subscription: 2,
      no_charge: 1,
      unmeasured: 2,
    });
  });

  it('after the invoice of a period what it counts is billed, and what comes later is late', async () => {
    expect(await pipeline.closePeriod({ period: month.name })).toMatchObject({ body: { state: 'completed' } });
    expect((await balanced(9)).unbilled).toEqual({
      ...none,
      period_open: 1,
      no_customer: 1,
      no_subscription: 2,
      no_charge: 1,
      unmeasured: 2,
    });
    await send([eventOf('late-1'), eventOf('late-2')]);
    const total = await balanced(11);
    expect(total).toMatchObject({ billed: 2, unbilled: { late: 2, period_open: 1 } });
    const { body: invoices } = await pipeline.api('GET', '/v1/invoices');
    const { body: invoice } = await pipeline.api('GET', `/v1/invoices/${invoices.items[0].id}`);
    expect(invoice.lines[0].quantity).toBe('10');
  });

  it('a retry that nobody knew of is a twin, and one with another payload a conflict: stored, and not distinct', async () => {
    const secret = (name: string) => readFileSync(join(pipeline.stack.home, name), 'utf8').trim();
    const secrets = { MILLRACE_KEY_PEPPER: secret('key-pepper'), MILLRACE_MASTER_KEY: secret('master-key') };
    const gateway = await startGatewayByHand(pipeline, inject('serverUrls'), {
      ...secrets,
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    const blind = call(gateway.url, pipeline.key);
    const again = [
      eventOf('in-period-1', { timestamp: new Date(inMonth - 86_400_000).toISOString() }),
      eventOf('now', { customer_id: 'idle', timestamp: new Date(inMonth).toISOString() }),
    ];
    expect((await blind('POST', '/v1/events', again)).body).toMatchObject({ accepted: 2 });
    gateway.process.kill('SIGTERM');
    await gateway.exited;
    const total = await until(
      () => balanced(11),
      ({ published }) => published === 13,
    );
    expect(total).toMatchObject({
      accepted: 13,
      twins: 1,
      stored_conflicts: 1,
      twins_removed: 2,
      billed: 2,
      unbilled: { late: 2 },
    });
  });

  it('an amendment takes an event from what is open and never from what is billed, and its replacement counts in its place', async () => {
    const nats = await connectNats(inject('serverUrls').nats, 'test', pino({ level: 'silent' }));
    const publish = createPublish(nats, {
      streamName: pipeline.streamName,
      timeoutMs: 2_000,
      attemptsMax: 2,
      onNoStream: () => {},
    });
    const { organizationId } = await firstTenant(pipeline);
    const amend = async (
      id: string,
      key: string,
      replacement?: { readonly occurredAtMs: number; readonly tokens: string },
    ) => {
      const row_digest = createHash('sha256').update(`${organizationId}\0${key}`).digest('hex').slice(0, 32);
      const common = { customer: 'acme', occurredAtMs: inMonth, receivedAtMs: Date.now() };
      const rows = [
        toRow({
          ...common,
          tenant: `${organizationId}\0`,
          event: replacement ? 'replaced' : 'voided',
          idempotencyKey: `\0${id}`,
          properties: Object.entries({ event: 'call', key, row_digest }),
        }),
        ...(replacement
          ? [
              toRow({
                ...common,
                tenant: organizationId,
                event: 'call',
                idempotencyKey: `${key}\0${id}`,
                occurredAtMs: replacement.occurredAtMs,
                properties: [['tokens', replacement.tokens]],
              }),
            ]
          : []),
      ];
      await publish({ id, body: toMessage(rows) });
    };
    await amend('amd_1', 'late-1');
    await amend('amd_2', 'late-2', { occurredAtMs: Date.now(), tokens: '7' });
    await amend('amd_3', 'in-period-2');
    const { body } = await until(
      () => pipeline.api('GET', '/v1/reconciliation'),
      ({ body: { total } }) => total.voided === 2 && total.replaced === 1,
    );
    expect(body.total).toMatchObject({ is_balanced: true, differences: [], distinct: 11, billed: 2 });
    expect(body.total.unbilled).toMatchObject({ late: 0, voided: 1, replaced: 1, period_open: 2 });
    await nats.close();
  });

  it('[I5] what makes a retry a conflict, at the gateway and for the identity check once Redis has forgotten it, is as docs/ingest.md says', async () => {
    const secret = (name: string) => readFileSync(join(pipeline.stack.home, name), 'utf8').trim();
    const secrets = { MILLRACE_KEY_PEPPER: secret('key-pepper'), MILLRACE_MASTER_KEY: secret('master-key') };
    const gateway = await startGatewayByHand(pipeline, inject('serverUrls'), {
      ...secrets,
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    const blind = call(gateway.url, pipeline.key);
    const { timestamp: _, ...untimed } = eventOf('');
    const [at, later] = [new Date(inMonth).toISOString(), new Date(inMonth + 1).toISOString()];
    const timed = { ...untimed, timestamp: at, properties: { a: 1, b: { c: 'x' } } };
    const rows = [
      ['nothing', timed, timed, 'duplicate', 'twin'],
      ['the order of the properties', timed, { ...timed, properties: { b: { c: 'x' }, a: 1 } }, 'duplicate', 'twin'],
      [
        'how the same instant is written',
        timed,
        { ...timed, timestamp: at.replace('Z', '+00:00') },
        'duplicate',
        'twin',
      ],
      ['a number or its text', timed, { ...timed, properties: { a: '1', b: { c: 'x' } } }, 'duplicate', 'twin'],
      ['the time', timed, { ...timed, timestamp: later }, 'conflict', 'twin'],
      ['a time that was not given before', untimed, { ...untimed, timestamp: at }, 'conflict', 'twin'],
      ['the event', timed, { ...timed, event: 'another' }, 'conflict', 'conflict'],
      ['the customer', timed, { ...timed, customer_id: 'another' }, 'conflict', 'conflict'],
      ['the value of a property', timed, { ...timed, properties: { a: 2, b: { c: 'x' } } }, 'conflict', 'conflict'],
      ['a property more', timed, { ...timed, properties: { a: 1, b: { c: 'x' }, d: 1 } }, 'conflict', 'conflict'],
    ] as const;
    const keyed = (index: number, payload: object) => ({ ...payload, idempotency_key: `conflict-${index}` });
    for (const [index, [, first]] of rows.entries()) {
      expect((await pipeline.sendEvents([keyed(index, first)])).body).toMatchObject({ accepted: 1 });
    }
    const told: unknown[][] = [];
    for (const [index, [name, , again]] of rows.entries()) {
      const { body } = await pipeline.sendEvents([keyed(index, again)]);
      const atGateway = body.duplicates === 1 ? 'duplicate' : body.conflicts === 1 ? 'conflict' : body;
      told.push([name, atGateway]);
    }
    // In one message, as the stream itself recognizes one that is the same as before.
    const agains = rows.map(([, , again], index) => keyed(index, again));
    expect((await blind('POST', '/v1/events', agains)).body).toMatchObject({ accepted: rows.length });
    gateway.process.kill('SIGTERM');
    await gateway.exited;
    for (const [index, row] of told.entries()) {
      const { body } = await until(
        () => pipeline.api('GET', `/v1/events/conflict-${index}`),
        (fate) => fate.body.twins?.length === 1 && fate.body.twins[0].reason !== 'unchecked',
      );
      row.push(body.twins[0].reason);
    }
    expect(told).toEqual(rows.map(([name, , , atGateway, forTheCheck]) => [name, atGateway, forTheCheck]));
    const table = readFileSync(new URL('../../docs/ingest.md', import.meta.url), 'utf8');
    for (const [name, , , atGateway, forTheCheck] of rows)
      expect(table).toMatch(new RegExp(`\\| ${name} +\\| \`${atGateway}\` +\\| \`${forTheCheck}\` +\\|`));
  });
});
