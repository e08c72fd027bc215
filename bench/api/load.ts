/**
 * A load of GETs at a fixed rate: little work of its own, so that on a small machine it is the server that is measured.
 * The rate does not wait for answers, and a latency counts from when its request was due: a server that stalls shows
 * all of its stall. Rejected: plain
 * sockets; 0.08 ms of CPU a request in the place of 0.12, and an own reader of HTTP. Rejected: autocannon, whose rate
 * waits for answers, and which then guesses what it did not ask.
 */
import { Pool } from 'undici';

export type Load = {
  readonly url: string;
  /** Asked for by turns. */
  readonly paths: readonly string[];
  readonly key: string;
  readonly perSecond: number;
  readonly seconds: number;
};

export type LoadResult = {
  readonly answered: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds, sorted. */
  readonly latenciesMs: readonly number[];
};

const connections = 64;

export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.ceil(sorted.length * share) - 1] ?? 0;

export const runLoad = async ({ url, paths, key, perSecond, seconds }: Load): Promise<LoadResult> => {
  const { origin } = new URL(url);
  // What is due while all connections are busy waits in the pool.
  const pool = new Pool(origin, { connections, pipelining: 1 });
  const headers = { authorization: `Bearer ${key}` };
  const latenciesMs: number[] = [];
  const statuses: Record<string, number> = {};
  const total = perSecond * seconds;
  const done = Promise.withResolvers<void>();
  const give = (path: string, dueMs: number) =>
    pool.dispatch(
      { method: 'GET', path, headers },
      {
        onRequestStart: () => {},
        onResponseStart: (_, status) => {
          statuses[status] = (statuses[status] ?? 0) + 1;
        },
        onResponseData: () => {},
        onResponseEnd: () => {
          latenciesMs.push(performance.now() - dueMs);
          if (latenciesMs.length === total) done.resolve();
        },
        onResponseError: (_, error) => done.reject(error),
      },
    );
  let sent = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const owed = Math.min(total, Math.floor(((performance.now() - started) * perSecond) / 1000));
    for (; sent < owed; sent += 1)
      give(paths[sent % paths.length] as string, started + ((sent + 1) * 1000) / perSecond);
    if (sent === total) clearInterval(timer);
  }, 1);
  const late = setTimeout(
    () => done.reject(new Error(`${latenciesMs.length} of ${total} answered`)),
    (seconds + 30) * 1000,
  );
  await done.promise.finally(async () => {
    clearInterval(timer);
    clearTimeout(late);
    await pool.destroy();
  });
  return { answered: latenciesMs.length, statuses, latenciesMs: latenciesMs.toSorted((a, b) => a - b) };
};
