/** What the sink put aside: seen, looked into, and given back, by the command as an operator runs it. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { connectNats, type Nats } from '#platform/stores/nats.ts';
import { deadLetterStreamOf, sinkConsumer, subjectOf } from '#schemas/usage-stream.ts';
import { createDeadLetter } from '../../ingest/stream/usage-stream.nats.ts';
import { type HandStarted, sharedSecrets, startGatewayByHand } from '../support/gateways.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { call, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { compileCache } from '../support/quick.ts';
import { countStored, untilAllStored } from '../support/stored.ts';

let pipeline: Pipeline;
let connection: NatsConnection;
let nats: Nats;
let gateway: HandStarted;
const unreadStream = () => `${pipeline.streamName}_UNREAD`;
const atMs = Date.now();

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), sharedSecrets, { services: parts.usage });
  gateway = await startGatewayByHand(pipeline, inject('serverUrls'), { MILLRACE_STREAM: unreadStream() });
  connection = await connect({ servers: inject('serverUrls').nats.replace('nats://', '') });
  nats = await connectNats(inject('serverUrls').nats, 'test', pino({ level: 'silent' }));
});
afterAll(async () => {
  await connection?.close();
  await nats?.close();
  gateway?.process.kill('SIGTERM');
  await gateway?.exited;
  await pipeline?.stop();
});

/** `npm run dead-letters` as it is, and the process that it starts once it knows where NATS is. */
const command = 'platform/local/dead-letters.main.ts';
const processOfIt = 'ingest/sink/dead-letters.main.ts';

