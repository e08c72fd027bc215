/** A bounded pool of rating workers. Node runs the worker's TypeScript as it is. */
import { Piscina } from 'piscina';
import type { MeasuredShard } from '../price/rating-task.ts';
import { WorkerEndedError } from './rate-period.ts';
import type { RatedShard } from './rated-rows.ts';

export type RatingPoolBounds = {
  readonly workersMax: number;
  /** Shards that may wait while all workers are busy. */
  readonly queueMax: number;
  /** How long a worker may take for a shard, with its wait for a worker; then it is ended, and there is another. */
  readonly timeoutMs: number;
  /** Objects of a worker; one that needs more ends, and there is another. */
  readonly memoryMbMax: number;
  readonly onFault: (error: Error) => void;
  /** The entry of a worker, where it is another than that of rating. */
  readonly entry?: URL;
  /** How long `close` waits for shards that are under way. */
  readonly closeTimeoutMs?: number;
  /** The folder of `NODE_COMPILE_CACHE`, where there is one. */
  readonly compileCache?: string | undefined;
};

export type RatingPool = {
  /**
   * Rejects with `RatingPoolFull` when workers and queue are taken, with `WorkerEndedError` when the worker died or was
   * ended, and with the worker's error when rating meets a bug.
   */
  rate(shard: MeasuredShard): Promise<RatedShard>;
  /** The same with the worker's entry of that file, whose task and result the caller knows. */
  run<Task, Result>(entry: URL, task: Task): Promise<Result>;
  /**
   * Shards that a worker is rating and that wait for one, and the share of the workers' time that was used since the
   * start.
   */
  load(): { readonly working: number; readonly queued: number; readonly utilization: number };
  /** Finishes the shards that were taken on, then ends the workers. */
  close(): Promise<void>;
};

/** Unavailable, not wrong: the same shard can be handed in again. */
export class RatingPoolFull extends Error {
  readonly code = 'rating_pool_full';
  constructor(shardsMax: number) {
    super(`the rating pool is working on ${shardsMax} shards, which is all it takes`);
    this.name = 'RatingPoolFull';
  }
}

/**
 * For what a worker makes and forgets within a shard. Left alone V8 takes several times as much for each worker; with
 * 16 it collects so often that two workers rate 104,800 lines a second instead of 108,100 (64: 115,500).
 */
const youngMegabytesMax = 32;

/** What a worker that is gone leaves behind: its exit code, or that its memory was full. */
const isOfEnd = (error: unknown): error is Error =>
  error instanceof Error &&
  ((error as { code?: string }).code === 'ERR_WORKER_OUT_OF_MEMORY' || /^worker exited with code/.test(error.message));

/**
 * A worker that ends before it is ready keeps Piscina from making another one at once; the next shard makes it.
 */
export const createRatingPool = ({
  workersMax,
  queueMax,
  timeoutMs,
  memoryMbMax,
  onFault,
  entry = new URL('./rate.worker.ts', import.meta.url),
  closeTimeoutMs = 30_000,
  compileCache,
}: RatingPoolBounds): RatingPool => {
  const shardsMax = workersMax + queueMax;
  const piscina = new Piscina({
    filename: entry.href,
    minThreads: workersMax,
    maxThreads: workersMax,
    // While threads start, Piscina counts the shards meant for them as queued; the bound that callers see is
    // `shardsMax` below.
    maxQueue: shardsMax,
    closeTimeout: closeTimeoutMs,
    // Rating reads no environment, so the secrets in it stay in the main thread. Node reads one variable for each
    // thread: with what was compiled before, a worker takes 0.15 s of CPU to start instead of 0.24 s.
    env: compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache },
    resourceLimits: { maxOldGenerationSizeMb: memoryMbMax, maxYoungGenerationSizeMb: youngMegabytesMax },
  });
  // Of a worker that had no shard: nobody else hears of it.
  piscina.on('error', onFault);
  let shards = 0;
  const bounded = async <Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
    if (shards >= shardsMax) throw new RatingPoolFull(shardsMax);
    shards += 1;
    // The abort ends the thread, whatever it is doing.
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await work(signal);
    } catch (error) {
      if (signal.aborted) throw new WorkerEndedError(`was ended, as it took more than ${timeoutMs / 1000} s`);
      if (isOfEnd(error)) throw new WorkerEndedError(`died: ${error.message}`);
      throw error;
    } finally {
      shards -= 1;
    }
  };
  return {
    rate: (shard) => bounded((signal) => piscina.run(shard, { signal })),
    run: (other, task) => bounded((signal) => piscina.run(task, { signal, filename: other.href })),
    load: () => ({ working: shards - piscina.queueSize, queued: piscina.queueSize, utilization: piscina.utilization }),
    close: () => piscina.close(),
  };
};
