/** What raters take of simulations from PostgreSQL, and how one ends that can't be worked on. */
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';
import { simulationCustomersMax } from '#schemas/simulation.ts';
import type { LeasedSimulation, SimulatedSum, SimulationShard } from '../../rater/simulate/rate-simulation.ts';
import { createSimulations } from '../../rater/simulate/simulations.postgres.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

let owner: Postgres;
beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  const log = createLog('test', 'silent', []);
  owner = connectPostgres(stores.databaseUrl, { poolMax: 8, waitMsMax: 60_000, log });
  await owner.query("INSERT INTO organizations (id, name, created_at, tier) VALUES ('org_1', 'x', now(), 'scale')");
});
afterAll(() => owner?.close());
beforeEach(async () => {
  for (const table of ['simulation_results', 'simulation_shards', 'simulations', 'billing_run_shards', 'billing_runs'])
    await owner.query(`DELETE FROM ${table}`);
});

const simulations = () => createSimulations(owner, 60);

const ask = (id: string, state = 'queued', customers: number | null = null) =>
  owner.query(
    `INSERT INTO simulations (id, organization_id, period_start, period_end, chosen, plans, state, watermark,
       customers_total, version, created_at, updated_at, request_id, api_key_id)
     VALUES ($1, 'org_1', '2026-09-01', '2026-11-01', '{"kind":"all"}', '{"baseline":null,"candidates":[{},{}]}', $2, 7,
       $3, 1, clock_timestamp(), clock_timestamp(), 'req', 'key')`,
    [id, state, customers],
  );
const cutInto = (id: string, shards: number) =>
  owner.query(
    `INSERT INTO simulation_shards (organization_id, simulation_id, shard_number, first_customer, customer_ids,
       state)
     SELECT 'org_1', $1, n, n, ARRAY['cus_' || n], 'queued' FROM generate_series(0, $2 - 1) AS n`,
    [id, shards],
  );
const leased = async (): Promise<LeasedSimulation> => {
  const simulation = await simulations().lease();
  if (!simulation) throw new Error('expected a simulation');
  return simulation;
};
const leasedShard = async (): Promise<SimulationShard> => {
  const shard = await simulations().leaseShard();
  if (!shard) throw new Error('expected a shard');
  return shard;
};
const rowOf = async (id: string) => (await owner.query('SELECT * FROM simulations WHERE id = $1', [id])).rows[0];
const countOf = async (table: string) => Number((await owner.query(`SELECT count(*) AS n FROM ${table}`)).rows[0].n);
const sumOf = ({ firstCustomer, customerIds: [customerId = ''] }: SimulationShard): SimulatedSum => ({
  customerNumber: firstCustomer,
  customerId,
  externalId: customerId,
  candidate: 1,
  currency: 'USD',
  baseline: parseAmount('1.25') as Amount,
  amount: null,
  failure: 'candidate_not_priced',
  failed: null,
});

it('billing goes first: no shard is taken while one of a billing run waits to be rated', async () => {
  await ask('sim_1', 'running', 1);
  await cutInto('sim_1', 1);
  await owner.query(
    `INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, watermark, created_at, updated_at)
     VALUES ('run_1', 'org_1', '2026-10-01', '2026-11-01', 'running', 9, now(), now())`,
  );
  await owner.query(
    `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
     VALUES ('run_1', 0, '{}', 'queued')`,
  );
  expect(await simulations().leaseShard()).toBeUndefined();
  expect(await simulations().isShardWaiting()).toBe(true);
  // One that is being rated, or that rests after a fault, holds nothing up.
  await owner.query("UPDATE billing_run_shards SET leased_until = now() + interval '1 minute'");
  expect(await leasedShard()).toMatchObject({ simulationId: 'sim_1', watermark: 7n, attempt: 1 });
  expect(await simulations().isShardWaiting()).toBe(false);
});

it('first shards come first, whosesoever: a small simulation does not wait for a large one', async () => {
  await ask('sim_large', 'running', 3);
  await cutInto('sim_large', 3);
  await ask('sim_small', 'running', 1);
  await cutInto('sim_small', 1);
  const taken = [];
  for (let turn = 0; turn < 4; turn += 1) taken.push(await leasedShard());
  expect(taken.map(({ simulationId, shardNumber }) => [simulationId, shardNumber])).toEqual([
    ['sim_large', 0],
    ['sim_small', 0],
    ['sim_large', 1],
    ['sim_large', 2],
  ]);
});

