/**
 * Several processes behind one port, and several gateways beside each other: what holds of one gateway holds of them
 * together.
 */

import { readFileSync } from 'node:fs';
import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { logPath } from '#platform/local/home.ts';
import {
  type Client,
  type HandStarted,
  type LogLine,
  openClient,
  sharedSecrets,
  startGatewayByHand,
  workersIn,
} from '../support/gateways.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { startLoad } from '../support/load.ts';
import { parts } from '../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { openRaw } from '../support/raw-http.ts';
import { untilAllStored } from '../support/stored.ts';

let pipeline: Pipeline;
const handStarted: HandStarted[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_INGEST_WORKERS: '3',
      MILLRACE_LOG_LEVEL: 'debug',
      ...sharedSecrets,
      ...shortLeases,
    },
    { services: parts.usage },
  );
});
afterAll(async () => {
  for (const client of clients) client.close();
  for (const { process } of handStarted) process.kill('SIGKILL');
  await Promise.all(handStarted.map(({ exited }) => exited));
  await pipeline?.stop();
});

const gatewayPid = (): number => pipeline.stack.processes.find(({ name }) => name === 'gateway')?.pid ?? 0;
const linesOfGateway = (): LogLine[] =>
  readFileSync(logPath(pipeline.stack.home, 'gateway'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LogLine);
const workers = (): number[] => workersIn(linesOfGateway(), gatewayPid());

const open = (base: string, count: number): Client[] => {
  const opened = Array.from({ length: count }, () => openClient(base, pipeline.key));
  clients.push(...opened);
  return opened;
};

const byHand = async (settings: Readonly<Record<string, string>>): Promise<HandStarted> => {
  const started = await startGatewayByHand(pipeline, inject('serverUrls'), settings);
  handStarted.push(started);
  return started;
};

/** Pids of its workers, once their lines have come; they may come after the message that it is ready. */
const untilServing = (gateway: HandStarted, count: number): Promise<number[]> =>
  until(
    async () => workersIn(gateway.lines, gateway.process.pid ?? 0),
    ({ length }) => length === count,
  );

const event = (key: string, customer: string, atMs: number) => llmRequest(key, customer, atMs, { input: 1, output: 1 });

const readMetric = async (series: string): Promise<number> => {
  // A connection of its own, so that each scrape may reach another worker.
  const text = await (
    await fetch(new URL('/metrics', pipeline.stack.ingestUrl), { headers: { connection: 'close' } })
  ).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.split(' ')[1] ?? Number.NaN);
};
const accepted = 'millrace_ingest_events_total{outcome="accepted"}';

/** Sends one event over all connections at the same moment, and asserts that one of them alone has it accepted. */
const sendTwins = async (over: readonly Client[], rounds: number, customer: string): Promise<void> => {
  for (let round = 0; round < rounds; round += 1) {
    const twin = event(`${customer}-${round}`, customer, Date.now());
    const answers = await Promise.all(over.map(({ send }) => send(twin)));
    expect(answers.reduce((sum, { body }) => sum + (body.accepted ?? 0), 0)).toBe(1);
    // The others came while the first was being published, or after it.
    for (const { status, body } of answers.filter((one) => one.body.accepted === 0)) {
      expect(status === 503 || (status === 200 && body.duplicates === 1), JSON.stringify(body)).toBe(true);
    }
  }
  await untilAllStored(pipeline, customer, rounds);
};

describe('three workers on one port', () => {
  it('[I2] twins that come to them at the same moment over many connections: exactly one is accepted, and one is stored', async () => {
    const served = () => new Set(linesOfGateway().flatMap(({ msg, pid }) => (msg === 'events' ? [pid] : [])));
    await sendTwins(open(pipeline.stack.ingestUrl, 24), 20, 'twins-of-workers');
    // The kernel chooses whose a connection is, and the line of a request may come after its answer.
    const over = await until(
      async () => {
        await Promise.all(
          open(pipeline.stack.ingestUrl, 6).map(({ send }) => send(event('known', 'known', Date.now()))),
        );
        return [...served()].toSorted();
      },
      ({ length }) => length === 3,
    );
    expect(over).toEqual(workers().toSorted());
    expect(workers()).toHaveLength(3);
  });

  it('metrics say the sum over all of them, whichever is asked; a part is up if it answers all of them', async () => {
    const before = await readMetric(accepted);
    const over = open(pipeline.stack.ingestUrl, 9);
    await Promise.all(
      over.map(async ({ send }, lane) => {
        for (let turn = 0; turn < 4; turn += 1) await send(event(`sum-${lane}-${turn}`, 'sum', Date.now()));
      }),
    );
    for (let scrape = 0; scrape < 6; scrape += 1) expect(await readMetric(accepted)).toBe(before + 36);
    expect(await readMetric('millrace_dependency_up{dependency="nats"}')).toBe(1);
    expect(await readMetric('millrace_ingest_in_flight_bytes_max')).toBe(3 * 268_435_456);
    expect((await fetch(new URL('/health/ready', pipeline.stack.ingestUrl))).status).toBe(200);
  });

  it('what a worker counted stays in the sum when it dies', async () => {
    // By the tests before, each of them has counted.
    const [counted, [victim = 0]] = [await readMetric(accepted), workers()];
    process.kill(victim, 'SIGKILL');
    await until(
      async () => workers(),
      (now) => now.length === 3 && !now.includes(victim),
    );
    expect(await readMetric(accepted)).toBe(counted);
    expect(await readMetric('millrace_ingest_in_flight_bytes_max')).toBe(3 * 268_435_456);
  });

  it('[I2] one of them is killed under load: the others go on, it comes back, and every event is stored once', async () => {
    const load = startLoad(pipeline, { customer: 'killed', atMs: Date.now(), lanes: 6, batch: 10, pauseMs: 0 });
    for (let round = 0; round < 2; round += 1) {
      const [supervisor, [victim = 0, ...others]] = [gatewayPid(), workers()];
      process.kill(victim, 'SIGKILL');
      const taken = load.taken();
      await until(
        async () => load.taken(),
        (now) => now >= taken + 10,
      );
      await until(
        async () => workers(),
        (now) => now.length === 3 && !now.includes(victim) && others.every((pid) => now.includes(pid)),
      );
      expect(gatewayPid()).toBe(supervisor);
    }
    const sent = await load.finish();
    expect(await untilAllStored(pipeline, 'killed', sent)).toEqual({ billed: sent, distinct: sent });
  });
});

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

