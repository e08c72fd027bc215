import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { openAvroContainer } from '../../ingest/parse/avro.ts';
import { BlockWriter } from '../../ingest/parse/event-block.ts';
import { seedsOf } from '../../ingest/parse/key-hash.ts';
import { parseNativeBody, parseNativeEvent } from '../../ingest/parse/native.ts';
import { llmUsage } from '../demo/llm-usage.ts';
import { measureStage, type Stage } from './stage.ts';

const eventsPerRequest = 200;
const tenant = 'org_01a1fd7e643c78138906e6a1589e728e';
const seeds = seedsOf('the secret of a bench, which is none', tenant);
const nowMs = Date.UTC(2026, 10, 20, 12);
const horizon = { nowMs, pastMsMax: 35 * 86_400_000, futureMsMax: 300_000 };

const sampleEvents = () => [
  ...llmUsage({
    seed: 1,
    events: eventsPerRequest,
    customers: 1_000,
    month: 'bench',
    from: nowMs - 3_600_000,
    to: nowMs,
  }),
];

/** A request of events like those of the demo. */
export const sampleBody = (): Buffer => Buffer.from(JSON.stringify(sampleEvents()));

/** The same events in a container of Avro, under the public schema. */
const sampleContainer = (): Buffer => {
  const schema = readFileSync(new URL('../../schemas/usage-event.avsc', import.meta.url), 'utf8');
  const [type, long, text] = [JSON.parse(schema), 'long', 'string'].map((one) => avro.Type.forSchema(one)) as [
    avro.Type,
    avro.Type,
    avro.Type,
  ];
  const records = sampleEvents().map((event) => {
    const properties = Object.fromEntries(
      Object.entries(event.properties).map(([name, value]) => [name, String(value)]),
    );
    return type.toBuffer({ ...event, timestamp: Date.parse(event.timestamp), properties });
  });
  const [block, sync] = [Buffer.concat(records), Buffer.alloc(16)];
  const metadata = [long.toBuffer(1), text.toBuffer('avro.schema'), text.toBuffer(schema), long.toBuffer(0)];
  return Buffer.concat([
    Buffer.from('Obj\u0001'),
    ...metadata,
    sync,
    long.toBuffer(records.length),
    long.toBuffer(block.length),
    block,
    sync,
  ]);
};

const stage = (name: string, read: (body: Buffer, writer: BlockWriter) => void, sample = sampleBody): Stage => ({
  name,
  run: (seconds) => {
    const body = sample();
    return measureStage({ seconds, lanes: 1, pids: [] }, async () => {
      const writer = new BlockWriter({ tenant, seeds, receivedAtMs: nowMs }, body.length);
      read(body, writer);
      if (writer.done().ends.length !== eventsPerRequest) throw new Error('an event of the bench was refused');
      return eventsPerRequest;
    });
  },
});

/** Bytes of a JSON body to rows and claims, as the gateway does it. */
export const parseStage: Stage = stage('parse and validate', (body, writer) => {
  parseNativeBody(body, writer, horizon, eventsPerRequest);
});

/** The same by JSON.parse and objects, which is the way of every event that is not plain. */
export const parseObjectsStage: Stage = stage('parse and validate, by objects', (body, writer) => {
  for (const event of JSON.parse(body.toString()) as unknown[]) writer.add(parseNativeEvent(event, horizon));
});

/** Bytes of an Avro container to rows and claims, as the gateway does it. */
export const parseAvroStage: Stage = stage(
  'parse and validate, Avro',
  (body, writer) => {
    const container = openAvroContainer(body);
    if ('kind' in container) throw new Error(container.reason);
    for (let block = container.next(); block !== undefined; block = container.next()) {
      const refused = 'kind' in block ? block : container.add(block.events, block.data, writer, horizon);
      if (refused) throw new Error(refused.reason);
    }
  },
  sampleContainer,
);