it('is rated with its last shard, each of which is saved once, whoever lost its lease', async () => {
  await ask('sim_1', 'running', 2);
  await cutInto('sim_1', 2);
  const [first, second] = [await leasedShard(), await leasedShard()];
  await owner.query("UPDATE simulation_shards SET leased_until = now() - interval '1 second' WHERE shard_number = 0");
  const again = await leasedShard();
  expect(again).toMatchObject({ shardNumber: 0, attempt: 2 });
  await simulations().saveShard(first, [sumOf(first)]);
  await simulations().saveShard(again, [sumOf(again)]);
  expect(await rowOf('sim_1')).toMatchObject({ state: 'running', customers_done: 1 });
  await simulations().saveShard(second, [sumOf(second)]);
  expect(await rowOf('sim_1')).toMatchObject({ state: 'rated', customers_done: 2 });
  const simulation = await leased();
  expect(simulation).toMatchObject({ id: 'sim_1', state: 'rated', candidates: 2 });
  expect(await simulations().sumsOf(simulation, 1)).toEqual([sumOf(first), sumOf(second)]);
  expect(await simulations().sumsOf(simulation, 2)).toEqual([]);
  await simulations().complete(simulation, { baseline: { revenue: [] }, candidates: [] });
  expect(await rowOf('sim_1')).toMatchObject({ state: 'completed', version: 2, leased_until: null });
  expect(await countOf('simulation_shards')).toBe(0);
});

it('that was cancelled takes nothing more: neither sums nor an end', async () => {
  await ask('sim_1', 'running', 1);
  await cutInto('sim_1', 1);
  const shard = await leasedShard();
  await owner.query("UPDATE simulations SET state = 'cancelled', ended_at = now()");
  await simulations().saveShard(shard, [sumOf(shard)]);
  await simulations().giveUpShard(shard, new Error('a bug'));
  expect(await countOf('simulation_results')).toBe(0);
  expect(await rowOf('sim_1')).toMatchObject({ state: 'cancelled', version: 1, failure: null });
  await ask('sim_2');
  const simulation = await leased();
  await owner.query("UPDATE simulations SET state = 'cancelled', ended_at = now()");
  await simulations().cut(simulation, 10);
  await simulations().giveUp(simulation, new Error('a bug'));
  expect(await rowOf('sim_2')).toMatchObject({ state: 'cancelled', failure: null });
});

it('fails by name with the last attempt at one of its shards, which leaves no other behind', async () => {
  await ask('sim_1', 'running', 3);
  await cutInto('sim_1', 3);
  const shard = await leasedShard();
  await simulations().giveUpShard(shard, new UnavailableError('clickhouse', 'away'));
  expect(await rowOf('sim_1')).toMatchObject({ state: 'running', failure: null });
  await owner.query('UPDATE simulation_shards SET attempts = 4, leased_until = NULL');
  await simulations().giveUpShard(await leasedShard(), new Error('a bug'));
  expect(await rowOf('sim_1')).toMatchObject({ state: 'failed', failure: 'a bug', version: 2 });
  expect(await simulations().leaseShard()).toBeUndefined();
  const { rows } = await owner.query("SELECT actor FROM audit_log WHERE action = 'simulation.failed'");
  expect(rows).toEqual([{ actor: 'rater' }]);
});

it('of too many customers fails before anybody rates one', async () => {
  await owner.query(
    `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
     VALUES ('pln_1', 'org_1', 'p', 'P', '{}', 1, now(), now())`,
  );
  await owner.query(
    `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval,
       charges, version, created_at, updated_at, activated_at)
     VALUES ('plv_1', 'org_1', 'pln_1', 1, 'active', 'USD', 'month', '[]', 1, now(), now(), now())`,
  );
  await owner.query(
    `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
     SELECT 'cus_' || n, 'org_1', 'c' || n, 'C', '{}', 1, now(), now() FROM generate_series(0, $1) AS n`,
    [simulationCustomersMax],
  );
  await owner.query(
    `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
       metadata, version, created_at, updated_at)
     SELECT 'sub_' || n, 'org_1', 'cus_' || n, 'plv_1', 'USD', 'active', '2026-10-31', '{}', 1, now(), now()
     FROM generate_series(0, $1) AS n`,
    [simulationCustomersMax],
  );
  await ask('sim_1');
  await simulations().cut(await leased(), 200);
  expect(await rowOf('sim_1')).toMatchObject({ state: 'failed', failure: 'more than 20000 customers were subscribed' });
  expect(await countOf('simulation_shards')).toBe(0);
  // One less is taken, in shards of the size that is asked for, in the order of their names.
  await owner.query("UPDATE subscriptions SET started_at = '2026-11-01' WHERE id = 'sub_7'");
  await ask('sim_2');
  await simulations().cut(await leased(), 200);
  expect(await rowOf('sim_2')).toMatchObject({ state: 'running', customers_total: simulationCustomersMax });
  expect(await countOf('simulation_shards')).toBe(simulationCustomersMax / 200);
  const { rows } = await owner.query(
    'SELECT first_customer, customer_ids[1] AS first FROM simulation_shards ORDER BY shard_number LIMIT 2',
  );
  expect(rows).toMatchObject([{ first_customer: 0, first: 'cus_0' }, { first_customer: 200 }]);
});
