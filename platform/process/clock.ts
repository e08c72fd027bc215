/**
 * The clock port: the only place that asks for the time. Everything else takes a `Clock`, so a test can set the hour.
 */
export type Clock = {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly nowMs: () => number;
};

export const systemClock: Clock = { nowMs: () => Date.now() };

/** A monotonic stopwatch in milliseconds, for durations only; it says nothing about the hour. */
export const stopwatch = (): (() => number) => {
  const startedMs = performance.now();
  return () => performance.now() - startedMs;
};

export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });

/** There was no answer in time; it may still come. */
export class LateError extends Error {
  override readonly name = 'LateError';
}

/**
 * What `work` gives, or a `LateError` where it takes longer than `ms`. The work itself goes on, and its failure then
 * concerns nobody.
 */
export const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LateError(`no answer within ${ms} ms`)), ms);
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
