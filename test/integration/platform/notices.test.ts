/** Notices of PostgreSQL as who works is woken by them: on the real server, with its connections cut. */
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { type Listening, listenTo } from '#platform/stores/notices.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { until } from '../../support/pipeline.ts';
import { unique } from '../../support/tenants.ts';

const log = { info: () => {}, warn: () => {}, debug: () => {} } as never;
const channel = `notices_${unique().replace(/[^a-z]/g, '')}`;

let postgres: Postgres;
let listening: Listening;
let notices = 0;

beforeEach(async () => {
  notices = 0;
  const url = inject('serverUrls').postgres;
  postgres = connectPostgres(url, { poolMax: 2, log });
  listening = listenTo(
    url,
    {
      [channel]: () => {
        notices += 1;
      },
    },
    log,
  );
  // The first, as the connection stands.
  await reached(1);
});
afterEach(async () => {
  await listening.stop();
  await postgres.close();
});

const reached = (count: number) =>
  until(
    async () => notices,
    (now) => now >= count,
  );
const notify = (client: Pick<Postgres, 'query'>) => client.query('SELECT pg_notify($1, $2)', [channel, '']);

describe('who listens', () => {
  it('hears of a transaction when it commits, and not of one that is rolled back', async () => {
    await postgres.transaction(async (client) => {
      await notify(client);
      await postgres.query('SELECT 1');
      expect(notices).toBe(1);
    });
    await reached(2);
    await postgres
      .transaction(async (client) => {
        await notify(client);
        throw new Error('no');
      })
      .catch(() => {});
    await notify(postgres);
    await reached(3);
    expect(notices).toBe(3);
  });

  it('is told when its connection stands again, and goes on hearing', async () => {
    const { rows } = await postgres.query<{ pid: number }>(
      'SELECT pg_terminate_backend(pid) AS ended, pid FROM pg_stat_activity WHERE query = $1',
      [`LISTEN ${channel}`],
    );
    expect(rows).toHaveLength(1);
    await reached(2);
    await notify(postgres);
    await reached(3);
  });

  it('is gone after its stop', async () => {
    await listening.stop();
    await until(
      () => postgres.query('SELECT pid FROM pg_stat_activity WHERE query = $1', [`LISTEN ${channel}`]),
      ({ rows }) => rows.length === 0,
    );
  });

  it('is refused a name that would not be one in a statement', () => {
    expect(() => listenTo('postgres://127.0.0.1/none', { 'a; DROP TABLE b': () => {} }, log)).toThrow('is no name');
  });
});
