/**
 * `npm run bench:closing -- [--periods N]`: what the scheduler itself costs, on a database with N billing periods that
 * are billed long since (0, then 10 million). Rating and issuing are left out: a run ends as soon as it is started. It
 * prints, for each:
 *
 *   look      a look over 10,000 organizations of which nothing is due, as it comes each minute
 *   spread    1,000 organizations with 100 subscriptions each fall due at once: look, jobs, runs
 *   one       100,000 subscriptions of one organization fall due: runs of 10,000, one after the other
 */
import { parseArgs } from 'node:util';
import pg from 'pg';
import { pino } from 'pino';
import { migrateAll } from '#platform/stores/migrate.ts';
import { connectPostgres, type Postgres } from '#platform/stores/postgres.ts';
import { startQueue } from '#platform/stores/queue.graphile.ts';
import { findAppointments } from '../invoicer/periods/close-due.ts';
import { closeJobs } from '../invoicer/periods/close-jobs.ts';
import { createClosings } from '../invoicer/periods/closings.postgres.ts';
import { cpuSecondsOf } from './line/process-cost.ts';
import { machineOf, todayAndCommit } from './line/report.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values } = parseArgs({ options: { periods: { type: 'string', default: '0,10000000' } } });
const idle = 10_000;
const spread = { organizations: 1_000, subscriptions: 100 };
const one = { subscriptions: 100_000, perRun: 10_000 };
const silent = pino({ level: 'silent' });

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

/** `own` organizations of 1,000 with subscriptions that are not due, and one large one. */
const fill = [
  `INSERT INTO organizations (id, name, created_at, tier, closing_automatic, closing_grace_minutes)
   SELECT 'org_' || n, 'x', now(), 'scale', true, 0 FROM generate_series(0, ${idle}) AS n`,
  `INSERT INTO audit_heads (organization_id, lane, last_sequence, head_hash)
   SELECT id, 0, 0, repeat('0', 64) FROM organizations`,
  `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at, metadata,
     version, created_at, updated_at, next_due_at)
   SELECT 'sub_' || o || '_' || n, 'org_' || o, 'cus', 'plv', 'USD', 'active', '2026-01-01', '{}', 1, now(), now(),
     now() + interval '10 days'
   FROM generate_series(1, ${spread.organizations}) AS o, generate_series(1, ${spread.subscriptions}) AS n`,
  `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at, metadata,
     version, created_at, updated_at, next_due_at)
   SELECT 'sub_0_' || n, 'org_0', 'cus', 'plv', 'USD', 'active', '2026-01-01', '{}', 1, now(), now(),
     now() + interval '10 days' FROM generate_series(1, ${one.subscriptions}) AS n`,
];

const chunk = 1_000_000;

/** Without its secondary indexes while it is filled; they are made again as they were. */
const fillPeriods = async (owner: pg.Client, rows: number): Promise<void> => {
  if (rows === 0) return;
  const { rows: indexes } = await owner.query<{ name: string; definition: string }>(
    `SELECT i.indexname AS name, i.indexdef AS definition FROM pg_indexes i
     WHERE i.tablename = 'billing_periods' AND NOT EXISTS (SELECT 1 FROM pg_constraint c
       WHERE c.conname = i.indexname)`,
  );
  for (const { name } of indexes) await owner.query(`DROP INDEX ${name}`);
  for (let first = 0; first < rows; first += chunk) {
    await owner.query(
      `INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start,
         billing_end, segment, span_start, span_end, item, timing, billing_month, due_at, payer_id, consolidated, state,
         watermark, invoice_id, created_at)
       SELECT 'bpd_' || lpad(n::text, 32, '0'), 'org_' || n % ${spread.organizations + 1}, 'sub_' || n % 200000, 'cus',
         'plv', m.s, m.s + interval '30 days', 1, m.s, m.s + interval '30 days', 'plan', 'arrears', '2020-01',
         m.s + interval '30 days', 'cus', false, 'billed', 1, 'inv', m.s
       FROM generate_series($1::bigint, $2::bigint) AS n
         CROSS JOIN LATERAL (SELECT '2015-01-01'::timestamptz + (n / 200000) * interval '30 days' AS s) AS m`,
      [first, Math.min(rows, first + chunk) - 1],
    );
    say(`${first + chunk} billing periods`);
  }
  for (const { definition } of indexes) await owner.query(definition);
};

/** What the cut does of a run, and its end: all that it took is due in ten days again. */
const endRuns = async (postgres: Postgres): Promise<number> => {
  const { rowCount } = await postgres.query(
    `WITH ended AS (
       UPDATE billing_runs SET state = 'completed', is_cut = true, updated_at = clock_timestamp()
       WHERE asked_by = 'scheduler' AND state = 'queued' RETURNING id, organization_id, subscriptions_max, due_until
     ), shards AS (
       INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
       SELECT id, 0, '{}', 'issued' FROM ended
     )
     UPDATE subscriptions s SET next_due_at = now() + interval '10 days'
     FROM ended e CROSS JOIN LATERAL (
       SELECT d.id FROM subscriptions d WHERE d.organization_id = e.organization_id AND d.next_due_at <= e.due_until
       ORDER BY d.next_due_at LIMIT e.subscriptions_max) AS taken
     WHERE s.id = taken.id`,
  );
  return rowCount ?? 0;
};

