/** The scheduler over a database alone: what is due is made by hand, and a test plays rater and invoicer. */
import { createLog } from '#platform/process/log.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, loginUrl, type Postgres } from '#platform/stores/postgres.ts';
import { startQueue } from '#platform/stores/queue.graphile.ts';
import type { Closed, ClosePorts } from '../../invoicer/periods/close-due.ts';
import { closeJobs } from '../../invoicer/periods/close-jobs.ts';
import { createClosings } from '../../invoicer/periods/closings.postgres.ts';
import { freshStores } from './fresh-stores.ts';
import { databasePassword, type ServerUrls } from './pipeline.ts';

const silent = createLog('test', 'silent', []);

export type ClosingDatabase = {
  readonly owner: Postgres;
  readonly worker: Postgres;
  readonly workerUrl: string;
  readonly close: () => Promise<void>;
};

export const closingDatabase = async (urls: ServerUrls): Promise<ClosingDatabase> => {
  const stores = await freshStores(urls);
  await migrateAll({ ...stores, databasePassword });
  const workerUrl = loginUrl(stores.databaseUrl, 'millrace_worker', databasePassword);
  const owner = connectPostgres(stores.databaseUrl, { poolMax: 4, waitMsMax: 60_000, log: silent });
  const worker = connectPostgres(workerUrl, { poolMax: 8, waitMsMax: 60_000, log: silent });
  return {
    owner,
    worker,
    workerUrl,
    close: async () => {
      await Promise.all([owner.close(), worker.close()]);
    },
  };
};

/** An organization that closes by itself, with one subscription for each instant. */
export const addClosingOrganization = async (
  owner: Postgres,
  id: string,
  dueAt: readonly Date[],
  graceMinutes = 0,
): Promise<void> => {
  await owner.query(
    `INSERT INTO organizations (id, name, created_at, tier, closing_automatic, closing_grace_minutes)
     VALUES ($1, 'x', now(), 'scale', true, $2)`,
    [id, graceMinutes],
  );
  await owner.query(
    `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
     VALUES ($1, $2, $1, 'x', '{}', 1, now(), now())`,
    [`cus_${id}`, id],
  );
  await owner.query(
    `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
     VALUES ($1, $2, $1, 'x', '{}', 1, now(), now())`,
    [`pln_${id}`, id],
  );
  await owner.query(
    `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval,
       charges, version, created_at, updated_at, activated_at)
     VALUES ($1, $2, $3, 1, 'active', 'USD', 'month', '[]', 1, now(), now(), now())`,
    [`plv_${id}`, id, `pln_${id}`],
  );
  await owner.query(
    `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
       metadata, version, created_at, updated_at, next_due_at)
     SELECT $1 || n, $2, $3, $4, 'USD', 'active', '2026-01-01', '{}', 1, now(), now(), due_at
     FROM unnest($5::timestamptz[]) WITH ORDINALITY AS d (due_at, n)`,
    [`sub_${id}_`, id, `cus_${id}`, `plv_${id}`, dueAt],
  );
};

export type ScheduledRun = { id: string; due_until: Date; arrears_until: Date; state: string };

/** In the order in which they were started. */
export const scheduledRuns = async ({ owner }: ClosingDatabase, organizationId: string): Promise<ScheduledRun[]> => {
  const { rows } = await owner.query<ScheduledRun>(
    `SELECT id, due_until, arrears_until, state FROM billing_runs WHERE organization_id = $1
     AND asked_by = 'scheduler' ORDER BY created_at, id`,
    [organizationId],
  );
  return rows;
};

/** What the cut does of a run that bills all, and its end. */
export const endRun = async (
  { worker }: ClosingDatabase,
  runId: string,
  how: 'completed' | 'failed' = 'completed',
): Promise<void> => {
  await worker.transaction(async ({ query }) => {
    if (how === 'completed')
      await query(
        `UPDATE subscriptions s SET next_due_at = NULL FROM billing_runs r
         WHERE r.id = $1 AND s.organization_id = r.organization_id AND s.next_due_at <= r.due_until`,
        [runId],
      );
    await query(
      `INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state) VALUES ($1, 0, '{}', 'issued')`,
      [runId],
    );
    await query('UPDATE billing_runs SET state = $2, is_cut = true, updated_at = clock_timestamp() WHERE id = $1', [
      runId,
      how,
    ]);
  });
};

export type Scheduler = { readonly closed: Closed[]; readonly faults: unknown[]; readonly stop: () => Promise<void> };

export const startScheduler = (
  { worker, workerUrl }: ClosingDatabase,
  changes: Partial<ClosePorts> = {},
): Scheduler => {
  const closed: Closed[] = [];
  const faults: unknown[] = [];
  const { stop } = startQueue({
    ...closeJobs({
      ...createClosings(worker, 10_000),
      nowMs: () => Date.now(),
      hourMs: () => Date.now(),
      looked: () => {},
      closed: (_organizationId, one) => {
        closed.push(one);
        return one;
      },
      ...changes,
    }),
    url: workerUrl,
    lanes: 2,
    pollMs: 100,
    log: silent,
    onFault: (error) => faults.push(error),
  });
  return { closed, faults, stop };
};
