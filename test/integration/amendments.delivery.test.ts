/**
 * [I2] An amendment that is answered holds, whatever dies between its commit and the store; and it holds once, however
 * often its message goes out.
 */

import { fork } from 'node:child_process';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ProcessName, processes } from '#platform/config/processes.ts';
import type { LocalServer } from '#platform/local/server.ts';
import { type FailPointName, failPointNames } from '#platform/process/fail-point.ts';
import { loginUrl } from '#platform/stores/postgres.ts';
import { amendmentMessage, keyDigest } from '#schemas/amendment.ts';
import { subjectOf } from '#schemas/usage-stream.ts';
import { parts } from '../support/parts.ts';
import {
  databasePassword,
  lastMonth,
  type Pipeline,
  startPipeline,
  startTestServers,
  type TestServers,
  until,
} from '../support/pipeline.ts';
import { compileCache } from '../support/quick.ts';
import { firstTenant, unique } from '../support/tenants.ts';

let own: TestServers;
let pipeline: Pipeline;
/** Where the relay that is started next ends itself; the one after that lives. */
let aim: FailPointName | undefined;
const month = lastMonth();
const atMs = month.end - 3_600_000;

beforeAll(async () => {
  own = await startTestServers();
  pipeline = await startPipeline(
    own.urls,
    {},
    {
      services: parts.amendedUsage,
      extraOf: (service): NodeJS.ProcessEnv => {
        if (service !== 'relay' || aim === undefined) return {};
        const environment = { MILLRACE_FAIL_POINT: `${aim}:1` };
        aim = undefined;
        return environment;
      },
    },
  );
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
  );

const relayPid = (): number => pipeline.stack.processes.find(({ name }) => name === 'relay')?.pid ?? 0;

/** Ends a process on the spot, and waits until another one is in its place. */
const killed = async (name: ProcessName): Promise<void> => {
  const pidOf = () => pipeline.stack.processes.find((one) => one.name === name)?.pid ?? 0;
  const pid = pidOf();
  process.kill(pid, 'SIGKILL');
  await until(
    async () => pidOf(),
    (now) => now > 0 && now !== pid,
  );
};

const lastSequence = async (): Promise<number> => {
  const connection = await connect({ servers: new URL(own.urls.nats).host });
  const stream = await (await jetstreamManager(connection)).streams.info(pipeline.streamName);
  await connection.close();
  return stream.state.last_seq;
};

describe('an amendment', () => {
  it('that is answered while the stream is away, by a process that dies then, and its relay with it, holds once all are back', async () => {
    const { customer, key } = await prepared();
    const nats = own.servers.get('nats') as LocalServer;
    await nats.stop();
    const answer = await replace(key, customer, '7');
    expect([answer.status, answer.body.items[0].state]).toEqual([201, 'pending']);
    await Promise.all([killed('api'), killed('relay')]);
    await nats.restart();
    await applied(answer.body.items[0].id);
    expect(await usageOf(customer)).toBe('7');
  });

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
  });
});

describe('the relay', () => {
  it.each(failPointNames.filter((name) => name.startsWith('relay.')))(
    'that ends at %s has done all of it once when another one is through',
    async (name) => {
      const { customer, key } = await prepared();
      aim = name;
      await killed('relay');
      expect(aim).toBeUndefined();
      const pid = relayPid();
      const [item] = (await replace(key, customer, '9')).body.items;
      await until(
        async () => relayPid(),
        (now) => now > 0 && now !== pid,
      );
      await applied(item.id);
      expect(await usageOf(customer)).toBe('9');
      const { rows } = await pipeline.asOwner.query(
        "SELECT count(*)::integer AS entries FROM audit_log WHERE action = 'amendment.applied' AND object_id = $1",
        [item.id],
      );
      expect(rows).toEqual([{ entries: 1 }]);
    },
    90_000,
  );

  it('that dies with an amendment on its way is taken up from where it was', async () => {
    const { customer, key } = await prepared();
    const [item] = (await replace(key, customer, '6')).body.items;
    await killed('relay');
    await applied(item.id);
    expect(await usageOf(customer)).toBe('6');
  });

  it('that stands still keeps the API from nothing, and catches up', async () => {
    const { customer, key } = await prepared();
    const pid = relayPid();
    process.kill(pid, 'SIGSTOP');
    const [item] = (await replace(key, customer, '5')).body.items;
    const shown = await pipeline.api('GET', `/v1/events/amendments/${item.id}`);
    expect([shown.status, shown.body.state]).toEqual([200, 'pending']);
    expect(await usageOf(customer)).toBe('10');
    process.kill(pid, 'SIGCONT');
    await applied(item.id);
    expect(await usageOf(customer)).toBe('5');
  });

  it('works beside another one: each amendment goes into the stream once, and has one entry that says it holds', async () => {
    const second = fork(processes.relay.file, {
      stdio: 'ignore',
      env: {
        ...process.env,
        ...compileCache,
        DATABASE_URL: loginUrl(pipeline.databaseUrl, processes.relay.login, databasePassword),
        CLICKHOUSE_URL: pipeline.clickhouseUrl,
        NATS_URL: own.urls.nats,
        MILLRACE_STREAM: pipeline.streamName,
      },
    });
    const gone = new Promise((resolve) => second.once('exit', resolve));
    try {
      await new Promise<void>((resolve, reject) => {
        second.once('message', () => resolve());
        second.once('exit', (code) => reject(new Error(`the second relay ended with ${code}`)));
      });
      const { customer } = await prepared();
      const keys = Array.from({ length: 40 }, () => `k-${unique()}`);
      await pipeline.sendEvents(keys.map((key) => ({ idempotency_key: key, ...payload(customer, '1') })));
      await until(
        () => pipeline.api('GET', `/v1/events/${keys.at(-1)}`),
        ({ body }) => body.state === 'counted',
      );
      const before = await lastSequence();
      const ids: string[] = [];
      for (const key of keys) {
        const { status, body } = await replace(key, customer, '2');
        expect(status, JSON.stringify(body)).toBe(201);
        ids.push(body.items[0].id);
      }
      for (const id of ids) await applied(id);
      expect((await lastSequence()) - before).toBe(keys.length);
      const { rows } = await pipeline.asOwner.query(
        `SELECT count(*)::integer AS entries FROM audit_log WHERE action = 'amendment.applied'
           AND object_id = ANY ($1)`,
        [ids],
      );
      expect(rows).toEqual([{ entries: keys.length }]);
      expect(await usageOf(customer)).toBe(String(10 + 2 * keys.length));
    } finally {
      second.kill('SIGTERM');
      expect(await gone).toBe(0);
    }
  });
});
