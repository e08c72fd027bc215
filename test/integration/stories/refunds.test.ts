/**
 * [I32] Stories of a fee that was charged in advance, and is given back both by credit notes and by credits of later
 * invoices: never more than it was, and all of it where nothing else is charged in its place.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Body, linesOf, standing } from '../../support/credit-parts.ts';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { shortLeases } from '../../support/quick.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { flat, newPlan } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    { MILLRACE_JOB_LEASE_SECONDS: '5', ...shortLeases },
    { services: parts.billedUsage },
  );
  sandbox = await sandboxOf(pipeline);
  for (const [code, percentage] of [
    ['de', '19'],
    ['city', '5.5'],
    ['jp', '10'],
  ])
    await sandbox.made('/v1/tax-rates', { code, name: code, percentage });
});
afterAll(() => pipeline?.stop());

const april = '2027-04-01T00:00:00Z';
/** Half of April is over. */
const middle = '2027-04-16T00:00:00Z';
const read = async (path: string): Promise<Body> => (await sandbox.api('GET', path)).body;
const plan = (amount: string, currency = 'USD', code = 'fee'): Promise<string> =>
  newPlan(sandbox, currency, [flat(code, amount, { timing: 'advance' })]);
const invoicesOf = async ({ customer }: Life): Promise<Body[]> => {
  const { items } = await read(`/v1/invoices?customer_id=${customer}&sort=number&limit=100`);
  return Promise.all(items.map(({ id }: Body) => read(`/v1/invoices/${id}`)));
};

type Story = { readonly life: Life; readonly id: string; readonly invoice: string };
/** April is charged; the customer has these taxes. */
const subscribed = async (planCode: string, taxes: readonly string[] = [], coupon?: string): Promise<Story> => {
  const tax = taxes.length > 0 ? { tax: { treatment: 'taxable', rates: taxes } } : {};
  const life = await lifeFrom(sandbox, april, tax);
  if (coupon !== undefined) await sandbox.made(`/v1/customers/${life.customer}/discounts`, { coupon });
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: planCode });
  await life.until('2027-04-02T00:00:00Z');
  const [invoice] = await invoicesOf(life);
  return { life, id, invoice: invoice.id };
};
const ask = (invoice_id: string, more: object = {}) =>
  sandbox.api('POST', '/v1/credit-notes', { invoice_id, reason: 'other', ...more });
const credit = (invoice_id: string, more: object = {}): Promise<Body> =>
  sandbox.made('/v1/credit-notes', { invoice_id, reason: 'other', ...more });
const ofLine = (amount: string) => ({ lines: [{ invoice_line: 1, amount }] });
const cancel = (id: string, at: string): Promise<Body> => sandbox.made(`/v1/subscriptions/${id}/cancel`, { at });

type Printed = { amount: string; steps: Body[]; discounts: Body[]; taxes: Body[] };
/** "-5.00, 10.00 before": of a line its amount, what credit notes gave back before, its discounts and its taxes. */
const shownLine = ({ amount, steps, discounts, taxes }: Printed): string =>
  [
    amount,
    ...steps.filter(({ kind }) => kind === 'credited').map((step) => `${step.amount} before`),
    ...discounts.map((one) => `off ${one.amount}`),
    ...taxes.map((one) => `${one.code} ${one.amount}`),
  ].join(', ');
const shown = ({ lines, total }: Body): string[] => [...lines.map(shownLine), `total ${total}`];
const last = async (life: Life): Promise<string[]> => shown((await invoicesOf(life)).at(-1));

type Amounts = { amount: string; discounts: Body[]; taxes: Body[]; total: string };
/** What was charged, credited before and by the credit note, given back by invoices, and is left: they sum up. */
const explained = async (noteId: string): Promise<string[]> => {
  const body = await read(`/v1/credit-notes/${noteId}/line-items/1/explain`);
  return [body.invoice_line, body.credited_before, body.credited, body.given_back, body.left].map(
    ({ amount, discounts, taxes, total }: Amounts) =>
      [amount, ...discounts.map((one) => `off ${one.amount}`), ...taxes.map((one) => one.amount), total].join(' '),
  );
};

