/** A process that moves subscriptions is killed at each of its steps: each subscription is moved exactly once. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { failPointNames } from '#platform/process/fail-point.ts';
import { parts } from '../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { scaled } from '../support/scale.ts';
import { newMigratedPlan, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let armed: string | undefined;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    { MILLRACE_JOB_LEASE_SECONDS: '5', MILLRACE_JOB_POLL_MS: '100' },
    {
      services: parts.catalog,
      extraOf: (service): NodeJS.ProcessEnv => {
        if (service !== 'api' || armed === undefined) return {};
        const failPoint = armed;
        // One life ends by it; the one after it has to do the work.
        armed = undefined;
        return { MILLRACE_FAIL_POINT: failPoint };
      },
    },
  );
});
afterAll(() => pipeline?.stop());

const pidOf = (): number => pipeline.stack.processes.find(({ name }) => name === 'api')?.pid ?? 0;
const another = (than: number): Promise<number> =>
  until(
    async () => pidOf(),
    (pid) => pid !== 0 && pid !== than,
  );
/** A process that is killed meanwhile is asked again. */
const persistently = (method: string, path: string, body?: object) =>
  until(
    () => pipeline.api(method, path, body).catch(() => ({ status: 503, body: undefined })),
    ({ status }) => status !== 503,
  );
const made = async (path: string, body: object) => {
  const answer = await persistently('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
};

const subscriptions = 6;
/** Each takes ten seconds: around the commit that moves one, and in the long run all. */
const around = ['migration.before_commit', 'migration.after_move'];
const others = failPointNames.filter((name) => name.startsWith('migration.') && !around.includes(name));
const points = [...around, ...others].slice(0, scaled(around.length));
/** Those that are passed once for each subscription are met in the middle. */
const passesOf = (point: string): number => (/before_commit|after_move/.test(point) ? 3 : 1);

it.each(points)('%s', async (point) => {
  const plan = await newMigratedPlan((...asked) => pipeline.api(...asked));
  const [source, target] = [await newMigratedPlan((...asked) => pipeline.api(...asked)), plan];
  const ids: string[] = [];
  for (let index = 0; index < subscriptions; index += 1) {
    const customer = `c-${unique()}`;
    await made('/v1/customers', { external_id: customer, name: customer });
    ids.push((await made('/v1/subscriptions', { customer_id: customer, plan: source })).id);
  }
  // It waits until the process that is to die works on it.
  const starts_at = new Date(Date.now() + 3_600_000).toISOString();
  const { id } = await made(`/v1/plans/${source}/migrations`, {
    from_version: 2,
    to: { plan: target },
    at: 'now',
    starts_at,
  });
  armed = `${point}:${passesOf(point)}`;
  const before = pidOf();
  process.kill(before, 'SIGKILL');
  const dies = await another(before);
  await pipeline.asOwner.query('UPDATE plan_migrations SET leased_until = now() WHERE id = $1', [id]);
  await another(dies);
  // What it held is free when its lease is over.
  await pipeline.asOwner.query("UPDATE plan_migrations SET leased_until = now() WHERE id = $1 AND state = 'running'", [
    id,
  ]);
  const { body } = await until(
    () => persistently('GET', `/v1/plan-migrations/${id}?wait_seconds=5`),
    (answer) => answer.body?.state === 'completed',
  );
  expect(body.counts).toEqual({ moved: subscriptions, scheduled: 0, failed: 0, skipped: [] });
  const { rows } = await pipeline.asOwner.query<{ id: string; changes: number; outcomes: number; entries: number }>(
    `SELECT s.id,
       (SELECT count(*)::integer FROM subscription_changes g WHERE g.subscription_id = s.id) AS changes,
       (SELECT count(*)::integer FROM plan_migration_outcomes o WHERE o.subscription_id = s.id) AS outcomes,
       (SELECT count(*)::integer FROM audit_log a WHERE a.object_id = s.id AND a.action = 'subscription.plan_changed')
         AS entries
     FROM subscriptions s WHERE s.id = ANY ($1) ORDER BY s.id`,
    [ids],
  );
  expect(rows).toEqual(ids.toSorted().map((one) => ({ id: one, changes: 1, outcomes: 1, entries: 1 })));
  const ends = await pipeline.api('GET', `/v1/audit-log?object_id=${id}&sort=created_at`);
  expect(ends.body.items.map(({ action }: { action: string }) => action)).toEqual([
    'plan_migration.created',
    'plan_migration.completed',
  ]);
});

it('and what was made verifies', async () => {
  expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [] });
});
