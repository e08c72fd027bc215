/**
 * The line as the cases see it: where to send, what is stored, which process costs what, and a sink that can be made to
 * stand still.
 */
import { type ClickHouseClient, createClient } from '@clickhouse/client';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { startGenerator } from '../load/generator.ts';
import type { LoadOptions, LoadReport } from '../load/run-load.ts';
import { cpuOf, cpuSecondsOf, machineCpuSeconds, microsPerEvent, type Pids } from './process-cost.ts';

export type Measured = {
  readonly load: LoadReport;
  /** Of each process, with the generator. */
  readonly cpuMicrosPerEvent: Readonly<Record<string, number>>;
  /** How many cores were busy with what is no part of the bench. */
  readonly otherCores: number;
};

export type LoadShape = Partial<LoadOptions> & { readonly event: string; readonly seconds: number };

export type LineUnderTest = {
  readonly url: string;
  readonly key: string;
  readonly clickhouse: ClickHouseClient;
  readonly pids: () => Pids;
  /** Sends a load, and then waits for `afterwards` while the processes are still being measured. */
  readonly measure: (shape: LoadShape, afterwards?: (load: LoadReport) => Promise<void>) => Promise<Measured>;
  /** Rows of events of this name. A twin counts until it is merged away. */
  readonly rowsOf: (event: string) => Promise<number>;
  readonly distinctOf: (event: string) => Promise<number>;
  /** Up to which sequence usage can be read: stored, and held against all that came before. */
  readonly checkedSequence: () => Promise<string>;
  /** Waits until at least so many rows are stored. Gives the milliseconds that it took. */
  readonly untilStored: (event: string, rows: number) => Promise<number>;
  /** Waits until ClickHouse merges nothing: what one case left behind is no cost of the next. */
  readonly untilMerged: () => Promise<void>;
  /** Runs `work` with the sink stopped in its tracks; afterwards it goes on. */
  readonly withoutSink: <T>(work: () => Promise<T>) => Promise<T>;
  readonly resumeSink: () => void;
  readonly close: () => Promise<void>;
};

/** Batches of 200 over sixteen connections, flat out. */
const usualLoad = { format: 'json', batch: 200, connections: 16, inFlight: 1, duplicateShare: 0 } as const;

const pollMs = 10;
const storedMsMax = 600_000;
const mergedMsMax = 60_000;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const createLineUnderTest = (stack: Stack): LineUnderTest => {
  const clickhouse = createClient({ url: stack.urls.clickhouse });
  const postgres = new pg.Client({ connectionString: stack.urls.postgres });
  // A stack that is stopped early ends this connection too; what stopped it is the fault to tell.
  postgres.on('error', () => {});
  const connected = postgres.connect();
  const url = stack.ingestUrl.replace(/\/$/, '');
  const pids = (): Pids => Object.fromEntries(stack.processes.map(({ name, pid }) => [name, pid]));
  const numberOf = async (expression: string, event: string): Promise<number> => {
    const query = `SELECT ${expression} AS number FROM usage_events WHERE event = {event:String}`;
    const [row] = await (await clickhouse.query({ query, query_params: { event }, format: 'JSONEachRow' })).json<{
      number: string | number;
    }>();
    return Number(row?.number ?? 0);
  };
  const rowsOf = (event: string) => numberOf('count()', event);
  const signalSink = (signal: 'SIGSTOP' | 'SIGCONT') => {
    const { sink } = pids();
    if (sink) process.kill(sink, signal);
  };
  return {
    url,
    key: stack.apiKey,
    clickhouse,
    pids,
    rowsOf,
    measure: async (shape, afterwards) => {
      const generator = await startGenerator({ ...usualLoad, ...shape, url, key: stack.apiKey });
      const startMs = performance.now();
      const [before, ownBefore, machineBefore] = [cpuOf(pids()), cpuSecondsOf(process.pid), machineCpuSeconds()];
      const load = await generator.run();
      await afterwards?.(load);
      const [after, ownSeconds, machineSeconds] = [
        cpuOf(pids()),
        cpuSecondsOf(process.pid),
        machineCpuSeconds() - machineBefore,
      ];
      const cpu = microsPerEvent(before, after, load.events);
      // The servers and the generator are children of this process.
      const otherSeconds = machineSeconds - (ownSeconds - ownBefore);
      return {
        load,
        cpuMicrosPerEvent: { ...cpu, generator: (load.cpuSeconds * 1e6) / Math.max(load.events, 1) },
        otherCores: Math.max(0, (otherSeconds * 1000) / (performance.now() - startMs)),
      };
    },
    distinctOf: (event) => numberOf('uniqExact(key_digest)', event),
    checkedSequence: async () => {
      await connected;
      const { rows } = await postgres.query<{ checked: string }>(
        'SELECT max(checked_sequence)::text AS checked FROM identity_checks',
      );
      return rows[0]?.checked ?? '0';
    },
    untilStored: async (event, rows) => {
      const startMs = performance.now();
      while ((await rowsOf(event)) < rows) {
        if (performance.now() - startMs > storedMsMax)
          throw new Error(`${await rowsOf(event)} of ${rows} events were stored`);
        await pause(pollMs);
      }
      return performance.now() - startMs;
    },
    untilMerged: async () => {
      const startMs = performance.now();
      for (let quietPolls = 0; quietPolls < 5 && performance.now() - startMs < mergedMsMax; ) {
        const [row] = await (
          await clickhouse.query({ query: 'SELECT count() AS number FROM system.merges', format: 'JSONEachRow' })
        ).json<{
          number: string | number;
        }>();
        quietPolls = Number(row?.number) === 0 ? quietPolls + 1 : 0;
        await pause(100);
      }
    },
    withoutSink: async (work) => {
      signalSink('SIGSTOP');
      return work().finally(() => signalSink('SIGCONT'));
    },
    resumeSink: () => signalSink('SIGCONT'),
    close: async () => {
      await connected;
      await Promise.all([clickhouse.close(), postgres.end()]);
    },
  };
};
