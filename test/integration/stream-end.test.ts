/**
 * A stream that lost its end, as after a power cut without synced writes, or where a copy of its files was put back.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LocalServer } from '#platform/local/server.ts';
import { startServers } from '#platform/local/servers.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectNats, type Nats } from '#platform/stores/nats.ts';
import { sinkConsumer, subjectOf, subjectsOf } from '#schemas/usage-stream.ts';
import { createReadStreamEnd, ensureUsageStream } from '../../ingest/stream/ensure-stream.nats.ts';
import { subscribe } from '../../ingest/stream/usage-stream.nats.ts';
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
});
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

const readEnd = (of: typeof config) => createReadStreamEnd(nats, of, systemClock)();

const reconnected = () =>
  until(
    async () => nats.connected(),
    (connected) => connected,
  );

it('[I5] a stream is the same one over restarts and new settings, and ends where it ended', async () => {
  const same = { ...config, streamName: 'SAME' };
  await readEnd(same);
  await nats.js.publish(subjectOf(same.streamName), Buffer.from('before'));
  const first = await readEnd(same);
  expect(first.streamId).toMatch(/^made_[0-9a-f]{32}$/);
  const { created } = await (await jetstreamManager(nats.connection)).streams.info(same.streamName);
  for (const [turn, end] of [server.kill, server.kill, server.kill, server.stop, server.stop, server.stop].entries()) {
    await end.call(server);
    await server.restart();
    await reconnected();
    // Each update of the settings makes the server tell another time of its making from the next restart on.
    expect(await readEnd({ ...same, streamBytesMax: same.streamBytesMax + turn })).toEqual(first);
  }
  expect((await (await jetstreamManager(nats.connection)).streams.info(same.streamName)).created).not.toBe(created);
});

it('[I5] a stream that is made in place of another is another one', async () => {
  const other = { ...config, streamName: 'MADE_AGAIN' };
  const first = await readEnd(other);
  await (await jetstreamManager(nats.connection)).streams.delete(other.streamName);
  const ends = await Promise.all([readEnd(other), readEnd(other), readEnd(other)]);
  expect(new Set(ends.map(({ streamId }) => streamId)).size).toBe(1);
  expect(ends[0]?.streamId).not.toBe(first.streamId);
});

it('[I5] a stream that was made without an id has one from then on, the same for all who meet it', async () => {
  const other = { ...config, streamName: 'FROM_BEFORE' };
  const { streams } = await jetstreamManager(nats.connection);
  await streams.add({
    name: other.streamName,
    subjects: [subjectsOf(other.streamName)],
    metadata: { team: 'billing' },
  });
  const ends = await Promise.all([readEnd(other), readEnd(other), readEnd(other)]);
  expect(new Set(ends.map(({ streamId }) => streamId)).size).toBe(1);
  expect(ends[0]?.streamId).toMatch(/^adopted_/);
  for (let turn = 0; turn < 3; turn += 1) {
    await server.stop();
    await server.restart();
    await reconnected();
    expect(await readEnd({ ...other, streamBytesMax: other.streamBytesMax + turn })).toEqual(ends[0]);
  }
  // What others wrote there stays.
  expect((await streams.info(other.streamName)).config.metadata).toMatchObject({ team: 'billing' });
});

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
  await reconnected();
  const after = await info();
  expect(after.last).toBe(last - 3);
  expect(after.consumer.delivered.stream_seq).toBe(last);

  // As each gateway does before it publishes to a server that it meets anew.
  await ensureUsageStream(nats, config, systemClock);
  await publish('new-1', 'new-2');
  await ensureUsageStream(nats, config, systemClock);
  expect(await take(2)).toEqual(['new-1', 'new-2']);
});