describe('a gateway of several workers', () => {
  it('[I1] that is told to stop under load answers what it took, ends with code 0, and every event it accepted is stored', async () => {
    const gateway = await byHand({ MILLRACE_INGEST_WORKERS: '3' });
    const acceptedKeys: string[] = [];
    const atMs = Date.now();
    const lanes = open(gateway.url, 12).map(async ({ send }, lane) => {
      for (let turn = 0; ; turn += 1) {
        const key = `stopped-${lane}-${turn}`;
        // A connection that ends before its answer leaves an event that may be stored or not.
        const answer = await send(event(key, 'stopped', atMs)).catch(() => undefined);
        if (answer?.status !== 200) return;
        acceptedKeys.push(key);
      }
    });
    await until(
      async () => acceptedKeys.length,
      (count) => count >= 100,
    );
    gateway.process.kill('SIGTERM');
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    await Promise.all(lanes);
    const clickhouse = createClient({ url: pipeline.clickhouseUrl });
    const storedKeys = async (): Promise<Set<string>> => {
      const query = "SELECT idempotency_key FROM usage_events FINAL WHERE customer = 'stopped'";
      const rows = await (await clickhouse.query({ query, format: 'JSONEachRow' })).json<{ idempotency_key: string }>();
      return new Set(rows.map(({ idempotency_key }) => idempotency_key));
    };
    const missing = await until(
      async () => new Set(acceptedKeys).difference(await storedKeys()).size,
      (count) => count === 0,
    );
    expect(missing).toBe(0);
    await clickhouse.close();
  });

  it('does not share the port of another gateway', async () => {
    const { port } = new URL(pipeline.stack.ingestUrl);
    await expect(byHand({ MILLRACE_INGEST_WORKERS: '2', MILLRACE_INGEST_PORT: port })).rejects.toThrow('EADDRINUSE');
  });
});

describe('a gateway of two workers, to its end', () => {
  let gateway: HandStarted;
  beforeAll(async () => {
    gateway = await byHand({ MILLRACE_INGEST_WORKERS: '2', MILLRACE_CONNECTIONS_MAX: '10' });
  });

  it('[I10] closes connections beyond the bound of each worker at once', async () => {
    const connections = await Promise.all(Array.from({ length: 26 }, () => openRaw(gateway.url)));
    let closed = 0;
    for (const connection of connections) void connection.closed.then(() => (closed += 1));
    // Each may have 10; long before silent connections end by their own bound (15 s).
    await until(
      async () => closed,
      (count) => count >= 6,
      8_000,
    );
    expect(closed).toBeLessThan(26);
    for (const { socket } of connections) socket.destroy();
  });

  it('comes back on the port that it had found when all of its workers are killed', async () => {
    const before = await untilServing(gateway, 2);
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await until(
      async () => workersIn(gateway.lines, gateway.process.pid ?? 0),
      (now) => now.length === 2 && now.every((pid) => !before.includes(pid)),
    );
    expect((await fetch(new URL('/health/ready', gateway.url))).status).toBe(200);
  });

  it('leaves no worker behind when its first process is killed', async () => {
    const left = await untilServing(gateway, 2);
    gateway.process.kill('SIGKILL');
    await gateway.exited;
    await until(
      async () => left.every(isGone),
      (gone) => gone,
    );
    // They drained, as they were not told to by a signal.
    await until(
      async () => gateway.lines.filter(({ msg }) => msg === 'stopping').length,
      (count) => count === 2,
    );
  });
});

it('[I2] twins that come to two gateways at the same moment: exactly one is accepted, and one is stored', async () => {
  const other = await byHand({});
  expect(other.url).not.toBe(pipeline.stack.ingestUrl);
  await sendTwins([...open(pipeline.stack.ingestUrl, 8), ...open(other.url, 8)], 20, 'twins-of-gateways');
  expect(other.lines.filter(({ msg }) => msg === 'ready')).toHaveLength(1);
  other.process.kill('SIGTERM');
  expect(await other.exited).toEqual({ code: 0, signal: null });
});
