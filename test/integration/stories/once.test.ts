/** Stories of what is charged once, by a test clock, with their exact bills. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
});
afterAll(() => pipeline?.stop());

const flat = (code: string, amount: string, timing: string) => ({
  code,
  name: code,
  timing,
  price: { model: 'flat', amount },
});
const seats = (code: string, unit_amount: string, timing: string) => ({
  code,
  name: code,
  seats: true,
  timing,
  price: { model: 'per_unit', unit_amount },
});
const planOf = async (body: { charges: object[] } & Record<string, unknown>): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', ...body });
  return code;
};
const plan = (...charges: object[]) => planOf({ charges });
const subscribed = (life: Life, planCode: string, more: object = {}) =>
  sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: planCode, ...more });
const change = (id: string, path: string, body: object) => sandbox.made(`/v1/subscriptions/${id}/${path}`, body);
const shown = async (life: Life) => (await life.invoices()).map(({ at, lines }) => [at, ...lines]);

describe('a setup fee', () => {
  it('is due when the trial is over, by the seats of then, and never again', async () => {
    const team = await plan(
      flat('setup', '99.00', 'once'),
      seats('training', '15.00', 'once'),
      seats('seats', '31.00', 'advance'),
    );
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await subscribed(life, team, { seats: 2, trial: { days: 16 } });
    await life.until('2027-01-10T00:00:00Z');
    await change(id, 'seats', { quantity: 3 });
    await life.until('2027-01-20T00:00:00Z');
    await change(id, 'seats', { quantity: 10, at: 'period_end' });
    await life.until('2027-02-05T00:00:00Z');
    await change(id, 'pause', { invoice: 'now' });
    await life.until('2027-02-10T00:00:00Z');
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-03-02T00:00:00Z');
    // 310.00 for 10 seats in February, of which 44.29 are of four days: 265.71 are given back.
    expect(await shown(life)).toEqual([
      [
        '2027-01-17T00:00:00Z',
        'seats x3 45.00 2027-01-17..2027-02-01',
        'setup x1 99.00 2027-01-17..2027-01-17T00:00:00.001Z',
        'training x3 45.00 2027-01-17..2027-01-17T00:00:00.001Z',
      ],
      ['2027-02-01T00:00:00Z', 'seats x10 310.00 2027-02-01..2027-03-01'],
      ['2027-02-05T00:00:00Z', 'seats (unused) x10 -265.71 2027-02-05..2027-03-01'],
    ]);
  });

  it('is charged once by each plan, and not when a plan is changed away and back, nor for another version', async () => {
    const basic = await plan(flat('setup', '50.00', 'once'), flat('basic', '30.00', 'advance'));
    const pro = await plan(flat('setup', '80.00', 'once'), flat('pro', '60.00', 'advance'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-04-11T00:00:00Z');
    const upgrade = await sandbox.api('POST', `/v1/subscriptions/${id}/change-plan?preview=true`, { plan: pro });
    expect(upgrade.body.preview).toMatchObject({
      total: '100.00',
      lines: [
        { description: 'basic (unused)', amount: '-20.00' },
        { description: 'pro', amount: '40.00' },
        { description: 'setup', amount: '80.00', timing: 'once', due_at: '2027-05-01T00:00:00.000Z' },
      ],
    });
    await change(id, 'change-plan', { plan: pro });
    await life.until('2027-04-21T00:00:00Z');
    const back = await sandbox.api('POST', `/v1/subscriptions/${id}/change-plan?preview=true`, { plan: basic });
    expect(back.body.preview.lines.map(({ timing }: { timing: string }) => timing)).not.toContain('once');
    await change(id, 'change-plan', { plan: basic, invoice: 'now' });
    await life.until('2027-05-11T00:00:00Z');
    await sandbox.api('PATCH', `/v1/plans/${basic}`, {
      charges: [flat('setup', '55.00', 'once'), flat('basic', '31.00', 'advance')],
    });
    await change(id, 'change-plan', { plan: basic, at: 'period_end' });
    await life.until('2027-06-10T00:00:00Z');
    await change(id, 'change-plan', { plan: pro, at: 'period_end' });
    await life.until('2027-07-02T00:00:00Z');
    expect(await shown(life)).toEqual([
      [
        '2027-04-01T00:00:00Z',
        'basic x1 30.00 2027-04-01..2027-05-01',
        'setup x1 50.00 2027-04-01..2027-04-01T00:00:00.001Z',
      ],
      [
        '2027-05-01T00:00:00Z',
        'basic (unused) x1 -10.00 2027-04-11..2027-04-21',
        'pro x1 20.00 2027-04-11..2027-04-21',
        'basic x1 30.00 2027-05-01..2027-06-01',
        'setup x1 80.00 2027-04-11..2027-04-11T00:00:00.001Z',
      ],
      ['2027-06-01T00:00:00Z', 'basic x1 31.00 2027-06-01..2027-07-01'],
      ['2027-07-01T00:00:00Z', 'pro x1 60.00 2027-07-01..2027-08-01'],
    ]);
  });

  it('of an add-on is charged as often as it is taken first, at the price that the customer has then', async () => {
    const base = await plan(flat('base', '10.00', 'advance'));
    const storage = await planOf({
      kind: 'add_on',
      charges: [flat('migration', '25.00', 'once'), flat('storage', '3.00', 'advance')],
    });
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    await sandbox.made('/v1/price-overrides', {
      plan: storage,
      charge: 'migration',
      customer_id: life.customer,
      price: { model: 'flat', amount: '20.00' },
      effective_from: '2027-04-10T00:00:00Z',
      effective_until: '2027-04-17T00:00:00Z',
    });
    await life.until('2027-04-16T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 2, invoice: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 0, at: 'period_end' });
    await life.until('2027-06-02T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 4, at: 'period_end' });
    await life.until('2027-07-02T00:00:00Z');
    expect((await shown(life)).flatMap((one) => one.slice(1)).filter((line) => !line.startsWith('base'))).toEqual([
      'storage x2 3.00 2027-04-16..2027-05-01',
      'migration x2 40.00 2027-04-16..2027-04-16T00:00:00.001Z',
      'storage x2 6.00 2027-05-01..2027-06-01',
      'storage x4 12.00 2027-07-01..2027-08-01',
    ]);
  });
});

it('all of it can be rated again to the byte, and each line is explained by what it is made of', async () => {
  const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
  const again = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store);
  expect([again.code, again.faults]).toEqual([0, []]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  const { body } = await sandbox.api('GET', '/v1/invoices?limit=1000');
  for (const { id } of body.items) {
    const invoice = (await sandbox.api('GET', `/v1/invoices/${id}`)).body;
    for (const { position, amount, description } of invoice.lines) {
      const explained = await sandbox.api('GET', `/v1/invoices/${id}/line-items/${position}/explain`);
      expect(explained.body, description).toMatchObject({ output: { amount }, hashes: { is_as_rated: true } });
    }
  }
});
