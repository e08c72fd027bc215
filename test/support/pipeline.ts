/**
 * The whole pipeline for a test: our real processes on the real servers, with a database, a stream and a home folder of
 * its own.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type ProcessName, processNames } from '#platform/config/processes.ts';
import type { LocalServer } from '#platform/local/server.ts';
import { type ServerName, serverNames, startServers } from '#platform/local/servers.ts';
import { type Stack, startStack } from '#platform/local/stack.ts';
import { connectPostgres, type Login, loginUrl, type Postgres } from '#platform/stores/postgres.ts';
import { bundled } from './bundles.ts';
import { type Contract, createContract, type Document, expectContract, fetchDocumentText } from './contract.ts';
import { dropStores, type FreshStores, freshStores, type StoresTemplate } from './fresh-stores.ts';
import { compileCache, shortRestarts } from './quick.ts';
import { verifyBy } from './verify-command.ts';

export type ServerUrls = { readonly [K in ServerName]: string } & {
  readonly template?: StoresTemplate;
  /** Where the stack that files share is asked for (`shared-pipeline.ts`). */
  readonly sharedStack?: string;
  /** Whether our processes are bundled (`bundles.ts`); without it they run from their sources. */
  readonly areBundled?: boolean;
};

const quiet = { info: () => {}, warn: () => {} };
/** Shows what the supervisor says: `MILLRACE_TEST_LOG=1 npm test`. */
const log = process.env.MILLRACE_TEST_LOG ? console : quiet;

export const newHome = (): string => mkdtempSync(join(tmpdir(), 'millrace-test-'));

export type TestServers = {
  readonly home: string;
  readonly urls: ServerUrls;
  readonly servers: ReadonlyMap<ServerName, LocalServer>;
  readonly stop: () => Promise<void>;
};

export const startTestServers = async (): Promise<TestServers> => {
  const home = newHome();
  const servers = await startServers(serverNames, { home, log });
  const urls = Object.fromEntries([...servers].map(([name, server]) => [name, server.url])) as Record<
    ServerName,
    string
  >;
  return {
    home,
    urls,
    servers,
    stop: async () => {
      // ClickHouse takes seconds for an end in good order, and its data is thrown away. PostgreSQL would leave its
      // shared memory behind.
      await Promise.all(
        [...servers.values()].map((server) => (server.name === 'clickhouse' ? server.kill() : server.stop())),
      );
      rmSync(home, { recursive: true, force: true });
    },
  };
};

// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
export type ApiAnswer = { readonly status: number; readonly headers: Headers; readonly body: any };

export type Pipeline = {
  readonly stack: Stack;
  readonly key: string;
  readonly databaseUrl: string;
  readonly clickhouseUrl: string;
  readonly streamName: string;
  /** Of a file that shares a stack: what the key belongs to, and its sandbox. */
  readonly organization?: { readonly id: string; readonly sandboxId: string };
  readonly api: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<ApiAnswer>;
  /** Asks for a billing run and waits for its end. */
  readonly closePeriod: (body: unknown) => Promise<ApiAnswer>;
  readonly sendEvents: (body: unknown, headers?: Record<string, string>) => Promise<ApiAnswer>;
  /** Runs a query as the API does, as checker, rater and invoicer do, or as the owner of the schema. */
  readonly asApplication: Postgres;
  readonly asWorker: Postgres;
  readonly asOwner: Postgres;
  readonly stop: () => Promise<void>;
};

/** By the text of the document: hosts of one kind say the same, and what was compiled for one serves all. */
const contractsByText = new Map<string, Contract>();
const contractFrom = (text: string): Contract => {
  const contract = contractsByText.get(text) ?? createContract(JSON.parse(text) as Document);
  contractsByText.set(text, contract);
  return contract;
};

/** What each host says of itself, once it was asked. A process that is killed meanwhile is asked again. */
const contracts = new Map<string, Promise<Contract>>();
const contractOf = (base: string): Promise<Contract> => {
  const ask = async (): Promise<Contract | undefined> => fetchDocumentText(base).then(contractFrom, () => undefined);
  const contract = contracts.get(base) ?? until(ask, (made) => made !== undefined).then((made) => made as Contract);
  contracts.set(base, contract);
  return contract;
};

