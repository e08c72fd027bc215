import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LoadOptions, prepareLoad } from '../../../bench/load/run-load.ts';

/** A gateway that knows each key, and refuses some requests the first time that it sees them. */
let server: Server;
let url = '';
const known = new Set<string>();
const refused = new Set<string>();
let isRefused: (request: number) => boolean = () => false;
let requests = 0;

beforeEach(async () => {
  known.clear();
  refused.clear();
  requests = 0;
  isRefused = () => false;
  server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    requests += 1;
    const answer = (status: number, body: object) => {
      const bytes = Buffer.from(JSON.stringify(body));
      response.writeHead(status, { 'content-length': bytes.length }).end(bytes);
    };
    if (!refused.has(text) && isRefused(requests)) {
      refused.add(text);
      return answer(503, { accepted: 0, duplicates: 0 });
    }
    refused.delete(text);
    const events: { idempotency_key: string }[] = [JSON.parse(text)].flat();
    const before = known.size;
    for (const { idempotency_key: key } of events) known.add(key);
    const accepted = known.size - before;
    return answer(200, { accepted, duplicates: events.length - accepted });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

const load = async (change: Partial<LoadOptions>) => {
  const options = {
    url,
    key: 'k',
    format: 'json',
    batch: 20,
    connections: 3,
    inFlight: 1,
    seconds: 0.3,
    duplicateShare: 0,
    event: 'e',
  } as const;
  return (await prepareLoad({ ...options, ...change }))();
};

describe('a load', () => {
  it.each([1, 4])(
    'in a closed loop, %i in flight, gets an answer to all that it sent, and every key was new',
    async (inFlight) => {
      const report = await load({ inFlight });
      expect(report.requests).toBeGreaterThan(10);
      expect(report).toMatchObject({
        events: report.requests * 20,
        accepted: known.size,
        duplicates: 0,
        statuses: { 200: requests },
      });
      expect(known.size).toBe(report.events);
      expect(report.latencyMs.p99).toBeGreaterThanOrEqual(report.latencyMs.p50);
    },
  );

  it('in an open loop sends what the rate asks for, and no more', async () => {
    const report = await load({ eventsPerSecond: 2_000, seconds: 0.5 });
    expect(report.requests + report.unsent).toBe(50);
    expect(report).toMatchObject({ accepted: report.requests * 20, events: requests * 20 });
  });

  it('counts as unsent what was due and found no connection free', async () => {
    const report = await load({ eventsPerSecond: 10_000_000 });
    expect(report.unsent).toBeGreaterThan(0);
    expect(report.requests + report.unsent).toBe(150_000);
  });

  it('sends a refused request again, unchanged, until it is taken', async () => {
    isRefused = (request) => request % 5 === 0;
    const report = await load({});
    expect(report.statuses['503']).toBeGreaterThan(0);
    expect(refused.size).toBe(0);
    expect(report).toMatchObject({ accepted: known.size, duplicates: 0 });
    expect(known.size).toBe(report.events);
  });

  it('repeats at most about the asked share of keys, which are counted as duplicates', async () => {
    const report = await load({ duplicateShare: 0.3 });
    expect(report.accepted + report.duplicates).toBe(report.events);
    expect(report.duplicates).toBeGreaterThan(0);
    expect(report.duplicates / report.events).toBeLessThan(0.35);
  });
});
