/** The stream as the identity check reads it, over a real server: in order, from any place, and what is not there. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { LocalServer } from '#platform/local/server.ts';
import { startServers } from '#platform/local/servers.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectNats, type Nats } from '#platform/stores/nats.ts';
import { subjectOf } from '#schemas/usage-stream.ts';
import type { KeySourcePorts, StreamPart } from '../../ingest/identity/key-source.ts';
import { createStreamKeys } from '../../ingest/identity/stream-keys.nats.ts';
import { ensureUsageStream } from '../../ingest/stream/ensure-stream.nats.ts';
import { newHome, until } from '../support/pipeline.ts';

const home = newHome();
let server: LocalServer;
let nats: Nats;
beforeAll(async () => {
  const servers = await startServers(['nats'], { home, log: { info: () => {}, warn: () => {} } });
  server = servers.get('nats') as LocalServer;
  nats = await connectNats(server.url, 'test', createLog('test', 'silent'));
});
afterAll(async () => {
  await nats?.close();
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Each test has a stream of its own. */
let streamName: string;
let stream: KeySourcePorts['stream'];
const faults: unknown[] = [];
/** The sequence before the first. */
let start: number;
let streams = 0;
beforeEach(async () => {
  streams += 1;
  streamName = `KEYS_${streams}`;
  const limits = { streamHoursMax: 1, streamBytesMax: 200_000_000, streamReplicas: 1 };
  await ensureUsageStream(nats, { ...limits, streamName }, systemClock);
  faults.length = 0;
  stream = createStreamKeys(nats, streamName, systemClock, (error) => faults.push(error));
  start = (await manager()).state.last_seq;
});

const manager = async () => (await nats.manager()).streams.info(streamName);
const publish = async (count: number, bytes = 4): Promise<void> => {
  const body = Buffer.alloc(bytes, 'x');
  for (let from = 0; from < count; from += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, count - from) }, () => nats.js.publish(subjectOf(streamName), body)),
    );
};

/** Places behind the start. */
const placesOf = (part: StreamPart): number[] | number =>
  'missingUpTo' in part ? part.missingUpTo - start : part.messages.map(({ sequence }) => sequence - start);
const take = async (after: number, upTo: number, rowsMax = 1_000): Promise<number[] | number> =>
  placesOf(await stream.take(start + after, start + upTo, rowsMax));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

it('[I2] messages are taken in their order, as far as they are stored, from any place', async () => {
  await publish(30);
  expect(await take(0, 10)).toEqual(range(1, 10));
  const some = (await take(10, 30, 5)) as number[];
  expect(some).toEqual(range(11, 10 + some.length));
  expect(some.length).toBeGreaterThanOrEqual(5);
  if (some.length < 20) expect(await take(10 + some.length, 30)).toEqual(range(11 + some.length, 30));
  // Of a batch that was not finished, and of what comes while somebody waits for it.
  expect(await take(3, 6)).toEqual([4, 5, 6]);
  const waiting = take(30, 32);
  await publish(2);
  expect(await waiting).toEqual([31, 32]);
});

it('what the stream holds no more is said, whether it expired, was deleted, or is the end of it', async () => {
  await publish(20);
  const { streams: all } = await nats.manager();
  await all.purge(streamName, { seq: start + 6 });
  await all.deleteMessage(streamName, start + 10);
  await all.deleteMessage(streamName, start + 11);
  await all.deleteMessage(streamName, start + 20);
  expect(await take(0, 20)).toBe(5);
  expect(await take(0, 3)).toBe(3);
  expect(await take(5, 20)).toEqual(range(6, 9));
  expect(await take(9, 20)).toBe(11);
  expect(await take(11, 20)).toEqual(range(12, 19));
  expect(await take(19, 20)).toBe(20);
});

it('[I10] nothing is read ahead of what is stored, and no more than a bound at a time', async () => {
  await publish(300, 500_000);
  expect(await take(0, 1)).toEqual([1]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [own] = await Array.fromAsync((await nats.manager()).consumers.list(streamName)).then((all) =>
    all.filter(({ name }) => !name.includes('sink')),
  );
  expect(own?.delivered.stream_seq).toBe(start + 1);
  for (let place = 1; place < 300; ) {
    const places = await take(place, 300, 50);
    expect(places).toEqual(range(place + 1, place + (places as number[]).length));
    // What is asked for at a time follows what came the time before: 16 MB.
    expect((places as number[]).length).toBeLessThan(50 + 40);
    place += (places as number[]).length;
  }
});

it('[I10] what was taken is let go', async () => {
  const ahead = 10;
  await publish(ahead, 100_000);
  const before = process.memoryUsage().arrayBuffers;
  for (let place = 0; place < 600; place += 1) {
    await publish(1, 100_000);
    expect(await take(place, place + 1)).toEqual([place + 1]);
  }
  globalThis.gc?.();
  // 60 MB came.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30e6);
});

it('a stream whose messages can not be read is one that has none, for a while', async () => {
  await publish(3);
  const refused = { ...nats, manager: async () => ({ ...(await nats.manager()), consumers: undefined }) as never };
  let nowMs = 0;
  const unreadable = createStreamKeys(refused, streamName, { nowMs: () => nowMs }, (error) => faults.push(error));
  expect(await unreadable.take(start, start + 3, 10)).toEqual({ missingUpTo: start + 3 });
  expect(await unreadable.take(start, start + 3, 10)).toEqual({ missingUpTo: start + 3 });
  expect(faults).toHaveLength(1);
  nowMs += 10_000;
  await unreadable.take(start, start + 3, 10);
  expect(faults).toHaveLength(2);
});

it('a consumer that somebody takes away is made again', async () => {
  await publish(10);
  expect(await take(0, 10)).toEqual(range(1, 10));
  const { consumers } = await nats.manager();
  for await (const { name } of consumers.list(streamName)) await consumers.delete(streamName, name);
  await publish(10);
  expect(await take(10, 20)).toEqual(range(11, 20));
  expect(faults).toEqual([]);
});

it('[I2] [I5] a stream that lost its end is read as it is since then, and the server is met anew', async () => {
  await publish(5);
  expect(await take(0, 5)).toEqual(range(1, 5));
  const folder = join(home, 'nats/data/jetstream/$G/streams', streamName, 'msgs');
  const copy = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
  await until(
    async () => readdirSync(folder).length,
    (files) => files > 0,
  );
  cpSync(folder, copy, { recursive: true });
  await publish(4, 8);
  expect(await take(5, 7)).toEqual([6, 7]);
  const met = stream.meeting();
  await server.stop();
  await expect(take(7, 9)).rejects.toThrow();
  rmSync(folder, { recursive: true });
  cpSync(copy, folder, { recursive: true });
  rmSync(copy, { recursive: true });
  await server.restart();
  await until(
    async () => nats.connected(),
    (connected) => connected,
  );
  expect(stream.meeting()).toBeGreaterThan(met);
  expect((await manager()).state.last_seq).toBe(start + 5);
  await publish(4, 16);
  const part = await stream.take(start + 7, start + 9, 1_000);
  expect(placesOf(part)).toEqual([8, 9]);
  expect('messages' in part && part.messages.map(({ body }) => body.length)).toEqual([16, 16]);
});
