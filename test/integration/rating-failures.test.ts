/** Billing periods that can't be rated, down to those that kill their workers: with real rows, in real threads. */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { stopwatch } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, loginUrl, type Postgres } from '#platform/stores/postgres.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { createBillingRuns } from '../../rater/run/billing-runs.postgres.ts';
import { createCatalog } from '../../rater/run/catalog.postgres.ts';
import { createRatingPool, type RatingPool } from '../../rater/run/pool.piscina.ts';
import { prepareRun, type RatePorts } from '../../rater/run/rate-period.ts';
import { rateOneShard } from '../../rater/run/rate-shard.ts';
import { rateShard } from '../../rater/run/rated-rows.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

let owner: Postgres;
let worker: Postgres;
let pool: RatingPool;
let month = 0;

const subscriptions = ['a', 'b', 'c', 'exit', 'd', 'e', 'f', 'g'];

beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  const log = createLog('test', 'silent', []);
  owner = connectPostgres(stores.databaseUrl, { poolMax: 4, log });
  worker = connectPostgres(loginUrl(stores.databaseUrl, 'millrace_worker', databasePassword), { poolMax: 4, log });
  const entry = new URL('../support/deadly-rating.worker.ts', import.meta.url);
  pool = createRatingPool({
    workersMax: 1,
    queueMax: 1,
    timeoutMs: 60_000,
    memoryMbMax: 512,
    onFault: () => {},
    entry,
  });
  const now = 'now(), now()';
  await owner.query("INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale')");
  await owner.query(`INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
    VALUES ('pln', 'org', 'p', 'P', '{}', 1, ${now})`);
  await owner.query(`INSERT INTO meters (id, organization_id, code, name, metadata, version, created_at, updated_at)
    VALUES ('mtr', 'org', 'm', 'M', '{}', 1, ${now})`);
  await owner.query(`INSERT INTO meter_versions (id, organization_id, meter_id, version_number, event, aggregation,
      definition, created_at)
    VALUES ('mtv', 'org', 'mtr', 1, 'e', 'count', '{"event": "e", "aggregation": "count"}', now())`);
  const charges = [{ code: 'used', name: 'Used', meter: 'm', price: { model: 'per_unit', unit_amount: '1' } }];
  await owner.query(
    `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval,
       charges, version, created_at, updated_at, activated_at)
     VALUES ('plv', 'org', 'pln', 1, 'active', 'USD', 'month', $1, 1, ${now}, now())`,
    [JSON.stringify(charges)],
  );
  await owner.transaction(async ({ query }) => {
    // Past the rule that what an active version is bound to stays.
    await query("SET LOCAL session_replication_role = 'replica'");
    await query(`INSERT INTO plan_version_meters (organization_id, plan_version_id, meter_code, meter_version_id)
      VALUES ('org', 'plv', 'm', 'mtv')`);
  });
  for (const id of subscriptions) {
    await owner.query(
      `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
       VALUES ('cus_' || $1, 'org', $1, 'x', '{}', 1, ${now})`,
      [id],
    );
    await owner.query(
      `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
         metadata, version, created_at, updated_at)
       VALUES ($1, 'org', 'cus_' || $1, 'plv', 'USD', 'active', '2020-01-01', '{}', 1, ${now})`,
      [id],
    );
  }
});
afterAll(async () => {
  await pool?.close();
  await worker?.close();
  await owner?.close();
});

let runId = '';
beforeEach(async () => {
  // A month of its own for each test, so that none meets what another one left open.
  month += 1;
  runId = `run_${month}`;
});

const askFor = async (kind: 'billing' | 'rating' | 'dry_rating') => {
  const start = new Date(Date.UTC(2021, month));
  await owner.query(
    `INSERT INTO billing_runs (id, organization_id, kind, period_start, period_end, state, watermark, created_at,
       updated_at) VALUES ($1, 'org', $2, $3, $4, 'queued', 9, now(), now())`,
    [runId, kind, start, new Date(Date.UTC(2021, month + 1))],
  );
};

const portsWith = (more: Partial<RatePorts> = {}): RatePorts => ({
  runs: createBillingRuns(worker, 60),
  catalog: createCatalog(worker),
  late: { nextLook: async () => undefined, arrivals: async () => [] },
  lastSequence: async () => 9n,
  isChecked: async () => true,
  highestStored: async () => 9n,
  readQuantities: async () => new Map(),
  rate: pool.rate,
  stopwatch,
  ...more,
});

/** No worker dies here. */
const harmless: RatePorts['rate'] = async (shard) => rateShard(shard);

/** Whatever rests after a fault is tried again at once. */
const rateAll = async (ports: RatePorts): Promise<Error[]> => {
  const faults: Error[] = [];
  for (;;) {
    await owner.query("UPDATE billing_run_shards SET leased_until = now() WHERE state = 'queued'");
    try {
      if (!(await rateOneShard(ports))) return faults;
    } catch (error) {
      assert(error instanceof Error);
      faults.push(error);
      assert(faults.length < 100, 'it goes on for ever');
    }
  }
};

/** Attempts that the shards have behind them. */
const failedBefore = (attempts: number) =>
  owner.query('UPDATE billing_run_shards SET attempts = $2 WHERE run_id = $1', [runId, attempts]);

const failures = async () =>
  (
    await owner.query<{ subscription_id: string; code: string; message: string }>(
      'SELECT subscription_id, code, message FROM rating_failures WHERE run_id = $1 ORDER BY subscription_id',
      [runId],
    )
  ).rows;
