/**
 * The identity check over real stores: rows are stored as the sink stores them, also such as no gateway with a Redis in
 * good order would let pass.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, loginUrl, type Postgres } from '#platform/stores/postgres.ts';
import type { UsageEvent } from '#schemas/usage-event.ts';
import type { CheckPorts } from '../../ingest/identity/check-identity.ts';
import { createInsert } from '../../ingest/sink/usage-store.clickhouse.ts';
import {
  type CheckedStores,
  checkedSequence,
  openChecker,
  type TestChecker,
  type TestCheckerOptions,
} from '../support/checker.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword, until } from '../support/pipeline.ts';
import { exampleEvent, toMessage, toRow } from '../support/usage-rows.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** Noon of a day. */
const receivedAtMs = Math.floor(exampleEvent.receivedAtMs / dayMs) * dayMs + 12 * hourMs;

let clickhouse: ReturnType<typeof connectClickHouse>;
let postgres: Postgres;
let clickhouseUrl: string;
let stores: CheckedStores;
const open: TestChecker[] = [];

beforeAll(async () => {
  const { databaseUrl, clickhouseUrl: url } = await freshStores(inject('serverUrls'));
  clickhouseUrl = url;
  await migrateAll({ databaseUrl, clickhouseUrl, databasePassword });
  clickhouse = connectClickHouse(clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 4 });
  // With the rights that the checker has.
  postgres = connectPostgres(loginUrl(databaseUrl, 'millrace_worker', databasePassword), {
    poolMax: 2,
    log: createLog('test', 'silent', []),
  });
});
afterAll(async () => {
  await Promise.all([clickhouse?.close(), postgres?.close()]);
});

/**
 * Each test has a stream and a tenant of its own; all share the tables, so the check of one passes over the rows of the
 * others.
 */
let tenant: string;
let sequence = 1_000;
let publishedAtMs = 1;
beforeEach(async () => {
  tenant = `org_${randomBytes(8).toString('hex')}`;
  stores = { clickhouseUrl, postgres, streamName: tenant };
  for (const table of ['usage_events', 'usage_keys', 'usage_voids', 'key_filters'])
    await clickhouse.command({ query: `TRUNCATE TABLE ${table}` });
  return async () => {
    await Promise.all(open.splice(0).map((checker) => checker.close()));
  };
});

const checkerOf = (options?: TestCheckerOptions): TestChecker => {
  const checker = openChecker(stores, options);
  open.push(checker);
  return checker;
};

type Sent = Partial<UsageEvent> & { readonly key: string };

/** Stores one message of these events; gives its sequence. */
const store = async (...events: readonly Sent[]): Promise<number> => {
  sequence += 1;
  publishedAtMs += 1;
  const rows = events.map(({ key, ...rest }) =>
    toRow({ ...exampleEvent, tenant, occurredAtMs: receivedAtMs, receivedAtMs, ...rest, idempotencyKey: key }),
  );
  const message = {
    sequence,
    publishedAtMs,
    body: toMessage(rows),
    requestId: undefined,
    traceparent: undefined,
    ack: () => {},
    working: () => {},
  };
  await createInsert(clickhouse)([message]);
  return sequence;
};

type VoidRow = {
  readonly event: string;
  readonly customer: string;
  readonly sequence: number;
  readonly first: number;
  readonly void: number;
  readonly reason: string;
};

const voids = (): Promise<VoidRow[]> =>
  readRows<VoidRow>(clickhouse, {
    query: `SELECT event, customer, toUInt32(row_sequence) AS sequence, toUInt32(first_sequence) AS first,
        toUInt32(void_sequence) AS void, reason
      FROM usage_voids FINAL WHERE tenant = {tenant:String} ORDER BY sequence, first`,
    params: { tenant },
  });

/** Keys that count, each as often as it counts: as every query of usage leaves out what is void. */
const standing = async (): Promise<string[]> => {
  const query = `SELECT idempotency_key AS key FROM (SELECT * FROM usage_events FINAL) WHERE tenant = {tenant:String}
    AND (key_digest, stream_sequence) NOT IN (SELECT row_digest, row_sequence FROM usage_voids
      WHERE tenant = {tenant:String}) ORDER BY key`;
  return (await readRows<{ key: string }>(clickhouse, { query, params: { tenant } })).map(({ key }) => key);
};

