import { startClickHouse } from './clickhouse.ts';
import { startNats } from './nats.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import type { LocalServer, ServerOptions } from './server.ts';

/** The four servers, and the variable that replaces each by one that runs already. */
export const serverKinds = {
  clickhouse: { variable: 'CLICKHOUSE_URL', start: startClickHouse },
  postgres: { variable: 'DATABASE_URL', start: startPostgres },
  nats: { variable: 'NATS_URL', start: startNats },
  redis: { variable: 'REDIS_URL', start: startRedis },
} as const;

export type ServerName = keyof typeof serverKinds;
export const serverNames = Object.keys(serverKinds) as ServerName[];

/**
 * Starts servers side by side. Where one fails, the others give up, and what runs already is stopped before the error
 * is thrown.
 */
export const startServers = async (
  names: readonly ServerName[],
  options: Omit<ServerOptions, 'port'>,
): Promise<Map<ServerName, LocalServer>> => {
  const failure = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
  const started = new Map<ServerName, LocalServer>();
  let firstFault: unknown;
  const startOne = async (name: ServerName) => {
    try {
      const server = await serverKinds[name].start({ ...options, signal });
      options.log.info(`${name}: ${server.origin}, port ${server.port}, ${server.startedMs} ms`);
      started.set(name, server);
    } catch (error) {
      firstFault ??= error;
      failure.abort();
    }
  };
  await Promise.all(names.map(startOne));
  if (firstFault === undefined) return started;
  await Promise.all([...started.values()].map((server) => server.stop()));
  throw firstFault;
};
