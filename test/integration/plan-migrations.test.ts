/** Migrations of plans: who is moved and who is not and why, at any moment and whatever happens at the same time. */

import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createDigest } from '#platform/audit/audit-entry.ts';
import { sameForAll, systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import { loginUrl } from '#platform/stores/postgres.ts';
import { startMoving } from '../../api/plan-migrations/moving.postgres.ts';
import { parts } from '../support/parts.ts';
import { type ApiAnswer, databasePassword, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { scaled } from '../support/scale.ts';
import { firstTenant, unique } from '../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.catalog });
});
afterAll(() => pipeline?.stop());

const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, `${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer.body;
};
const read = async (path: string) => (await api('GET', path)).body;
const refused = (answer: ApiAnswer, status: number, code: string) => {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  expect(answer.body.error_code).toBe(code);
  return answer.body;
};

const fee = (amount: string, more: object = {}) => ({
  code: 'fee',
  name: 'Fee',
  price: { model: 'flat', amount },
  ...more,
});
const inEuro = (amount: string) => ({ currency_options: { EUR: { model: 'flat', amount } } });
const planOf = (more: object = {}) =>
  made('/v1/plans', { code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges: [fee('30.00')], ...more });
const newVersion = async (plan: string, body: object): Promise<void> => {
  const { status, body: answer } = await api('PATCH', `/v1/plans/${plan}`, body);
  expect(status, JSON.stringify(answer)).toBe(200);
};
const customerOf = async (more: object = {}): Promise<string> => {
  const customer = `c-${unique()}`;
  await made('/v1/customers', { external_id: customer, name: customer, ...more });
  return customer;
};
const subscribed = async (plan: string, more: object = {}, customer: object = {}) =>
  made('/v1/subscriptions', { customer_id: await customerOf(customer), plan, ...more });

const migrations = (plan: string) => `/v1/plans/${plan}/migrations`;
const ended = (id: string) =>
  until(
    () => read(`/v1/plan-migrations/${id}?wait_seconds=25`),
    ({ state }) => state !== 'queued' && state !== 'running',
    110_000,
  );
const migrated = async (plan: string, body: object) => {
  const { id } = await made(migrations(plan), body);
  const migration = await ended(id);
  expect(migration, JSON.stringify(migration)).toMatchObject({ state: 'completed', failure: null });
  return migration;
};
type Outcome = { subscription_id: string; outcome: string; reason: string | null; change_id: string | null };
const outcomesOf = async (id: string, query = ''): Promise<Outcome[]> =>
  (await read(`/v1/plan-migrations/${id}/outcomes?limit=1000${query}`)).items;
const versionOf = async (id: string): Promise<string> => (await read(`/v1/subscriptions/${id}`)).plan_version_id;

/** As many rows of their own as a large plan has, beside those that the API makes. */
const addPlain = async (like: string, count: number): Promise<void> => {
  const { organizationId } = await firstTenant(pipeline);
  const ids = Array.from({ length: count }, () => [newId('cus'), newId('sub')]);
  const [customers, subscriptions] = [ids.map(([id]) => id), ids.map(([, id]) => id)];
  await pipeline.asOwner.query(
    `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
     SELECT c.id, $1, c.id || '-x', 'x', '{}', 1, now(), now() FROM unnest($2::text[]) AS c (id)`,
    [organizationId, customers],
  );
  await pipeline.asOwner.query(
    `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
       interval_unit, interval_count, billing_anchor, time_zone, metadata, version, created_at, updated_at, next_due_at)
     SELECT n.id, s.organization_id, n.customer, s.plan_version_id, s.currency, s.state, s.started_at, s.interval_unit,
       s.interval_count, s.billing_anchor, s.time_zone, '{}', 1, s.created_at, s.updated_at, s.next_due_at
     FROM subscriptions s, unnest($2::text[], $3::text[]) AS n (id, customer) WHERE s.id = $1`,
    [like, subscriptions, customers],
  );
};

/** `MILLRACE_TEST_SCALE=5` makes them a thousand. */
const plainOnes = scaled(200);

describe('of many subscriptions', () => {
  it('each is moved or stays for its reason, as the preview said it', async () => {
    const source = await planOf({
      charges: [fee('30.00', inEuro('28.00')), { ...fee('5.00'), code: 'old', ...inEuro('4.00') }],
    });
    const target = await planOf({
      charges: [fee('45.00', { billing_interval: { unit: 'month', count: 1 } }), { ...fee('1.00'), code: 'new' }],
      proration: 'day',
    });
    const addOn = await planOf({ kind: 'add_on', add_on: { plans: [source.code] } });
    const plain = await subscribed(source.code);
    await addPlain(plain.id, plainOnes);
    const inEuros = await subscribed(source.code, { currency: 'EUR' });
    const withAddOn = await subscribed(source.code, { add_ons: [{ plan: addOn.code, quantity: 1 }] });
    const holder = await subscribed(source.code);
    await made('/v1/subscriptions', { customer_id: holder.customer_id, plan: target.code });
    const pending = await subscribed(source.code);
    await made(`/v1/subscriptions/${pending.id}/change-plan`, { plan: (await planOf()).code, at: 'period_end' });
    const ending = await subscribed(source.code);
    await made(`/v1/subscriptions/${ending.id}/cancel`, { at: 'period_end' });
    const over = await subscribed(source.code);
    await made(`/v1/subscriptions/${over.id}/cancel`, { at: 'now' });
    const elsewhere = await subscribed(source.code);
    await made(`/v1/subscriptions/${elsewhere.id}/change-plan`, { plan: (await planOf()).code });
    const coming = await subscribed((await planOf()).code);
    await made(`/v1/subscriptions/${coming.id}/change-plan`, { plan: source.code, at: 'period_end' });
    const paused = await subscribed(source.code);
    await made(`/v1/subscriptions/${paused.id}/pause`, {});

    const asked = { from_version: 1, to: { plan: target.code }, at: 'period_end' };
    const preview = (await api('POST', `${migrations(source.code)}/preview`, asked)).body;
    expect(preview.subscriptions).toMatchObject({
      total: plainOnes + 8,
      judged: plainOnes + 8,
      will_move: plainOnes + 2,
    });
    expect(preview.versions).toMatchObject([
      {
        version_number: 1,
        differences: {
          charges: {
            added: [{ code: 'new' }],
            removed: [{ code: 'old' }],
            changed: [{ code: 'fee', fields: ['currency_options', 'price'] }],
          },
          terms: [{ term: 'proration', before: 'time', after: 'day' }],
        },
      },
    ]);
    expect(preview.samples).toHaveLength(20);
    const monthly = (amount: string) => [{ interval: { unit: 'month', count: 1 }, amount }];
    for (const { before, after } of preview.samples)
      expect([before, after]).toEqual([monthly('35.00'), monthly('46.00')]);
    expect((await api('GET', migrations(source.code))).body.pagination.total).toBe(0);

    const migration = await migrated(source.code, asked);
    const reasons = {
      [withAddOn.id]: 'add_on_misfit',
      [holder.id]: 'already_has_plan',
      [pending.id]: 'change_pending',
      [coming.id]: 'change_pending',
      [inEuros.id]: 'currency_not_priced',
      [ending.id]: 'ends_before',
    };
    const skipped = (await outcomesOf(migration.id, '&outcome=skipped')).map((one) => [
      one.subscription_id,
      one.reason,
    ]);
    expect(Object.fromEntries(skipped)).toEqual(reasons);
    expect(migration.counts).toEqual({
      moved: 0,
      scheduled: plainOnes + 2,
      failed: 0,
      skipped: preview.subscriptions.skipped.map(({ reason, count }: { reason: string; count: number }) => ({
        reason,
        count,
      })),
    });
    expect(migration.progress).toMatchObject({
      done: plainOnes + 8,
      total: plainOnes + 8,
      share: 1,
      remaining_seconds: 0,
    });
    const scheduled = await outcomesOf(migration.id, '&outcome=scheduled');
    expect(new Set(scheduled.map((one) => one.subscription_id)).size).toBe(plainOnes + 2);
    expect(scheduled.map((one) => one.subscription_id)).toContain(paused.id);
    const { rows } = await pipeline.asOwner.query<{ changes: bigint; entries: bigint; rows: bigint }>(
      `SELECT (SELECT count(*) FROM subscription_changes g JOIN plan_versions v ON v.id = g.plan_version_id
           WHERE v.plan_id = $1 AND g.undone_at IS NULL) AS changes,
         (SELECT count(*) FROM audit_log a JOIN plan_migration_outcomes o ON o.subscription_id = a.object_id
           WHERE o.migration_id = $2 AND a.action = 'subscription.plan_changed' AND o.outcome = 'scheduled') AS entries,
         (SELECT count(*) FROM outbox b JOIN plan_migration_outcomes o ON o.subscription_id = b.object_id
           WHERE o.migration_id = $2 AND b.type = 'subscription.plan_changed' AND o.outcome = 'scheduled') AS rows`,
      [target.id, migration.id],
    );
    const moved = BigInt(plainOnes + 2);
    expect(rows[0]).toEqual({ changes: moved, entries: moved, rows: moved });
  });
});

describe('a request', () => {
  it('is refused with all that is wrong with it, and for what stands in the catalog', async () => {
    const plan = await planOf();
    const path = migrations(plan.code);
    const faults = async (body: object) => {
      const { errors } = refused(await api('POST', path, body), 422, 'VALIDATION_FAILED');
      return errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    };
    expect(await faults({ from_version: 7, filter: { customer_ids: ['nobody', 'nobody-else'] } })).toEqual([
      'from_version not_found',
      'filter.customer_ids[0] not_found',
      'filter.customer_ids[1] not_found',
    ]);
    expect(await faults({ from_version: 1 })).toEqual(['from_version not_allowed']);
    expect(await faults({ from_version: 'all' })).toEqual(['from_version not_allowed']);
    expect(await faults({ from_version: 1, to: { plan: 'no-such-plan' } })).toEqual(['to.plan not_found']);
    expect(await faults({ from_version: 1, to: { version: 9 } })).toEqual(['to.version not_found']);
    await made(`/v1/plans/${plan.code}/versions`, { charges: [fee('40.00')] });
    refused(await api('POST', path, { from_version: 1, to: { version: 2 } }), 409, 'PLAN_NOT_ACTIVE');
    expect(await faults({ from_version: 2 })).toEqual(['from_version not_allowed']);
    await made(`/v1/plans/${plan.code}/versions/2/activate`, {});
    refused(await api('POST', path, { from_version: 2, to: { version: 1 } }), 409, 'PLAN_NOT_ACTIVE');
    const addOn = await planOf({ kind: 'add_on' });
    refused(await api('POST', path, { from_version: 1, to: { plan: addOn.code } }), 409, 'PLAN_IS_ADD_ON');
    refused(await api('POST', migrations(addOn.code), { from_version: 1 }), 409, 'PLAN_IS_ADD_ON');
    refused(await api('POST', migrations('no-such-plan'), { from_version: 1 }), 404, 'PLAN_NOT_FOUND');
    refused(await api('GET', '/v1/plan-migrations/pmg_0'), 404, 'PLAN_MIGRATION_NOT_FOUND');
    expect((await read(path)).items).toEqual([]);
  });

  it('waits for the instant that it says, and is taken back until then', async () => {
    const plan = await planOf();
    const { id } = await subscribed(plan.code);
    await newVersion(plan.code, { charges: [fee('31.00')] });
    const asked = (ms: number) => ({ from_version: 1, at: 'now', starts_at: new Date(Date.now() + ms).toISOString() });
    refused(await api('POST', migrations(plan.code), asked(-1_000)), 422, 'VALIDATION_FAILED');
    refused(await api('POST', migrations(plan.code), asked(400 * 86_400_000)), 422, 'VALIDATION_FAILED');
    const tomorrow = await made(migrations(plan.code), asked(86_400_000));
    for (const [step, state] of [
      ['pause', 'paused'],
      ['resume', 'queued'],
      ['cancel', 'canceled'],
    ] as const)
      expect(await made(`/v1/plan-migrations/${tomorrow.id}/${step}`, {})).toMatchObject({ state, started_at: null });
    const soon = await made(migrations(plan.code), asked(700));
    expect(await versionOf(id)).toBe(plan.plan_version_id);
    const migration = await ended(soon.id);
    expect(Date.parse(migration.started_at)).toBeGreaterThanOrEqual(Date.parse(migration.starts_at));
    expect(migration.counts.moved).toBe(1);
  });

  it('that is repeated before the changes come finds them pending, and changes nothing', async () => {
    const plan = await planOf();
    const { id } = await subscribed(plan.code);
    await newVersion(plan.code, { charges: [fee('31.00')] });
    expect((await migrated(plan.code, { from_version: 1 })).counts).toMatchObject({ scheduled: 1, skipped: [] });
    const before = (await read(`/v1/subscriptions/${id}/changes`)).items;
    for (const at of ['now', 'period_end'])
      expect((await migrated(plan.code, { from_version: 'all', at })).counts).toEqual({
        moved: 0,
        scheduled: 0,
        failed: 0,
        skipped: [{ reason: 'change_pending', count: 1 }],
      });
    expect((await read(`/v1/subscriptions/${id}/changes`)).items).toEqual(before);
  });

  it('by a filter moves those customers or that currency alone', async () => {
    const plan = await planOf({ charges: [fee('30.00', inEuro('28.00'))] });
    const [one, other, euro] = [
      await subscribed(plan.code),
      await subscribed(plan.code),
      await subscribed(plan.code, { currency: 'EUR' }),
    ];
    await newVersion(plan.code, { charges: [fee('33.00', inEuro('30.00'))] });
    const ofOne = await migrated(plan.code, {
      from_version: 1,
      at: 'now',
      filter: { customer_ids: [one.customer_id, euro.customer_id], currency: 'USD' },
    });
    expect(await outcomesOf(ofOne.id)).toMatchObject([{ subscription_id: one.id, outcome: 'moved' }]);
    const inEuros = await migrated(plan.code, { from_version: 1, at: 'now', filter: { currency: 'EUR' } });
    expect(await outcomesOf(inEuros.id)).toMatchObject([{ subscription_id: euro.id, outcome: 'moved' }]);
    expect(await versionOf(other.id)).toBe(plan.plan_version_id);
  });

  it('at the same moment as another is the only one of its plan; those of other plans go on beside it', async () => {
    const [plan, second] = [await planOf(), await planOf()];
    const [one, other] = [await subscribed(plan.code), await subscribed(second.code)];
    for (const { code } of [plan, second]) await newVersion(code, { charges: [fee('31.00')] });
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => api('POST', migrations(plan.code), { from_version: 1, at: 'now' })),
      api('POST', migrations(second.code), { from_version: 1, at: 'now' }),
    ]);
    const taken = answers.filter(({ status }) => status === 202);
    // One that ended at once leaves its place to the next.
    expect(taken.length).toBeGreaterThanOrEqual(2);
    for (const answer of answers.filter(({ status }) => status !== 202))
      expect(refused(answer, 409, 'PLAN_MIGRATION_UNDER_WAY').detail).toMatch(
        /The migration pmg_[0-9a-f]{32} of the plan/,
      );
    await Promise.all(taken.map(({ body }) => ended(body.id)));
    const moved = (await Promise.all(taken.map(({ body }) => outcomesOf(body.id, '&outcome=moved')))).flat();
    expect(moved.map((each) => each.subscription_id).toSorted()).toEqual([one.id, other.id].toSorted());
  });
});

describe('a migration that is under way', () => {
  const large = async (count: number) => {
    const plan = await planOf();
    const first = await subscribed(plan.code);
    await addPlain(first.id, count - 1);
    await newVersion(plan.code, { charges: [fee('31.00')] });
    return plan;
  };
  const doneOf = async (id: string): Promise<number> => (await read(`/v1/plan-migrations/${id}`)).progress.done;

  it('pauses at once, goes on where it was, and when it is canceled leaves what it moved', async () => {
    const plan = await large(250);
    const { id } = await made(migrations(plan.code), { from_version: 1, at: 'now' });
    const path = `/v1/plan-migrations/${id}`;
    await until(
      () => doneOf(id),
      (done) => done > 0,
    );
    const paused = await made(`${path}/pause`, {});
    expect(paused).toMatchObject({ state: 'paused', version: 2, progress: { remaining_seconds: null } });
    expect(paused.progress.done).toBeLessThan(250);
    refused(await api('POST', `${path}/pause`, {}), 409, 'PLAN_MIGRATION_STATE_CONFLICT');
    refused(await api('POST', migrations(plan.code), { from_version: 1 }), 409, 'PLAN_MIGRATION_UNDER_WAY');
    // Nothing that was under way is written down after the answer.
    const { rows } = await pipeline.asOwner.query<{ outcomes: number }>(
      'SELECT count(*)::integer AS outcomes FROM plan_migration_outcomes WHERE migration_id = $1',
      [id],
    );
    expect(rows[0]?.outcomes).toBe(paused.progress.done);
    expect(await doneOf(id)).toBe(paused.progress.done);

    expect(await made(`${path}/resume`, {})).toMatchObject({ state: 'queued', version: 3 });
    await until(
      () => doneOf(id),
      (done) => done > paused.progress.done,
    );
    const canceled = await made(`${path}/cancel`, {});
    expect(canceled).toMatchObject({ state: 'canceled', version: 4, ended_at: expect.any(String) });
    for (const step of ['pause', 'resume', 'cancel'])
      refused(await api('POST', `${path}/${step}`, {}), 409, 'PLAN_MIGRATION_STATE_CONFLICT');
    const { done } = canceled.progress;
    expect(await doneOf(id)).toBe(done);
    const kept = await read(`/v1/subscriptions?plan=${plan.code}&limit=1000`);
    expect(
      kept.items.filter(({ plan_version_id: held }: { plan_version_id: string }) => held !== plan.plan_version_id),
    ).toHaveLength(done);
    // The rest is moved by the same request, once more.
    const rest = await migrated(plan.code, { from_version: 1, at: 'now' });
    expect(rest.counts).toMatchObject({ moved: 250 - done, skipped: [] });
    const actions = (await read(`/v1/audit-log?object_id=${id}&sort=created_at`)).items;
    expect(actions.map(({ action }: { action: string }) => action)).toEqual(
      ['created', 'paused', 'resumed', 'canceled'].map((action) => `plan_migration.${action}`),
    );
  });

  it('meets customers who change their plan at the same moment: each is changed once by it or not at all', async () => {
    const [plan, elsewhere] = [await planOf(), await planOf()];
    const made60 = await Promise.all(Array.from({ length: 60 }, () => subscribed(plan.code)));
    await newVersion(plan.code, { charges: [fee('31.00')] });
    const { id } = await made(migrations(plan.code), { from_version: 1, at: 'now' });
    const answers = await Promise.all(
      made60.map((one) => api('POST', `/v1/subscriptions/${one.id}/change-plan`, { plan: elsewhere.code })),
    );
    for (const answer of answers) expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    await ended(id);
    const outcomes = new Map((await outcomesOf(id)).map((one) => [one.subscription_id, one]));
    for (const one of made60) {
      const { items } = await read(`/v1/subscriptions/${one.id}/changes?sort=effective_at`);
      const plans = items.map(({ plan_code: code }: { plan_code: string }) => code);
      const outcome = outcomes.get(one.id);
      // Whoever was first: then the other.
      if (outcome?.outcome === 'moved') expect(plans).toEqual([plan.code, elsewhere.code]);
      else {
        expect(plans).toEqual([elsewhere.code]);
        expect(outcome?.reason ?? 'changed_meanwhile').toBe('changed_meanwhile');
      }
      expect((await read(`/v1/subscriptions/${one.id}`)).plan_code).toBe(elsewhere.code);
    }
  });

  it('is shared by several processes, also where one takes it from another: nobody is moved twice', async () => {
    const mover = (leaseSeconds: number) =>
      startMoving({
        databaseUrl: loginUrl(pipeline.databaseUrl, 'millrace_app', databasePassword),
        leaseSeconds,
        pollMs: 10,
        log: pino({ level: 'silent' }),
        metrics: createMetrics(),
        failPoint: undefined,
        digestOf: createDigest('of nobody, and of 32 characters or more'),
        organizationClock: sameForAll(systemClock),
      });
    // What the first of them holds is free before it is done.
    const others = [mover(0.03), mover(60)];
    try {
      const plan = await large(150);
      const migration = await migrated(plan.code, { from_version: 1, at: 'now' });
      expect(migration.counts).toEqual({ moved: 150, scheduled: 0, failed: 0, skipped: [] });
      const { rows } = await pipeline.asOwner.query<{ changes: number; entries: number; leases: number }>(
        `SELECT (SELECT count(*)::integer FROM subscription_changes g JOIN plan_versions v ON v.id = g.plan_version_id
             WHERE v.plan_id = $1) AS changes,
           (SELECT count(*)::integer FROM audit_log a JOIN plan_migration_outcomes o ON o.subscription_id = a.object_id
             WHERE o.migration_id = $2 AND a.action = 'subscription.plan_changed') AS entries,
           (SELECT leases FROM plan_migrations WHERE id = $2) AS leases`,
        [plan.id, migration.id],
      );
      expect(rows[0]).toMatchObject({ changes: 150, entries: 150 });
      expect(rows[0]?.leases).toBeGreaterThan(3);
    } finally {
      await Promise.all(others.map((other) => other.stop()));
    }
  });

  it('takes up whoever subscribes to the version meanwhile', async () => {
    const [plan, target] = [await planOf(), await planOf()];
    const first = await subscribed(plan.code);
    await addPlain(first.id, 100);
    const { id } = await made(migrations(plan.code), { from_version: 1, to: { plan: target.code }, at: 'now' });
    const late = await subscribed(plan.code);
    const migration = await ended(id);
    expect(migration.counts.moved).toBe(102);
    expect((await read(`/v1/subscriptions/${late.id}`)).plan_code).toBe(target.code);
  });

  it('ends by itself where the version that it moves to is active no more', async () => {
    const plan = await large(300);
    const { id } = await made(migrations(plan.code), { from_version: 1, at: 'now' });
    await until(
      () => doneOf(id),
      (done) => done > 0,
    );
    await newVersion(plan.code, { charges: [fee('99.00')] });
    const migration = await ended(id);
    expect(migration).toMatchObject({
      state: 'canceled',
      failure: 'The version that is moved to is not active any more.',
      counts: { skipped: [], failed: 0 },
    });
    const kept = await read(`/v1/subscriptions?plan=${plan.code}&limit=1000`);
    const { plan_version_id: newest } = await read(`/v1/plans/${plan.code}`);
    expect(kept.items.map(({ plan_version_id: held }: { plan_version_id: string }) => held)).not.toContain(newest);
  });
});