describe('a fee is credited by hand, and then given back', () => {
  it('a cancellation gives back what is left, as the views ahead say, and it is explained', async () => {
    const { life, id, invoice } = await subscribed(await plan('30.00'));
    const note = await credit(invoice, ofLine('25.00'));
    expect((await explained(note.id)).slice(2)).toEqual(['25.00 25.00', '0.00 0.00', '5.00 5.00']);
    await cancel(id, middle);
    // Half of the fee is 15.00, and 5.00 are left.
    const [{ final_invoice: ahead }] = (await read(`/v1/cancellations?customer_id=${life.customer}`)).items;
    expect(ahead.total).toBe('-5.00');
    const previewed = await sandbox.made('/v1/invoices/preview', { subscription_id: id });
    expect(previewed.invoices.map(shown)).toEqual([['-5.00, 10 before', 'total -5.00']]);
    await life.until('2027-04-17T00:00:00Z');
    const [, final] = await invoicesOf(life);
    expect(shown(final)).toEqual(['-5.00, 10 before', 'total -5.00']);
    const { output, credited_before } = await read(`/v1/invoices/${final.id}/line-items/1/explain`);
    expect([output.amount, credited_before]).toEqual(['-15.00', '10.00']);
    expect((await explained(note.id)).slice(2)).toEqual(['25.00 25.00', '5.00 5.00', '0.00 0.00']);
    expect((await read(`/v1/invoices/${final.id}/verify`)).is_valid).toBe(true);
    expect((await ask(invoice)).body.error_code).toBe('INVOICE_FULLY_CREDITED');
  });

  it('where less than all is left of it by then, what is left is all; where enough is, nothing is taken off', async () => {
    const fee = await plan('30.00');
    const [whole, little] = [await subscribed(fee), await subscribed(fee)];
    await credit(whole.invoice);
    await credit(little.invoice, ofLine('15.00'));
    for (const { id } of [whole, little]) await cancel(id, middle);
    for (const { life } of [whole, little]) await life.until('2027-04-17T00:00:00Z');
    expect(await last(whole.life)).toEqual(['0.00, 15 before', 'total 0.00']);
    expect(await last(little.life)).toEqual(['-15.00', 'total -15.00']);
  });

  it('with a discount and two taxes, another plan takes its place: each is given back to the last cent', async () => {
    const { code: coupon } = await sandbox.made('/v1/coupons', {
      code: `k-${unique()}`,
      name: 'Off',
      kind: 'percentage',
      percentage: '10',
      duration: 'forever',
    });
    const { life, id, invoice } = await subscribed(await plan('30.00'), ['de', 'city'], coupon);
    // Of 27.00: 5.13, and 1.485.
    expect(shown(await read(`/v1/invoices/${invoice}`))).toEqual([
      '30.00, off 3.00, city 1.49, de 5.13',
      'total 33.62',
    ]);
    // Two thirds: 2.00 of the discount, 0.9933 and 3.42 of the taxes.
    const note = await credit(invoice, ofLine('20.00'));
    expect(linesOf(note)).toEqual(['1: 20.00, city 0.99, de 3.42']);
    await life.until(middle);
    const change = { plan: await plan('60.00', 'USD', 'pro'), invoice: 'now' };
    const { preview } = await sandbox.made(`/v1/subscriptions/${id}/change-plan?preview=true`, change);
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, change);
    await life.until('2027-04-17T00:00:00Z');
    const changed = ['-10.00, 5 before, off -1.00, city -0.50, de -1.71', '30.00, off 3.00, city 1.49, de 5.13'];
    expect(await last(life)).toEqual([...changed, 'total 22.41']);
    // Of 9.00 that were given back, 2.21 are taxes beside it.
    expect(await explained(note.id)).toEqual([
      '30.00 off 3.00 1.49 5.13 33.62',
      '0.00 off 0.00 0.00 0.00 0.00',
      '20.00 off 2.00 0.99 3.42 22.41',
      '10.00 off 1.00 0.50 1.71 11.21',
      '0.00 off 0.00 0.00 0.00 0.00',
    ]);
    // Of the lines alone, and of the invoice with its discount and taxes.
    expect([preview.total, preview.invoices.map(({ total }: Body) => total)]).toEqual(['20.00', ['22.41']]);
  });

  it('of changes that follow each other, what each of them charged is given back once', async () => {
    const [basic, pro] = [await plan('30.00'), await plan('60.00', 'USD', 'pro')];
    const { life, id, invoice } = await subscribed(basic);
    await credit(invoice);
    const changed = async (at: string, to: string): Promise<Body> => {
      await life.until(at);
      await sandbox.made(`/v1/subscriptions/${id}/change-plan`, { plan: to, invoice: 'now' });
      await life.until(at.replace('00:00:00', '01:00:00'));
      return (await invoicesOf(life)).at(-1);
    };
    const up = await changed(middle, pro);
    expect(shown(up)).toEqual(['0.00, 15 before', '30.00', 'total 30.00']);
    await credit(up.id, { lines: [{ invoice_line: 2, amount: '20.00' }] });
    // 60.00 for 14 of 30 days are 28.00, of which 10.00 are left; 30.00 are 14.00.
    const down = await changed('2027-04-17T00:00:00Z', basic);
    expect(shown(down)).toEqual(['-10.00, 18 before', '14.00', 'total 4.00']);
    // The first one was credited whole; of the second 10.00 are due, which the third takes off its 14.00.
    const due = await Promise.all((await invoicesOf(life)).map((one) => standing(sandbox.api, one.id)));
    expect(due).toEqual(['voided 30.00 0.00', 'issued 20.00 10.00', 'issued 0.00 4.00']);
  });

  it('in yen, to the last one', async () => {
    const { life, id, invoice } = await subscribed(await plan('1000', 'JPY'), ['jp']);
    expect(linesOf(await credit(invoice, ofLine('334')))).toEqual(['1: 334, jp 33']);
    // 667 are for the rest of April.
    await cancel(id, '2027-04-11T00:00:00Z');
    await life.until('2027-04-12T00:00:00Z');
    expect(await last(life)).toEqual(['-666, 1 before, jp -67', 'total -733']);
  });
});