const spawnFile = (
  file: string,
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): ChildProcessByStdio<null, Readable, Readable> =>
  spawn(process.execPath, [file, ...words], {
    env: { PATH: process.env.PATH, ...compileCache, MILLRACE_STREAM: pipeline.streamName, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const run = async (
  words: readonly string[],
  environment: NodeJS.ProcessEnv = { NATS_URL: inject('serverUrls').nats },
  file = processOfIt,
) => {
  const child = spawnFile(file, words, environment);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, stdout, stderr };
};

type Letter = {
  readonly sequence: number;
  readonly original_sequence: number;
  readonly bytes: number;
  readonly reason: string;
};
const list = async (): Promise<readonly Letter[]> => JSON.parse((await run(['list', '--json'])).stdout).dead_letters;
/** Lists them once so many are there: a command for each look would take longer than what it waits for. */
const untilListed = async (count: number): Promise<readonly Letter[]> => {
  const manager = await jetstreamManager(connection);
  await until(
    () => manager.streams.info(deadStream()),
    ({ state }) => state.messages === count,
  );
  const letters = await list();
  expect(letters).toHaveLength(count);
  return letters;
};

const deadStream = () => deadLetterStreamOf(pipeline.streamName);
const publishGarbage = (body: string, fields = headers()) =>
  jetstream(connection).publish(subjectOf(pipeline.streamName), body, { headers: fields });

beforeEach(async () => {
  await (await jetstreamManager(connection)).streams.purge(deadStream());
});

/** Messages as a gateway packs them, one for each event, from a stream that no sink reads. */
const packed = async (customer: string, count: number): Promise<Buffer[]> => {
  const streamName = unreadStream();
  const send = call(gateway.url, pipeline.key);
  const manager = await jetstreamManager(connection);
  await manager.streams.purge(streamName);
  for (let index = 0; index < count; index += 1) {
    const event = llmRequest(`${customer}-${index}`, customer, atMs, { input: 1, output: 1 });
    expect(await send('POST', '/v1/events', event)).toMatchObject({ status: 200 });
  }
  const { first_seq: first, messages } = (await manager.streams.info(streamName)).state;
  expect(messages).toBe(count);
  const bodyAt = async (sequence: number) =>
    Buffer.from((await manager.streams.getMessage(streamName, { seq: sequence }))?.data ?? []);
  return Promise.all(Array.from({ length: count }, (_, index) => bodyAt(first + index)));
};

let putAside = 0;
/** As the sink puts a message aside. */
const putAsideByHand = async (body: Buffer, requestId?: string): Promise<void> => {
  putAside += 1;
  const message = { sequence: putAside, body, publishedAtMs: atMs, requestId, ack: () => {}, working: () => {} };
  await createDeadLetter(nats, pipeline.streamName)(message, 'put aside by this test');
};

describe('a message that nobody can read', () => {
  it('is listed with where it was, why, and the request that it came with, and shown byte by byte', async () => {
    const fields = headers();
    fields.set('Millrace-Request-Id', 'req-of-the-garbage');
    const { seq } = await publishGarbage('\0no message at all', fields);
    const [letter] = await untilListed(1);
    expect(letter).toMatchObject({ original_sequence: seq, bytes: 18, events: null, request_id: 'req-of-the-garbage' });
    expect(letter?.reason).toContain('not a message of usage events');
    const shown = await run(['show', String(letter?.sequence)]);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toContain('request_id: req-of-the-garbage');
    expect(shown.stdout).toContain(
      '0000  00 6e 6f 20 6d 65 73 73 61 67 65 20 61 74 20 61  .no message at a\n0010  6c 6c ',
    );
    const listed = (await run([])).stdout.split('\n');
    expect(listed[0]).toMatch(/^SEQUENCE +ORIGINAL +PUT ASIDE +BYTES +EVENTS +REQUEST +REASON$/);
    expect(listed[1]).toMatch(
      new RegExp(`^${letter?.sequence} +${seq} +\\S+Z +18 +- +req-of-the-garbage +.*not a message`),
    );
  });

  it('that is re-driven leaves, and is put aside again as a new one', async () => {
    await publishGarbage('\0still no message');
    const [letter] = await untilListed(1);
    const { code, stdout } = await run(['re-drive', String(letter?.sequence)]);
    expect(code).toBe(0);
    const published = Number(/is in the stream again, at (\d+)/.exec(stdout)?.[1]);
    const [again] = await untilListed(1);
    expect(again?.sequence).toBeGreaterThan(letter?.sequence ?? 0);
    expect(again).toMatchObject({ original_sequence: published, bytes: 17 });
    expect(await run(['re-drive', String(letter?.sequence)])).toMatchObject({
      code: 1,
      stdout: `There is no dead letter ${letter?.sequence}.\n`,
    });
  });
});

describe('a message that can be read by now', () => {
  it('[I2] is decoded, and stored once when it is re-driven, also where it lies there twice', async () => {
    const [body = Buffer.alloc(0)] = await packed('repaired', 1);
    await putAsideByHand(body, 'req-1');
    await putAsideByHand(body);
    const [first] = await untilListed(2);
    const { stdout } = await run(['show', String(first?.sequence)]);
    expect(stdout).toContain('reason: put aside by this test');
    const event = JSON.parse(stdout.split('\n').find((line) => line.startsWith('{')) ?? '{}');
    expect(event).toMatchObject({ idempotency_key: 'repaired-0', customer_id: 'repaired', event: 'llm.request' });
    expect(event).toMatchObject({ occurred_at: new Date(atMs).toISOString(), properties: { input_tokens: '1' } });
    expect(await countStored(pipeline, 'repaired')).toEqual({ billed: 0, distinct: 0 });

    const redriven = await run(['re-drive', '--all']);
    expect(redriven).toMatchObject({ code: 0, stderr: '' });
    expect(redriven.stdout).toContain('2 of 2 dead letters were re-driven.');
    const manager = await jetstreamManager(connection);
    await until(
      () => manager.consumers.info(pipeline.streamName, sinkConsumer),
      ({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0,
    );
    expect(await countStored(pipeline, 'repaired')).toEqual({ billed: 1, distinct: 1 });
    expect((await run([])).stdout).toBe('There are no dead letters.\n');
  });

  it('[I2] a command that is killed in the middle loses nothing: run again, every event is stored once', async () => {
    const count = 40;
    await Promise.all((await packed('interrupted', count)).map((body) => putAsideByHand(body)));
    await untilListed(count);
    const child = spawnFile(processOfIt, ['re-drive', '--all'], { NATS_URL: inject('serverUrls').nats });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const left = (await list()).length;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(count);
    expect(await run(['re-drive', '--all'])).toMatchObject({ code: 0 });
    expect(await untilAllStored(pipeline, 'interrupted', count)).toEqual({ billed: count, distinct: count });
    expect(await list()).toEqual([]);
  });
});

it('[I2] while the stream of dead letters is full an unreadable message stays unacknowledged, and is put aside once there is room', async () => {
  const manager = await jetstreamManager(connection);
  const { config, state } = await manager.streams.info(deadStream());
  const sinkUrl = pipeline.stack.processes.find(({ name }) => name === 'sink')?.url ?? '';
  const retries = async (): Promise<number> =>
    Number(/^millrace_sink_retries_total (\d+)/m.exec(await (await fetch(new URL('/metrics', sinkUrl))).text())?.[1]);
  const before = await retries();
  await manager.streams.update(deadStream(), { max_bytes: state.bytes + 100 });
  const { seq } = await publishGarbage('\0'.repeat(200));
  const after = llmRequest('after-the-full', 'behind', atMs, { input: 1, output: 1 });
  expect(await pipeline.sendEvents(after)).toMatchObject({ status: 200 });
  await until(retries, (now) => now >= before + 3);
  const waiting = await manager.consumers.info(pipeline.streamName, sinkConsumer);
  expect(waiting.ack_floor.stream_seq).toBeLessThan(seq);
  expect(await list()).toEqual([]);

  await manager.streams.update(deadStream(), { max_bytes: config.max_bytes });
  const [letter] = await untilListed(1);
  expect(letter).toMatchObject({ original_sequence: seq, bytes: 200 });
  await untilAllStored(pipeline, 'behind', 1);
});

describe('the command', () => {
  it('finds NATS of the stack that runs in its home', async () => {
    const { code, stdout } = await run(['list'], { MILLRACE_HOME: pipeline.stack.home }, command);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'There are no dead letters.\n' });
  });

  it('finds nothing where no stream was made yet', async () => {
    const environment = { NATS_URL: inject('serverUrls').nats, MILLRACE_STREAM: 'NEVER_MADE' };
    expect(await run(['list', '--json'], environment)).toMatchObject({ code: 0, stdout: '{"dead_letters":[]}\n' });
    expect(await run(['show', '7'], environment, command)).toMatchObject({
      code: 1,
      stdout: 'There is no dead letter 7.\n',
    });
  });

  it.each([[['drop', '1']], [['show']], [['show', 'x']], [['re-drive']], [['re-drive', '--all', '1']], [['--colour']]])(
    'refuses %j and says what there is',
    async (words) => {
      expect(await run(words)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringContaining('usage: npm run dead-letters'),
      });
    },
  );
});