type Figures = Readonly<Record<string, number>>;

const measureLook = async (postgres: Postgres): Promise<Figures> => {
  const ports = { ...createClosings(postgres, one.perRun), nowMs: () => Date.now() };
  await findAppointments(ports, Date.now());
  const times: number[] = [];
  for (let run = 0; run < 5; run += 1) {
    const beganMs = performance.now();
    const found = await findAppointments(ports, Date.now());
    if (found.length > 0) throw new Error('something is due');
    times.push(performance.now() - beganMs);
  }
  const ms = times.toSorted((a, b) => a - b)[2] ?? 0;
  return { look_ms: ms, look_us_an_organization: (ms * 1000) / idle };
};

/**
 * From the first look until the last run is there, with the CPU of PostgreSQL and of this process. What the bench does
 * for rater and invoicer is taken off both.
 */
const measureRuns = async (
  postgres: Postgres,
  url: string,
  name: string,
  runs: number,
  periods: number,
  serverPid: number,
): Promise<Figures> => {
  const count = async (): Promise<number> =>
    Number(
      (await postgres.query<{ n: bigint }>("SELECT count(*) AS n FROM billing_runs WHERE asked_by = 'scheduler'"))
        .rows[0]?.n,
    );
  const before = await count();
  const cpu = () => process.cpuUsage().user + process.cpuUsage().system + cpuSecondsOf(serverPid) * 1_000_000;
  const cpuBefore = cpu();
  const beganMs = performance.now();
  const jobs = closeJobs({
    ...createClosings(postgres, one.perRun),
    nowMs: () => Date.now(),
    hourMs: () => Date.now(),
    looked: () => {},
    closed: (_organizationId, closed) => closed,
  });
  const queue = startQueue({
    ...jobs,
    url,
    lanes: 2,
    pollMs: 5_000,
    log: silent,
    onFault: (error) => say(String(error)),
  });
  let [othersMs, othersCpuUs] = [0, 0];
  for (let started = 0; started < runs; ) {
    started = (await count()) - before;
    const [endedMs, endedCpuUs] = [performance.now(), cpu()];
    // Of one large organization each run has to end before the next one is started.
    if (runs < 100) await endRuns(postgres);
    othersMs += performance.now() - endedMs;
    othersCpuUs += cpu() - endedCpuUs;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const ms = performance.now() - beganMs - othersMs;
  const cpuUs = cpu() - cpuBefore - othersCpuUs;
  await queue.stop();
  await endRuns(postgres);
  // The end of each run adds a job, which finds nothing to do.
  await postgres.query('DELETE FROM graphile_worker._private_jobs');
  say(`${name}: ${runs} runs in ${ms.toFixed(0)} ms`);
  return {
    [`${name}_runs`]: runs,
    [`${name}_ms`]: ms,
    [`${name}_us_a_period`]: (ms * 1000) / periods,
    [`${name}_cpu_us_a_period`]: cpuUs / periods,
  };
};

const measure = async (postgres: Postgres, owner: pg.Client, url: string, serverPid: number): Promise<Figures> => {
  await owner.query('VACUUM ANALYZE');
  const look = await measureLook(postgres);
  await owner.query(
    "UPDATE subscriptions SET next_due_at = now() - interval '1 second' WHERE organization_id <> 'org_0'",
  );
  const { organizations, subscriptions } = spread;
  const many = await measureRuns(postgres, url, 'spread', organizations, organizations * subscriptions, serverPid);
  await owner.query(
    "UPDATE subscriptions SET next_due_at = now() - interval '1 second' WHERE organization_id = 'org_0'",
  );
  const large = await measureRuns(postgres, url, 'one', one.subscriptions / one.perRun, one.subscriptions, serverPid);
  return { ...look, ...many, ...large };
};

const report = await withTemporaryStack({}, async (stack) => {
  const results: Record<string, Figures> = {};
  const serverPid = stack.processes.find(({ name }) => name === 'postgres')?.pid ?? 0;
  for (const periods of values.periods.split(',').map(Number)) {
    const name = `closing_${periods}`;
    const maker = new pg.Client({ connectionString: stack.urls.postgres });
    await maker.connect();
    await maker.query(`CREATE DATABASE ${name}`);
    await maker.end();
    const urlOf = (url: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;
    const url = urlOf(stack.urls.postgres);
    await migrateAll({ databaseUrl: url, clickhouseUrl: urlOf(stack.urls.clickhouse) });
    const owner = new pg.Client({ connectionString: url });
    // A stack that is stopped early ends this connection too; what stopped it is the fault to tell.
    owner.on('error', () => {});
    await owner.connect();
    // Rows that nobody refers to, and no wait for the disk while they are made.
    await owner.query("SET session_replication_role = 'replica'; SET synchronous_commit = off");
    for (const statement of fill) await owner.query(statement);
    await fillPeriods(owner, periods);
    const postgres = connectPostgres(url, { poolMax: 4, log: silent });
    results[String(periods)] = await measure(postgres, owner, url, serverPid);
    await postgres.close();
    await owner.end();
  }
  return { ...todayAndCommit(), machine: machineOf(stack.natsSyncAlways), results };
});
const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(2)) : value);
process.stdout.write(`${JSON.stringify(report, rounded, 2)}\n`);
process.exit(0);
