/**
 * Each of the four servers is stopped under load and started again: who is refused, that nothing is lost or doubled,
 * and that nobody has to be restarted.
 */

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LocalServer } from '#platform/local/server.ts';
import type { ServerName } from '#platform/local/servers.ts';
import { sinkConsumer } from '#schemas/usage-stream.ts';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { type Load, startLoad } from '../support/load.ts';
import { parts } from '../support/parts.ts';
import {
  type ApiAnswer,
  lastMonth,
  type Pipeline,
  startPipeline,
  startTestServers,
  type TestServers,
  until,
} from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { countStored, untilAllStored } from '../support/stored.ts';

let own: TestServers;
let pipeline: Pipeline;
const month = lastMonth();

beforeAll(async () => {
  own = await startTestServers();
  pipeline = await startPipeline(own.urls, shortLeases, { services: parts.billedUsage });
  await makeLlmPro(pipeline, ['nats', 'redis', 'clickhouse', 'postgres', 'killed'], month.start);
});
afterAll(async () => {
  await pipeline?.stop();
  await own?.stop();
});

const pids = () => Object.fromEntries(pipeline.stack.processes.map(({ name, pid }) => [name, pid]));
const load = (customer: string) =>
  startLoad(pipeline, { customer, atMs: month.end - 3_600_000, lanes: 3, batch: 20, pauseMs: 10 });

/** Runs `meanwhile` while the server is away under load; afterwards everything that was sent must be stored once. */
const whileAway = async (
  name: ServerName,
  customer: string,
  meanwhile: (running: Load) => Promise<void>,
): Promise<readonly (ApiAnswer | Error)[]> => {
  const server = own.servers.get(name) as LocalServer;
  const before = pids();
  const running = load(customer);
  await until(
    async () => running.taken(),
    (taken) => taken >= 10,
  );
  await server.stop();
  await meanwhile(running);
  await server.restart();
  const takenBefore = running.taken();
  await until(
    async () => running.taken(),
    (taken) => taken >= takenBefore + 10,
  );
  const sent = await running.finish();
  await untilAllStored(pipeline, customer, sent);
  expect(pids(), 'no process of ours was restarted').toEqual(before);
  return running.refusals();
};

/** Asks until the refusal comes; a request that was under way when the server went may still be answered otherwise. */
const refusedFor = async (part: string, ask: () => Promise<ApiAnswer>) => {
  const answer = await until(ask, ({ status }) => status === 503);
  expect(answer.body).toMatchObject({ error_code: 'DEPENDENCY_UNAVAILABLE' });
  expect(JSON.stringify(answer.body.errors)).toContain(part);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
};

const untilTaken = (body: unknown) =>
  until(
    () => pipeline.sendEvents(body),
    ({ status }) => status === 200,
  );

const losses = async () => (await pipeline.api('GET', '/v1/reconciliation')).body.losses;

/** Ends NATS, does something to its files, and starts it again. */
const betweenRuns = async (work: (folder: string) => void): Promise<void> => {
  const nats = own.servers.get('nats') as LocalServer;
  await nats.stop();
  work(join(own.home, 'nats'));
  await nats.restart();
};