describe('a twin that Redis did not know', () => {
  it.each([
    ['with the time of another day', { occurredAtMs: receivedAtMs - 3 * dayMs }, 'twin'],
    ['of another customer', { customer: 'cus_2' }, 'conflict'],
    ['under another name', { event: 'llm.response' }, 'conflict'],
    ['with other properties', { properties: [['cost', '0.2']] as [string, string][] }, 'conflict'],
    ['that says the same at the same time', {}, 'twin'],
    [
      'received on the last day of the window',
      { receivedAtMs: receivedAtMs + 35 * dayMs, occurredAtMs: receivedAtMs + 35 * dayMs },
      'twin',
    ],
  ])('[I7] %s is made void', async (_, change, reason) => {
    const first = await store({ key: 'a' }, { key: 'b' });
    const later = await store({ key: 'c' }, { key: 'a', ...change });
    const checker = checkerOf();
    await checker.checkAll();
    expect(await voids()).toEqual([
      { event: 'llm.request', customer: 'cus_1', ...pick(change), sequence: later, first, void: later, reason },
    ]);
    expect(await standing()).toEqual(['a', 'b', 'c']);
    expect(await checkedSequence(postgres, tenant)).toBe(later);
  });

  const pick = ({ event, customer }: Partial<UsageEvent>) => ({
    ...(event ? { event } : {}),
    ...(customer ? { customer } : {}),
  });

  it('beyond the window is another event', async () => {
    await store({ key: 'a' });
    await store({ key: 'a', receivedAtMs: receivedAtMs + 36 * dayMs, occurredAtMs: receivedAtMs + 36 * dayMs });
    await checkerOf().checkAll();
    expect(await voids()).toEqual([]);
    expect(await standing()).toEqual(['a', 'a']);
  });

  it('of a key whose first event left the window counts as long as another twin is in it', async () => {
    const first = await store({ key: 'a' });
    const second = await store({
      key: 'a',
      receivedAtMs: receivedAtMs + 20 * dayMs,
      occurredAtMs: receivedAtMs + 20 * dayMs,
    });
    const third = await store({
      key: 'a',
      receivedAtMs: receivedAtMs + 40 * dayMs,
      occurredAtMs: receivedAtMs + 40 * dayMs,
    });
    await checkerOf().checkAll();
    expect((await voids()).map((row) => [row.sequence, row.first])).toEqual([
      [second, first],
      [third, second],
    ]);
  });

  it('of a backfill is found however old the first is', async () => {
    const first = await store({ key: 'a' });
    const muchLaterMs = receivedAtMs + 300 * dayMs;
    const later = await store(
      { key: 'a', receivedAtMs: muchLaterMs, occurredAtMs: receivedAtMs - dayMs },
      { key: 'b', receivedAtMs: muchLaterMs },
    );
    await checkerOf().checkAll();
    expect((await voids()).map((row) => [row.sequence, row.first])).toEqual([[later, first]]);
  });

  it('is found among many of one message, and each later one is void, whether merged away or not', async () => {
    await store(...Array.from({ length: 500 }, (_, index) => ({ key: `k${index}` })));
    const second = await store({ key: 'k7' }, { key: 'k8', occurredAtMs: receivedAtMs - dayMs });
    const third = await store({ key: 'k7', occurredAtMs: receivedAtMs - dayMs });
    await clickhouse.command({ query: 'OPTIMIZE TABLE usage_events FINAL' });
    await checkerOf().checkAll();
    expect((await voids()).map((row) => row.sequence)).toEqual([second, second, third]);
    expect(await standing()).toHaveLength(500);
  });

  it('of another organization is none', async () => {
    await store({ key: 'a' });
    await store({ key: 'a', tenant: `${tenant}x` });
    await checkerOf().checkAll();
    expect(await voids()).toEqual([]);
  });

  it('is told from a replay: the same message again is no twin', async () => {
    const message = { key: 'a' };
    await store(message);
    sequence -= 1;
    await clickhouse.command({ query: 'SYSTEM STOP MERGES usage_keys' });
    await clickhouse.command({
      query: 'INSERT INTO usage_keys SELECT * FROM usage_keys SETTINGS insert_deduplicate = 0',
    });
    const checker = checkerOf();
    await checker.checkAll();
    await clickhouse.command({ query: 'SYSTEM START MERGES usage_keys' });
    expect(await voids()).toEqual([]);
    sequence += 1;
  });
});

/** All keys look the same to table and filters. */
const colliding = (ports: CheckPorts): CheckPorts => ({
  ...ports,
  keys: {
    ...ports.keys,
    read: async (...range) => {
      const { rows, upTo } = await ports.keys.read(...range);
      return { rows: { ...rows, low: () => 1, high: () => 2 }, upTo };
    },
  },
});