describe('a fee is credited by hand, and another change than of the plan gives back the rest', () => {
  const change = (id: string, action: string, body: object): Promise<Body> =>
    sandbox.made(`/v1/subscriptions/${id}/${action}`, { invoice: 'now', ...body });
  /** An hour later, what was charged and given back at an instant. */
  const billedAt = async (life: Life, at: string): Promise<Body> => {
    await life.until(at.replace('00:00:00', '01:00:00'));
    const billed = (await invoicesOf(life)).at(-1);
    expect(billed.issued_at).toMatch(at.replace('Z', ''));
    return billed;
  };
  const expectNothingLeft = async (...invoices: readonly string[]): Promise<void> => {
    for (const invoice of invoices) expect((await ask(invoice)).body.error_code).toBe('INVOICE_FULLY_CREDITED');
  };

  it('a pause, after the credit was paid back; and once more, of what was charged when it was resumed', async () => {
    const { life, id, invoice } = await subscribed(await plan('30.00'), ['de']);
    const paid = await sandbox.api('PATCH', `/v1/invoices/${invoice}`, { state: 'paid' });
    expect([paid.status, paid.body.amount_paid]).toEqual([200, '35.70']);
    const note = await credit(invoice, { ...ofLine('20.00'), settlement: 'refund' });
    expect([note.post_payment_amount, ...linesOf(note)]).toEqual(['23.80', '1: 20.00, de 3.80']);
    await life.until(middle);
    await change(id, 'pause', {});
    const paused = await billedAt(life, middle);
    expect(shown(paused)).toEqual(['-10.00, 5 before, de -1.90', 'total -11.90']);
    await life.until('2027-04-21T00:00:00Z');
    await change(id, 'resume', {});
    const resumed = await billedAt(life, '2027-04-21T00:00:00Z');
    // A third of the month, of which 5.00 are of its last five days.
    expect(shown(resumed)).toEqual(['10.00, de 1.90', 'total 11.90']);
    await credit(resumed.id, ofLine('8.00'));
    await life.until('2027-04-26T00:00:00Z');
    await change(id, 'pause', {});
    expect(shown(await billedAt(life, '2027-04-26T00:00:00Z'))).toEqual(['-2.00, 3 before, de -0.38', 'total -2.38']);
    await expectNothingLeft(invoice, resumed.id);
  });

  it('fewer seats, more seats: each number of them is given back once', async () => {
    const seats = { seats: true, timing: 'advance', price: { model: 'per_unit', unit_amount: '24.00' } };
    const team = await newPlan(sandbox, 'USD', [{ code: 'seats', name: 'seats', ...seats }]);
    const life = await lifeFrom(sandbox, april, { tax: { treatment: 'taxable', rates: ['de', 'city'] } });
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: team, seats: 3 });
    const first = await billedAt(life, april);
    // 72.00 at 5.5 and 19 %.
    expect(shown(first)).toEqual(['72.00, city 3.96, de 13.68', 'total 89.64']);
    // Five sixths: 3.30 and 11.40.
    expect(linesOf(await credit(first.id, ofLine('60.00')))).toEqual(['1: 60.00, city 3.30, de 11.40']);
    await life.until(middle);
    await change(id, 'seats', { quantity: 1, at: 'now' });
    const fewer = await billedAt(life, middle);
    // Half of the month: 36.00 of three, 12.00 of one, of which 0.66 and 2.28.
    expect(shown(fewer)).toEqual([
      '-12.00, 24 before, city -0.66, de -2.28',
      '12.00, city 0.66, de 2.28',
      'total 0.00',
    ]);
    expect((await ask(fewer.id)).body.error_code).toBe('INVOICE_NOT_CREDITABLE');
    await life.until('2027-04-21T00:00:00Z');
    await change(id, 'seats', { change: 1 });
    // A third of it: 8.00 of one, 16.00 of two.
    const more = await billedAt(life, '2027-04-21T00:00:00Z');
    expect(shown(more)).toEqual(['-8.00, city -0.44, de -1.52', '16.00, city 0.88, de 3.04', 'total 9.96']);
    expect(linesOf(await credit(more.id, { lines: [{ invoice_line: 2, amount: '4.50' }] }))).toEqual([
      '2: 4.50, city 0.25, de 0.86',
    ]);
    await cancel(id, '2027-04-22T00:00:00Z');
    // 48.00 less 33.60 of 21 days: 14.40, of which 11.50 are left, with 0.88 less 0.25 and 3.04 less 0.86.
    expect(shown(await billedAt(life, '2027-04-22T00:00:00Z'))).toEqual([
      '-11.50, 2.9 before, city -0.63, de -2.18',
      'total -14.31',
    ]);
    await expectNothingLeft(first.id);
  });

  it('an add-on that is ended: its own line alone, and the plan when that ends', async () => {
    const code = `a-${unique()}`;
    const extra = [flat('extra', '3.00', { timing: 'advance' })];
    await sandbox.made('/v1/plans', { code, name: code, kind: 'add_on', currency: 'USD', charges: extra });
    const life = await lifeFrom(sandbox, april, { tax: { treatment: 'taxable', rates: ['de'] } });
    const base = await plan('10.00');
    const { id } = await sandbox.made('/v1/subscriptions', {
      customer_id: life.customer,
      plan: base,
      add_ons: [{ plan: code, quantity: 2 }],
    });
    const first = await billedAt(life, april);
    expect(shown(first)).toEqual(['10.00, de 1.90', '6.00, de 1.14', 'total 19.04']);
    const note = await credit(first.id, { lines: [{ invoice_line: 2, amount: '5.00' }] });
    expect(linesOf(note)).toEqual(['2: 5.00, de 0.95']);
    await life.until(middle);
    await change(id, 'add-ons', { plan: code, quantity: 0 });
    expect(shown(await billedAt(life, middle))).toEqual(['-1.00, 2 before, de -0.19', 'total -1.19']);
    await cancel(id, '2027-04-21T00:00:00Z');
    // 10.00 less 6.67, and of 1.90 0.6327.
    expect(shown(await billedAt(life, '2027-04-21T00:00:00Z'))).toEqual(['-3.33, de -0.63', 'total -3.96']);
    // What is left is 6.67 of the plan, with 1.27.
    const rest = await credit(first.id);
    expect([...linesOf(rest), rest.total]).toEqual(['1: 6.67, de 1.27', '7.94']);
    await expectNothingLeft(first.id);
  });

  it('of an invoice that nobody pays: it stays given up for what is due of it', async () => {
    const [before, after] = [await subscribed(await plan('30.00')), await subscribed(await plan('30.00'))];
    const giveUp = async (invoice: string): Promise<void> => {
      const { status } = await sandbox.api('PATCH', `/v1/invoices/${invoice}`, { state: 'uncollectible' });
      expect(status).toBe(200);
    };
    await giveUp(before.invoice);
    await credit(before.invoice, ofLine('20.00'));
    for (const { id } of [before, after]) await cancel(id, middle);
    for (const { life } of [before, after]) await life.until('2027-04-17T00:00:00Z');
    expect(await last(before.life)).toEqual(['-10.00, 5 before', 'total -10.00']);
    expect(await last(after.life)).toEqual(['-15.00', 'total -15.00']);
    await giveUp(after.invoice);
    expect((await sandbox.api('POST', `/v1/invoices/${after.invoice}/void`, {})).status).toBe(409);
    expect((await credit(after.invoice)).total).toBe('15.00');
    await expectNothingLeft(before.invoice, after.invoice);
    expect(await standing(sandbox.api, before.invoice)).toBe('uncollectible 20.00 10.00');
    expect(await standing(sandbox.api, after.invoice)).toBe('uncollectible 15.00 15.00');
  });
});

