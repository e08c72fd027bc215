/**
 * The whole of Millrace on one machine. The order of effects of a start:
 *
 * 1. read the configuration, take the home, end what an earlier run left behind
 * 2. start the servers that the environment names no URL of, side by side
 * 3. migrate both stores
 * 4. make the first organization and its key (later starts find them there)
 * 5. start our services, each of which says when it serves
 *
 * A stop goes backwards. Whatever dies in between is restarted on the same port and data.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { newApiKey } from '#schemas/api-key.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { type ProcessName, processes, processNames, stopGroups } from '../config/processes.ts';
import type { Backoff } from '../start/restart-pause.ts';
import { migrateAll } from '../stores/migrate.ts';
import { loginUrl } from '../stores/postgres.ts';
import { keptSecret, type Log, lockHome, writeFileWhole } from './home.ts';
import { keepAlive } from './keep-alive.ts';
import { fitPostgres } from './postgres-sizes.ts';
import { endLeftovers, killChildren } from './processes.ts';
import type { LocalServer } from './server.ts';
import { type ServerName, serverKinds, serverNames, startServers } from './servers.ts';
import { runOnce, type Service, startService } from './service.ts';
import { checkPorts, portEnvironment } from './services.ts';

export type Urls = { readonly [K in ServerName]: string };

type StackProcess = {
  readonly name: string;
  readonly pid: number;
  readonly url?: string;
  readonly origin?: string;
  readonly startedMs: number;
};

export type Stack = {
  readonly home: string;
  /** Empty where the API is not started, as `ingestUrl` is without a gateway. */
  readonly apiUrl: string;
  readonly ingestUrl: string;
  readonly apiKey: string;
  /** With passwords, where there are any. */
  readonly urls: Urls;
  /** Null where NATS is not ours: then nobody here can say. */
  readonly natsSyncAlways: boolean | null;
  /** As of now: a restart changes pids. */
  readonly processes: readonly StackProcess[];
  /** Drains and ends everything that was started here. Every call returns once all is gone. */
  stop(): Promise<void>;
  /** SIGKILL to everything. */
  kill(): Promise<void>;
};

export type StackOptions = {
  readonly environment: NodeJS.ProcessEnv;
  /** Absolute path of the home folder. */
  readonly home: string;
  readonly log: Log;
  /** Those that are started, all where nothing is said; none for the servers and their migrations only. */
  readonly services?: readonly ProcessName[];
  /**
   * Added to the environment of the service of that name, and asked before each of its starts: a crash test aims at one
   * process, once.
   */
  readonly extraOf?: (service: string, environment: NodeJS.ProcessEnv) => NodeJS.ProcessEnv;
  /** What is run in the place of the file of a service, where it was built; without it the file. */
  readonly fileOf?: (file: string) => string;
  /** How long what died waits for its next start; without it as in `restart-pause.ts`. */
  readonly restartPauses?: Backoff;
  /** Makes the start give up: what was started is stopped, and `startStack` throws. */
  readonly signal?: AbortSignal;
};

type Part = { readonly item: LocalServer | Service; readonly guard: { end(): Promise<void> } };

/** Used where the environment names no other. Whoever loses it loses all that is sealed. */
export const keptMasterKey = (home: string): string =>
  keptSecret(join(home, 'master-key'), () => randomBytes(32).toString('base64'));

/** What a running stack tells other commands of the same home. */
export const stackFile = (home: string): string => join(home, 'run', 'stack.json');

/** The configuration, with every fault that can be known before anything is started. */
export const readStackConfig = async (environment: NodeJS.ProcessEnv, services: boolean): Promise<Config> => {
  const pepperIsGiven = Boolean(environment.MILLRACE_KEY_PEPPER || environment.MILLRACE_KEY_PEPPER_FILE);
  // A pepper that is given is checked; one that isn't is made below.
  const config = loadConfig(environment, pepperIsGiven ? ['keyPepper'] : []);
  if (services) await checkPorts(config);
  return config;
};

