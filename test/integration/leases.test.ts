/** What raters and invoicers take from PostgreSQL to work on, on a store in which much waits. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { leaseToIssue, leaseToRate, type ShardRow, shardFromRow } from '#schemas/billing-run.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

let owner: Postgres;
beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  owner = connectPostgres(stores.databaseUrl, { poolMax: 8, log: createLog('test', 'silent', []) });
  await owner.query(`
    INSERT INTO organizations (id, name, created_at, tier) SELECT 'org_' || n, 'x', now(), 'scale'
    FROM generate_series(1, 3) AS n`);
  await owner.query(`
    INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, watermark, created_at, updated_at)
    SELECT 'run_' || n, 'org_' || (n % 3 + 1), '2026-10-01', '2026-11-01', 'running', 9, now(), now()
    FROM generate_series(1, 40) AS n`);
  // 20,000 shards wait to be rated, and as many are long done.
  await owner.query(`
    INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
    SELECT 'run_' || r, n, '{}', CASE WHEN n < 500 THEN 'queued' ELSE 'issued' END FROM generate_series(1, 40) AS r,
      generate_series(0, 999) AS n`);
  await owner.query('ANALYZE');
}, 60_000);
afterAll(() => owner?.close());

const lease = async (statement: ReturnType<typeof leaseToRate>) => {
  const { rows } = await owner.query<ShardRow>(...statement);
  return rows[0] && shardFromRow(rows[0]);
};
/** Marks shards of a run as rated. */
const rated = (run: string, numbers: readonly number[]) =>
  owner.query("UPDATE billing_run_shards SET state = 'rated' WHERE run_id = $1 AND shard_number = ANY ($2)", [
    run,
    numbers,
  ]);
const issued = async (shard: { runId: string; shardNumber: number; organizationId: string }) => {
  await owner.query("UPDATE billing_run_shards SET state = 'issued' WHERE run_id = $1 AND shard_number = $2", [
    shard.runId,
    shard.shardNumber,
  ]);
  await owner.query('UPDATE invoice_series SET leased_until = NULL WHERE organization_id = $1', [shard.organizationId]);
};

describe('a shard to rate', () => {
  it('is read from the index, however many wait: no sort, no walk over the table', async () => {
    const { rows } = await owner.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT s.run_id FROM billing_run_shards s
       WHERE s.state = 'queued' AND s.attempts < 20 AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
       ORDER BY s.leased_until NULLS FIRST, s.run_id, s.shard_number LIMIT 1 FOR UPDATE SKIP LOCKED`,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('billing_run_shards_queued');
    expect(plan).not.toMatch(/Sort|Seq Scan/);
  });

  it('is given to one of those that ask at the same moment, and again once its lease is over', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => lease(leaseToRate(60))));
    const names = all.map((shard) => `${shard?.runId} ${shard?.shardNumber}`);
    expect(new Set(names).size).toBe(8);
    await owner.query(
      "UPDATE billing_run_shards SET leased_until = now() - interval '1 second' WHERE leased_until > now()",
    );
    await owner.query("UPDATE billing_run_shards SET state = 'issued' WHERE state = 'queued' AND leased_until IS NULL");
    const again = await lease(leaseToRate(60));
    expect(names).toContain(`${again?.runId} ${again?.shardNumber}`);
  });
});

describe('a shard to issue', () => {
  it('is of an organization that nobody else issues invoices of', async () => {
    await rated('run_1', [0, 1, 2]);
    await rated('run_2', [0, 1]);
    // Both of the same organization as run_1 is.
    await rated('run_4', [0]);
    const first = await lease(leaseToIssue(60));
    const second = await lease(leaseToIssue(60));
    expect([first?.organizationId, second?.organizationId].sort()).toEqual(['org_2', 'org_3']);
    expect(await lease(leaseToIssue(60))).toBeUndefined();
    if (!first) throw new Error('expected a shard');
    await issued(first);
    const third = await lease(leaseToIssue(60));
    expect(third).toMatchObject({ organizationId: first.organizationId, runId: first.runId });
    if (second) await issued(second);
    if (third) await issued(third);
  });

  it('is one for each organization, of however many invoicers ask at the same moment', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => lease(leaseToIssue(60))));
    const organizations = all.flatMap((shard) => (shard ? [shard.organizationId] : []));
    expect(organizations.length).toBeGreaterThan(0);
    expect(new Set(organizations).size).toBe(organizations.length);
    for (const shard of all) if (shard) await issued(shard);
  });

  it('is given again once the lease of its organization is over, and at once where it was given back', async () => {
    await rated('run_3', [0]);
    for (;;) {
      const shard = await lease(leaseToIssue(60));
      if (!shard) break;
      if (shard.runId !== 'run_3') {
        await issued(shard);
        continue;
      }
      await owner.query("UPDATE invoice_series SET leased_until = now() - interval '1 second'");
      await owner.query(
        "UPDATE billing_run_shards SET leased_until = now() - interval '1 second' WHERE run_id = 'run_3'",
      );
      const again = await lease(leaseToIssue(60));
      expect(again).toMatchObject({ runId: 'run_3', shardNumber: 0 });
      await owner.query("SELECT give_up_billing_run_shard('run_3', 0, 'x', true, 5)");
      const { rows } = await owner.query<{ leased: boolean }>(
        "SELECT leased_until IS NOT NULL AS leased FROM invoice_series WHERE organization_id = 'org_1'",
      );
      expect(rows).toEqual([{ leased: false }]);
      await issued(shard);
      break;
    }
  });
});
