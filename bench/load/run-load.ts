/**
 * A load on POST /v1/events that costs as little as it can: what it measures runs on the same cores.
 *
 * Closed loop: every connection sends its next request when an answer frees it, as fast as the gateway goes. Open loop:
 * requests are due at a fixed rate whether or not earlier ones were answered, and a latency counts from when its
 * request was due, so a gateway that stalls shows all of its stall.
 */
import { createHistogram } from 'node:perf_hooks';
import { type Answered, type Connection, openConnection } from './connection.ts';
import { createKeyWriter } from './key-writer.ts';
import { createTemplates, type Format } from './templates.ts';

export type LoadOptions = {
  readonly url: string;
  readonly key: string;
  readonly format: Format;
  /** Events of one request. */
  readonly batch: number;
  readonly connections: number;
  /** Requests that a connection may have in flight. */
  readonly inFlight: number;
  readonly seconds: number;
  /** The rate of an open loop; undefined for a closed one. */
  readonly eventsPerSecond?: number | undefined;
  /** The share of events that were sent before, 0 to 1. */
  readonly duplicateShare: number;
  /** The name of all events. */
  readonly event: string;
};

export type LoadReport = {
  /** From the first request to the last answer. */
  readonly seconds: number;
  readonly requests: number;
  /** Requests of an open loop that were due and not sent before its time was up: the gateway did not keep up. */
  readonly unsent: number;
  /** Events of all requests that got a final answer. */
  readonly events: number;
  readonly accepted: number;
  readonly duplicates: number;
  /** Answers by status; one of 503 was sent again. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Of requests with a final answer, in milliseconds. */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  /** What the generator itself cost. */
  readonly cpuSeconds: number;
};

/** How long answers are waited for after the last request. */
const lateMsMax = 30_000;

const createTally = () => {
  const latencyMicros = createHistogram();
  const statuses: Record<string, number> = {};
  const sums = { requests: 0, events: 0, accepted: 0, duplicates: 0 };
  return {
    add: ({ status, events, accepted, duplicates, dueMs }: Answered) => {
      statuses[status] = (statuses[status] ?? 0) + 1;
      sums.accepted += accepted ?? 0;
      sums.duplicates += duplicates ?? 0;
      if (status === 503) return;
      if (accepted === undefined && status === 200)
        throw new Error('an answer of 200 that does not say how many events were accepted');
      latencyMicros.record(Math.max(1, Math.round((performance.now() - dueMs) * 1000)));
      sums.requests += 1;
      sums.events += events;
    },
    report: (): Omit<LoadReport, 'seconds' | 'unsent' | 'cpuSeconds'> => {
      const at = (percent: number) => (sums.requests === 0 ? 0 : latencyMicros.percentile(percent) / 1000);
      return { ...sums, statuses, latencyMs: { p50: at(50), p95: at(95), p99: at(99), max: at(100) } };
    },
  };
};

/** When requests are sent. */
type Loop = {
  readonly begin: () => void;
  /** A connection may send again. */
  readonly onFree: (connection: Connection) => void;
  /** Whether the last request was sent. */
  readonly isOver: () => boolean;
  /** Gives how many requests were due and not sent in time. */
  readonly end: () => number;
};

const closedLoop = (connections: readonly Connection[], seconds: number): Loop => {
  let endMs = 0;
  const fill = (connection: Connection) => {
    while (connection.free() && performance.now() < endMs) connection.send(performance.now());
  };
  return {
    begin: () => {
      endMs = performance.now() + seconds * 1000;
      connections.forEach(fill);
    },
    onFree: fill,
    isOver: () => performance.now() >= endMs,
    end: () => 0,
  };
};

const openLoop = (connections: readonly Connection[], seconds: number, everyMs: number): Loop => {
  const total = Math.max(1, Math.floor((seconds * 1000) / everyMs));
  let startMs = 0;
  let endMs = 0;
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  const able = new Set(connections);
  const give = () => {
    // What a slow gateway left over when the time was up is not sent.
    if (performance.now() > endMs) return;
    const owed = Math.min(total, Math.floor((performance.now() - startMs) / everyMs) + 1);
    for (const connection of able) {
      for (; sent < owed && connection.free(); sent += 1) connection.send(startMs + sent * everyMs);
      if (!connection.free()) able.delete(connection);
      if (sent >= owed) return;
    }
  };
  return {
    begin: () => {
      startMs = performance.now();
      // The last ones get a moment: they are due at the very end.
      endMs = startMs + seconds * 1000 + 100;
      timer = setInterval(give, 1);
    },
    onFree: (connection) => {
      able.add(connection);
      give();
    },
    isOver: () => sent === total || performance.now() > endMs,
    end: () => {
      clearInterval(timer);
      return total - sent;
    },
  };
};

/** Opens the connections; the load begins when the function that it gives is called. */
export const prepareLoad = async (options: LoadOptions): Promise<() => Promise<LoadReport>> => {
  const { seconds, batch, eventsPerSecond, duplicateShare } = options;
  const keys = createKeyWriter();
  const templates = createTemplates(
    { ...options, nowMs: Date.now(), seed: 20261121 },
    options.connections * options.inFlight * 2,
  );
  const tally = createTally();
  const done = Promise.withResolvers<void>();
  // A fault may come before anybody waits.
  done.promise.catch(() => {});
  let loop: Loop | undefined;
  const connections: readonly Connection[] = await Promise.all(
    Array.from({ length: options.connections }, () =>
      openConnection({
        url: options.url,
        keys,
        duplicateShare,
        inFlightMax: options.inFlight,
        templates: templates.splice(0, options.inFlight * 2),
        onAnswer: (answered, connection) => {
          tally.add(answered);
          if (answered.status !== 503) loop?.onFree(connection);
          if (loop?.isOver() && connections.every((one) => one.idle())) done.resolve();
        },
        onFault: done.reject,
      }),
    ),
  );
  loop =
    eventsPerSecond === undefined
      ? closedLoop(connections, seconds)
      : openLoop(connections, seconds, (batch * 1000) / eventsPerSecond);
  return async () => {
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    loop.begin();
    const late = setTimeout(() => done.reject(new Error('requests without an answer')), seconds * 1000 + lateMsMax);
    let unsent = 0;
    await done.promise.finally(() => {
      clearTimeout(late);
      unsent = loop.end();
      for (const connection of connections) connection.close();
    });
    const { user, system } = process.cpuUsage(cpuBefore);
    return {
      ...tally.report(),
      unsent,
      seconds: (performance.now() - startMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
    };
  };
};
