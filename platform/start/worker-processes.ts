/**
 * One process as several that share its port: the first one starts the others, starts again what dies, and ends all of
 * them in good order. Workers drain by themselves when it is gone (`runProcess`).
 *
 * Every worker listens itself (SO_REUSEPORT), and the kernel spreads connections by a hash of their addresses: of 12,
 * 48 and 300 that stay open, 3 workers had 2/4/6, 14/16/18 and 86/98/116. Rejected: node:cluster's own hand-out in
 * turn, 4/4/4, 16/16/16 and 100/100/100. It loses what it hands to a worker that is killed at that moment: the
 * connection stays open and is never answered (in 25 kills 1 of 6 clients, and all 6 where each request opens a
 * connection; here none). Rejected: one socket that all accept from, where who is awake takes more: 1/2/9, 1/23/24,
 * 10/138/152.
 */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { FailureError } from '#schemas/failures.ts';
import { sleep, stopwatch, within } from '../process/clock.ts';
import type { Log } from '../process/log.ts';
import type { Metrics, Readings } from '../process/metrics.ts';
import { type Running, runProcess } from './lifecycle.ts';
import { backoff, nextPause } from './restart-pause.ts';
import { lastingOf, sumOf, textOfSum } from './worker-metrics.ts';

export type WorkersOptions = {
  readonly log: Log;
  readonly workers: number;
  /**
   * Of each worker. The first process waits half a second more, so that a worker can say itself that its drain took too
   * long.
   */
  readonly shutdownMsMax: number;
  readonly host: string;
  readonly port: number;
  /** The variable of the port: where any may be taken, the other workers are told the one that the first found. */
  readonly portVariable: string;
};

/** What the processes tell each other. */
type ToWorker = { readonly type: 'read' } | { readonly type: 'sum'; readonly text: string };
type FromWorker =
  | { readonly type: 'ready'; readonly url: string }
  | { readonly type: 'readings'; readonly readings: Readings }
  | { readonly type: 'scrape' };

/** A gauge may take 3 s to be read, and Prometheus waits 10 s for a scrape. */
const readMsMax = 4_000;
const scrapeMsMax = 6_000;
const lastWordMs = 250;

/** Runs `start` as `runProcess` does, in so many processes. */
export const runWorkers = async (options: WorkersOptions, start: () => Promise<Running>): Promise<void> => {
  const { log, workers, shutdownMsMax } = options;
  if (workers === 1) return runProcess(log, shutdownMsMax, start);
  if (cluster.isPrimary) return runProcess(log, shutdownMsMax + 2 * lastWordMs, () => startCrew(options));
  // Else Node ends a worker on the spot, with what it is working on, once the first process is gone.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
  return runProcess(log, shutdownMsMax, start);
};

const tell = (worker: Worker, message: ToWorker): void => {
  // A worker that ends meanwhile hears nothing, which its exit says anyway.
  if (worker.isConnected()) worker.send(message, () => {});
};

/** The sum over all workers. Of one that does not answer, or died, what it said last. */
const createSums = () => {
  const last = new Map<number, Readings>();
  const waiting = new Map<number, () => void>();
  let ofTheDead: Promise<Readings> = Promise.resolve([]);
  let running: Promise<string> | undefined;
  const ask = async (worker: Worker): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.set(worker.id, resolve);
    tell(worker, { type: 'read' });
    await within(readMsMax, promise).catch(() => {});
  };
  const addUp = async (workers: readonly Worker[]): Promise<string> => {
    await Promise.all(workers.map(ask));
    return textOfSum([await ofTheDead, ...last.values()]);
  };
  return {
    take: (worker: Worker, readings: Readings) => {
      last.set(worker.id, readings);
      waiting.get(worker.id)?.();
    },
    bury: ({ id }: Worker) => {
      const readings = lastingOf(last.get(id) ?? []);
      last.delete(id);
      waiting.get(id)?.();
      waiting.delete(id);
      ofTheDead = ofTheDead.then((sum) => sumOf([sum, readings]));
    },
    /** However many ask, the workers are asked once at a time. */
    scrape: (workers: readonly Worker[]): Promise<string> => {
      running ??= addUp(workers).finally(() => {
        running = undefined;
      });
      return running;
    },
  };
};

const exitText = ({ process: { exitCode, signalCode } }: Worker): string =>
  signalCode ? `was ended by ${signalCode}` : `exited with code ${exitCode}`;

