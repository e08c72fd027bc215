/**
 * What servers and services have in common: one child at a time, waited for until it is ready, ended when asked, and
 * told of when it dies unasked.
 */
import { logTail } from './home.ts';
import { type Child, endChild, exitText, killChild } from './processes.ts';

type Run = { readonly child: Child; asked: boolean };

/** The child ended or was given up before it was ready. */
export class NotReadyError extends Error {
  /** The end of what it logged in this run. */
  readonly tail: string;
  constructor(name: string, tail: string, cause: Error) {
    super(`${name} did not start: ${cause.message}\n${tail}`, { cause });
    this.tail = tail;
  }
}

export class Runner {
  readonly #home: string;
  readonly #name: string;
  readonly #listeners: ((how: string) => void)[] = [];
  #run: Run | undefined;
  #startedMs = 0;

  constructor(home: string, name: string) {
    this.#home = home;
    this.#name = name;
  }

  /** Of the present run; 0 where there is none. */
  get pid(): number {
    return this.#run?.child.pid ?? 0;
  }
  /** How long the last start took until the child was ready. */
  get startedMs(): number {
    return this.#startedMs;
  }

  /** Tells `listener` of each end that `stop` and `kill` were not asked for. */
  onDeath(listener: (how: string) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Resolves with what `ready` tells of the child. Where it throws, the child is killed first, and `NotReadyError`
   * holds the end of its log.
   */
  async start<T>(spawn: () => Promise<Child>, ready: (child: Child, isAsked: () => boolean) => Promise<T>): Promise<T> {
    const begin = performance.now();
    const child = await spawn();
    const run: Run = { child, asked: false };
    this.#run = run;
    let told: T;
    try {
      told = await ready(child, () => run.asked);
    } catch (error) {
      run.asked = true;
      this.#run = undefined;
      await killChild(child);
      throw new NotReadyError(this.#name, logTail(this.#home, this.#name, child.logOffset), error as Error);
    }
    this.#startedMs = Math.round(performance.now() - begin);
    void child.exited.then((exit) => {
      if (run.asked) return;
      this.#run = undefined;
      const how = `${exitText(exit)}\n${logTail(this.#home, this.#name, child.logOffset, 5)}`;
      for (const listener of this.#listeners) listener(how);
    });
    return told;
  }

  /** Ends the child in good order; kills it where that takes longer than `msMax`. Does nothing where none runs. */
  async stop(signal: NodeJS.Signals, msMax: number): Promise<void> {
    await this.#end((child) => endChild(child, signal, msMax));
  }

  /** SIGKILL, as a crash would be. Resolves with whether there was a child. */
  kill(): Promise<boolean> {
    return this.#end(killChild);
  }

  async #end(how: (child: Child) => Promise<unknown>): Promise<boolean> {
    const run = this.#run;
    if (!run) return false;
    run.asked = true;
    await how(run.child);
    this.#run = undefined;
    return true;
  }
}