/** Waits until the store has all that the stream holds, and says where that ends. */
const untilTakenIn = async (): Promise<number> => {
  const connection = await connect({ servers: new URL(own.urls.nats).host });
  const manager = await jetstreamManager(connection);
  await until(
    () => manager.consumers.info(pipeline.streamName, sinkConsumer),
    ({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0,
  );
  const { state } = await manager.streams.info(pipeline.streamName);
  await connection.close();
  return state.last_seq;
};

type Health = { readonly dependencies: Readonly<Record<string, 'up' | 'down'>> };
/** Until then the gateway goes on without claims, and may accept again what it can't know of. */
const untilRedisAnswers = () =>
  until(
    async () => (await (await fetch(new URL('/health/ready', pipeline.stack.ingestUrl))).json()) as Health,
    ({ dependencies }) => dependencies.redis === 'up',
  );

let probe = 0;
const oneEvent = (timed: boolean) => {
  probe += 1;
  const { timestamp, ...event } = llmRequest(`probe-${probe}`, 'probe', Date.now(), { input: 1, output: 1 });
  return timed ? { timestamp, ...event } : event;
};

describe('a server that is stopped under load and started again', () => {
  it('[I1] [I9] NATS: ingest is refused with 503 that names it, and taken again once it is back', async () => {
    const refusals = await whileAway('nats', 'nats', async (running) => {
      await until(
        async () => running.refusals().length,
        (refused) => refused > 0,
      );
      await refusedFor('nats', () => pipeline.sendEvents([oneEvent(true)]));
      await refusedFor('nats', () => pipeline.sendEvents([oneEvent(false)]));
    });
    for (const refusal of refusals) expect(refusal).toMatchObject({ status: 503 });
    // [I5] Its stream is the same one, however often it starts: what was accepted stays known.
    const known = oneEvent(true);
    expect(await pipeline.sendEvents(known)).toMatchObject({ status: 200, body: { accepted: 1 } });
    for (let turn = 0; turn < 2; turn += 1) {
      await own.servers.get('nats')?.kill();
      await own.servers.get('nats')?.restart();
      expect((await untilTaken(known)).body).toMatchObject({ accepted: 0, duplicates: 1 });
    }
  });

  it('[I6] Redis: ingest goes on without it, but for events that have no time of their own', async () => {
    const refusals = await whileAway('redis', 'redis', async () => {
      expect(await pipeline.sendEvents([oneEvent(true)])).toMatchObject({ status: 200, body: { accepted: 1 } });
      await refusedFor('redis', () => pipeline.sendEvents([oneEvent(false)]));
    });
    // A batch may meet the moment in which its claim was made and its confirmation lost: it is in flight until the
    // lease ends.
    for (const refusal of refusals) expect(refusal).toMatchObject({ status: 503 });
    expect(await pipeline.sendEvents([oneEvent(false)])).toMatchObject({ status: 200, body: { accepted: 1 } });
  });

  it('[I10] ClickHouse: ingest goes on, usage is refused with 503 that names it, and everything is stored once it is back', async () => {
    const refusals = await whileAway('clickhouse', 'clickhouse', async () => {
      expect(await pipeline.sendEvents([oneEvent(true)])).toMatchObject({ status: 200, body: { accepted: 1 } });
      await refusedFor('clickhouse', () => pipeline.api('GET', '/v1/customers/clickhouse/usage'));
    });
    expect(refusals).toEqual([]);
  });

  it('PostgreSQL: ingest goes on with the keys it knows, the API is refused with 503 that names it', async () => {
    const refusals = await whileAway('postgres', 'postgres', async () => {
      await refusedFor('postgres', () => pipeline.api('GET', '/v1/invoices'));
      await refusedFor('postgres', () =>
        pipeline.sendEvents([oneEvent(true)], { authorization: 'Bearer mr_live_a_key_not_seen_before' }),
      );
      expect(await pipeline.sendEvents([oneEvent(true)])).toMatchObject({ status: 200, body: { accepted: 1 } });
    });
    expect(refusals).toEqual([]);
    expect(await pipeline.api('GET', '/v1/invoices')).toMatchObject({ status: 200 });
  });

  it('[I10] NATS that hangs: ingest is refused at once after the first time-out, and nothing piles up', async () => {
    const { pid } = own.servers.get('nats') as LocalServer;
    const gateway = pipeline.stack.processes.find(({ name }) => name === 'gateway')?.url as string;
    const residentBytes = async () =>
      Number(
        /^process_resident_memory_bytes (\S+)/m.exec(await (await fetch(new URL('/metrics', gateway))).text())?.[1],
      );
    const body = Array.from({ length: 2_000 }, (_, index) => ({
      ...llmRequest(`hang-${index}`, 'hang', Date.now(), { input: 1, output: 1 }),
      properties: { text: 'x'.repeat(2_000) },
    }));
    await untilTaken(body);
    process.kill(pid, 'SIGSTOP');
    try {
      await refusedFor('nats', () => pipeline.sendEvents([oneEvent(true)]));
      const refuse = async (from: number, to: number) => {
        for (let round = from; round < to; round += 1) {
          const answer = await pipeline.sendEvents(
            body.map((event, index) => ({ ...event, idempotency_key: `hang-${round}-${index}` })),
          );
          expect(answer).toMatchObject({ status: 503, body: { error_code: 'DEPENDENCY_UNAVAILABLE' } });
        }
      };
      // The heap grows to what bodies of this size need.
      await refuse(0, 12);
      const before = await residentBytes();
      await refuse(12, 42);
      // 30 bodies of 4.3 MB were refused; were they kept, it would be 129 MB and their objects.
      expect((await residentBytes()) - before).toBeLessThan(90_000_000);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await untilTaken([oneEvent(true)]);
  });

  it('[I2] [I5] all four are killed one after the other: nothing is lost or doubled, and what was accepted stays known', async () => {
    const servers = [...own.servers.values()];
    const known = oneEvent(true);
    expect((await untilTaken(known)).body).toMatchObject({ accepted: 1 });
    const running = load('killed');
    for (const server of servers) {
      const taken = running.taken();
      await until(
        async () => running.taken(),
        (now) => now >= taken + 10,
      );
      await server.kill();
      await server.restart();
      if (server.name === 'redis') await untilRedisAnswers();
      expect((await untilTaken(known)).body, `after ${server.name}`).toMatchObject({ accepted: 0, duplicates: 1 });
    }
    const taken = running.taken();
    await until(
      async () => running.taken(),
      (now) => now >= taken + 10,
    );
    await untilAllStored(pipeline, 'killed', await running.finish());
  });

  it('[I11] afterwards the period closes and bills exactly what was accepted', async () => {
    const run = await until(
      () => pipeline.closePeriod({ period: month.name }),
      ({ status, body }) => status === 200 && body.state === 'completed',
    );
    expect(run.body).toMatchObject({ invoices_issued: 5, unmeasured_events: 0 });
    expect(await losses(), 'nothing was lost').toEqual([]);
    for (const customer of ['nats', 'redis', 'clickhouse', 'postgres', 'killed']) {
      const list = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
      const { body: invoice } = await pipeline.api('GET', `/v1/invoices/${list.body.items[0].id}`);
      const quantities = Object.fromEntries(
        invoice.lines.map((line: { meter: string; quantity: string }) => [line.meter, BigInt(line.quantity)]),
      );
      expect(quantities.requests).toBeGreaterThan(0n);
      expect(quantities.input_tokens).toBe(quantities.requests * 3n);
      expect(quantities.output_tokens).toBe(quantities.requests);
    }
  });

  it('[I2] [I5] NATS comes back with an older copy of its files: what it lacks is told by its range and accepted again, once, and no more', async () => {
    const [kept, lost] = [oneEvent(true), oneEvent(true)];
    expect((await untilTaken(kept)).body).toMatchObject({ accepted: 1 });
    await untilTakenIn();
    await betweenRuns((folder) => cpSync(folder, `${folder}-old`, { recursive: true }));
    expect((await untilTaken(lost)).body).toMatchObject({ accepted: 1 });
    // A claim is confirmed after the answer, and what is not confirmed yet is not known to be lost.
    expect((await untilTaken(lost)).body).toMatchObject({ accepted: 0, duplicates: 1 });
    const sequence = String(await untilTakenIn());
    await betweenRuns((folder) => {
      rmSync(folder, { recursive: true });
      cpSync(`${folder}-old`, folder, { recursive: true });
    });
    expect((await untilTaken(lost)).body).toMatchObject({ accepted: 1, duplicates: 0 });
    expect((await untilTaken([kept, lost])).body).toMatchObject({ accepted: 0, duplicates: 2 });
    const [loss, ...more] = await until(losses, ({ length }) => length > 0);
    expect(loss).toMatchObject({ from_sequence: sequence, to_sequence: sequence, stored_messages: 1 });
    // One more start tells nothing new.
    await betweenRuns(() => {});
    expect((await untilTaken([kept, lost])).body).toMatchObject({ accepted: 0, duplicates: 2 });
    expect(await losses()).toEqual([loss]);
    expect(more).toEqual([]);
    await untilTakenIn();
    const { billed, distinct } = await countStored(pipeline, 'probe');
    expect(billed).toBe(distinct);
  });
});
