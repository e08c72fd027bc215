/**
 * The stores that a command works on, wherever they are: at the URLs of the environment, in the stack that runs in this
 * home, or in servers of this home that are started for the purpose and stopped after it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Config, ConfigError, loadConfig, settings } from '../config/config.ts';
import { HomeInUseError, type HomeLock, lockHome, readIfThere, resolveHome } from './home.ts';
import { endLeftovers } from './processes.ts';
import { log, print } from './run-stack.ts';
import { serverKinds, serverNames, startServers } from './servers.ts';
import { onStopSignals } from './signals.ts';
import { stackFile, type Urls } from './stack.ts';

type StoreName = 'postgres' | 'clickhouse' | 'nats';
type StoreUrls = Pick<Urls, StoreName>;

export type CommandSetting<N extends StoreName> = {
  readonly urls: Pick<Urls, N>;
  readonly config: Config;
  /** Absolute path of the home folder. */
  readonly home: string;
  /** Aborted when the command is told to stop. */
  readonly signal: AbortSignal;
};

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

const withStores = async <N extends StoreName>(
  config: Config,
  names: readonly N[],
  signal: AbortSignal,
  work: (setting: CommandSetting<N>) => Promise<void>,
): Promise<void> => {
  const home = resolveHome(config.home || settings.home.fallback);
  const given: StoreUrls = { postgres: config.databaseUrl, clickhouse: config.clickhouseUrl, nats: config.natsUrl };
  const workAt = (urlOf: (name: N) => string | undefined) =>
    work({
      config,
      home,
      signal,
      urls: Object.fromEntries(names.map((name) => [name, given[name] || urlOf(name)])) as Pick<Urls, N>,
    });
  const missing = names.filter((name) => given[name] === '');
  if (missing.length === 0) return workAt(() => undefined);
  const held = lockOrUrls(home);
  if (!('release' in held)) return workAt((name) => held[name]);
  try {
    await endLeftovers(home, log, serverNames);
    const servers = await startServers(missing, { home, log, signal });
    try {
      await workAt((name) => servers.get(name)?.url);
    } finally {
      await Promise.all([...servers.values()].map((server) => server.stop()));
    }
  } finally {
    held.release();
  }
};

/** The life of such a command: exit code 1 and a word on stderr where it fails, 130 where Ctrl-C insists. */
export const runOnStores = async <N extends StoreName>(
  command: { readonly readConfig: () => Config; readonly names: readonly N[]; readonly failure: string },
  work: (setting: CommandSetting<N>) => Promise<void>,
): Promise<void> => {
  const stopping = new AbortController();
  onStopSignals({ stop: () => stopping.abort(), force: () => process.exit(130) });
  try {
    await withStores(command.readConfig(), command.names, stopping.signal, work);
  } catch (error) {
    const isPlain = error instanceof ConfigError || error instanceof HomeInUseError;
    print(isPlain ? error.message : `${command.failure}: ${(error as Error).message}`);
    process.exitCode = 1;
  }
};

/**
 * Runs a file of a domain on stores, with the words of this command and its exit code. A process of its own like
 * every other of a domain: what stands on platform is started from here and not imported.
 */
export const runFileOnStores = (
  file: string,
  stores: readonly StoreName[],
  failure: string,
  words: readonly string[] = process.argv.slice(2),
): Promise<void> =>
  runOnStores({ readConfig: () => loadConfig(process.env, []), names: stores, failure }, async ({ urls, signal }) => {
    const found = stores.flatMap((store): [string, string | undefined][] => {
      const { variable } = serverKinds[store];
      return [
        [variable, urls[store]],
        [`${variable}_FILE`, undefined],
      ];
    });
    const child = spawn(process.execPath, [fileURLToPath(new URL(`../../${file}`, import.meta.url)), ...words], {
      env: { ...process.env, ...Object.fromEntries(found) },
      stdio: ['ignore', 'inherit', 'inherit'],
      signal,
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    process.exitCode = code ?? 1;
  });
