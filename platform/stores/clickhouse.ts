import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { isPassing, UnavailableError } from './retry.ts';

/** `url` names the database by its path: http://user:password@host:8123/millrace. */
export const connectClickHouse = (
  url: string,
  options: { requestTimeoutMs: number; connectionsMax: number },
): ClickHouseClient =>
  createClient({
    url,
    application: 'millrace',
    request_timeout: options.requestTimeoutMs,
    max_open_connections: options.connectionsMax,
    // It would print several lines that are no JSON for each failed call; whoever calls logs the fault.
    log: { level: ClickHouseLogLevel.OFF },
    compression: { response: false, request: false },
    // The server closes idle connections after 10 s at the latest; ours must go first, or a request meets a closing
    // socket.
    keep_alive: { enabled: true, idle_socket_ttl: 2_000 },
  });

export type ClickHouseStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings?: Readonly<Record<string, string | number>>;
};

/** The rows of a query's answer, as JSON objects. */
export const readRows = async <R>(
  clickhouse: ClickHouseClient,
  { query, params, settings = {} }: ClickHouseStatement,
): Promise<R[]> => {
  const result = await clickhouse.query({
    query,
    format: 'JSONEachRow',
    query_params: { ...params },
    clickhouse_settings: settings,
  });
  return result.json<R>();
};

/** For work that a caller waits for: what passes by itself is thrown as `UnavailableError`, which is answered 503. */
export const whileAvailable = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw isPassing(error) ? new UnavailableError('clickhouse', error) : error;
  }
};

export const clickHouseAnswers = async (clickhouse: ClickHouseClient): Promise<void> => {
  const ping = await clickhouse.ping();
  if (!ping.success) throw ping.error;
};
