/**
 * Whole HTTP requests, made once. Between two sends only the idempotency keys are written over, in place: to send an
 * event costs no text, no JSON and no allocation.
 */
import avro from 'avsc';
import { llmUsage } from '../demo/llm-usage.ts';
import { blankKey, type KeyWriter } from './key-writer.ts';

const formats = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  avro: 'application/avro',
  cloudevents: 'application/cloudevents-batch+json',
} as const;
export type Format = keyof typeof formats;

export type Template = {
  /** Head and body of the request. */
  readonly bytes: Buffer;
  /** Where the key of each event begins. */
  readonly keysAt: readonly number[];
  /** False until it was sent once: before that there is nothing to send again. */
  used: boolean;
};

export type TemplateOptions = {
  readonly url: string;
  readonly key: string;
  readonly format: Format;
  /** Events of one request. */
  readonly batch: number;
  /** The name of all events: by it the events of one load can be counted in the store. */
  readonly event: string;
  /** Now, in milliseconds: the events occurred within the hour before. */
  readonly nowMs: number;
  readonly seed: number;
};

type EventJson = {
  readonly idempotency_key: string;
  readonly event: string;
  readonly customer_id: string;
  readonly timestamp: string;
  readonly properties: Readonly<Record<string, string | number>>;
};

const eventType = avro.Type.forSchema({
  type: 'record',
  name: 'Event',
  fields: [
    { name: 'idempotency_key', type: 'string' },
    { name: 'event', type: 'string' },
    { name: 'customer_id', type: 'string' },
    { name: 'timestamp', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'properties', type: { type: 'map', values: 'string' } },
  ],
});
const longType = avro.Type.forSchema('long');
const stringType = avro.Type.forSchema('string');

/** An Avro object container of one block: magic, metadata, sync marker; count, bytes, records, sync marker. */
const containerOf = (events: readonly EventJson[]): Buffer => {
  const marker = Buffer.alloc(16, 7);
  const records = Buffer.concat(
    events.map((event) =>
      eventType.toBuffer({
        ...event,
        timestamp: Date.parse(event.timestamp),
        properties: Object.fromEntries(Object.entries(event.properties).map(([name, value]) => [name, String(value)])),
      }),
    ),
  );
  return Buffer.concat([
    ...[Buffer.from('Obj\u0001', 'latin1'), longType.toBuffer(1)],
    ...[
      stringType.toBuffer('avro.schema'),
      stringType.toBuffer(JSON.stringify(eventType.schema())),
      longType.toBuffer(0),
      marker,
    ],
    ...[longType.toBuffer(events.length), longType.toBuffer(records.length), records, marker],
  ]);
};

/** One event goes as it is, several as an array. */
const jsonOf = (events: readonly EventJson[]): Buffer =>
  Buffer.from(JSON.stringify(events.length === 1 ? events[0] : events));

const cloudEventsOf = (events: readonly EventJson[]): Buffer =>
  Buffer.from(
    JSON.stringify(
      events.map((event) => ({
        specversion: '1.0',
        id: event.idempotency_key,
        source: '/bench',
        type: event.event,
        subject: event.customer_id,
        time: event.timestamp,
        data: event.properties,
      })),
    ),
  );

const bodyOf: Readonly<Record<Format, (events: readonly EventJson[]) => Buffer>> = {
  json: jsonOf,
  ndjson: (events) => Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')),
  avro: containerOf,
  cloudevents: cloudEventsOf,
};

const placesOf = (bytes: Buffer, text: string): number[] => {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + text.length)) places.push(at);
  return places;
};

/** As those of a stored month are called. */
const nameOf = (customer: string): string => customer.replace(/^demo_customer_0*/, 'customer-');

/** `count` requests with other customers, models and amounts in each, of the kind that the demo sends. */
export const createTemplates = (options: TemplateOptions, count: number): Template[] => {
  const { url, key, format, batch, event, nowMs, seed } = options;
  const usage = llmUsage({
    seed,
    events: batch * count,
    customers: 1_000,
    month: 'load',
    from: nowMs - 3_600_000,
    to: nowMs,
  });
  const head = `POST /v1/events HTTP/1.1\r\nHost: ${new URL(url).host}\r\nAuthorization: Bearer ${key}\r\nContent-Type: ${formats[format]}\r\n`;
  return Array.from({ length: count }, () => {
    const events = Array.from({ length: batch }, () => {
      const one = usage.next().value as EventJson;
      return { ...one, idempotency_key: blankKey, event, customer_id: nameOf(one.customer_id) };
    });
    const body = bodyOf[format](events);
    const bytes = Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
    return { bytes, keysAt: placesOf(bytes, blankKey), used: false };
  });
};

/**
 * Makes the request a new one. A share of its events keep their key, and so are duplicates of what it carried when it
 * was sent last.
 */
export const freshen = (template: Template, keys: KeyWriter, duplicateShare: number): void => {
  const { bytes, keysAt, used } = template;
  for (const at of keysAt) if (!used || duplicateShare === 0 || keys.random() >= duplicateShare) keys.write(bytes, at);
  template.used = true;
};
