/** What raters and invoicers take from PostgreSQL to work on, on a store in which much waits. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { leaseNext } from '#platform/work/leased-jobs.postgres.ts';
import { shardJobs } from '#platform/work/shard-jobs.postgres.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { createInvoiceStore } from '../../invoicer/issuing/invoices.postgres.ts';
import { createBillingRuns } from '../../rater/run/billing-runs.postgres.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

let owner: Postgres;
beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  const log = createLog('test', 'silent', []);
  owner = connectPostgres(stores.databaseUrl, { poolMax: 8, waitMsMax: 60_000, log });
  await owner.query(`
    INSERT INTO organizations (id, name, created_at, tier) SELECT 'org_' || n, 'x', now(), 'scale'
    FROM generate_series(1, 3) AS n`);
  await owner.query(`
    INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, watermark, is_cut, created_at,
      updated_at)
    SELECT 'run_' || n, 'org_' || (n % 3 + 1), '2026-10-01', '2026-11-01', 'running', 9, true, now(), now()
    FROM generate_series(1, 40) AS n`);
  // 20,000 shards wait to be rated, and as many are long done.
  await owner.query(`
    INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
    SELECT 'run_' || r, n, '{}', CASE WHEN n < 500 THEN 'queued' ELSE 'issued' END FROM generate_series(1, 40) AS r,
      generate_series(0, 999) AS n`);
  await owner.query('ANALYZE');
});
afterAll(() => owner?.close());

const toRate = (): Promise<Shard | undefined> => createBillingRuns(owner, 60).leaseShard();
const toIssue = (): Promise<Shard | undefined> => createInvoiceStore(owner, 60).leaseShard();
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
      `EXPLAIN WITH ${leaseNext(shardJobs, { where: "j.state = 'queued'", order: 'j.run_id, j.shard_number' })}
       SELECT * FROM leased`,
      [60],
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('billing_run_shards_queued');
    expect(plan).not.toMatch(/Sort|Seq Scan/);
  });

  it('is given to one of those that ask at the same moment, and again once its lease is over', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => toRate()));
    const names = all.map((shard) => `${shard?.runId} ${shard?.shardNumber}`);
    expect(new Set(names).size).toBe(8);
    await owner.query(
      "UPDATE billing_run_shards SET leased_until = now() - interval '1 second' WHERE leased_until > now()",
    );
    await owner.query("UPDATE billing_run_shards SET state = 'issued' WHERE state = 'queued' AND leased_until IS NULL");
    const again = await toRate();
    expect(names).toContain(`${again?.runId} ${again?.shardNumber}`);
  });
});

describe('a shard to issue', () => {
  it('is of an organization that nobody else issues invoices of', async () => {
    await rated('run_1', [0, 1, 2]);
    await rated('run_2', [0, 1]);
    // Both of the same organization as run_1 is.
    await rated('run_4', [0]);
    const first = await toIssue();
    const second = await toIssue();
    expect([first?.organizationId, second?.organizationId].sort()).toEqual(['org_2', 'org_3']);
    expect(await toIssue()).toBeUndefined();
    if (!first) throw new Error('expected a shard');
    await issued(first);
    const third = await toIssue();
    expect(third).toMatchObject({ organizationId: first.organizationId, runId: first.runId });
    if (second) await issued(second);
    if (third) await issued(third);
  });

  it('is one for each organization, of however many invoicers ask at the same moment', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => toIssue()));
    const organizations = all.flatMap((shard) => (shard ? [shard.organizationId] : []));
    expect(organizations.length).toBeGreaterThan(0);
    expect(new Set(organizations).size).toBe(organizations.length);
    for (const shard of all) if (shard) await issued(shard);
  });

  it('is given again once the lease of its organization is over, and at once where it was given back', async () => {
    await rated('run_3', [0]);
    for (;;) {
      const shard = await toIssue();
      if (!shard) break;
      if (shard.runId !== 'run_3') {
        await issued(shard);
        continue;
      }
      await owner.query("UPDATE invoice_series SET leased_until = now() - interval '1 second'");
      await owner.query(
        "UPDATE billing_run_shards SET leased_until = now() - interval '1 second' WHERE run_id = 'run_3'",
      );
      const again = await toIssue();
      expect(again).toMatchObject({ runId: 'run_3', shardNumber: 0 });
      // Who lost the lease meanwhile gives nothing back that is another's by now.
      await createInvoiceStore(owner, 60).giveUp(shard, new Error('a bug'));
      const kept = await owner.query<{ leased: boolean; attempts: number; failure: string | null }>(
        `SELECT i.leased_until > now() AS leased, s.attempts, s.failure FROM invoice_series i, billing_run_shards s
         WHERE i.organization_id = 'org_1' AND s.run_id = 'run_3' AND s.shard_number = 0`,
      );
      expect(kept.rows).toEqual([{ leased: true, attempts: 2, failure: null }]);
      if (again) await createInvoiceStore(owner, 60).giveUp(again, new UnavailableError('postgres', 'away'));
      const { rows } = await owner.query<{ leased: boolean }>(
        "SELECT leased_until IS NOT NULL AS leased FROM invoice_series WHERE organization_id = 'org_1'",
      );
      expect(rows).toEqual([{ leased: false }]);
      await issued(shard);
      break;
    }
  });
});

describe('a run that is cut in steps', () => {
  const queue = (id: string) =>
    owner.query(
      `INSERT INTO billing_runs (id, organization_id, due_until, arrears_until, subscriptions_max, state, watermark,
         asked_by, created_at, updated_at)
       VALUES ($1, 'org_2', now(), now(), 10, 'running', 9, 'scheduler', now(), now())`,
      [id],
    );
  const addShard = (id: string, state: string) =>
    owner.query(
      "INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state) VALUES ($1, 0, '{}', $2)",
      [id, state],
    );
  const stateOf = async (id: string) =>
    (await owner.query('SELECT state, is_cut FROM billing_runs WHERE id = $1', [id])).rows[0];
  const lastStep = (runId: string) =>
    createBillingRuns(owner, 60).cutRun(
      { runId, organizationId: 'org_2', kind: 'billing', requestId: undefined, watermark: 9n, attempt: 0 },
      100,
    );
  const end = (id: string) => owner.query("UPDATE billing_runs SET state = 'failed' WHERE id = $1", [id]);

  it('is completed by its last step, where all its shards have ended', async () => {
    await queue('run_stepped');
    await addShard('run_stepped', 'issued');
    expect(await lastStep('run_stepped')).toBe(0);
    expect(await stateOf('run_stepped')).toEqual({ state: 'completed', is_cut: true });
    expect(await lastStep('run_stepped')).toBeUndefined();
  });

  it('is left running by it, where a shard is under way', async () => {
    await queue('run_under_way');
    await addShard('run_under_way', 'rated');
    expect(await lastStep('run_under_way')).toBe(0);
    expect(await stateOf('run_under_way')).toEqual({ state: 'running', is_cut: true });
    await owner.query("UPDATE billing_run_shards SET state = 'failed' WHERE run_id = 'run_under_way'");
    await end('run_under_way');
  });

  it('is not completed by a shard that ends while it is still cut', async () => {
    await queue('run_early');
    await addShard('run_early', 'rated');
    // Nobody else's shard is older.
    const shard = await toIssue();
    expect(shard?.runId).toBe('run_early');
    expect(
      await createInvoiceStore(owner, 60).commit(
        shard as Shard,
        () => ({
          invoices: [],
          numbering: [],
          drafts: [],
          settled: [],
          carried: [],
          credits: [],
          waiting: [],
          uses: [],
          unrated: [],
        }),
        () => 0,
        () => 0,
        () => false,
        {
          organizationId: 'org',
          customerIds: [],
          planVersionIds: [],
          billingPeriodIds: [],
          creditIds: [],
          priceOverrideIds: [],
        },
      ),
    ).toEqual({ issued: 0, drafted: 0, carried: 0 });
    expect(await stateOf('run_early')).toEqual({ state: 'running', is_cut: false });
    expect(await lastStep('run_early')).toBe(0);
    expect(await stateOf('run_early')).toEqual({ state: 'completed', is_cut: true });
  });
});

describe('a run to prepare', () => {
  const runs = () => createBillingRuns(owner, 60);
  const queue = (id: string, attempts = 0) =>
    owner.query(
      `INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, attempts, created_at, updated_at)
       VALUES ($1, 'org_1', '2026-10-01', '2026-11-01', 'queued', $2, clock_timestamp(), clock_timestamp())`,
      [id, attempts],
    );
  const rowOf = async (id: string) =>
    (
      await owner.query(
        'SELECT state, attempts, failure, leased_until > clock_timestamp() AS rests FROM billing_runs WHERE id = $1',
        [id],
      )
    ).rows[0];
  const leased = async () => {
    const run = await runs().leaseRun();
    if (!run) throw new Error('expected a run');
    return run;
  };

  it('goes behind the others where its time has not come, which is no attempt, and rests after a fault', async () => {
    await queue('queued_1');
    await queue('queued_2');
    const first = await leased();
    expect(first).toMatchObject({ runId: 'queued_1', attempt: 1 });
    await runs().putBackRun(first);
    expect(await rowOf('queued_1')).toEqual({ state: 'queued', attempts: 0, failure: null, rests: null });
    const second = await leased();
    expect(second).toMatchObject({ runId: 'queued_2', attempt: 1 });
    expect(await runs().giveUpRun(second, new UnavailableError('nats', 'away'))).toBe(false);
    const failure = 'NATS JetStream is not available: away';
    expect(await rowOf('queued_2')).toEqual({ state: 'queued', attempts: 0, failure, rests: true });
    const again = await leased();
    expect(again).toMatchObject({ runId: 'queued_1', attempt: 1 });
    expect(await runs().giveUpRun(again, new Error('a bug'))).toBe(false);
    expect(await rowOf('queued_1')).toEqual({ state: 'queued', attempts: 1, failure: 'a bug', rests: true });
    expect(await runs().leaseRun()).toBeUndefined();
    await owner.query("UPDATE billing_runs SET state = 'completed', is_cut = true WHERE id LIKE 'queued_%'");
  });

  it('fails by name with its last attempt, and where it took twenty processes with it, with an entry each', async () => {
    await queue('bug', 4);
    expect(await runs().giveUpRun(await leased(), new Error('a bug'))).toBe(true);
    await queue('deaths', 20);
    await queue('living');
    expect(await leased()).toMatchObject({ runId: 'living' });
    expect(await rowOf('bug')).toMatchObject({ state: 'failed', failure: 'a bug' });
    expect(await rowOf('deaths')).toMatchObject({
      state: 'failed',
      failure: 'the process that worked on it died, 20 times',
    });
    const { rows } = await owner.query(
      "SELECT object_id, actor FROM audit_log WHERE action = 'billing_run.failed' ORDER BY object_id",
    );
    expect(rows).toEqual([
      { object_id: 'bug', actor: 'rater' },
      { object_id: 'deaths', actor: 'rater' },
    ]);
  });
});
