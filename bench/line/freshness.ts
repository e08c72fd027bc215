/**
 * How long it takes from the answer to an event until its usage is read through the API: single events, sent beside
 * whatever load there is, and counted by a meter that is asked as often as a dashboard of somebody in a hurry does.
 */
import { randomUUID } from 'node:crypto';
import { percentile } from '../api/load.ts';
import { type LineUnderTest, pause } from './line-under-test.ts';

/** Not in step with the sink, whose inserts begin every half second. */
const everyMs = 97;
const askEveryMs = 60;
const lateMsMax = 60_000;
const [event, meter] = ['llm.marker', 'bench-markers'];

const send = async (line: LineUnderTest, key: string): Promise<void> => {
  const response = await fetch(`${line.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${line.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ idempotency_key: key, event, customer_id: 'marker' }),
  });
  if (response.status !== 200)
    throw new Error(`a marker was answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
  await response.arrayBuffer();
};

/**
 * In milliseconds, as a client sees it: the time of a question that does not find it yet is part of it. One marker is
 * sent after the other, so that the first n of them are those that are counted.
 */
export const measureFreshness = async (line: LineUnderTest, seconds: number): Promise<Record<string, number>> => {
  await line.ask('POST', '/v1/meters', { code: meter, name: 'Markers', event, aggregation: 'count' });
  await line.ask('POST', '/v1/customers', { external_id: 'marker', name: 'Markers' });
  const acceptedAt: number[] = [];
  const freshMs: number[] = [];
  const askMs: number[] = [];
  const startMs = performance.now();
  let sending = true;
  const ask = async () => {
    while (sending || freshMs.length < acceptedAt.length) {
      if (performance.now() - startMs > seconds * 1000 + lateMsMax)
        throw new Error(`${acceptedAt.length - freshMs.length} markers can't be read`);
      const askedMs = performance.now();
      const text = await line.ask('GET', `/v1/meters/${meter}/usage?customer_id=marker`);
      const nowMs = performance.now();
      askMs.push(nowMs - askedMs);
      const { items } = JSON.parse(text) as { items: readonly { quantity: string }[] };
      for (const acceptedMs of acceptedAt.slice(freshMs.length, Number(items[0]?.quantity ?? 0)))
        freshMs.push(nowMs - acceptedMs);
      await pause(askEveryMs);
    }
  };
  const sendMarkers = async () => {
    while (performance.now() - startMs < seconds * 1000) {
      await send(line, randomUUID());
      acceptedAt.push(performance.now());
      await pause(everyMs);
    }
  };
  await Promise.all([ask(), sendMarkers().finally(() => (sending = false))]);
  const sorted = freshMs.toSorted((a, b) => a - b);
  const asked = askMs.toSorted((a, b) => a - b);
  return {
    markers: sorted.length,
    fresh_p50_ms: percentile(sorted, 0.5),
    fresh_p99_ms: percentile(sorted, 0.99),
    fresh_max_ms: sorted.at(-1) ?? 0,
    ask_p50_ms: percentile(asked, 0.5),
  };
};
