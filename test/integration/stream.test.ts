/** The stream at its worst: it is lost and made again while the pipeline runs, or holds what nobody can read. */

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { deadLetterStreamOf, sinkConsumer, subjectOf } from '#schemas/usage-stream.ts';
import { ensureUsageStream } from '../../ingest/stream/ensure-stream.nats.ts';
import { onStored } from '../../ingest/stream/usage-stream.nats.ts';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { startOlderNats } from '../support/older-nats.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { storeByHand, untilAllStored } from '../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
});
afterAll(() => pipeline?.stop());

const batch = (from: number) =>
  Array.from({ length: 10 }, (_, index) =>
    llmRequest(`lost-${from + index}`, 'lost', month.end - 60_000, { input: 1, output: 1 }),
  );

it("a message that the store can't read is put aside with its reason, and those around it are stored", async () => {
  const nats = await connect({ servers: inject('serverUrls').nats.replace('nats://', '') });
  const js = jetstream(nats);
  const publish = (body: Uint8Array) => js.publish(subjectOf(pipeline.streamName), body);
  expect(await pipeline.sendEvents(llmRequest('before', 'beside', Date.now(), { input: 1, output: 1 }))).toMatchObject({
    status: 200,
  });
  // Three records are announced, and there is nothing of them: the count reads, so only ClickHouse finds it out.
  await publish(Buffer.from([6, 2, 0x41]));
  await publish(Buffer.from('no message at all'));
  expect(await pipeline.sendEvents(llmRequest('after', 'beside', Date.now(), { input: 1, output: 1 }))).toMatchObject({
    status: 200,
  });
  await untilAllStored(pipeline, 'beside', 2);
  const manager = await jetstreamManager(nats);
  const dead = await until(
    () => manager.streams.info(deadLetterStreamOf(pipeline.streamName)),
    ({ state }) => state.messages === 2,
  );
  const letter = await manager.streams.getMessage(deadLetterStreamOf(pipeline.streamName), {
    seq: dead.state.first_seq,
  });
  expect(letter?.header.get('Millrace-Reason')).toMatch(/store can't read the data/);
  await nats.close();
});

it('what a sink has stored is announced to whoever follows the store', async () => {
  const nats = await connectNats(inject('serverUrls').nats, 'listener', createLog('listener', 'silent'));
  const manager = await nats.manager();
  const before = (await manager.streams.info(pipeline.streamName)).state.last_seq;
  const stored = async () => (await manager.consumers.info(pipeline.streamName, sinkConsumer)).ack_floor.stream_seq;
  // Those of all before are told already.
  await until(stored, (sequence) => sequence === before);
  const announced = Promise.withResolvers<void>();
  onStored(nats, pipeline.streamName, announced.resolve);
  await nats.answers();
  expect(await pipeline.sendEvents(llmRequest('told', 'told', Date.now(), { input: 1, output: 1 }))).toMatchObject({
    status: 200,
  });
  await announced.promise;
  // The server takes an acknowledgement in at its leisure.
  await until(stored, (sequence) => sequence > before);
  await nats.close();
});

it('[I5] [I8] a stream that is made again is another one, told as lost, and sequences rise over the loss', async () => {
  await makeLlmPro(pipeline, ['lost'], month.start);
  for (const from of [0, 10, 20])
    expect(await pipeline.sendEvents(batch(from))).toMatchObject({ status: 200, body: { accepted: 10 } });
  await untilAllStored(pipeline, 'lost', 30);

  const nats = await connect({ servers: inject('serverUrls').nats.replace('nats://', '') });
  const manager = await jetstreamManager(nats);
  // Two sequences can't begin in the same second.
  const before = (await manager.streams.info(pipeline.streamName)).state.last_seq;
  await until(
    async () => Math.floor(Date.now() / 1000) * 100_000,
    (now) => now > before,
  );
  await manager.streams.delete(pipeline.streamName);

  const answers = await until(
    () => pipeline.sendEvents(batch(30)),
    ({ status }) => status === 200,
  );
  expect(answers.body).toMatchObject({ accepted: 10 });
  // [I5] Nothing that the former stream held is a duplicate in this one; the store has it once all the same.
  expect((await pipeline.sendEvents(batch(20))).body).toMatchObject({ accepted: 10, duplicates: 0 });
  expect((await pipeline.sendEvents(batch(30))).body).toMatchObject({ accepted: 0, duplicates: 10 });
  await untilAllStored(pipeline, 'lost', 40);
  const { body: told } = await until(
    () => pipeline.api('GET', '/v1/reconciliation'),
    // Messages are written down after their events.
    ({ body }) => body.losses[0]?.stored_messages === 6,
  );
  expect(told.losses).toMatchObject([{ from_sequence: '0', to_sequence: String(before), stored_messages: 6 }]);
  expect((await manager.streams.info(pipeline.streamName)).state.first_seq).toBeGreaterThan(before);
  await manager.consumers.info(pipeline.streamName, sinkConsumer);
  await nats.close();

  const run = await pipeline.closePeriod({ period: month.name });
  expect(run).toMatchObject({ status: 200, body: { state: 'completed', invoices_issued: 1 } });
  const list = await pipeline.api('GET', '/v1/customers/lost/invoices');
  const { body: invoice } = await pipeline.api('GET', `/v1/invoices/${list.body.items[0].id}`);
  expect(invoice.lines.map((line: { quantity: string }) => line.quantity)).toEqual(['1', '40', '40', '40']);
});

it('a stream that stands below what is stored of it, as after a restore, fails the run with the reason and bills nothing', async () => {
  await storeByHand(pipeline, { customer: 'lost', key: 'ahead', atMs: month.end - 1000, sequence: 2 ** 50 });
  const run = await pipeline.closePeriod({ period: month.name });
  expect(run.body).toMatchObject({ state: 'failed', invoices_issued: 0 });
  expect(run.body.failure).toMatch(/the stream ends at \d+: it was lost, or restored/);
});

it('[I5] a stream that another process made again is met by the gateway, and what the former one held is no duplicate', async () => {
  const known = llmRequest('known', 'made-again', Date.now(), { input: 1, output: 1 });
  expect((await pipeline.sendEvents(known)).body).toMatchObject({ accepted: 1 });
  expect((await pipeline.sendEvents(known)).body).toMatchObject({ duplicates: 1 });
  const nats = await connectNats(inject('serverUrls').nats, 'test', createLog('test', 'silent'));
  await (await nats.manager()).streams.delete(pipeline.streamName);
  // As a sink does that starts.
  const settings = {
    streamName: pipeline.streamName,
    streamHoursMax: 168,
    streamBytesMax: 268_435_456,
    streamReplicas: 1,
  };
  await ensureUsageStream(nats, settings, systemClock);
  await until(
    () => pipeline.sendEvents(known),
    ({ body }) => body.accepted === 1,
  );
  await nats.close();
});

it('a server that is too old is refused at the start, by name; one that comes back as such counts as away, and makes no stream', async () => {
  const urls = inject('serverUrls');
  const nats = await startOlderNats(urls.nats, '2.9.25');
  const log = createLog('test', 'silent');
  await expect(connectNats(nats.url, 'test', log)).rejects.toThrow(
    `NATS 2.9.25 is too old: 2.10 or newer is needed, at ${new URL(nats.url).host}`,
  );
  await expect(startPipeline({ ...urls, nats: nats.url }, {}, { services: parts.keys })).rejects.toThrow(
    /gateway[\s\S]*NATS 2\.9\.25 is too old: 2\.10 or newer is needed/,
  );

  nats.become('2.12.15');
  const connection = await connectNats(nats.url, 'test', log);
  const isConnected = (answer: boolean) =>
    until(
      async () => connection.connected(),
      (connected) => connected === answer,
    );
  nats.become('2.9.25');
  await isConnected(false);
  await until(
    async () => connection.connection.info?.version,
    (version) => version === '2.9.25',
  );
  expect(connection.connected()).toBe(false);
  await expect(connection.answers()).rejects.toThrow('too old');
  const settings = { streamName: 'OLD', streamHoursMax: 1, streamBytesMax: 10_000_000, streamReplicas: 1 };
  await expect(ensureUsageStream(connection, settings, systemClock)).rejects.toThrow('too old');
  nats.become('2.10.0');
  await isConnected(true);
  await connection.answers();
  const streams = await (await connection.manager()).streams.names().next();
  expect(streams).not.toContain('OLD');
  await connection.close();
  await nats.close();
});
