/**
 * One local server as a resource: started, asked until it answers, stopped, killed, and started again on the same port
 * and data.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Log, prepareHome } from './home.ts';
import { findFreePort, isPortFree } from './ports.ts';
import type { PostgresSizes } from './postgres-sizes.ts';
import { type Child, type ChildOptions, endLeftover, exitText, spawnChild } from './processes.ts';
import { NotReadyError, Runner } from './runner.ts';

export type LocalServer = {
  readonly name: string;
  readonly url: string;
  readonly port: number;
  /** Of the present run; a restart changes it. */
  readonly pid: number;
  /** The version that the running server told, and where its program came from. */
  readonly origin: string;
  /** How long the last start took until the server answered. */
  readonly startedMs: number;
  /** Ends it in good order. Does nothing where it does not run. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would be. */
  kill(): Promise<void>;
  /** Stops it where it runs, and starts it on the same port and data. */
  restart(): Promise<void>;
  /** Tells `listener` of each end that was not asked for by `stop`, `kill` or `restart`. */
  onDeath(listener: (how: string) => void): void;
};

export type ServerOptions = {
  /** Absolute path of the home folder. */
  readonly home: string;
  readonly log: Log;
  /** Without one, a free port is taken; it stays the same over restarts. */
  readonly port?: number | undefined;
  /** Makes any start that is going on, now or later, give up. */
  readonly signal?: AbortSignal | undefined;
  /** Of PostgreSQL alone; small without. */
  readonly postgresSizes?: PostgresSizes;
};

type Launch = Omit<ChildOptions, 'home' | 'name' | 'stopSignal'>;

/** What a kind of server has to say about itself. */
export type ServerPlan = ServerOptions & {
  readonly name: string;
  /** "ClickHouse", as a person calls it. */
  readonly product: string;
  /** Where the program came from: "npm chdb 3.4.0". */
  readonly source: string;
  readonly stopSignal: NodeJS.Signals;
  /** What it logs when it can't start because a part of the run before is still about to end. */
  readonly notYet?: RegExp;
  url(port: number): string;
  /** Ends what a main process that was killed has left running. Called after a kill and before each start. */
  clear?(): void;
  /** What to run. Called before every start, so it may write configuration. */
  launch(port: number): Promise<Launch>;
  /**
   * Asks the server over its own protocol and resolves with its version. Throws while it isn't ready, and where whoever
   * answers on the port is not the process `pid` with its data.
   */
  ask(port: number, pid: number, signal: AbortSignal): Promise<string>;
};

const readyMsMax = 60_000;
const askMsMax = 2000;
const stopMsMax = 15_000;
const portAttemptsMax = 5;
/** How long a restart waits for its port, and any start for the remains of the run before. */
const patienceMsMax = 10_000;

class PortTakenError extends Error {}
class NotYetError extends Error {}

class ServerProcess implements LocalServer {
  readonly #plan: ServerPlan;
  readonly #runner: Runner;
  #port = 0;
  #version = '';

  constructor(plan: ServerPlan) {
    this.#plan = plan;
    this.#runner = new Runner(plan.home, plan.name);
  }

  get name() {
    return this.#plan.name;
  }
  get url() {
    return this.#plan.url(this.#port);
  }
  get port() {
    return this.#port;
  }
  get pid() {
    return this.#runner.pid;
  }
  get origin() {
    return `${this.#plan.product} ${this.#version}, from ${this.#plan.source}`;
  }
  get startedMs() {
    return this.#runner.startedMs;
  }

  onDeath(listener: (how: string) => void): void {
    this.#runner.onDeath(listener);
  }

  async startFirst(): Promise<void> {
    const { home, port, name, log } = this.#plan;
    prepareHome(home);
    await endLeftover(home, name, log);
    if (port !== undefined) return this.#startPatiently(port, []);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#startPatiently(await findFreePort(), []);
      } catch (error) {
        if (!(error instanceof PortTakenError) || attempt === portAttemptsMax) throw error;
      }
    }
  }

  /** Starts on `port`, again and again for a while where it failed for a reason that goes away by itself. */
  async #startPatiently(port: number, passing: readonly (typeof PortTakenError)[]): Promise<void> {
    const deadline = performance.now() + patienceMsMax;
    for (;;) {
      try {
        return await this.#startOn(port);
      } catch (error) {
        const passes = [NotYetError, ...passing].some((kind) => error instanceof kind);
        if (!passes || performance.now() > deadline) throw error;
      }
      await delay(100);
    }
  }

  async #startOn(port: number): Promise<void> {
    const { home, name, stopSignal } = this.#plan;
    this.#port = port;
    // Asked beforehand, because a server that can't have its port must not be mistaken for the stranger who answers
    // there.
    if (!(await isPortFree(port)))
      throw new PortTakenError(`${name}: port ${port} of 127.0.0.1 is taken by another process`);
    this.#plan.clear?.();
    try {
      this.#version = await this.#runner.start(
        async () => spawnChild({ ...(await this.#plan.launch(port)), home, name, stopSignal }),
        (child, isAsked) => this.#waitUntilReady(child, isAsked),
      );
    } catch (error) {
      if (!(error instanceof NotReadyError)) throw error;
      if (/address (is )?already in use/i.test(error.tail)) {
        throw new PortTakenError(`${name}: port ${port} of 127.0.0.1 was taken by another process while it started`, {
          cause: error,
        });
      }
      throw this.#plan.notYet?.test(error.tail) ? new NotYetError(error.message, { cause: error }) : error;
    }
  }

  async #waitUntilReady(child: Child, isAsked: () => boolean): Promise<string> {
    const deadline = performance.now() + readyMsMax;
    let ended: string | undefined;
    let refusal = 'nothing answered';
    void child.exited.then((exit) => {
      ended = `it ${exitText(exit)}`;
    });
    while (performance.now() < deadline) {
      if (isAsked() || this.#plan.signal?.aborted) throw new Error('it was told to stop meanwhile');
      if (ended) throw new Error(ended);
      try {
        return await this.#plan.ask(this.#port, child.pid, AbortSignal.timeout(askMsMax));
      } catch (error) {
        refusal = (error as Error).message || String(error);
      }
      await delay(25);
    }
    throw new Error(`after ${readyMsMax / 1000} s it still was not ready (${refusal})`);
  }

  stop(): Promise<void> {
    return this.#runner.stop(this.#plan.stopSignal, stopMsMax);
  }

  async kill(): Promise<void> {
    if (await this.#runner.kill()) this.#plan.clear?.();
  }

  async restart(): Promise<void> {
    await this.stop();
    // Others may hold the port for a moment: what is left of the last run, or a client's probe.
    await this.#startPatiently(this.#port, [PortTakenError]);
  }
}

/** Starts the server of a plan, first ending what an earlier run of this home left of it. */
export const startServer = async (plan: ServerPlan): Promise<LocalServer> => {
  const server = new ServerProcess(plan);
  await server.startFirst();
  return server;
};
