/**
 * The life of a process that works by itself and is asked for its health and metrics only. Its row in `processes.ts`
 * says what it is connected to; its main file brings the work. The order of effects:
 *
 *   1. read the configuration: a fault of it is the one thing that is said without a log
 *   2. connect to the servers of the row; NATS is waited for, the others are met when they are needed
 *   3. `begin` makes the work, and its loops are started
 *   4. health and metrics are served, and the process is ready
 *
 * and of an end: the loops finish what they have begun, then `close` of the work, the HTTP server, the connections, and
 * last the tracer, so that all that was done is told.
 */
import assert from 'node:assert/strict';
import { setPriority } from 'node:os';
import type { ClickHouseClient } from '@clickhouse/client';
import type { Redis } from 'ioredis';
import { type Config, loadConfig, secretsOf } from '../config/config.ts';
import { type Needs, type ProcessName, processes, urlSettings } from '../config/processes.ts';
import { createHttpApp, type HttpOptions, listen } from '../http/http.ts';
import { serverBoundsOf } from '../http/http-server.ts';
import { createLog, type Log } from '../process/log.ts';
import { createMetrics, type Metrics, observePool } from '../process/metrics.ts';
import { createTracer, type Tracer } from '../process/tracing.ts';
import type { Nats } from '../stores/nats.ts';
import { listenTo } from '../stores/notices.ts';
import { connectPostgres, type Postgres } from '../stores/postgres.ts';
import { type JobLoop, type JobLoopOptions, startJobLoop } from '../work/job-loop.ts';
import { orExit, runProcess } from './lifecycle.ts';

type Connections = {
  readonly nats: Nats;
  readonly clickhouse: ClickHouseClient;
  readonly redis: Redis;
  readonly postgres: Postgres;
};

/** How the servers are asked; without a word PostgreSQL gets the pool of the configuration. */
type Limits = {
  readonly clickhouse: { readonly requestTimeoutMs: number; readonly connectionsMax: number };
  readonly redis: { readonly commandTimeoutMs: number };
  readonly postgres?: { readonly poolMax: number; readonly statementMsMax: number };
};

export type Worker<Name extends ProcessName> = Pick<Connections, Needs<Name>> & {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
};

type Loop = Omit<JobLoopOptions, 'onFault'> & {
  /** The notices of PostgreSQL that end its waiting. */
  readonly channel?: string;
  /** Takes what else ends its waiting. */
  readonly wokenBy?: (wake: () => void) => void;
};

export type Work = {
  readonly loops?: readonly Loop[];
  /** How long the oldest that is still to be done has waited. */
  readonly waitingMs?: () => number;
  /** After the loops: finishes what else was begun. */
  readonly close?: () => Promise<void>;
};

export type WorkerOptions<Name extends ProcessName> = Pick<Limits, Needs<Name> & keyof Limits> & {
  /** How far it stands back for others on its machine that somebody waits for, from 0 to 19. */
  readonly niceness?: number;
  /** What a fault of a loop is called, in the metrics and in the log. */
  readonly fault?: { readonly help: string; readonly message: string };
};

const connectToClickHouse = async (config: Config, limits: Limits['clickhouse']) => {
  const { clickHouseAnswers, connectClickHouse } = await import('../stores/clickhouse.ts');
  const client = connectClickHouse(config.clickhouseUrl, limits);
  return { client, answers: () => clickHouseAnswers(client) };
};

const connectToRedis = async (config: Config, { commandTimeoutMs }: Limits['redis'], log: Log) => {
  const { connectRedis, redisAnswers } = await import('../stores/redis.ts');
  const client = connectRedis(config.redisUrl, commandTimeoutMs, log);
  await client.connect().catch((error: Error) => log.warn({ err: error }, 'starting without Redis'));
  return { client, answers: () => redisAnswers(client) };
};

/** A client that the process has no use for is not even loaded: that of Redis alone takes 50 ms of CPU. */
const connect = async (name: ProcessName, config: Config, log: Log, limits: Partial<Limits>) => {
  const needs: readonly string[] = processes[name].needs;
  const nats = needs.includes('nats')
    ? await (await import('../stores/nats.ts')).connectNats(config.natsUrl, name, log)
    : undefined;
  const clickhouse = limits.clickhouse && (await connectToClickHouse(config, limits.clickhouse));
  const redis = limits.redis && (await connectToRedis(config, limits.redis, log));
  const postgres = needs.includes('postgres')
    ? connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, log, ...limits.postgres })
    : undefined;
  const health: HttpOptions['health'] = [
    ...(nats ? [{ name: 'nats', required: true, check: nats.answers }] : []),
    ...(clickhouse ? [{ name: 'clickhouse', required: true, check: clickhouse.answers }] : []),
    // It may be lost at any moment.
    ...(redis ? [{ name: 'redis', required: false, check: redis.answers }] : []),
    ...(postgres ? [{ name: 'postgres', required: true, check: postgres.answers }] : []),
  ];
  return {
    connections: { nats, clickhouse: clickhouse?.client, redis: redis?.client, postgres },
    health,
    close: async () => {
      redis?.client.disconnect();
      await Promise.all([nats?.close(), clickhouse?.client.close(), postgres?.close()]);
    },
  };
};

export const runWorker = async <Name extends ProcessName>(
  name: Name,
  options: WorkerOptions<Name>,
  begin: (worker: Worker<Name>) => Work | Promise<Work>,
): Promise<void> => {
  const { needs, portSetting } = processes[name];
  const config = orExit(() =>
    loadConfig(
      process.env,
      needs.map((server) => urlSettings[server]),
    ),
  );
  const log = createLog(name, config.logLevel, secretsOf(config));
  const { fault, niceness } = options;
  // Threads that are made later are as nice as the one that makes them.
  if (niceness !== undefined) setPriority(niceness);
  await runProcess(log, config.shutdownMsMax, async () => {
    const metrics = createMetrics();
    const faults = fault && metrics.counter(`millrace_${name}_faults_total`, fault.help);
    const tracer = await createTracer(config.otelTracesUrl, name, log);
    const { connections, health, close } = await connect(name, config, log, options as Partial<Limits>);
    if (connections.postgres) observePool(metrics, connections.postgres.counts);
    const work = await begin({ ...connections, config, log, metrics, tracer } as unknown as Worker<Name>);
    const wakes: Record<string, () => void> = {};
    const loops = (work.loops ?? []).map(({ channel, wokenBy, ...loop }): JobLoop => {
      const started = startJobLoop({
        ...loop,
        onFault: (error) => {
          faults?.inc();
          log.warn({ err: error }, fault?.message ?? 'it has to be tried again');
        },
      });
      if (channel) {
        assert(!(channel in wakes), `two loops wait for ${channel}`);
        wakes[channel] = started.wake;
      }
      wokenBy?.(started.wake);
      return started;
    });
    const listening = Object.keys(wakes).length > 0 ? listenTo(config.databaseUrl, wakes, log) : undefined;
    const bounds = serverBoundsOf(config, log);
    const { waitingMs } = work;
    const app = createHttpApp({ log, metrics, bodyBytesMax: 1024, bounds, health, waitingMs, validates: false });
    const url = await listen(app, config.host, config[portSetting]);
    return {
      url,
      close: async () => {
        await Promise.all([listening?.stop(), ...loops.map((one) => one.stop())]);
        await work.close?.();
        await app.close();
        await close();
        await tracer.close();
      },
    };
  });
};
