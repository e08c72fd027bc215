/** The scheduler over its queue and its tables; what becomes of a run is played by hand. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { sleep } from '#platform/process/clock.ts';
import { until } from '../../support/pipeline.ts';
import {
  addClosingOrganization,
  type ClosingDatabase,
  closingDatabase,
  endRun,
  type Scheduler,
  scheduledRuns,
  startScheduler,
} from '../../support/scheduler.ts';

let database: ClosingDatabase;
const schedulers: Scheduler[] = [];
const start = (...words: Parameters<typeof startScheduler> extends [unknown, ...infer Rest] ? Rest : never) => {
  const scheduler = startScheduler(database, ...words);
  schedulers.push(scheduler);
  return scheduler;
};
const stopAll = async (): Promise<void> => {
  await Promise.all(schedulers.splice(0).map(({ stop }) => stop()));
};

beforeAll(async () => {
  database = await closingDatabase(inject('serverUrls'));
});
afterAll(async () => {
  await stopAll();
  await database?.close();
});

afterEach(stopAll);

const runsOf = (organizationId: string) => scheduledRuns(database, organizationId);
const untilRuns = (organizationId: string, count: number) =>
  until(
    () => runsOf(organizationId),
    (runs) => runs.length === count,
  );
const second = 1_000;
const day = 86_400_000;

describe('what is due', () => {
  it('is taken by one run, however many schedulers look at once', async () => {
    await addClosingOrganization(database.owner, 'org_many', [new Date(Date.now() - second)]);
    const all = Array.from({ length: 4 }, () => start());
    const [run] = await untilRuns('org_many', 1);
    // Each has looked by now, and each looks once more.
    await database.owner.query(
      `SELECT graphile_worker.add_job('close_due', '{"organization_id":"org_many"}') FROM generate_series(1, 20)`,
    );
    await until(
      async () => all.flatMap(({ closed }) => closed).length,
      (count) => count >= 20,
    );
    expect(await runsOf('org_many')).toEqual([run]);
    expect(all.flatMap(({ faults }) => faults)).toEqual([]);
    await endRun(database, run?.id ?? '');
  });

  it('in some seconds is taken when its time has come, and not before', async () => {
    const at = Date.now() + 3 * second;
    await addClosingOrganization(database.owner, 'org_soon', [new Date(at)]);
    start();
    const [run] = await untilRuns('org_soon', 1);
    expect(run?.due_until.getTime()).toBeGreaterThanOrEqual(at);
    // Long before the look that comes each minute.
    expect(run?.due_until.getTime()).toBeLessThan(at + 30 * second);
  });

  it('after days of downtime is taken day by day, the oldest first, each when the one before has ended', async () => {
    const now = Date.now();
    const dues = [3.2, 3.1, 2.1, 1.05, 0.01].map((days) => new Date(now - days * day));
    await addClosingOrganization(database.owner, 'org_away', dues, 60);
    start();
    for (let count = 1; count <= 3; count += 1) {
      const runs = await untilRuns('org_away', count);
      expect(runs.map(({ state }) => state)).toEqual([...Array(count - 1).fill('completed'), 'queued']);
      await endRun(database, runs.at(-1)?.id ?? '');
    }
    const runs = await untilRuns('org_away', 4);
    const untilOf = (index: number) => (dues[index]?.getTime() ?? 0) + day - 1;
    expect(runs.slice(0, 3).map(({ due_until }) => due_until.getTime())).toEqual([untilOf(0), untilOf(2), untilOf(3)]);
    expect(runs[3]?.due_until.getTime()).toBeGreaterThanOrEqual(now);
    await endRun(database, runs[3]?.id ?? '');
  });

  it('is left by organizations that close by hand, until they turn it on: then it is taken at once', async () => {
    await addClosingOrganization(database.owner, 'org_hand', [new Date(Date.now() - second)]);
    await database.owner.query("UPDATE organizations SET closing_automatic = false WHERE id = 'org_hand'");
    await addClosingOrganization(database.owner, 'org_self', [new Date(Date.now() - second)]);
    start();
    await untilRuns('org_self', 1);
    expect(await runsOf('org_hand')).toEqual([]);
    await database.owner.query("UPDATE organizations SET closing_automatic = true WHERE id = 'org_hand'");
    await untilRuns('org_hand', 1);
  });

  it('is taken again after a run that failed, when the pause is over', async () => {
    await addClosingOrganization(database.owner, 'org_fails', [new Date(Date.now() - second)]);
    const scheduler = start();
    const [first] = await untilRuns('org_fails', 1);
    await endRun(database, first?.id ?? '', 'failed');
    const early = await until(
      async () => scheduler.closed.find(({ outcome }) => outcome === 'early'),
      (found) => found !== undefined,
    );
    const { rows } = await database.owner.query<{ updated_at: Date }>(
      'SELECT updated_at FROM billing_runs WHERE id = $1',
      [first?.id],
    );
    const endedAt = rows[0]?.updated_at.getTime() ?? 0;
    expect(early).toMatchObject({ at: expect.closeTo(endedAt + 60 * second, -1) });
    // As if it had ended a minute ago.
    await database.owner.query(
      `UPDATE billing_runs SET updated_at = updated_at - interval '61 seconds' WHERE id = $1`,
      [first?.id],
    );
    await database.owner.query(
      `SELECT graphile_worker.add_job('close_due', '{"organization_id":"org_fails"}',
         job_key => 'close_due org_fails')`,
    );
    await untilRuns('org_fails', 2);
  });

  it('is taken although all connections of the schedulers are cut again and again', async () => {
    const ids = Array.from({ length: 30 }, (_, index) => `org_cut_${index}`);
    for (const id of ids) await addClosingOrganization(database.owner, id, [new Date(Date.now() + 2 * second)]);
    for (let index = 0; index < 2; index += 1) start();
    for (let cut = 0; cut < 40; cut += 1) {
      await database.owner.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'millrace_worker' AND random() < 0.3`,
      );
      await sleep(100);
    }
    const { rows } = await until(
      async () => {
        // The look that comes each minute.
        await database.owner.query(
          `SELECT graphile_worker.add_job('look_for_due', '{}', job_key => 'look_for_due') WHERE random() < 0.05`,
        );
        return database.owner.query<{ organization_id: string }>(
          "SELECT organization_id FROM billing_runs WHERE organization_id LIKE 'org_cut_%' ORDER BY organization_id",
        );
      },
      ({ rows: found }) => found.length >= ids.length,
      60_000,
    );
    expect(rows.map(({ organization_id }) => organization_id)).toEqual(ids.toSorted());
  });

  it('is found although the job of its organization is held by a process that was killed', async () => {
    await addClosingOrganization(database.owner, 'org_held', [new Date(Date.now() - second)]);
    await database.owner.query(
      `SELECT graphile_worker.add_job('close_due', '{"organization_id":"org_held"}', job_key => 'close_due org_held')`,
    );
    await database.owner.query(
      `UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'a dead one'
       WHERE key = 'close_due org_held'`,
    );
    start();
    await untilRuns('org_held', 1);
  });
});

it('a start and an end of a run are in the audit log', async () => {
  const { rows } = await database.owner.query<{ action: string; actor: string }>(
    `SELECT a.action, a.actor FROM audit_log a JOIN billing_runs r ON r.id = a.object_id
     WHERE r.organization_id = 'org_many'`,
  );
  expect(rows).toEqual([{ action: 'billing_run.created', actor: 'scheduler' }]);
});