describe('a fee is given back, and then credited by hand', () => {
  it('no more than what is left, which is what a credit note in full comes to; the invoice is not voided', async () => {
    const { life, id, invoice } = await subscribed(await plan('30.00'), ['de']);
    await cancel(id, middle);
    await life.until('2027-04-17T00:00:00Z');
    expect(await last(life)).toEqual(['-15.00, de -2.85', 'total -17.85']);
    const { body } = await ask(invoice, ofLine('15.01'));
    expect(body.errors).toMatchObject([{ field: 'lines[0].amount', code: 'out_of_range' }]);
    expect(body.errors[0].message).toContain('15.00');
    expect((await ask(invoice, { amount: '17.86' })).body.errors[0].message).toContain('17.85');
    const refused = await sandbox.api('POST', `/v1/invoices/${invoice}/void`, {});
    expect([refused.status, refused.body.error_code]).toEqual([409, 'INVOICE_NOT_VOIDABLE']);
    const preview = await sandbox.api('POST', '/v1/credit-notes/preview', { invoice_id: invoice, reason: 'other' });
    expect(preview.body.total).toBe('17.85');
    const note = await credit(invoice);
    expect(linesOf(note)).toEqual(['1: 15.00, de 2.85']);
    expect((await read(`/v1/credit-notes/${note.id}/verify`)).is_valid).toBe(true);
    expect((await ask(invoice)).body.error_code).toBe('INVOICE_FULLY_CREDITED');
  });

  it('what a credit gave back is there again once the invoice that it is on is voided', async () => {
    const { life, id, invoice } = await subscribed(await plan('30.00'));
    await life.until(middle);
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, { plan: await plan('60.00'), invoice: 'now' });
    await life.until('2027-04-17T00:00:00Z');
    const [, changed] = await invoicesOf(life);
    expect(shown(changed)).toEqual(['-15.00', '30.00', 'total 15.00']);
    expect((await sandbox.made('/v1/credit-notes/preview', { invoice_id: invoice, reason: 'other' })).total).toBe(
      '15.00',
    );
    await sandbox.made(`/v1/invoices/${changed.id}/void`, {});
    expect((await credit(invoice)).total).toBe('30.00');
  });
});

