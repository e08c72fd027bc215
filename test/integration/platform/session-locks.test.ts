/** Locks that last as long as a session: on the real server, with sessions ended from outside. */
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { createSessionLocks, type SessionLocks } from '#platform/stores/session-locks.ts';
import { until } from '../../support/pipeline.ts';
import { unique } from '../../support/tenants.ts';

const log = { info: () => {}, warn: () => {}, debug: () => {} } as never;
let postgres: Postgres;
let one: SessionLocks;
let other: SessionLocks;
let name: string;

beforeEach(() => {
  const url = inject('serverUrls').postgres;
  postgres = connectPostgres(url, { poolMax: 1, log });
  [one, other] = [createSessionLocks(url, log), createSessionLocks(url, log)];
  name = `lock ${unique()}`;
});
afterEach(async () => {
  await Promise.all([one.close(), other.close(), postgres.close()]);
});

/** Who holds the lock, and in which state its session is. */
const holders = async (): Promise<{ pid: number; state: string }[]> =>
  (
    await postgres.query<{ pid: number; state: string }>(
      `SELECT a.pid, a.state FROM pg_locks l JOIN pg_stat_activity a USING (pid), hashtextextended($1, 1) AS key
       WHERE l.locktype = 'advisory' AND l.classid::bigint = (key >> 32) & 4294967295
         AND l.objid::bigint = key & 4294967295`,
      [name],
    )
  ).rows;

/** Work that takes until it is let go. */
const working = () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let signal: AbortSignal | undefined;
  const work = async (lost: AbortSignal) => {
    signal = lost;
    await promise;
    return 'done';
  };
  return { work, end: resolve, lost: () => signal };
};

describe('a lock', () => {
  it('is of one at a time, another name is of another, and no transaction is open meanwhile', async () => {
    const { work, end } = working();
    const first = one.alone(name, work);
    expect(await until(holders, (found) => found.length > 0)).toMatchObject([{ state: 'idle' }]);
    expect(await other.alone(name, async () => 'twice')).toBeUndefined();
    expect(await one.alone(name, async () => 'twice')).toBeUndefined();
    expect(await other.alone(`${name} of another`, async () => 'too')).toBe('too');
    end();
    expect(await first).toBe('done');
    expect(await holders()).toEqual([]);
    expect(await other.alone(name, async () => 'then')).toBe('then');
  });

  it('is free again where the work fails, and the fault is that of the work', async () => {
    const fault = new Error('of the work');
    await expect(one.alone(name, () => Promise.reject(fault))).rejects.toBe(fault);
    expect(await other.alone(name, async () => 'then')).toBe('then');
  });

  it('is lost with its session: the work hears of it, another takes the lock, and the next one has a new session', async () => {
    const { work, end, lost } = working();
    const first = one.alone(name, work);
    const [holder] = await until(holders, (found) => found.length > 0);
    expect(lost()?.aborted).toBe(false);
    await postgres.query('SELECT pg_terminate_backend($1)', [holder?.pid]);
    await until(
      async () => lost()?.aborted,
      (aborted) => aborted === true,
    );
    expect(lost()?.reason).toBeInstanceOf(UnavailableError);
    expect(await other.alone(name, async () => 'then')).toBe('then');
    end();
    expect(await first).toBe('done');
    expect(await one.alone(name, async () => 'again')).toBe('again');
  });

  it('of a server that is away is an unavailable part, and no work is begun', async () => {
    const away = createSessionLocks('postgres://127.0.0.1:1/none', log);
    await expect(away.alone(name, async () => 'begun')).rejects.toBeInstanceOf(UnavailableError);
    await away.close();
  });
});
