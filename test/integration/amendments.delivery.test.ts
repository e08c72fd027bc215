/**
 * [I2] An amendment that is answered holds, whatever dies between its commit and the store; and it holds once, however
 * often its message goes out.
 */
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalServer } from '#platform/local/server.ts';
import { amendmentMessage, keyDigest } from '#schemas/amendment.ts';
import { subjectOf } from '#schemas/usage-stream.ts';
import {
  lastMonth,
  type Pipeline,
  startPipeline,
  startTestServers,
  type TestServers,
  until,
} from '../support/pipeline.ts';
import { firstTenant, unique } from '../support/tenants.ts';

let own: TestServers;
let pipeline: Pipeline;
const month = lastMonth();
const atMs = month.end - 3_600_000;

beforeAll(async () => {
  own = await startTestServers();
  pipeline = await startPipeline(own.urls);
  await pipeline.api('POST', '/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm',
    aggregation: 'sum',
    property: 'tokens',
  });
});
afterAll(async () => {
  await pipeline?.stop();
  await own?.stop();
});

const payload = (customer: string, tokens: string) => ({
  event: 'llm',
  customer_id: customer,
  timestamp: new Date(atMs).toISOString(),
  properties: { tokens },
});
/** A customer with one event of ten tokens, which is stored and checked. */
const prepared = async () => {
  const [customer, key] = [`c-${unique()}`, `k-${unique()}`];
  await pipeline.api('POST', '/v1/customers', { external_id: customer, name: 'C' });
  await pipeline.sendEvents([{ idempotency_key: key, ...payload(customer, '10') }]);
  await until(
    () => pipeline.api('GET', `/v1/events/${key}`),
    ({ body }) => body.state === 'counted',
  );
  return { customer, key };
};
const usageOf = async (customer: string): Promise<string> => {
  const span = `from=${new Date(month.start).toISOString()}&to=${new Date(month.end).toISOString()}`;
  return (await pipeline.api('GET', `/v1/customers/${customer}/usage?${span}`)).body.items[0].quantity;
};
const replace = (key: string, customer: string, tokens: string) =>
  pipeline.api('POST', '/v1/events/amendments', {
    amendments: [{ idempotency_key: key, action: 'replace', reason: 'a test', replacement: payload(customer, tokens) }],
  });
const applied = (id: string) =>
  until(
    () => pipeline.api('GET', `/v1/events/amendments/${id}`).catch(() => undefined),
    (answer) => answer?.body.state === 'applied',
    40_000,
  );

describe('an amendment', () => {
  it('that is answered while the stream is away, by a process that dies then, holds once both are back', async () => {
    const { customer, key } = await prepared();
    const nats = own.servers.get('nats') as LocalServer;
    await nats.stop();
    const answer = await replace(key, customer, '7');
    expect([answer.status, answer.body.items[0].state]).toEqual([201, 'pending']);
    const pidOf = () => pipeline.stack.processes.find(({ name }) => name === 'api')?.pid ?? 0;
    const pid = pidOf();
    process.kill(pid, 'SIGKILL');
    await until(
      async () => pidOf(),
      (now) => now > 0 && now !== pid,
    );
    await nats.restart();
    await applied(answer.body.items[0].id);
    expect(await usageOf(customer)).toBe('7');
  }, 90_000);

  it('whose message goes into the stream again and again counts once', async () => {
    const { customer, key } = await prepared();
    const { organizationId } = await firstTenant(pipeline);
    const [item] = (await replace(key, customer, '8')).body.items;
    const shown = await applied(item.id);
    const message = amendmentMessage({
      id: item.id,
      organizationId,
      idempotencyKey: key,
      createdAtMs: Date.parse(item.created_at),
      removed: [{ event: 'llm', customer, occurredAtMs: atMs, digest: keyDigest(organizationId, key) }],
      added: { event: 'llm', customer, occurredAtMs: atMs, properties: [['tokens', '8']] },
    });
    const connection = await connect({ servers: new URL(own.urls.nats).host });
    let last = 0;
    for (let copy = 0; copy < 3; copy += 1) {
      const ack = await jetstream(connection).publish(subjectOf(pipeline.streamName), message, {
        msgID: `${item.id}-${copy}`,
      });
      last = ack.seq;
    }
    await connection.close();
    await until(
      () => pipeline.api('GET', `/v1/events/${key}`),
      ({ body }) => BigInt(body.watermark) >= BigInt(last),
    );
    expect(await usageOf(customer)).toBe('8');
    const { body } = await pipeline.api('GET', `/v1/events/${key}`);
    expect(
      body.versions.map(({ from_sequence: from, until_sequence: to }: Record<string, string>) => [from, to]),
    ).toEqual([
      [expect.any(String), shown?.body.sequence],
      [shown?.body.sequence, null],
    ]);
    expect((await pipeline.api('GET', '/v1/reconciliation')).body.total.missing).toBe(0);
  }, 60_000);
});