const shards = async () =>
  (
    await owner.query<{ state: string; periods: number }>(
      `SELECT state, cardinality(billing_period_ids)::integer AS periods FROM billing_run_shards WHERE run_id = $1
       ORDER BY shard_number`,
      [runId],
    )
  ).rows;
const runState = async () =>
  (await owner.query<{ state: string }>('SELECT state FROM billing_runs WHERE id = $1', [runId])).rows[0]?.state;
const rated = async (table: string) =>
  (
    await owner.query<{ id: string }>(
      `SELECT l.subscription_id AS id FROM ${table} l JOIN billing_run_shards s ON l.billing_period_id = ANY
         (s.billing_period_ids) WHERE s.run_id = $1 ORDER BY 1`,
      [runId],
    )
  ).rows.map(({ id }) => id);

describe('a period that kills its worker', () => {
  it('is found by cutting its shard in two, once it came to its dead end, and is a failure; all others are rated', async () => {
    await askFor('billing');
    const ports = portsWith();
    expect(await prepareRun(ports, 8)).toBe(true);
    await failedBefore(3);
    const faults = await rateAll(ports);
    // The last two attempts of the whole shard, then one of each part with it: of 4, of 2, of 1.
    expect(faults).toHaveLength(5);
    for (const { message } of faults) expect(message).toContain('died: worker exited with code: 7');
    expect(await failures()).toEqual([
      { subscription_id: 'exit', code: 'worker_ended', message: expect.stringContaining('exited with code: 7') },
    ]);
    const left = await shards();
    expect(new Set(left.map(({ state }) => state))).toEqual(new Set(['rated']));
    expect(left.reduce((sum, { periods }) => sum + periods, 0)).toBe(7);
    expect(await rated('rated_lines')).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(await runState()).toBe('running');
  });

  it('never keeps a rating run from its end', async () => {
    await askFor('dry_rating');
    const ports = portsWith();
    await prepareRun(ports, 3);
    await failedBefore(4);
    await rateAll(ports);
    expect((await failures()).map(({ code }) => code)).toEqual(['worker_ended']);
    expect(await rated('rating_run_lines')).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(await runState()).toBe('completed');
  });

  it('is found where it took twenty processes with it, too', async () => {
    await askFor('rating');
    const ports = portsWith({ rate: async () => assert.fail('no process lives to say so') });
    await prepareRun(ports, 8);
    await failedBefore(20);
    // The one that would be the next to die cuts the shard, and takes one of the halves.
    const shard = await ports.runs.leaseShard();
    expect(shard).toMatchObject({ attempt: 20 });
    expect(shard?.billingPeriodIds).toHaveLength(4);
    await owner.query("UPDATE billing_run_shards SET state = 'failed' WHERE run_id = $1", [runId]);
  });
});

describe('usage that can not be read', () => {
  const tooMany = Object.assign(new Error('Array of size 16777217 is too large'), { code: '128' });

  it('is a failure of the period whose it is, found by reading halves, and of no other', async () => {
    await askFor('rating');
    let reads = 0;
    const ports = portsWith({
      rate: harmless,
      readQuantities: async ({ spans }) => {
        reads += 1;
        if (spans.some(({ customers }) => customers.includes('e'))) throw tooMany;
        return new Map();
      },
    });
    await prepareRun(ports, 8);
    expect(await rateAll(ports)).toEqual([]);
    expect(await failures()).toEqual([
      {
        subscription_id: 'e',
        code: 'usage_unreadable',
        message: 'the usage can not be read: Array of size 16777217 is too large',
      },
    ]);
    expect(reads).toBe(7);
    expect(await runState()).toBe('completed');
  });

  it('is no failure where the store is away: the shard is given back, and costs no attempt', async () => {
    await askFor('rating');
    let away = true;
    const ports = portsWith({
      rate: harmless,
      readQuantities: async () => {
        if (away) throw new UnavailableError('clickhouse', new Error('ECONNREFUSED'));
        return new Map();
      },
    });
    await prepareRun(ports, 8);
    await expect(rateOneShard(ports)).rejects.toThrow('ClickHouse is not available');
    const { rows } = await owner.query('SELECT state, attempts FROM billing_run_shards WHERE run_id = $1', [runId]);
    expect(rows).toEqual([{ state: 'queued', attempts: 0 }]);
    away = false;
    expect(await rateAll(ports)).toEqual([]);
    expect([await failures(), await runState()]).toEqual([[], 'completed']);
  });
});

it('[I12] who lost a shard that was cut meanwhile writes nothing of it', async () => {
  await askFor('rating');
  const ports = portsWith();
  await prepareRun(ports, 8);
  const { runs } = ports;
  const shard = await runs.leaseShard();
  assert(shard);
  await owner.query(
    `UPDATE billing_run_shards SET billing_period_ids = billing_period_ids[1:4], attempts = $2 WHERE run_id = $1`,
    [runId, shard.attempt],
  );
  const failure = { billingPeriodId: shard.billingPeriodIds[0] ?? '', code: 'rating_error', message: 'x' } as const;
  const none: string[] = [];
  const rows = {
    billingPeriodIds: none,
    subscriptionIds: none,
    planVersionIds: none,
    spanStarts: [],
    spanEnds: [],
    chargeCodes: none,
    positions: [],
    unmeasuredEvents: none,
    parts: [],
    lines: none,
    inputHashes: none,
    outputHashes: none,
  };
  await runs.saveRated(shard, { rows, failures: [failure] }, 1);
  expect([await failures(), await shards()]).toEqual([[], [{ state: 'queued', periods: 4 }]]);
});