it('[I32] eight credit notes at the moment of a cancellation: all of the fee is given back once', async () => {
  const { life, id, invoice } = await subscribed(await plan('30.00'));
  await cancel(id, middle);
  const asked = Array.from({ length: 8 }, () => ask(invoice, ofLine('5.00')));
  const [answers] = await Promise.all([Promise.all(asked), life.until('2027-04-17T00:00:00Z')]);
  const credited = answers.filter(({ status }) => status === 201).length * 5;
  const [, final] = await invoicesOf(life);
  expect([credited - Number(final.total), credited >= 15]).toEqual([30, true]);
});

it('[I2] an invoicer that is killed meanwhile gives back what is left once', async () => {
  const fee = await plan('30.00');
  const { life, id, invoice } = await subscribed(fee);
  await credit(invoice, ofLine('20.00'));
  await cancel(id, middle);
  const pidOf = () => pipeline.stack.processes.find(({ name }) => name === 'invoicer')?.pid ?? 0;
  const arrived = life.until('2027-04-17T00:00:00Z');
  for (let kill = 0; kill < 3; kill += 1) {
    const pid = await until(
      async () => pidOf(),
      (now) => now > 0,
    );
    process.kill(pid, 'SIGKILL');
    await until(
      async () => pidOf(),
      (now) => now > 0 && now !== pid,
    );
  }
  await arrived;
  expect((await invoicesOf(life)).map(({ total }) => total)).toEqual(['30.00', '-10.00']);
}, 180_000);

it('and all of it verifies, and is rated again to the byte', () => expectRatedAgain(pipeline, sandbox));
