/**
 * The line as the cases see it: where to send, what is stored, which process costs what, and a sink that can be made to
 * stand still.
 */
import { type ClickHouseClient, createClient } from '@clickhouse/client';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { askText } from '../api/call.ts';
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
  /** The body of the API's answer; throws where it refuses. */
  readonly ask: (method: string, path: string, body?: object) => Promise<string>;
  /** Runs `work` with the sink stopped in its tracks; afterwards it goes on. */
  readonly withoutSink: <T>(work: () => Promise<T>) => Promise<T>;
  readonly stopChecker: () => void;
  /** All that were stopped go on. */
  readonly resume: () => void;
  /** Ends the checker at once, and waits until another one has its place. */
  readonly replaceChecker: () => Promise<void>;
  /**
   * Waits until all that is stored is checked, with `begin` at its beginning: what that takes and costs, of so many
   * events.
   */
  readonly untilChecked: (
    events: number,
    begin: () => unknown,
  ) => Promise<{ ms: number; cpu: Measured['cpuMicrosPerEvent'] }>;
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
  const signal = (name: string, what: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL') => {
    const { [name]: pid } = pids();
    if (pid) process.kill(pid, what);
  };
  const resume = () => {
    for (const name of ['sink', 'checker']) signal(name, 'SIGCONT');
  };
  const checkedSequence = async (): Promise<string> => {
    await connected;
    const { rows } = await postgres.query<{ checked: string }>(
      'SELECT max(checked_sequence)::text AS checked FROM identity_checks',
    );
    return rows[0]?.checked ?? '0';
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
    checkedSequence,
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
    ask: (method, path, body) => askText(stack, method, path, body),
    withoutSink: async (work) => {
      signal('sink', 'SIGSTOP');
      return work().finally(() => signal('sink', 'SIGCONT'));
    },
    stopChecker: () => signal('checker', 'SIGSTOP'),
    resume,
    replaceChecker: async () => {
      const { checker } = pids();
      signal('checker', 'SIGKILL');
      while (pids().checker === checker) await pause(pollMs);
    },
    untilChecked: async (events, begin) => {
      const query = 'SELECT toString(max(stream_sequence)) AS stored FROM usage_heads';
      const [row] = await (await clickhouse.query({ query, format: 'JSONEachRow' })).json<{ stored: string }>();
      const [before, startMs] = [cpuOf(pids()), performance.now()];
      await begin();
      while (BigInt(await checkedSequence()) < BigInt(row?.stored ?? 0)) await pause(pollMs);
      // One that was made anew counts from its beginning.
      return { ms: performance.now() - startMs, cpu: microsPerEvent(before, cpuOf(pids()), events) };
    },
    close: async () => {
      await connected;
      await Promise.all([clickhouse.close(), postgres.end()]);
    },
  };
};