/** Throws where another process listens there. Workers would share its port without a word if it allows that, too. */
const expectFree = async (host: string, port: number): Promise<void> => {
  if (port === 0) return;
  const probe = createServer().listen({ host, port });
  await once(probe, 'listening');
  await new Promise((resolve) => probe.close(resolve));
};

const startCrew = async ({
  log,
  workers,
  shutdownMsMax,
  host,
  port,
  portVariable,
}: WorkersOptions): Promise<Running> => {
  await expectFree(host, port);
  const sums = createSums();
  const stopping = new AbortController();
  const serving = new Set<Worker>();
  const alive = new Map<Worker, Promise<unknown>>();
  let environment: NodeJS.ProcessEnv = {};
  cluster.setupPrimary({ args: process.argv.slice(2) });

  const hear = (worker: Worker, message: FromWorker, onReady: (url: string) => void): void => {
    if (message.type === 'ready') {
      serving.add(worker);
      onReady(message.url);
    } else if (message.type === 'readings') sums.take(worker, message.readings);
    else if (message.type === 'scrape') {
      const answer = (text: string) => tell(worker, { type: 'sum', text });
      sums
        .scrape([...serving])
        .then(answer, (error) => log.warn({ err: error }, 'the metrics of the workers could not be added up'));
    }
  };

  /** One life of a worker, to its end. */
  const live = async (onReady: (url: string) => void): Promise<void> => {
    const worker = cluster.fork(environment);
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    alive.set(worker, ended);
    worker.on('message', (message: FromWorker) => hear(worker, message, onReady));
    worker.on('error', (error) =>
      log.warn({ err: error, worker: worker.process.pid }, 'a worker can not be told something'),
    );
    await ended;
    alive.delete(worker);
    serving.delete(worker);
    sums.bury(worker);
    if (!stopping.signal.aborted) log.warn({ worker: worker.process.pid, how: exitText(worker) }, 'a worker died');
  };

  /**
   * One worker after the other in one place, for as long as this process runs. Rejects where the first one ends before
   * it serves.
   */
  const keep = async (): Promise<string> => {
    const first = Promise.withResolvers<string>();
    void (async () => {
      for (let pauseMs = 0; !stopping.signal.aborted; ) {
        const livedMs = stopwatch();
        await live(first.resolve);
        first.reject(new Error('a worker ended before it served'));
        pauseMs = nextPause(pauseMs, livedMs(), backoff);
        await sleep(pauseMs, stopping.signal);
      }
    })();
    return first.promise;
  };

  const url = await keep();
  environment = { [portVariable]: new URL(url).port };
  await Promise.all(Array.from({ length: workers - 1 }, keep));
  return {
    url,
    close: async () => {
      stopping.abort();
      for (const worker of alive.keys()) worker.process.kill('SIGTERM');
      const ends = Promise.all(
        [...alive].map(async ([worker, ended]) => ended.then(() => worker.process.exitCode === 0)),
      );
      const inOrder = await within(shutdownMsMax + lastWordMs, ends).catch(() => [false]);
      for (const worker of alive.keys()) worker.process.kill('SIGKILL');
      if (inOrder.includes(false)) throw new Error('a worker did not drain');
    },
  };
};

/**
 * In a worker, metrics whose text is the sum over all workers, whichever of them is asked; elsewhere the same metrics.
 */
export const shareMetrics = (metrics: Metrics): Metrics => {
  if (!cluster.isWorker) return metrics;
  let scraping: PromiseWithResolvers<string> | undefined;
  const tellFirst = (message: FromWorker): void => void process.send?.(message, undefined, undefined, () => {});
  process.on('message', (message: ToWorker) => {
    if (message.type === 'sum') {
      scraping?.resolve(message.text);
      scraping = undefined;
    } else if (message.type === 'read')
      void metrics.readings().then((readings) => tellFirst({ type: 'readings', readings }));
  });
  return {
    ...metrics,
    text: async () => {
      scraping ??= Promise.withResolvers<string>();
      tellFirst({ type: 'scrape' });
      return within(scrapeMsMax, scraping.promise).catch((error) => {
        // The numbers of this worker alone would be taken for the sum.
        throw new FailureError('OVERLOADED', `The workers could not be asked: ${error.message}`);
      });
    },
  };
};