class RunningStack {
  readonly #options: StackOptions;
  readonly #stopping = new AbortController();
  /** The groups are in the order of their start. */
  readonly #groups: Part[][] = [];
  #ended: Promise<void> = Promise.resolve();

  constructor(options: StackOptions) {
    this.#options = options;
  }

  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Adds what runs now: it is kept alive from here on, and a stop ends it before the groups that were added earlier.
   */
  add(items: readonly (LocalServer | Service)[]): void {
    const { log, restartPauses } = this.#options;
    this.#groups.push(items.map((item) => ({ item, guard: keepAlive(item, log, this.signal, restartPauses) })));
  }

  get processes(): StackProcess[] {
    return this.#groups.flat().map(({ item }) => ({
      name: item.name,
      pid: item.pid,
      url: withoutPassword(item.url),
      startedMs: item.startedMs,
      ...('origin' in item ? { origin: item.origin } : {}),
    }));
  }

  /** No start goes on from here, and nothing is restarted. */
  giveUp(): void {
    this.#stopping.abort();
  }

  stop(): Promise<void> {
    this.giveUp();
    this.#ended = this.#ended.then(() => this.#stopGroups());
    return this.#ended;
  }

  async #stopGroups(): Promise<void> {
    for (let group = this.#groups.pop(); group; group = this.#groups.pop()) {
      await Promise.all(
        group.map(async ({ item, guard }) => {
          const begin = performance.now();
          await guard.end();
          this.#options.log.info(`${item.name}: stopped, ${Math.round(performance.now() - begin)} ms`);
        }),
      );
    }
  }
}

export const withoutPassword = (url: string): string => {
  const address = URL.parse(url);
  if (!address?.password) return url;
  address.password = '';
  return address.href;
};

/** A service logs in as itself, and is told neither the owner's password nor what only commands need. */
const databaseEnvironment = (name: ProcessName, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const { login } = processes[name];
  const { DATABASE_URL: ownerUrl = '', MILLRACE_DATABASE_PASSWORD: password = '' } = environment;
  return { DATABASE_URL: login && loginUrl(ownerUrl, login, password), MILLRACE_DATABASE_PASSWORD: undefined };
};

const asItIs = (file: string): string => file;

const startServices = async (
  running: RunningStack,
  options: StackOptions,
  config: Config,
  environment: NodeJS.ProcessEnv,
  names: readonly ProcessName[],
) => {
  const failure = new AbortController();
  const signal = AbortSignal.any([running.signal, failure.signal]);
  const { fileOf = asItIs } = options;
  const started = new Map<ProcessName, Service>();
  let firstFault: unknown;
  const startOne = async (name: ProcessName): Promise<void> => {
    try {
      const service = await startService({
        home: options.home,
        log: options.log,
        name,
        file: fileOf(processes[name].file),
        signal,
        shutdownMsMax: config.shutdownMsMax,
        extra: (environment) => options.extraOf?.(name, environment) ?? {},
        environment: async () => ({
          ...environment,
          ...databaseEnvironment(name, environment),
          ...(await portEnvironment(name, config)),
        }),
      });
      options.log.info(`${name}: ${processes[name].file}, ${service.url}, ${service.startedMs} ms`);
      started.set(name, service);
    } catch (error) {
      firstFault ??= error;
      failure.abort();
    }
  };
  await Promise.all(names.map(startOne));
  // Started side by side, yet added so that a stop ends the first group first; and added in any case, to be stopped
  // with the rest.
  for (const group of stopGroups.toReversed()) running.add(group.flatMap((name) => started.get(name) ?? []));
  if (firstFault !== undefined) throw firstFault;
  const urlOf = (name: ProcessName) => started.get(name)?.url ?? '';
  return { apiUrl: urlOf('api'), ingestUrl: urlOf('gateway') };
};

