/** A bounded pool of rating workers. Node runs the worker's TypeScript as it is. */
import { Piscina } from 'piscina';
import type { MeasuredShard } from '../price/rating-task.ts';
import type { RatedShard } from './rated-rows.ts';

export type RatingPoolBounds = {
  readonly workersMax: number;
  /** Shards that may wait while all workers are busy. */
  readonly queueMax: number;
  /** How long `close` waits for shards that are under way. */
  readonly closeTimeoutMs?: number;
};

export type RatingPool = {
  /**
   * Rejects with `RatingPoolFull` when workers and queue are taken, and with the worker's error when rating meets a
   * bug.
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
 * For what a worker makes and forgets within a shard. Left alone V8 takes four times as much for each worker, and
 * rates no faster.
 */
const youngMegabytesMax = 12;

export const createRatingPool = ({ workersMax, queueMax, closeTimeoutMs = 30_000 }: RatingPoolBounds): RatingPool => {
  const shardsMax = workersMax + queueMax;
  const piscina = new Piscina({
    filename: new URL('./rate.worker.ts', import.meta.url).href,
    minThreads: workersMax,
    maxThreads: workersMax,
    // While threads start, Piscina counts the shards meant for them as queued; the bound that callers see is
    // `shardsMax` below.
    maxQueue: shardsMax,
    closeTimeout: closeTimeoutMs,
    // Rating reads no environment, so the secrets in it stay in the main thread.
    env: {},
    resourceLimits: { maxYoungGenerationSizeMb: youngMegabytesMax },
  });
  let shards = 0;
  const bounded = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (shards >= shardsMax) throw new RatingPoolFull(shardsMax);
    shards += 1;
    try {
      return await work();
    } finally {
      shards -= 1;
    }
  };
  return {
    rate: (shard) => bounded(() => piscina.run(shard)),
    run: (entry, task) => bounded(() => piscina.run(task, { filename: entry.href })),
    load: () => ({ working: shards - piscina.queueSize, queued: piscina.queueSize, utilization: piscina.utilization }),
    close: () => piscina.close(),
  };
};
