/** Whole stories of customers by a test clock, with their exact bills. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, calls, flat, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
});
afterAll(() => pipeline?.stop());

const advance = (code: string, amount: string) => flat(code, amount, { timing: 'advance' });
const plan = (...charges: object[]): Promise<string> => newPlan(sandbox, 'USD', charges);

describe('by a test clock', () => {
  it('a fee in advance and usage in arrears are billed month by month, as time would have it', async () => {
    const basic = await plan(flat('fee', '31.00', { timing: 'advance' }), calls('0.50'));
    const life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await sandbox.send([
      call(life.customer, '2027-01-31T23:59:59Z'),
      call(life.customer, '2027-02-01T00:00:00Z'),
      call(life.customer, '2027-02-02T00:00:00Z'),
    ]);
    await life.until('2027-03-02T00:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2027-01-16T00:00:00Z', total: '16.00', lines: ['fee x1 16.00 2027-01-16..2027-02-01'] },
      {
        at: '2027-02-01T01:00:00Z',
        total: '31.50',
        lines: ['calls x1 0.50 2027-01-16..2027-02-01', 'fee x1 31.00 2027-02-01..2027-03-01'],
      },
      {
        at: '2027-03-01T01:00:00Z',
        total: '32.00',
        lines: ['calls x2 1.00 2027-02-01..2027-03-01', 'fee x1 31.00 2027-03-01..2027-04-01'],
      },
    ]);
  });

  const subscribed = async (life: Life, plan: string, more: object = {}) =>
    sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan, ...more });
  const change = (id: string, path: string, body: object) => sandbox.made(`/v1/subscriptions/${id}/${path}`, body);

  it('an upgrade on the day on which the clocks go forward is prorated by the hours that March has there', async () => {
    const [basic, pro] = [await plan(advance('basic', '31.00')), await plan(advance('pro', '62.00'))];
    const life = await lifeFrom(sandbox, '2027-03-01T00:00:00+01:00', { time_zone: 'Europe/Berlin' });
    const { id } = await subscribed(life, basic);
    await life.until('2027-03-28T12:00:00+02:00');
    await change(id, 'change-plan', { plan: pro });
    await life.until('2027-04-02T00:00:00+02:00');
    // March has 743 hours; 659 of them are over. 31.00 x 659/743 = 27.495 -> 27.50; 62.00 x 659/743 = 54.991 -> 54.99.
    expect(await life.invoices()).toEqual([
      { at: '2027-02-28T23:00:00Z', total: '31.00', lines: ['basic x1 31.00 2027-02-28T23:00Z..2027-03-31T22:00Z'] },
      {
        at: '2027-03-31T22:00:00Z',
        total: '65.51',
        lines: [
          'basic (unused) x1 -3.50 2027-03-28T10:00Z..2027-03-31T22:00Z',
          'pro x1 7.01 2027-03-28T10:00Z..2027-03-31T22:00Z',
          'pro x1 62.00 2027-03-31T22:00Z..2027-04-30T22:00Z',
        ],
      },
    ]);
  });

  it('an upgrade that is billed at once has an invoice of its own', async () => {
    const [basic, pro] = [await plan(advance('basic', '30.00')), await plan(advance('pro', '90.00'))];
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-04-21T00:00:00Z');
    await change(id, 'change-plan', { plan: pro, invoice: 'now' });
    await life.until('2027-04-22T00:00:00Z');
    expect(await life.invoices()).toMatchObject([
      { total: '30.00' },
      {
        at: '2027-04-21T00:00:00Z',
        total: '20.00',
        lines: ['basic (unused) x1 -10.00 2027-04-21..2027-05-01', 'pro x1 30.00 2027-04-21..2027-05-01'],
      },
    ]);
  });

  it('another interval from the end of the period on is charged when it begins', async () => {
    const yearly = { timing: 'advance', billing_interval: { unit: 'year', count: 1 } };
    const [basic, year] = [await plan(advance('basic', '31.00')), await plan(flat('year', '365.00', yearly))];
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-01-10T00:00:00Z');
    await change(id, 'change-plan', { plan: year, at: 'period_end' });
    await life.until('2027-12-31T00:00:00Z');
    expect((await life.invoices()).map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-01-01T00:00:00Z', 'basic x1 31.00 2027-01-01..2027-02-01'],
      ['2027-02-01T00:00:00Z', 'year x1 334.00 2027-02-01..2028-01-01'],
    ]);
  });

  it('what was to begin and is taken back is charged on from there, and another change at once too', async () => {
    const [basic, pro] = [await plan(advance('basic', '28.00')), await plan(advance('pro', '56.00'))];
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-01-10T00:00:00Z');
    await change(id, 'change-plan', { plan: pro, at: '2027-02-20T00:00:00Z', invoice: 'now' });
    await life.until('2027-02-05T00:00:00Z');
    const { pending_changes: ahead } = (await sandbox.api('GET', `/v1/subscriptions/${id}`)).body;
    expect((await sandbox.api('POST', `/v1/subscriptions/${id}/undo-change`, { change_id: ahead[0].id })).status).toBe(
      200,
    );
    await life.until('2027-02-25T00:00:00Z');
    expect((await life.invoices()).slice(1).map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-02-01T00:00:00Z', 'basic x1 19.00 2027-02-01..2027-02-20'],
      ['2027-02-20T00:00:00Z', 'basic x1 9.00 2027-02-20..2027-03-01'],
    ]);
  });

  it('a downgrade at the end of the period takes nothing back', async () => {
    const [basic, pro] = [await plan(advance('basic', '10.00')), await plan(advance('pro', '20.00'))];
    const life = await lifeFrom(sandbox, '2027-05-01T00:00:00Z');
    const { id } = await subscribed(life, pro);
    await life.until('2027-05-10T00:00:00Z');
    await change(id, 'change-plan', { plan: basic, at: 'period_end' });
    await life.until('2027-06-15T00:00:00Z');
    expect((await life.invoices()).flatMap(({ lines }) => lines)).toEqual([
      'pro x1 20.00 2027-05-01..2027-06-01',
      'basic x1 10.00 2027-06-01..2027-07-01',
    ]);
    expect((await sandbox.api('GET', `/v1/subscriptions/${id}`)).body).toMatchObject({
      plan_code: basic,
      pending_changes: [],
    });
  });

  it('a trial that is canceled costs nothing, and one that is not begins to cost when it ends', async () => {
    const fee = await plan(advance('fee', '30.00'), calls('1.00'));
    const stays = await lifeFrom(sandbox, '2027-06-01T00:00:00Z');
    const leaves = await lifeFrom(sandbox, '2027-06-01T00:00:00Z');
    const [one, other] = [
      await subscribed(stays, fee, { trial: { days: 14 } }),
      await subscribed(leaves, fee, { trial: { days: 14 } }),
    ];
    expect([one.state, one.trial.ends_at]).toEqual(['trialing', '2027-06-15T00:00:00.000Z']);
    await sandbox.send([call(stays.customer, '2027-06-14T23:59:59Z'), call(stays.customer, '2027-06-15T00:00:00Z')]);
    await leaves.until('2027-06-10T00:00:00Z');
    await change(other.id, 'cancel', { at: 'now', reason: 'not for us' });
    await Promise.all([leaves.until('2027-07-02T00:00:00Z'), stays.until('2027-07-02T00:00:00Z')]);
    expect(await leaves.invoices()).toEqual([]);
    // 16 of 30 days.
    expect((await stays.invoices()).map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-06-15T00:00:00Z', 'fee x1 16.00 2027-06-15..2027-07-01'],
      ['2027-07-01T01:00:00Z', 'calls x1 1.00 2027-06-15..2027-07-01', 'fee x1 30.00 2027-07-01..2027-08-01'],
    ]);
  });

  it('a pause over the end of a period costs nothing', async () => {
    const fee = await plan(advance('fee', '30.00'), calls('1.00'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, fee);
    await sandbox.send(
      ['2027-04-15T00:00:00Z', '2027-04-20T00:00:00Z', '2027-05-11T00:00:00Z'].map((at) => call(life.customer, at)),
    );
    await life.until('2027-04-16T00:00:00Z');
    await change(id, 'pause', {});
    await life.until('2027-05-11T00:00:00Z');
    await change(id, 'resume', {});
    await life.until('2027-06-02T00:00:00Z');
    // Of April 15 of 30 days, of May 21 of 31: 30.00 less the 9.68 of the first ten.
    expect((await life.invoices()).flatMap(({ lines }) => lines).toSorted()).toEqual(
      [
        'fee x1 30.00 2027-04-01..2027-05-01',
        'fee (unused) x1 -15.00 2027-04-16..2027-05-01',
        'calls x1 1.00 2027-04-01..2027-04-16',
        'fee x1 20.32 2027-05-11..2027-06-01',
        'calls x1 1.00 2027-05-11..2027-06-01',
        'fee x1 30.00 2027-06-01..2027-07-01',
      ].toSorted(),
    );
  });

  it('seats that go up and down within a day cost the hours that they were there', async () => {
    const team = await plan({
      code: 'seats',
      name: 'seats',
      seats: true,
      timing: 'advance',
      price: { model: 'per_unit', unit_amount: '24.00' },
    });
    const life = await lifeFrom(sandbox, '2027-09-01T00:00:00Z');
    const { id } = await subscribed(life, team, { seats: 3 });
    await life.until('2027-09-16T06:00:00Z');
    await change(id, 'seats', { change: 2, at: 'now' });
    await life.until('2027-09-16T18:00:00Z');
    await change(id, 'seats', { quantity: 4, at: 'now' });
    await life.until('2027-10-02T00:00:00Z');
    const [first, second] = await life.invoices();
    expect(first).toMatchObject({ total: '72.00', lines: ['seats x3 72.00 2027-09-01..2027-10-01'] });
    // Of 720 hours 366 are over at six, 378 at eighteen. Of 72.00 until then 36.60, so 35.40 are unused. Of 120.00
    // are due 61.00 until six and 63.00 until eighteen: 2.00 for the twelve hours. Of 96.00 until eighteen 50.40:
    // 45.60.
    expect(second).toEqual({
      at: '2027-10-01T00:00:00Z',
      total: '108.20',
      lines: [
        'seats (unused) x3 -35.40 2027-09-16T06:00Z..2027-10-01',
        'seats x5 2.00 2027-09-16T06:00Z..2027-09-16T18:00Z',
        'seats x4 45.60 2027-09-16T18:00Z..2027-10-01',
        'seats x4 96.00 2027-10-01..2027-11-01',
      ],
    });
  });

  it('an add-on is charged as often as it is taken, from when it is taken on', async () => {
    const base = await plan(advance('base', '10.00'));
    const code = `a-${unique()}`;
    await sandbox.made('/v1/plans', {
      code,
      name: code,
      kind: 'add_on',
      currency: 'USD',
      charges: [advance('extra', '3.00')],
    });
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    await life.until('2027-04-16T00:00:00Z');
    await change(id, 'add-ons', { plan: code, quantity: 2, invoice: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    expect((await life.invoices()).map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-04-01T00:00:00Z', 'base x1 10.00 2027-04-01..2027-05-01'],
      ['2027-04-16T00:00:00Z', 'extra x2 3.00 2027-04-16..2027-05-01'],
      ['2027-05-01T00:00:00Z', 'base x1 10.00 2027-05-01..2027-06-01', 'extra x2 6.00 2027-05-01..2027-06-01'],
    ]);
  });

  it('ten changes of plan in one minute cost what ten seconds of each cost, and not a cent more', async () => {
    const plans = [await plan(advance('a', '43200.00')), await plan(advance('b', '86400.00'))];
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, plans[0] ?? '');
    await life.until('2027-04-16T00:00:00Z');
    for (let round = 1; round <= 10; round += 1) {
      await change(id, 'change-plan', { plan: plans[round % 2] });
      await life.until(`2027-04-16T00:0${Math.floor(round / 10)}:${String((round % 10) * 6).padStart(2, '0')}Z`);
    }
    await life.until('2027-05-01T00:00:01Z');
    // A second of April costs 1/60 of 1.00 of the one and 1/30 of the other: five times six seconds of the dearer
    // one, at 0.20 instead of 0.10 each, and with it 30 seconds more than a month of the other.
    const [first, second] = await life.invoices();
    expect(first?.total).toBe('43200.00');
    expect(second?.total).toBe((43_200 + 5 * 0.1).toFixed(2));
    // Where the one holds again, nothing is taken back of it: five times a part of it, and one of the other.
    expect(second?.lines).toHaveLength(11);
  });

  it('a cancellation at once gives back what is unused, and bills the usage until then', async () => {
    const fee = await plan(advance('fee', '30.00'), calls('1.00'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, fee);
    await sandbox.send([call(life.customer, '2027-04-02T00:00:00Z'), call(life.customer, '2027-04-20T00:00:00Z')]);
    await life.until('2027-04-11T00:00:00Z');
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    expect((await life.invoices()).map(({ at, total, lines }) => [at, total, ...lines])).toEqual([
      ['2027-04-01T00:00:00Z', '30.00', 'fee x1 30.00 2027-04-01..2027-05-01'],
      [
        '2027-04-11T01:00:00Z',
        '-19.00',
        'calls x1 1.00 2027-04-01..2027-04-11',
        'fee (unused) x1 -20.00 2027-04-11..2027-05-01',
      ],
    ]);
  });

  it('what is taken back is at the price that was charged, also where another one stands by then', async () => {
    const basic = await plan(advance('basic', '31.00'));
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await sandbox.made('/v1/price-overrides', {
      plan: basic,
      charge: 'basic',
      customer_id: life.customer,
      price: { model: 'flat', amount: '62.00' },
      effective_from: '2027-01-11T00:00:00Z',
    });
    await life.until('2027-01-21T00:00:00Z');
    await change(id, 'pause', {});
    await life.until('2027-01-26T00:00:00Z');
    await change(id, 'resume', {});
    await life.until('2027-02-01T00:00:00Z');
    // Five of 31 days at 31.00; then a month at the price that stands from the 11th on.
    expect((await life.invoices()).flatMap(({ lines }) => lines).toSorted()).toEqual(
      [
        'basic x1 31.00 2027-01-01..2027-02-01',
        'basic (unused) x1 -5.00 2027-01-21..2027-01-26',
        'basic x1 62.00 2027-02-01..2027-03-01',
      ].toSorted(),
    );
  });

  it('from months to weeks with the next invoice, the first part of a week is billed with its own end', async () => {
    const monthly = await plan(advance('monthly', '31.00'));
    const weekly = await plan(flat('weekly', '7.00', { timing: 'advance', billing_interval: { unit: 'week' } }));
    const life = await lifeFrom(sandbox, '2027-03-09T12:00:00Z');
    const { id } = await subscribed(life, monthly);
    await life.until('2027-03-10T12:00:00Z');
    await change(id, 'change-plan', { plan: weekly, invoice: 'next' });
    await life.until('2027-04-02T00:00:00Z');
    const lines = (await life.invoices()).map(({ at, lines: own }) => [at, ...own.filter((one) => /weekly/.test(one))]);
    // 4.5 of 7 days.
    expect(lines.filter(([, ...own]) => own.length > 0)).toEqual([
      ['2027-03-15T00:00:00Z', 'weekly x1 4.50 2027-03-10T12:00Z..2027-03-15', 'weekly x1 7.00 2027-03-15..2027-03-22'],
      ['2027-03-22T00:00:00Z', 'weekly x1 7.00 2027-03-22..2027-03-29'],
      ['2027-03-29T00:00:00Z', 'weekly x1 7.00 2027-03-29..2027-04-05'],
    ]);
  });

  it('a cancellation for now takes no change back that a request before it had for now', async () => {
    const [basic, pro] = [await plan(advance('basic', '31.00')), await plan(advance('pro', '62.00'))];
    const life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-02-01T00:00:00Z');
    const changed = await change(id, 'change-plan', { plan: pro });
    const canceled = await change(id, 'cancel', { at: 'now' });
    expect(Date.parse(canceled.ended_at)).toBeGreaterThanOrEqual(Date.parse(changed.updated_at));
  });

  it('a cancellation at the instant at which a month was charged gives the whole month back', async () => {
    const basic = await plan(advance('basic', '31.00'));
    const life = await lifeFrom(sandbox, '2027-03-16T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-04-01T00:00:00Z');
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-04-02T00:00:00Z');
    expect((await life.invoices()).map(({ total }) => total)).toEqual(['16.00', '31.00', '-31.00']);
  });

  it('all of it can be rated again to the byte, and each line is explained by what it is made of', () =>
    expectRatedAgain(pipeline, sandbox));
});