/** Calls a host under a key. Every answer is held against the OpenAPI document of its host. */
export const call =
  (base: string, key: string) =>
  async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<ApiAnswer> => {
    const response = await fetch(`${base.replace(/\/$/, '')}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : {
            body: typeof body === 'string' ? body : Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body),
          }),
    });
    const text = await response.text();
    const { status, headers: answerHeaders } = response;
    const answered = {
      status,
      headers: answerHeaders,
      body: text !== '' && /[/+]json/.test(answerHeaders.get('content-type') ?? '') ? JSON.parse(text) : text,
    };
    expectContract(await contractOf(base), { method, path, ...answered });
    return answered;
  };

/** Logins belong to the whole server, which the tests share. */
export const databasePassword = 'the-password-of-the-logins';

/** A stack that runs, under a key. Its `stop` closes what was opened here, and leaves the stack alone. */
export const openPipeline = (
  opened: Pick<Pipeline, 'stack' | 'key' | 'databaseUrl' | 'clickhouseUrl' | 'streamName' | 'organization'>,
): Pipeline => {
  const { stack, key, databaseUrl } = opened;
  const silent = pino({ level: 'silent' });
  const as = (login: Login) =>
    connectPostgres(loginUrl(databaseUrl, login, databasePassword), { poolMax: 2, waitMsMax: 60_000, log: silent });
  const [asApplication, asWorker] = [as('millrace_app'), as('millrace_worker')];
  const asOwner = connectPostgres(databaseUrl, { poolMax: 2, waitMsMax: 60_000, log: silent });
  const api = call(stack.apiUrl, key);
  const ingest = call(stack.ingestUrl, key);
  return {
    ...opened,
    api,
    closePeriod: async (body) => {
      const asked = await api('POST', '/v1/invoices/run', body);
      if (asked.status !== 202) return asked;
      const ask = () => api('GET', `${asked.headers.get('location')}?wait_seconds=25`);
      return until(ask, (answer) => !['queued', 'running'].includes(answer.body.state));
    },
    sendEvents: (body, headers) => ingest('POST', '/v1/events', body, headers),
    asApplication,
    asWorker,
    asOwner,
    stop: async () => {
      await Promise.all([asApplication.close(), asWorker.close(), asOwner.close()]);
    },
  };
};

type PipelineOptions = {
  /** Added to the environment of one service, at each of its starts. */
  readonly extraOf?: (service: string, environment: NodeJS.ProcessEnv) => NodeJS.ProcessEnv;
  /** They may hold something already, such as what an older release wrote. */
  readonly stores?: FreshStores;
  /** All where nothing is said; `parts.ts` names what a file may need. */
  readonly services?: readonly ProcessName[];
};

/** `settings` are added to the environment of every process. */
export const startPipeline = async (
  urls: ServerUrls,
  settings: Readonly<Record<string, string>> = {},
  { extraOf = () => ({}), stores, services = processNames }: PipelineOptions = {},
): Promise<Pipeline> => {
  const ownStores = stores ?? (await freshStores(urls));
  const { name, databaseUrl, clickhouseUrl } = ownStores;
  const fileOf = urls.areBundled ? bundled : (file: string) => file;
  verifyBy(databaseUrl, { fileOf });
  const home = newHome();
  const key = settings.MILLRACE_BOOTSTRAP_KEY ?? `mr_live_${randomBytes(16).toString('hex')}`;
  const streamName = name.toUpperCase();
  const stack = await startStack({
    home,
    log,
    extraOf,
    services,
    restartPauses: shortRestarts,
    fileOf,
    environment: {
      ...compileCache,
      ...process.env,
      CLICKHOUSE_URL: clickhouseUrl,
      DATABASE_URL: databaseUrl,
      NATS_URL: urls.nats,
      REDIS_URL: urls.redis,
      MILLRACE_STREAM: streamName,
      MILLRACE_STREAM_BYTES_MAX: '268435456',
      MILLRACE_API_PORT: '0',
      MILLRACE_INGEST_PORT: '0',
      MILLRACE_BOOTSTRAP_KEY: key,
      MILLRACE_DATABASE_PASSWORD: databasePassword,
      MILLRACE_LOG_LEVEL: 'warn',
      // Usage of all of the month that has ended, whatever day it is: on a 31st, its first day was 61 days ago.
      MILLRACE_PAST_DAYS_MAX: '62',
      // A disk that stands still for a second is no Redis that is away: what a test counts it counts by the claims.
      MILLRACE_CLAIM_TIMEOUT_MS: '10000',
      // A test waits for one event where a user has many on the way.
      MILLRACE_SINK_AGE_MS_MAX: '50',
      // Work wakes who does it; only what a dead one left waits for a look. At 50 ms the looks of a pipeline that does
      // nothing took a tenth of a core.
      MILLRACE_JOB_POLL_MS: '1000',
      // Each look asks for every meter version with usage of the last eleven minutes: of a stack that many files share
      // that took a fifth of ClickHouse's time. Totals that a file is about it has made at once, by a rest of 0 s.
      MILLRACE_TOTALS_LOOK_SECONDS: '60',
      // Else the keys of most tests would be read from the store. The crash matrix leaves it as it is.
      MILLRACE_STREAM_DOUBT_SECONDS: '0',
      // Each takes 0.3 s of CPU to start. A file that is about several workers asks for them.
      MILLRACE_RATER_WORKERS: '1',
      // Nobody looks at them, but for their own tests.
      MILLRACE_DOCUMENT_LANES: '0',
      ...settings,
    },
  });
  const pipeline = openPipeline({ stack, key, databaseUrl, clickhouseUrl, streamName });
  return {
    ...pipeline,
    stop: async () => {
      await pipeline.stop();
      await stack.stop();
      if (!stores) await dropStores(ownStores);
      // Their ports are given to others.
      for (const base of [stack.apiUrl, stack.ingestUrl]) contracts.delete(base);
      rmSync(home, { recursive: true, force: true });
    },
  };
};

/** Asks until the condition holds; fails with the last answer after `msMax`. */
export const until = async <T>(ask: () => Promise<T>, holds: (answer: T) => boolean, msMax = 60_000): Promise<T> => {
  const begin = performance.now();
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() - begin > msMax)
      throw new Error(`still not so after ${msMax} ms: ${JSON.stringify(answer)?.slice(0, 1000)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};

/**
 * The last month that has ended, by `overHours` at least: its last days are within the accepted horizon.
 *
 * Where something is sent that happened after it, on the first of a month that lies ahead otherwise.
 */
export const lastMonth = (overHours = 0): { readonly name: string; readonly start: number; readonly end: number } => {
  const today = Temporal.Now.zonedDateTimeISO('UTC').subtract({ hours: overHours }).toPlainDate();
  const month = today.toPlainYearMonth().subtract({ months: 1 });
  const startOf = (of: Temporal.PlainYearMonth) => of.toPlainDate({ day: 1 }).toZonedDateTime('UTC').epochMilliseconds;
  return { name: month.toString(), start: startOf(month), end: startOf(month.add({ months: 1 })) };
};
