/** A stream that lost its end, as after a power cut without synced writes, or where a copy of its files was put back. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '#platform/clock.ts';
import type { LocalServer } from '#platform/local/server.ts';
import { startServers } from '#platform/local/servers.ts';
import { createLog } from '#platform/log.ts';
import { connectNats, type Nats } from '#platform/nats.ts';
import { sinkConsumer, subjectOf } from '#schemas/usage-stream.ts';
import { ensureUsageStream, subscribe } from '../../ingest/usage-stream.nats.ts';
import { newHome, until } from '../support/pipeline.ts';

const config = { streamName: 'LOST', streamHoursMax: 1, streamBytesMax: 100_000_000, streamReplicas: 1 };
const home = newHome();
let server: LocalServer;
let nats: Nats;
beforeAll(async () => {
  const servers = await startServers(['nats'], { home, log: { info: () => {}, warn: () => {} } });
  server = servers.get('nats') as LocalServer;
  nats = await connectNats(server.url, 'test', createLog('test', 'silent'));
  await ensureUsageStream(nats, config, systemClock);
}, 60_000);
afterAll(async () => {
  await nats?.close();
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

const publish = async (...texts: readonly string[]): Promise<void> => {
  for (const text of texts) await nats.js.publish(subjectOf(config.streamName), Buffer.from(text));
};

const info = async () => {
  const manager = await jetstreamManager(nats.connection);
  const { state } = await manager.streams.info(config.streamName);
  return { last: state.last_seq, consumer: await manager.consumers.info(config.streamName, sinkConsumer) };
};

/** Takes so many messages as a sink does. */
const take = async (count: number): Promise<string[]> => {
  const taken: string[] = [];
  const { messages, stop } = await subscribe(nats, config.streamName, 100);
  for await (const { body, ack } of messages) {
    taken.push(body.toString());
    ack();
    if (taken.length === count) break;
  }
  await stop();
  await until(info, ({ consumer }) => consumer.num_ack_pending === 0);
  return taken;
};

it('[I2] what is published after the loss is delivered, although the sinks had gone further', async () => {
  await publish('kept-1', 'kept-2');
  expect(await take(2)).toHaveLength(2);
  const folder = join(home, 'nats/data/jetstream/$G/streams', config.streamName, 'msgs');
  const copy = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
  await until(
    async () => readdirSync(folder).length,
    (files) => files > 0,
  );
  cpSync(folder, copy, { recursive: true });
  await publish('lost-1', 'lost-2', 'lost-3');
  expect(await take(3)).toHaveLength(3);
  const { last } = await info();
  await server.stop();
  rmSync(folder, { recursive: true });
  cpSync(copy, folder, { recursive: true });
  rmSync(copy, { recursive: true });
  await server.restart();
  await until(
    async () => nats.connected(),
    (connected) => connected,
  );
  const after = await info();
  expect(after.last).toBe(last - 3);
  expect(after.consumer.delivered.stream_seq).toBe(last);

  // As each gateway does before it publishes to a server that it meets anew.
  await ensureUsageStream(nats, config, systemClock);
  await publish('new-1', 'new-2');
  await ensureUsageStream(nats, config, systemClock);
  expect(await take(2)).toEqual(['new-1', 'new-2']);
}, 60_000);
