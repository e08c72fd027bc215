/**
 * `npm run migrate`: brings PostgreSQL and ClickHouse up to date, wherever they are: at the URLs of the environment, in the stack that
 * runs in this home, or in servers of this home that are started for the purpose.
 */
import { ConfigError, loadConfig, settings } from '../config.ts';
import { migrateAll } from '../migrate.ts';
import { HomeInUseError, type HomeLock, lockHome, readIfThere, resolveHome } from './home.ts';
import { endLeftovers } from './processes.ts';
import { log, print } from './run-stack.ts';
import { serverNames, startServers } from './servers.ts';
import { onStopSignals } from './signals.ts';
import { stackFile, type Urls } from './stack.ts';

type StoreUrls = Pick<Urls, 'postgres' | 'clickhouse'>;

const runningUrls = (home: string): StoreUrls | undefined => {
  const text = readIfThere(stackFile(home));
  return text === undefined ? undefined : (JSON.parse(text) as { urls: Urls }).urls;
};

/** The lock of the home, or the URLs of the stack that holds it. */
const lockOrUrls = (home: string): HomeLock | StoreUrls => {
  try {
    return lockHome(home);
  } catch (error) {
    const urls = error instanceof HomeInUseError ? runningUrls(home) : undefined;
    if (!urls) throw error;
    return urls;
  }
};

const migrate = async (urls: StoreUrls): Promise<void> => {
  const { applied } = await migrateAll({ databaseUrl: urls.postgres, clickhouseUrl: urls.clickhouse });
  process.stdout.write(applied.length === 0 ? 'Nothing was due.\n' : `Applied:\n${applied.map((name) => `  ${name}\n`).join('')}`);
};

const main = async (signal: AbortSignal): Promise<void> => {
  const config = loadConfig(process.env, []);
  const given = { postgres: config.databaseUrl, clickhouse: config.clickhouseUrl };
  const home = resolveHome(config.home || settings.home.fallback);
  const missing = serverNames.filter((name) => (name === 'postgres' || name === 'clickhouse') && given[name] === '');
  if (missing.length === 0) return migrate(given);
  const held = lockOrUrls(home);
  if (!('release' in held)) {
    return migrate({ postgres: given.postgres || held.postgres, clickhouse: given.clickhouse || held.clickhouse });
  }
  try {
    await endLeftovers(home, log, serverNames);
    const servers = await startServers(missing, { home, log, signal });
    try {
      const urlOf = (name: 'postgres' | 'clickhouse') => given[name] || servers.get(name)?.url || '';
      await migrate({ postgres: urlOf('postgres'), clickhouse: urlOf('clickhouse') });
    } finally {
      await Promise.all([...servers.values()].map((server) => server.stop()));
    }
  } finally {
    held.release();
  }
};

const stopping = new AbortController();
onStopSignals({ stop: () => stopping.abort(), force: () => process.exit(130) });
try {
  await main(stopping.signal);
} catch (error) {
  const isPlain = error instanceof ConfigError || error instanceof HomeInUseError;
  print(isPlain ? error.message : `the migration failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
