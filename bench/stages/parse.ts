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

/** A request of events like those of the demo. */
export const sampleBody = (): Buffer => {
  const usage = llmUsage({ seed: 1, events: eventsPerRequest, customers: 1_000, month: 'bench', from: nowMs - 3_600_000, to: nowMs });
  return Buffer.from(JSON.stringify([...usage]));
};

const stage = (name: string, read: (body: Buffer, writer: BlockWriter) => void): Stage => ({
  name,
  run: (seconds) => {
    const body = sampleBody();
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