/** Step 2: the URL of each server, from the environment or of one started here, and what of that is ours. */
const startMissingServers = async (
  running: RunningStack,
  options: StackOptions,
  { postgresMemoryMb, postgresWalMb }: Config,
) => {
  const asked = { memoryMb: postgresMemoryMb, walMb: postgresWalMb };
  const postgresSizes = fitPostgres(asked, totalmem());
  const given = (name: ServerName) => options.environment[serverKinds[name].variable];
  const servers = await startServers(
    serverNames.filter((name) => !given(name)),
    { home: options.home, log: options.log, signal: running.signal, postgresSizes },
  );
  running.add([...servers.values()]);
  const urls = Object.fromEntries(serverNames.map((name) => [name, servers.get(name)?.url ?? given(name)])) as Urls;
  return { urls, hasOwnNats: servers.has('nats') };
};

export const startStack = async (options: StackOptions): Promise<Stack> => {
  const { environment, home, log, services = processNames } = options;
  const config = await readStackConfig(environment, services.length > 0);
  const lock = lockHome(home);
  const running = new RunningStack(options);
  const end = async () => {
    await running.stop();
    rmSync(stackFile(home), { force: true });
    lock.release();
  };
  const give = () => running.giveUp();
  options.signal?.addEventListener('abort', give);
  try {
    options.signal?.throwIfAborted();
    rmSync(stackFile(home), { force: true });
    await endLeftovers(home, log, serverNames);
    const { urls, hasOwnNats } = await startMissingServers(running, options, config);

    const migrating = performance.now();
    const databasePassword =
      config.databasePassword ||
      keptSecret(join(home, 'database-password'), () => randomBytes(24).toString('base64url'));
    const { applied, warnings } = await migrateAll({
      databaseUrl: urls.postgres,
      databasePassword,
      clickhouseUrl: urls.clickhouse,
    });
    log.info(
      `migrations: ${applied.length === 0 ? 'none due' : applied.join(', ')}, ${Math.round(performance.now() - migrating)} ms`,
    );
    for (const warning of warnings) log.warn(warning);
    running.signal.throwIfAborted();

    const apiKey = config.bootstrapKey || keptSecret(join(home, 'bootstrap-key'), () => newApiKey(randomBytes));
    const childEnvironment = {
      ...environment,
      ...Object.fromEntries(serverNames.map((name) => [serverKinds[name].variable, urls[name]])),
      MILLRACE_HOME: home,
      MILLRACE_KEY_PEPPER:
        config.keyPepper || keptSecret(join(home, 'key-pepper'), () => randomBytes(32).toString('base64url')),
      MILLRACE_MASTER_KEY: config.masterKey || keptMasterKey(home),
      MILLRACE_BOOTSTRAP_KEY: apiKey,
      MILLRACE_DATABASE_PASSWORD: databasePassword,
    };
    let addresses = { apiUrl: '', ingestUrl: '' };
    if (services.length > 0) {
      const begin = performance.now();
      await runOnce({
        home,
        name: 'bootstrap',
        file: (options.fileOf ?? asItIs)('api/access/bootstrap.main.ts'),
        environment: childEnvironment,
        signal: running.signal,
      });
      log.info(`bootstrap: the organization and its key are there, ${Math.round(performance.now() - begin)} ms`);
      addresses = await startServices(running, options, config, childEnvironment, services);
    }
    running.signal.throwIfAborted();
    const { apiUrl, ingestUrl } = addresses;
    writeFileWhole(stackFile(home), JSON.stringify({ pid: process.pid, apiUrl, ingestUrl, urls }));
    return {
      home,
      apiUrl,
      ingestUrl,
      apiKey,
      urls,
      natsSyncAlways: hasOwnNats ? true : null,
      get processes() {
        return running.processes;
      },
      stop: end,
      kill: async () => {
        running.giveUp();
        killChildren(home);
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', give);
  }
};
