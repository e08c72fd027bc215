/**
 * How long it takes from the answer to an event until usage is read with it, stored and checked: single events, sent
 * beside whatever load there is, and looked for all the time.
 */
import { randomUUID } from 'node:crypto';
import { percentile } from '../api/load.ts';
import { type LineUnderTest, pause } from './line-under-test.ts';

/** Not in step with the sink, whose inserts begin every half second. */
const everyMs = 97;
const lookEveryMs = 5;
const lateMsMax = 60_000;

const send = async (line: LineUnderTest, event: string, key: string): Promise<void> => {
  const response = await fetch(`${line.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${line.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ idempotency_key: key, event, customer_id: 'marker' }),
  });
  if (response.status !== 200)
    throw new Error(`a marker was answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
  await response.arrayBuffer();
};

/** In milliseconds, as a client sees it: the time of a query that does not find it yet is part of it. */
export const measureFreshness = async (line: LineUnderTest, seconds: number): Promise<Record<string, number>> => {
  const event = 'llm.marker';
  const acceptedAt = new Map<string, number>();
  const freshMs: number[] = [];
  const startMs = performance.now();
  let sending = true;
  const look = async () => {
    while (sending || acceptedAt.size > 0) {
      if (performance.now() - startMs > seconds * 1000 + lateMsMax)
        throw new Error(`${acceptedAt.size} markers can't be read`);
      const checked = await line.checkedSequence();
      const query = `SELECT idempotency_key AS key FROM usage_events WHERE event = {event:String}
           AND stream_sequence <= {checked:UInt64}`;
      const result = await line.clickhouse.query({ query, query_params: { event, checked }, format: 'JSONEachRow' });
      const nowMs = performance.now();
      for (const { key } of await result.json<{ key: string }>()) {
        const acceptedMs = acceptedAt.get(key);
        if (acceptedMs === undefined) continue;
        freshMs.push(nowMs - acceptedMs);
        acceptedAt.delete(key);
      }
      await pause(lookEveryMs);
    }
  };
  const sendMarkers = async () => {
    while (performance.now() - startMs < seconds * 1000) {
      const key = randomUUID();
      await send(line, event, key);
      acceptedAt.set(key, performance.now());
      await pause(everyMs);
    }
  };
  await Promise.all([look(), sendMarkers().finally(() => (sending = false))]);
  const sorted = freshMs.toSorted((a, b) => a - b);
  return {
    markers: sorted.length,
    fresh_p50_ms: percentile(sorted, 0.5),
    fresh_p99_ms: percentile(sorted, 0.99),
    fresh_max_ms: sorted.at(-1) ?? 0,
  };
};