describe('what is known in memory', () => {
  it('[I2] never makes an event void by itself: keys whose hashes are all the same are told apart by the store', async () => {
    await store(...Array.from({ length: 300 }, (_, index) => ({ key: `k${index}` })));
    const later = await store({ key: 'k5', occurredAtMs: receivedAtMs - dayMs }, { key: 'new' });
    const checker = checkerOf({ wrap: colliding });
    await checker.checkAll();
    expect((await voids()).map((row) => row.sequence)).toEqual([later]);
    expect(checker.found.map(({ suspects }) => suspects)).toEqual([301]);
  });

  it('survives a restart: closed generations are read, and the open one is made again', async () => {
    const first = await store({ key: 'closed' }, { key: 'also closed' });
    await checkerOf({ limits: { generationKeysMax: 2 } }).checkAll();
    const second = await store({ key: 'open' });
    await checkerOf().checkAll();
    const third = await store(...['closed', 'open', 'new'].map((key) => ({ key, occurredAtMs: receivedAtMs - dayMs })));
    const restarted = checkerOf();
    await restarted.checkAll();
    expect(restarted.known.holdings()).toMatchObject({ generations: 1, closedKeys: 2, openKeys: 3 });
    expect((await voids()).map((row) => [row.sequence, row.first])).toEqual([
      [third, first],
      [third, second],
    ]);
    // `new` was ruled out in memory.
    expect(restarted.found.map(({ suspects }) => suspects)).toEqual([2]);
  });

  it('[I2] is merged as it ages: the same is known, also by whoever starts anew', async () => {
    const limits = { generationKeysMax: 1, mergedMin: 2 };
    const checker = checkerOf({ limits });
    for (const key of ['a', 'b', 'c', 'd']) {
      await store({ key });
      await checker.checkAll();
    }
    await until(
      async () => {
        await checker.checkAll();
        return checker.known.holdings();
      },
      ({ generations }) => generations === 1,
    );
    const stored = await readRows<{ generations: string }>(clickhouse, {
      query: 'SELECT toString(uniqExact(from_sequence, to_sequence)) AS generations FROM key_filters',
      params: {},
    });
    expect(stored).toEqual([{ generations: '7' }]);
    const later = await store(...['a', 'c', 'new'].map((key) => ({ key, customer: 'cus_2' })));
    const restarted = checkerOf({ limits: { generationKeysMax: 10 } });
    await restarted.checkAll();
    expect(restarted.known.holdings()).toMatchObject({ generations: 1, closedKeys: 4, openKeys: 3 });
    expect((await voids()).map((row) => row.sequence)).toEqual([later, later]);
    expect(restarted.found.map(({ suspects }) => suspects)).toEqual([2]);
  });

  it('is made again from the store where a stored generation is incomplete', async () => {
    await store({ key: 'a' });
    await checkerOf({ limits: { generationKeysMax: 1 } }).checkAll();
    await clickhouse.command({
      query: 'ALTER TABLE key_filters UPDATE segments = 2 WHERE 1 SETTINGS mutations_sync = 1',
    });
    const later = await store({ key: 'a', customer: 'cus_2' });
    const restarted = checkerOf();
    await restarted.checkAll();
    expect(restarted.known.holdings()).toMatchObject({ generations: 0, openKeys: 1 });
    expect((await voids()).map((row) => row.sequence)).toEqual([later]);
  });

  it('cuts what it reads where a batch is full, and loses nothing at the cut', async () => {
    for (let message = 0; message < 6; message += 1)
      await store(...['a', 'b', 'c'].map((key) => ({ key: `${key}${message % 2}` })));
    const checker = checkerOf({ limits: { rowsMax: 4 } });
    await checker.checkAll();
    expect(checker.found.map(({ events }) => events)).toEqual([6, 6, 6]);
    expect(await voids()).toHaveLength(12);
    expect(await standing()).toHaveLength(6);
  });

  it('checks a range once more where the stream gave its sequences twice and nobody saw it', async () => {
    await store({ key: 'a' });
    const lost = sequence + 1;
    await store({ key: 'lost' });
    const checker = checkerOf({ limits: { generationKeysMax: 3 } });
    await checker.checkAll();
    sequence = lost - 1;
    await store({ key: 'a', customer: 'cus_2' }, { key: 'late' });
    await store({ key: 'next' });
    await checker.checkAll();
    expect((await voids()).map((row) => row.sequence)).toEqual([lost]);
  });
});

