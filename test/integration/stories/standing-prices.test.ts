/** [I15] Stories of prices that are not a plan's own: which of them bounds, deltas and credits go by. */
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
afterAll(async () => {
  await expectRatedAgain(pipeline, sandbox);
  await pipeline.stop();
});

const start = '2027-01-01T00:00:00Z';
const fee = (amount: string, more: object = {}) => flat('fee', amount, { timing: 'advance', ...more });
const seats = (unit_amount: string) => ({
  code: 'seats',
  name: 'seats',
  seats: true,
  timing: 'advance',
  price: { model: 'per_unit', unit_amount },
});
const planOf = (charges: readonly object[], terms: object = {}): Promise<string> =>
  newPlan(sandbox, 'USD', charges, terms);
const minimum = (amount: string) => ({ minimum_commitment: { amount } });
const subscribe = async (life: Life, plan: string, more: object = {}): Promise<string> =>
  (await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan, ...more })).id;
const lastLines = async (life: Life) => (await life.invoices()).at(-1)?.lines;

describe('what a period costs at least', () => {
  it('is held against what else is charged for it at the price of the customer', async () => {
    const plan = await planOf([fee('10.00'), calls('1.00')], minimum('50.00'));
    const life = await lifeFrom(sandbox, start);
    const override = { plan, charge: 'fee', price: { model: 'flat', amount: '40.00' }, effective_from: start };
    await sandbox.made('/v1/price-overrides', { ...override, customer_id: life.customer });
    await subscribe(life, plan);
    await sandbox.send([1, 2, 3].map(() => call(life.customer, '2027-01-10T00:00:00Z')));
    await life.until('2027-02-02T00:00:00Z');
    expect(await lastLines(life)).toEqual([
      'calls x3 3.00 2027-01-01..2027-02-01',
      'Minimum commitment x1 7.00 2027-01-01..2027-02-01',
      'fee x1 40.00 2027-02-01..2027-03-01',
    ]);
  });

  it('is reached by that price alone, and is no line then', async () => {
    const plan = await planOf([fee('10.00'), calls('1.00')], minimum('30.00'));
    const life = await lifeFrom(sandbox, start);
    const override = { plan, charge: 'fee', price: { model: 'flat', amount: '40.00' }, effective_from: start };
    await sandbox.made('/v1/price-overrides', { ...override, customer_id: life.customer });
    await subscribe(life, plan);
    await life.until('2027-02-02T00:00:00Z');
    expect(await lastLines(life)).toEqual([
      'calls x0 0.00 2027-01-01..2027-02-01',
      'fee x1 40.00 2027-02-01..2027-03-01',
    ]);
  });

  it('counts every seat behind a change from a plan without such a bound', async () => {
    const [basic, pro] = [
      await planOf([calls('1.00')]),
      await planOf([seats('5.00'), calls('1.00')], minimum('31.00')),
    ];
    const life = await lifeFrom(sandbox, start);
    const id = await subscribe(life, basic, { seats: 4 });
    await life.until('2027-01-16T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, { plan: pro });
    await life.until('2027-02-02T00:00:00Z');
    // Of 31.00 the part is 16.00, of four seats at 5.00 it is 10.32.
    expect(await lastLines(life)).toEqual([
      'calls x0 0.00 2027-01-01..2027-01-16',
      'calls x0 0.00 2027-01-16..2027-02-01',
      'Minimum commitment x1 5.68 2027-01-16..2027-02-01',
      'seats x4 10.32 2027-01-16..2027-02-01',
      'seats x4 20.00 2027-02-01..2027-03-01',
    ]);
  });
});

describe('a rate of a credit unit that is given later for time before', () => {
  const ofCredits = async () => {
    const { code } = await sandbox.made('/v1/credit-units', { code: `U-${unique()}`, name: 'Credits' });
    const rate = (amount: string) =>
      sandbox.made(`/v1/credit-units/${code}/rates`, { effective_from: '2026-01-01T00:00:00Z', unit: 'USD', amount });
    await rate('0.50');
    return { credit_unit: code, dearer: () => rate('0.80') };
  };

  it('changes nothing of what is billed: what comes late is charged as what came in time', async () => {
    const { credit_unit, dearer } = await ofCredits();
    const plan = await planOf([calls('2', { credit_unit })]);
    const life = await lifeFrom(sandbox, start);
    await subscribe(life, plan);
    await sandbox.send([1, 2].map(() => call(life.customer, '2027-01-10T00:00:00Z')));
    await life.until('2027-02-02T00:00:00Z');
    expect(await lastLines(life)).toEqual(['calls x2 2.00 2027-01-01..2027-02-01']);
    await dearer();
    await sandbox.send([call(life.customer, '2027-01-10T00:00:00Z'), call(life.customer, '2027-02-10T00:00:00Z')]);
    await life.until('2027-03-02T00:00:00Z');
    expect(await lastLines(life)).toEqual([
      'calls x1 1.60 2027-02-01..2027-03-01',
      'calls (correction) x1 1.00 2027-01-01..2027-02-01',
    ]);
  });

  it('takes back what was charged, and no more', async () => {
    const { credit_unit, dearer } = await ofCredits();
    const [basic, pro] = [await planOf([fee('62', { credit_unit })]), await planOf([fee('62', { credit_unit })])];
    const life = await lifeFrom(sandbox, start);
    const id = await subscribe(life, basic);
    await life.until('2027-01-16T00:00:00Z');
    expect(await lastLines(life)).toEqual(['fee x1 31.00 2027-01-01..2027-02-01']);
    await dearer();
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, { plan: pro, invoice: 'now' });
    await life.until('2027-01-17T00:00:00Z');
    expect(await lastLines(life)).toEqual([
      'fee (unused) x1 -16.00 2027-01-16..2027-02-01',
      'fee x1 25.60 2027-01-16..2027-02-01',
    ]);
  });
});
