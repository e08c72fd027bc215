import { describe, expect, it } from 'vitest';
import { createAnswerReader } from '../../../bench/load/answer-reader.ts';
import { createKeyWriter, keyCharacters } from '../../../bench/load/key-writer.ts';
import { createTemplates, freshen, type Template } from '../../../bench/load/templates.ts';

const options = {
  url: 'http://127.0.0.1:8081',
  key: 'mr_test_key',
  format: 'json',
  batch: 200,
  event: 'llm.request',
  nowMs: Date.UTC(2026, 10, 21),
  seed: 1,
} as const;

const made = (change: Partial<Parameters<typeof createTemplates>[0]> = {}): Template =>
  createTemplates({ ...options, ...change }, 1)[0] as Template;

const keysOf = ({ bytes, keysAt }: Template): string[] =>
  keysAt.map((at) => bytes.toString('latin1', at, at + keyCharacters));

const bodyOf = ({ bytes }: Template): Buffer => bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);

describe('a template of a request', () => {
  it('has a content-length that is its body, and whole events', () => {
    const template = made();
    freshen(template, createKeyWriter(), 0);
    const length = Number(/Content-Length: (\d+)/.exec(template.bytes.toString('latin1'))?.[1]);
    expect(bodyOf(template)).toHaveLength(length);
    const events = JSON.parse(bodyOf(template).toString()) as Record<string, unknown>[];
    expect(new Set(events.map((event) => event.idempotency_key)).size).toBe(200);
    for (const event of events) {
      expect(Object.keys(event).toSorted()).toEqual([
        'customer_id',
        'event',
        'idempotency_key',
        'properties',
        'timestamp',
      ]);
    }
  });

  it('holds events of 180 to 240 bytes, as the LLM requests of the demo are', () => {
    const bytes = bodyOf(made()).length / 200;
    expect(bytes).toBeGreaterThan(180);
    expect(bytes).toBeLessThan(240);
  });

  it.each(['json', 'ndjson', 'avro'] as const)('of %s gets a new key in each place, every time', (format) => {
    const template = made({ format, batch: 50 });
    const keys = createKeyWriter();
    const seen = new Set<string>();
    for (let turn = 0; turn < 40; turn += 1) {
      freshen(template, keys, 0);
      for (const key of keysOf(template)) seen.add(key);
    }
    expect(seen.size).toBe(2_000);
    for (const key of seen) expect(key).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });

  it('keeps about the asked share of the keys that it was sent with before, and none the first time', () => {
    const template = made({ batch: 1_000 });
    const keys = createKeyWriter(Buffer.alloc(16, 3));
    freshen(template, keys, 0.1);
    const before = keysOf(template);
    expect(new Set(before).size).toBe(1_000);
    freshen(template, keys, 0.1);
    const kept = keysOf(template).filter((key, index) => key === before[index]).length;
    expect(kept).toBeGreaterThan(60);
    expect(kept).toBeLessThan(140);
  });

  it('of one event is the event and not an array', () => {
    expect(bodyOf(made({ batch: 1 })).toString()).toMatch(/^\{"idempotency_key":/);
  });
});

describe('the reader of answers', () => {
  const answer = (status: string, body: string) =>
    `HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\nx: y\r\n\r\n${body}`;
  const bytes = Buffer.from(
    [
      answer('200 OK', '{"accepted":190,"duplicates":10,"results":[]}'),
      answer('503 Service Unavailable', '{"status":503,"accepted":0,"duplicates":0}'),
      answer('415 Unsupported Media Type', '{}'),
    ].join(''),
  );

  it.each([1, 7, 64, 100_000])('gives each answer once, in pieces of %i bytes', (size) => {
    const heard: unknown[] = [];
    const read = createAnswerReader((...said) => heard.push(said));
    // The same buffer for each piece, as a connection has it.
    const piece = Buffer.alloc(size);
    for (let at = 0; at < bytes.length; at += size) read(piece.subarray(0, bytes.copy(piece, 0, at, at + size)));
    expect(heard).toEqual([
      [200, 190, 10],
      [503, 0, 0],
      [415, undefined, undefined],
    ]);
  });

  it('refuses an answer whose length is unknown', () => {
    const read = createAnswerReader(() => {});
    expect(() => read(Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'))).toThrow(/content-length/);
  });
});