describe('faults', () => {
  it('two checkers at once write the same rows, and the checked sequence only rises', async () => {
    for (let message = 0; message < 20; message += 1)
      await store({ key: `k${message % 7}`, occurredAtMs: receivedAtMs - (message % 3) * dayMs });
    const both = [
      checkerOf({ limits: { rowsMax: 3, generationKeysMax: 2 } }),
      checkerOf({ limits: { rowsMax: 2, generationKeysMax: 3 } }),
    ];
    await Promise.all(both.map((checker) => checker.checkAll()));
    expect(await voids()).toHaveLength(13);
    expect(await standing()).toHaveLength(7);
    expect(await checkedSequence(postgres, tenant)).toBe(sequence);
    // What both have stored of generations is a chain.
    const later = await store({ key: 'k3', customer: 'cus_2' }, { key: 'new' });
    const restarted = checkerOf();
    await restarted.checkAll();
    expect((await voids()).at(-1)?.sequence).toBe(later);
    expect(restarted.found.map(({ suspects }) => suspects)).toEqual([1]);
  });

  const steps = ['read', 'daysOf', 'voidTwins', 'advance', 'list', 'save', 'facts'] as const;
  const cases = steps.flatMap((step) =>
    (['before', 'after'] as const).flatMap((moment) => [false, true].map((dies) => ({ step, moment, dies }))),
  );

  it.each(cases)(
    '[I2] $moment "$step": whether the checker dies ($dies) or asks again, the result is the same',
    async ({ step, moment, dies }) => {
      const first = await store({ key: 'a' }, { key: 'b' });
      const later = await store({ key: 'a', customer: 'cus_2' });
      let broken = 2;
      // A close that failed is tried again after a minute.
      let minutes = 0;
      const faulty =
        <A extends unknown[], R>(name: string, call: (...words: A) => Promise<R>) =>
        async (...words: A): Promise<R> => {
          const isBroken = name === step && broken > 0;
          if (isBroken) broken -= 1;
          if (isBroken && moment === 'before') throw new Error('away');
          const answer = await call(...words);
          if (isBroken) throw new Error('away');
          return answer;
        };
      const start = () =>
        checkerOf({
          limits: { generationKeysMax: 1 },
          wrap: (ports) => ({
            ...ports,
            clock: { nowMs: () => systemClock.nowMs() + minutes * 60_000 },
            checked: { ...ports.checked, advance: faulty('advance', ports.checked.advance) },
            keys: {
              ...ports.keys,
              read: faulty('read', ports.keys.read),
              daysOf: faulty('daysOf', ports.keys.daysOf),
              voidTwins: faulty('voidTwins', ports.keys.voidTwins),
              facts: faulty('facts', ports.keys.facts),
            },
            filters: {
              ...ports.filters,
              list: faulty('list', ports.filters.list),
              save: faulty('save', ports.filters.save),
            },
          }),
        });
      let checker = start();
      for (let lives = 0; lives < 4; lives += 1) {
        await checker.checkAll().catch((error: Error) => expect(error.message).toBe('away'));
        minutes += 1;
        if (dies) checker = start();
      }
      await checker.checkAll();
      expect(broken).toBeLessThan(2);
      expect((await voids()).map((row) => [row.sequence, row.first])).toEqual([[later, first]]);
      expect(await standing()).toEqual(['a', 'b']);
      expect(await checkedSequence(postgres, tenant)).toBe(later);
      expect(checker.known.holdings()).toMatchObject({ generations: 1, closedKeys: 2, openKeys: 0 });
    },
  );

  it('says how long what is not checked has waited, from its receipt where that was read', async () => {
    const first = await store({ key: 'a' });
    const second = await store({ key: 'b', receivedAtMs: receivedAtMs + 1_000 });
    let [nowMs, stored] = [receivedAtMs + 5_000, first];
    const checker = checkerOf({
      wrap: (ports) => ({
        ...ports,
        clock: { nowMs: () => nowMs },
        readStored: async () => ({ last: second, stored }),
      }),
    });
    await checker.checkAll();
    expect(checker.waitingMs()).toBe(5_000);
    nowMs += 7_000;
    await checker.checkAll();
    expect(checker.waitingMs()).toBe(12_000);
    stored = second;
    await checker.checkAll();
    expect(checker.waitingMs()).toBe(0);
  });

  it('a checker that comes late reads nothing that was checked, and says nothing that another one has said', async () => {
    await store({ key: 'a' });
    await checkerOf().checkAll();
    const late = checkerOf();
    await late.checkAll();
    expect(late.found).toEqual([]);
    expect(late.standing()).toEqual({ last: sequence, covered: sequence });
  });
});
