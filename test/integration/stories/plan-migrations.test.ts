/** Subscriptions moved from one version of a plan to another, by test clocks, with their exact bills. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { lifeFrom, type Sandbox } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
});
afterAll(() => pipeline?.stop());

const fee = (amount: string) => ({
  code: 'fee',
  name: 'fee',
  price: { model: 'flat', amount },
  timing: 'advance',
});
const calls = (unit_amount: string) => ({
  code: 'calls',
  name: 'calls',
  meter: 'calls',
  price: { model: 'per_unit', unit_amount },
});
const planOf = async (...charges: object[]): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges });
  return code;
};
const newVersion = async (plan: string, ...charges: object[]): Promise<void> => {
  const { status } = await sandbox.api('PATCH', `/v1/plans/${plan}`, { charges });
  expect(status).toBe(200);
};
const migrated = async (plan: string, body: object) => {
  const asked = await sandbox.api('POST', `/v1/plans/${plan}/migrations`, body);
  expect(asked.status, JSON.stringify(asked.body)).toBe(202);
  expect(asked.headers.get('location')).toBe(`/v1/plan-migrations/${asked.body.id}`);
  const { body: ended } = await sandbox.api('GET', `/v1/plan-migrations/${asked.body.id}?wait_seconds=25`);
  expect(ended, JSON.stringify(ended)).toMatchObject({ state: 'completed', failure: null });
  return ended;
};
const outcomesOf = async (id: string) => (await sandbox.api('GET', `/v1/plan-migrations/${id}/outcomes`)).body.items;

describe('a migration of a plan', () => {
  it('now prorates: the old fee is credited for the rest of the period, and usage is priced by the new version', async () => {
    const plan = await planOf(fee('31.00'), calls('0.50'));
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan });
    await life.until('2027-01-16T00:00:00Z');
    await newVersion(plan, fee('62.00'), calls('0.70'));
    const migration = await migrated(plan, { from_version: 1, at: 'now' });
    expect(migration.counts).toEqual({ moved: 1, scheduled: 0, failed: 0, skipped: [] });
    expect(await outcomesOf(migration.id)).toMatchObject([
      { subscription_id: id, outcome: 'moved', reason: null, effective_at: '2027-01-16T00:00:00.000Z' },
    ]);
    await sandbox.send(
      ['2027-01-10T00:00:00Z', '2027-01-20T00:00:00Z'].map((timestamp) => ({
        idempotency_key: unique(),
        event: 'call',
        customer_id: life.customer,
        timestamp,
      })),
    );
    await life.until('2027-02-02T00:00:00Z');
    // 16 of 31 days are left: 31.00 x 16/31 = 16.00 back, 62.00 x 16/31 = 32.00 due.
    expect(await life.invoices()).toEqual([
      { at: '2027-01-01T00:00:00Z', total: '31.00', lines: ['fee x1 31.00 2027-01-01..2027-02-01'] },
      {
        at: '2027-02-01T01:00:00Z',
        total: '79.20',
        lines: [
          'calls x1 0.50 2027-01-01..2027-01-16',
          'calls x1 0.70 2027-01-16..2027-02-01',
          'fee (unused) x1 -16.00 2027-01-16..2027-02-01',
          'fee x1 32.00 2027-01-16..2027-02-01',
          'fee x1 62.00 2027-02-01..2027-03-01',
        ],
      },
    ]);
  });

  it('at the end of the period takes nothing back: the next invoice is by the new version', async () => {
    const plan = await planOf(fee('10.00'));
    const lives = await Promise.all(
      ['2027-03-01T00:00:00Z', '2027-03-11T00:00:00Z'].map((at) => lifeFrom(sandbox, at)),
    );
    const ids: string[] = [];
    for (const { customer } of lives)
      ids.push((await sandbox.made('/v1/subscriptions', { customer_id: customer, plan })).id);
    await newVersion(plan, fee('15.00'));
    const migration = await migrated(plan, { from_version: 'all' });
    expect(migration).toMatchObject({
      at: 'period_end',
      invoice: 'next',
      from_version: null,
      to: { plan_code: plan, version_number: 2 },
      counts: { moved: 0, scheduled: 2, failed: 0, skipped: [] },
      progress: { done: 2, total: 2, share: 1, remaining_seconds: 0 },
    });
    const { body } = await sandbox.api('GET', `/v1/subscriptions/${ids[0]}`);
    expect(body.pending_changes).toMatchObject([{ kind: 'plan', effective_at: '2027-04-01T00:00:00.000Z' }]);
    // Taken back before it comes, by the change that its outcome names.
    const outcome = (await outcomesOf(migration.id)).find(
      ({ subscription_id: id }: { subscription_id: string }) => id === ids[1],
    );
    await sandbox.made(`/v1/subscriptions/${ids[1]}/undo-change`, { change_id: outcome.change_id });
    await Promise.all(lives.map((life) => life.until('2027-04-02T00:00:00Z')));
    expect((await lives[0]?.invoices())?.flatMap(({ lines }) => lines)).toEqual([
      'fee x1 10.00 2027-03-01..2027-04-01',
      'fee x1 15.00 2027-04-01..2027-05-01',
    ]);
    // 21 of 31 days of the first period.
    expect((await lives[1]?.invoices())?.flatMap(({ lines }) => lines)).toEqual([
      'fee x1 6.77 2027-03-11..2027-04-01',
      'fee x1 10.00 2027-04-01..2027-05-01',
    ]);
    // A repeat moves the one that is still on the old version.
    const again = await migrated(plan, { from_version: 1, at: 'now', invoice: 'now' });
    expect(again.counts).toMatchObject({ moved: 1, scheduled: 0, skipped: [] });
    expect(await outcomesOf(again.id)).toMatchObject([{ subscription_id: ids[1], outcome: 'moved' }]);
  });

  it('leaves chains of the audit log and of invoices that verify', async () => {
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [] });
  });
});
