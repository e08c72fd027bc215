/** [I15] [I32] Stories of usage that changes after somebody credited some of its invoice by hand. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { shortLeases } from '../../support/quick.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { call, calls as metered, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  const services = [...parts.billedUsage, ...parts.amendedUsage];
  pipeline = await startPipeline(inject('serverUrls'), shortLeases, { services });
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/meters', { code: 'texts', name: 'Texts', event: 'text', aggregation: 'count' });
  await sandbox.made('/v1/tax-rates', { code: 'ten', name: 'Ten', percentage: '10' });
}, 60_000);
afterAll(() => pipeline?.stop());

const calls = metered('1.00');
const texts = { ...calls, code: 'texts', name: 'texts', meter: 'texts' };
type Sent = { readonly idempotency_key: string };
const many = (count: number, customer: string, event: 'call' | 'text') =>
  Array.from({ length: count }, () => ({ ...call(customer, '2026-01-10T00:00:00Z'), event }));
const voided = async (events: readonly Sent[]): Promise<void> => {
  const amendments = events.map(({ idempotency_key }) => ({ idempotency_key, action: 'void', reason: 'a test' }));
  const { items } = await sandbox.made('/v1/events/amendments', { amendments });
  for (const { id } of items)
    await until(
      () => sandbox.api('GET', `/v1/events/amendments/${id}`),
      ({ body }) => body.state === 'applied',
    );
};
const list = async (path: string) => (await sandbox.api('GET', path)).body.items;
type Line = { description: string; amount: string; taxes: { amount: string }[] };
/** Each invoice but for lines of nothing: its total, and its lines with their taxes. */
const billed = async (customer: string): Promise<string[]> => {
  const heads = await list(`/v1/invoices?customer_id=${customer}&sort=number&limit=100`);
  const whole = await Promise.all(
    heads.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body),
  );
  return whole.map(({ total, lines }) => {
    const told = (lines as Line[]).filter(({ amount }) => amount !== '0.00');
    return [
      total,
      ...told.map(({ description, amount, taxes }) => `${description} ${amount} ${taxes[0]?.amount}`),
    ].join(', ');
  });
};
/** Each credit note: why, its total, and its lines. */
const credited = async (customer: string): Promise<string[]> => {
  const heads = await list(`/v1/credit-notes?customer_id=${customer}&sort=number&limit=100`);
  const whole = await Promise.all(
    heads.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/credit-notes/${id}`)).body),
  );
  return whole.map(({ reason, total, lines }) =>
    [
      `${reason} ${total}`,
      ...lines.map((line: { charge_code: string; amount: string }) => `${line.charge_code} ${line.amount}`),
    ].join(', '),
  );
};
/** What became of each delta, the oldest first. */
const deltas = async (customer: string): Promise<string[]> =>
  (await list(`/v1/late-usage?customer_id=${customer}&sort=created_at`)).map(
    ({ state, amount }: { state: string; amount: string }) => `${state} ${amount}`,
  );

/** A customer that lives by the clock, with calls and texts of 1.00 each and a tax of 10 %. */
const subscribedIn = async ({ clock }: Life, late_usage: string): Promise<string> => {
  const customer_id = `c-${unique()}`;
  const tax = { treatment: 'taxable', rates: ['ten'] };
  await sandbox.made('/v1/customers', { external_id: customer_id, name: 'A customer', tax });
  await sandbox.made(`/v1/test-clocks/${clock}/customers`, { customer_id });
  const plan = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code: plan, name: plan, currency: 'USD', charges: [calls, texts], late_usage });
  await sandbox.made('/v1/subscriptions', { customer_id, plan });
  return customer_id;
};

describe('a delta of what was credited by hand', () => {
  it('is billed or credited once where nobody can have meant it, and reported where somebody can', async () => {
    const life = await lifeFrom(sandbox, '2026-01-01T00:00:00Z');
    const subscribed = (late_usage: string) => subscribedIn(life, late_usage);
    const [other, noted, whole, share, later, voidedOne] = [
      await subscribed('bill_next'),
      await subscribed('credit_note'),
      await subscribed('bill_next'),
      await subscribed('bill_next'),
      await subscribed('bill_next'),
      await subscribed('bill_next'),
    ];
    const all = [other, noted, whole, share, later, voidedOne];
    const sent = new Map(
      all.map((customer) => [customer, { calls: many(5, customer, 'call'), texts: many(5, customer, 'text') }]),
    );
    const callsOf = (customer: string, from: number, to: number) => sent.get(customer)?.calls.slice(from, to) ?? [];
    const textsOf = (customer: string, from: number, to: number) => sent.get(customer)?.texts.slice(from, to) ?? [];
    await sandbox.send([...sent.values()].flatMap((own) => [...own.calls, ...own.texts]));
    await life.until('2026-02-02T00:00:00Z');
    const first = '11.00, calls 5.00 0.50, texts 5.00 0.50';
    for (const customer of all) expect(await billed(customer)).toEqual([first]);
    const invoiceOf = async (customer: string, place = 0): Promise<string> =>
      (await list(`/v1/invoices?customer_id=${customer}&sort=number`))[place].id;
    const credit = async (customer: string, more: object, place = 0) =>
      sandbox.made('/v1/credit-notes', {
        invoice_id: await invoiceOf(customer, place),
        reason: 'order_change',
        ...more,
      });
    const some = { lines: [{ invoice_line: 2, amount: '2.00' }] };

    // Of two lines the second one is credited in part, or whole, or both of them by a part of the total.
    await credit(other, some);
    await credit(noted, some);
    await credit(whole, { lines: [{ invoice_line: 2 }] });
    await credit(share, { amount: '1.10' });
    await sandbox.made(`/v1/invoices/${await invoiceOf(voidedOne)}/void`, {});
    await voided([...callsOf(other, 0, 2), ...callsOf(noted, 0, 2), ...callsOf(whole, 0, 1)]);
    await sandbox.send([
      ...many(3, other, 'text'),
      ...many(1, whole, 'text'),
      ...many(2, share, 'call'),
      ...many(3, later, 'text'),
      ...many(3, voidedOne, 'text'),
    ]);
    await life.until('2026-03-02T00:00:00Z');
    expect(await billed(other)).toEqual([first, '1.10, calls (correction) -2.00 -0.20, texts (correction) 3.00 0.30']);
    expect(await credited(noted)).toEqual(['order_change 2.20, texts 2.00', 'late_usage 2.20, calls 2.00']);
    expect(await deltas(noted)).toEqual(['credited -2.00']);
    expect([await billed(whole), await deltas(whole)]).toEqual([[first, '0.00'], ['reported 0.00']]);
    expect([await billed(share), await deltas(share)]).toEqual([
      [first, '2.20, calls (correction) 2.00 0.20'],
      ['billed 2.00'],
    ]);
    expect(await billed(later)).toEqual([first, '3.30, texts (correction) 3.00 0.30']);
    expect([await billed(voidedOne), await deltas(voidedOne)]).toEqual([[first, '0.00'], ['reported 3.00']]);

    // The other way round: the delta was billed first, and then some of either invoice is credited.
    const refused = await sandbox.api('POST', '/v1/credit-notes', {
      invoice_id: await invoiceOf(other),
      reason: 'other',
      ...some,
    });
    expect(refused.body.error_code).toBe('INVOICE_CORRECTED');
    await credit(later, some);
    await credit(later, { lines: [{ invoice_line: 3, amount: '1.00' }] }, 1);
    await sandbox.send([...many(1, later, 'text'), ...many(4, noted, 'call'), ...many(1, share, 'text')]);
    await voided([...textsOf(share, 0, 2), ...textsOf(other, 0, 1)]);
    await life.until('2026-04-02T00:00:00Z');
    expect((await billed(later)).slice(2)).toEqual(['1.10, texts (correction) 1.00 0.10']);
    expect(await deltas(later)).toEqual(['billed 3.00', 'billed 1.00']);
    expect((await billed(noted)).slice(1)).toEqual(['0.00', '4.40, calls (correction) 4.00 0.40']);
    // Less of a line that was credited: nobody but its organization knows whether that was it.
    expect((await deltas(share)).slice(1)).toEqual(['reported -1.00']);
    expect((await deltas(other)).slice(1)).toEqual(['reported -1.00']);

    // What comes after what was only reported is reported, too.
    await sandbox.send([...many(3, share, 'text'), ...many(2, later, 'text')]);
    await voided(callsOf(noted, 2, 5));
    await life.until('2026-05-02T00:00:00Z');
    expect((await deltas(share)).slice(2)).toEqual(['reported 3.00']);
    expect((await deltas(later)).slice(2)).toEqual(['billed 2.00']);
    // 3.00 of what was billed last, which is the delta: 4.00 of calls. The hand credit of texts stays as it was.
    expect((await credited(noted)).slice(2)).toEqual(['late_usage 3.30, calls 3.00']);
    expect(await deltas(noted)).toEqual(['credited -2.00', 'billed 4.00', 'credited -3.00']);
  });

  it('leaves the draft that it waits in where all of its line is credited meanwhile', async () => {
    const life = await lifeFrom(sandbox, '2026-01-01T00:00:00Z');
    const customer = await subscribedIn(life, 'bill_next');
    await sandbox.send([...many(5, customer, 'call'), ...many(5, customer, 'text')]);
    await life.until('2026-02-02T00:00:00Z');
    const [{ id: invoice_id }] = await list(`/v1/invoices?customer_id=${customer}`);
    await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 1_440 } });
    await sandbox.send(many(2, customer, 'text'));
    await life.until('2026-03-01T12:00:00Z');
    await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 0 } });
    const [{ id: draft }] = await list(`/v1/invoices?customer_id=${customer}&state=draft`);
    const total = async () => (await sandbox.api('GET', `/v1/invoices/${draft}`)).body.total;
    const asked = { invoice_id, reason: 'other' };
    expect(await total()).toBe('2.20');
    await sandbox.made('/v1/credit-notes', { ...asked, lines: [{ invoice_line: 2, amount: '4.00' }] });
    expect(await total()).toBe('2.20');
    await sandbox.made('/v1/credit-notes', { ...asked, lines: [{ invoice_line: 2 }] });
    expect(await total()).toBe('0.00');
    await life.until('2026-03-03T00:00:00Z');
    expect([await total(), await deltas(customer)]).toEqual(['0.00', ['reported 2.00']]);
  });

  it('that comes at the same moment as the credit note goes before it or behind it, and both are once', async () => {
    const life = await lifeFrom(sandbox, '2026-01-01T00:00:00Z');
    const customers: string[] = [];
    for (let place = 0; place < 8; place += 1) customers.push(await subscribedIn(life, 'credit_note'));
    const sent = customers.map((customer) => many(5, customer, 'call'));
    await sandbox.send([...sent.flat(), ...customers.flatMap((customer) => many(5, customer, 'text'))]);
    await life.until('2026-02-02T00:00:00Z');
    const invoices = await Promise.all(
      customers.map(async (customer) => (await list(`/v1/invoices?customer_id=${customer}`))[0].id),
    );
    await voided(sent.flatMap((own) => own.slice(0, 2)));
    const arrived = life.until('2026-03-02T00:00:00Z');
    // Half of them of the charge that comes to less, and half of the other one.
    await Promise.all(
      invoices.map((invoice_id, place) =>
        sandbox.made('/v1/credit-notes', {
          invoice_id,
          reason: 'order_change',
          lines: [{ invoice_line: place < 4 ? 1 : 2, amount: '1.00' }],
        }),
      ),
    );
    await arrived;
    for (const [place, customer] of customers.entries()) {
      const [state] = await deltas(customer);
      const byHand = `order_change 1.10, ${place < 4 ? 'calls' : 'texts'} 1.00`;
      const notes = (await credited(customer)).toSorted();
      if (place < 4 && state === 'reported -2.00') expect(notes).toEqual([byHand]);
      else expect([state, notes]).toEqual(['credited -2.00', ['late_usage 2.20, calls 2.00', byHand]]);
    }
  });

  it('verifies, is rated again, and every credit note is within its invoice', async () => {
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
    await expectRatedAgain(pipeline, sandbox);
  });
});
