/**
 * One of our own services as a resource: a child that runs a `*.main.ts`, says over IPC when it serves, and drains on
 * SIGTERM.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { backoff, nextPause } from '../start/restart-pause.ts';
import { type Log, logTail } from './home.ts';
import { type Child, type Exit, endChild, exitText, spawnChild } from './processes.ts';
import { Runner } from './runner.ts';

export type ServiceOptions = {
  readonly home: string;
  readonly log: Log;
  readonly name: string;
  /** The file to run, from the root of the checkout. */
  readonly file: string;
  readonly shutdownMsMax: number;
  /** Makes any start that is going on, now or later, give up. */
  readonly signal?: AbortSignal | undefined;
  /** Asked before the first attempts to start; later starts reuse the last answer, so that the addresses stay. */
  environment(): Promise<NodeJS.ProcessEnv>;
  /** Added to it, and asked before every start. */
  extra?(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
};

export type Service = {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  readonly startedMs: number;
  stop(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  onDeath(listener: (how: string) => void): void;
};

const readyMsMax = 60_000;
const startAttemptsMax = 5;

const root = fileURLToPath(new URL('../../', import.meta.url));

const isReady = (message: unknown): message is { type: 'ready'; url: string } =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready' && 'url' in message;

class ServiceProcess implements Service {
  readonly #options: ServiceOptions;
  readonly #runner: Runner;
  #environment: NodeJS.ProcessEnv = {};
  #url = '';

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#runner = new Runner(options.home, options.name);
  }

  get name() {
    return this.#options.name;
  }
  get pid() {
    return this.#runner.pid;
  }
  get url() {
    return this.#url;
  }
  get startedMs() {
    return this.#runner.startedMs;
  }

  onDeath(listener: (how: string) => void): void {
    this.#runner.onDeath(listener);
  }

  async startFirst(): Promise<void> {
    const { signal, log, name } = this.#options;
    for (let attempt = 1, pauseMs = 0; ; attempt += 1) {
      this.#environment = await this.#options.environment();
      try {
        return await this.#start();
      } catch (error) {
        if (signal?.aborted || attempt === startAttemptsMax) throw error;
        pauseMs = nextPause(pauseMs, 0, backoff);
        log.warn(
          `${name}: attempt ${attempt} of ${startAttemptsMax} to start it failed; trying again in ${pauseMs} ms`,
        );
      }
      await delay(pauseMs, undefined, signal ? { signal } : {});
    }
  }

  async #start(): Promise<void> {
    const { home, name, file } = this.#options;
    const environment = { ...this.#environment, ...this.#options.extra?.(this.#environment) };
    this.#url = await this.#runner.start(
      () =>
        spawnChild({
          home,
          name,
          command: process.execPath,
          arguments: [file],
          environment,
          workingFolder: root,
          channel: true,
          stopSignal: 'SIGTERM',
        }),
      (child) => this.#waitUntilReady(child),
    );
  }

  #waitUntilReady(child: Child): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const { signal } = this.#options;
    const give = () => reject(new Error('it was told to stop meanwhile'));
    const timer = setTimeout(
      () => reject(new Error(`after ${readyMsMax / 1000} s it still was not ready`)),
      readyMsMax,
    );
    const hear = (message: unknown) => isReady(message) && resolve(message.url);
    child.process.on('message', hear);
    void child.exited.then((exit: Exit) => reject(new Error(`it ${exitText(exit)}`)));
    signal?.addEventListener('abort', give);
    if (signal?.aborted) give();
    return promise.finally(() => {
      clearTimeout(timer);
      child.process.off('message', hear);
      signal?.removeEventListener('abort', give);
    });
  }

  stop(): Promise<void> {
    // It ends itself when its drain takes too long; the half second more lets it say so.
    return this.#runner.stop('SIGTERM', this.#options.shutdownMsMax + 500);
  }

  async kill(): Promise<void> {
    await this.#runner.kill();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.#start();
  }
}

export const startService = async (options: ServiceOptions): Promise<Service> => {
  const service = new ServiceProcess(options);
  await service.startFirst();
  return service;
};

/** Runs a file to its end, with its output in the log of that name. Throws with the end of that log where it fails. */
export const runOnce = async (options: {
  readonly home: string;
  readonly name: string;
  readonly file: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}): Promise<void> => {
  const { home, name, file, environment, signal } = options;
  const child = await spawnChild({
    home,
    name,
    command: process.execPath,
    arguments: [file],
    environment,
    workingFolder: root,
    stopSignal: 'SIGTERM',
  });
  const end = () => void endChild(child, 'SIGTERM', 1000);
  signal?.addEventListener('abort', end);
  if (signal?.aborted) end();
  const exit = await child.exited;
  signal?.removeEventListener('abort', end);
  if (exit.code !== 0) throw new Error(`${name} (${file}) ${exitText(exit)}\n${logTail(home, name, child.logOffset)}`);
};
