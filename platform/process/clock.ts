/**
 * The clock port: the only place that asks for the time. Everything else takes a `Clock`, so a test can set the hour.
 */
export type Clock = {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly nowMs: () => number;
};

export const systemClock: Clock = { nowMs: () => Date.now() };

/**
 * The hour by which an organization does business: what its objects are dated by, which period has ended, what is due.
 * It may differ from one organization to another, as a test of a year's billing wants. Deadlines of this program, such
 * as those of leases, signatures and kept answers, go by `Clock`.
 */
export type OrganizationClock = { readonly nowMs: (organizationId: string) => number };

/** All organizations live in the time of this machine. */
export const sameForAll = (clock: Clock): OrganizationClock => ({ nowMs: () => clock.nowMs() });

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
