/** [I15] Stories of usage that comes late for a period that was billed, or is amended in one, by a test clock. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { verifyExported } from '../../../api/verify/verify-exported.ts';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, flat, calls as metered, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  const level = { code: 'level', name: 'Level', event: 'level', aggregation: 'weighted_sum', property: 'change' };
  await sandbox.made('/v1/meters', level);
});
afterAll(async () => {
  await expectRatedAgain(pipeline, sandbox);
  await pipeline.stop();
});

const [january, february, calls] = ['2026-01-10T00:00:00Z', '2026-02-10T00:00:00Z', metered('1.00')] as const;
const many = (count: number, customer: string, at: string) => Array.from({ length: count }, () => call(customer, at));

const planOf = (charges: readonly object[], terms: object = {}): Promise<string> =>
  newPlan(sandbox, 'USD', charges, terms);
const started = async (charges: readonly object[], terms: object = {}, customer: object = {}) => {
  const plan = await planOf(charges, terms);
  const life = await lifeFrom(sandbox, '2026-01-01T00:00:00Z', customer);
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan });
  return { life, id, plan };
};
const last = async (life: Life) => (await life.invoices()).at(-1);
type Sent = { readonly idempotency_key: string };
const fateOf = async ({ idempotency_key: key }: Sent) => (await sandbox.api('GET', `/v1/events/${key}`)).body;
/** Of the last version of an event: what it is, and where. */
const billingOf = async (event: Sent) => {
  const fate = await until(
    () => fateOf(event),
    ({ state }) => state === 'counted' || state === 'void',
  );
  const [{ reason, invoice_id, line_position, late_usage, taken_back_by }] = fate.versions.at(-1).billing;
  return { reason, invoice_id, line_position, late_usage, taken_back_by };
};
const idsOf = async (life: Life): Promise<string[]> =>
  (await sandbox.api('GET', `/v1/invoices?customer_id=${life.customer}&sort=number&limit=1000`)).body.items.map(
    ({ id }: { id: string }) => id,
  );
const invoice = async (id: string | undefined) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body;
const amend = async (amendment: object): Promise<void> => {
  const { items } = await sandbox.made('/v1/events/amendments', { amendments: [{ reason: 'a test', ...amendment }] });
  await until(
    () => sandbox.api('GET', `/v1/events/amendments/${items[0].id}`),
    ({ body }) => body.state === 'applied',
  );
};

describe('usage that comes late', () => {
  const tiered = {
    ...calls,
    price: {
      model: 'graduated',
      tiers: [
        { up_to: '5', unit_amount: '1.00' },
        { up_to: null, unit_amount: '0.10' },
      ],
    },
  };

  it('is on the next invoice, as what its tiers come to more, however many events it is', async () => {
    const { life } = await started([tiered]);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-01T12:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2026-02-01T01:00:00Z', total: '3.00', lines: ['calls x3 3.00 2026-01-01..2026-02-01'] },
    ]);
    const late = many(10, life.customer, january);
    await sandbox.send(late);
    const [first] = await idsOf(life);
    expect(await billingOf(late[0] as Sent)).toMatchObject({
      reason: 'late',
      invoice_id: first,
      late_usage: 'bill_next',
    });
    await life.until('2026-03-02T00:00:00Z');
    // Two more at 1.00, eight at 0.10.
    expect(await last(life)).toEqual({
      at: '2026-03-01T01:00:00Z',
      total: '2.80',
      lines: ['calls x0 0.00 2026-02-01..2026-03-01', 'calls (correction) x10 2.80 2026-01-01..2026-02-01'],
    });
    const [, second] = await idsOf(life);
    const { lines, periods } = await invoice(second);
    const [of] = (await invoice(first)).periods;
    expect(lines[1]).toMatchObject({
      kind: 'delta',
      steps: [],
      corrects: {
        invoice_id: first,
        billing_period_id: of.billing_period_id,
        watermark: of.watermark,
        quantity_before: '3',
        quantity_now: '13',
        amount_before: '3.00',
        amount_now: '5.80',
      },
    });
    expect(periods[1]).toMatchObject({ corrects_billing_period_id: of.billing_period_id });
    expect(await billingOf(late[9] as Sent)).toEqual({
      reason: null,
      invoice_id: second,
      line_position: 2,
      late_usage: null,
      taken_back_by: null,
    });

    const { delta, output } = (await sandbox.api('GET', `/v1/invoices/${second}/line-items/2/explain`)).body;
    expect(output).toMatchObject({ quantity: '13', amount: '5.80' });
    expect(delta).toMatchObject({ corrects: lines[1].corrects, changes: { added: '10', removed: '0' } });
    const { items } = (await sandbox.api('GET', delta.changes.url)).body;
    const keys = (events: readonly Sent[]) => events.map(({ idempotency_key: key }) => key).toSorted();
    expect(keys(items)).toEqual(keys(late));
    expect(new Set(items.map(({ change }: { change: string }) => change))).toEqual(new Set(['added']));
    const { total } = (await sandbox.api('GET', '/v1/reconciliation')).body;
    expect(total).toMatchObject({ is_balanced: true, unbilled: { late: 0 } });
  });

  it('twice is two deltas, each of what came in between', async () => {
    const { life } = await started([tiered]);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(4, life.customer, january));
    await life.until('2026-03-02T00:00:00Z');
    await sandbox.send([...many(10, life.customer, january), ...many(1, life.customer, february)]);
    await life.until('2026-04-02T00:00:00Z');
    expect((await life.invoices()).map(({ total, lines }) => [total, ...lines])).toEqual([
      ['3.00', 'calls x3 3.00 2026-01-01..2026-02-01'],
      ['2.20', 'calls x0 0.00 2026-02-01..2026-03-01', 'calls (correction) x4 2.20 2026-01-01..2026-02-01'],
      [
        '2.00',
        'calls x0 0.00 2026-03-01..2026-04-01',
        'calls (correction) x10 1.00 2026-01-01..2026-02-01',
        'calls (correction) x1 1.00 2026-02-01..2026-03-01',
      ],
    ]);
    await life.until('2026-05-02T00:00:00Z');
    expect(await last(life)).toMatchObject({ total: '0.00', lines: ['calls x0 0.00 2026-04-01..2026-05-01'] });
  });

  it('counts towards the least that a period costs, and towards the most', async () => {
    const minimum = { minimum_commitment: { amount: '10.00' } };
    const { life } = await started([calls], minimum);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(4, life.customer, january));
    await life.until('2026-03-02T00:00:00Z');
    await sandbox.send(many(5, life.customer, january));
    await life.until('2026-04-02T00:00:00Z');
    const deltas = (await life.invoices()).map(({ lines }) => lines.filter((line) => line.includes('correction')));
    expect(deltas).toEqual([
      [],
      [
        'calls (correction) x4 4.00 2026-01-01..2026-02-01',
        'Minimum commitment (correction) x0 -4.00 2026-01-01..2026-02-01',
      ],
      [
        'calls (correction) x5 5.00 2026-01-01..2026-02-01',
        'Minimum commitment (correction) x-1 -3.00 2026-01-01..2026-02-01',
      ],
    ]);

    const capped = await started([calls], { spend_cap: { amount: '5.00' } });
    await sandbox.send(many(4, capped.life.customer, january));
    await capped.life.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(3, capped.life.customer, january));
    await capped.life.until('2026-03-02T00:00:00Z');
    expect(await last(capped.life)).toMatchObject({
      total: '1.00',
      lines: [
        'calls x0 0.00 2026-02-01..2026-03-01',
        'calls (correction) x3 3.00 2026-01-01..2026-02-01',
        'Spend cap (correction) x1 -2.00 2026-01-01..2026-02-01',
      ],
    });
  });

  it('that a level is carried from changes every period behind it', async () => {
    const level = { ...calls, code: 'level', name: 'level', meter: 'level' };
    const { life } = await started([level]);
    const change = (by: string, at: string) => ({
      ...call(life.customer, at),
      event: 'level',
      properties: { change: by },
    });
    await sandbox.send([change('2', '2026-01-01T00:00:00Z')]);
    await life.until('2026-03-02T00:00:00Z');
    expect((await life.invoices()).map(({ total }) => total)).toEqual(['2.00', '2.00']);
    await sandbox.send([change('1', '2026-01-01T00:00:00Z')]);
    await life.until('2026-04-02T00:00:00Z');
    expect(await last(life)).toMatchObject({
      total: '5.00',
      lines: [
        'level x3 3.00 2026-03-01..2026-04-01',
        'level (correction) x1 1.00 2026-01-01..2026-02-01',
        'level (correction) x1 1.00 2026-02-01..2026-03-01',
      ],
    });
  });

  it('is rounded as what it corrects, and changes no other charge', async () => {
    const half = { ...calls, price: { model: 'per_unit', unit_amount: '0.005' } };
    const base = { ...half, code: 'base', name: 'base', price: { model: 'per_unit', unit_amount: '0.125' } };
    await sandbox.made('/v1/meters', { code: 'bases', name: 'Bases', event: 'base', aggregation: 'count' });
    const { life } = await started([half, { ...base, meter: 'bases' }]);
    await sandbox.send([...many(1, life.customer, january), { ...call(life.customer, january), event: 'base' }]);
    await life.until('2026-02-02T00:00:00Z');
    const rounding = async (mode: string): Promise<void> => {
      expect((await sandbox.api('PATCH', '/v1/organization', { rounding: mode })).status).toBe(200);
    };
    await rounding('half_even');
    await sandbox.send(many(4, life.customer, january));
    await life.until('2026-03-02T00:00:00Z');
    await rounding('half_up');
    // 0.025 is 0.03, as 0.005 was 0.01; the base stays 0.13.
    expect((await last(life))?.lines.slice(2)).toEqual(['calls (correction) x4 0.02 2026-01-01..2026-02-01']);
  });

  it('that costs nothing more is counted by the next invoice', async () => {
    const packages = { ...calls, price: { model: 'package', package_size: '10', package_amount: '2.00' } };
    const { life } = await started([packages]);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-02T00:00:00Z');
    const late = many(2, life.customer, january);
    await sandbox.send(late);
    await life.until('2026-03-02T00:00:00Z');
    expect(await last(life)).toMatchObject({
      total: '0.00',
      lines: ['calls x0 0.00 2026-02-01..2026-03-01', 'calls (correction) x2 0.00 2026-01-01..2026-02-01'],
    });
    expect(await billingOf(late[0] as Sent)).toMatchObject({ reason: null, line_position: 2 });
  });

  it('is only reported, where the plan says so', async () => {
    const { life } = await started([calls], { late_usage: 'report_only' });
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-02T00:00:00Z');
    const late = many(2, life.customer, january);
    await sandbox.send(late);
    await life.until('2026-03-02T00:00:00Z');
    expect(await last(life)).toMatchObject({ total: '0.00', lines: ['calls x0 0.00 2026-02-01..2026-03-01'] });
    expect(await billingOf(late[0] as Sent)).toMatchObject({ reason: 'late', late_usage: 'report_only' });
    await sandbox.send(many(1, life.customer, january));
    await life.until('2026-04-02T00:00:00Z');
    const { items } = (await sandbox.api('GET', `/v1/late-usage?customer_id=${life.customer}&sort=created_at`)).body;
    const reported = { state: 'reported', late_usage: 'report_only', delta_invoice_id: null };
    const [first] = await idsOf(life);
    expect(items).toMatchObject([
      { ...reported, invoice_id: first, amount: '2.00', differences: [{ charge_code: 'calls', amount_now: '5.00' }] },
      { ...reported, amount: '1.00', differences: [{ amount_before: '5.00', amount_now: '6.00', amount: '1.00' }] },
    ]);
  });
});

describe('an amendment of what was billed', () => {
  it('that takes an event away is a line below zero, which names what it takes back', async () => {
    const { life } = await started([calls, flat('fee', '20.00', { timing: 'advance' })]);
    const sent = many(3, life.customer, january);
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    await amend({ idempotency_key: sent[0]?.idempotency_key, action: 'void' });
    await life.until('2026-03-02T00:00:00Z');
    expect(await last(life)).toMatchObject({
      total: '19.00',
      lines: [
        'calls x0 0.00 2026-02-01..2026-03-01',
        'fee x1 20.00 2026-03-01..2026-04-01',
        'calls (correction) x-1 -1.00 2026-01-01..2026-02-01',
      ],
    });
    const [, first, second] = await idsOf(life);
    expect(await billingOf(sent[0] as Sent)).toEqual({
      reason: null,
      invoice_id: first,
      line_position: 1,
      late_usage: null,
      taken_back_by: { invoice_id: second, credit_note_id: null, line_position: 3 },
    });
    const { delta } = (await sandbox.api('GET', `/v1/invoices/${second}/line-items/3/explain`)).body;
    expect(delta.changes).toMatchObject({ added: '0', removed: '1' });
    expect((await sandbox.api('GET', delta.changes.url)).body.items).toMatchObject([
      { idempotency_key: sent[0]?.idempotency_key, change: 'removed', value: '1' },
    ]);
  });

  it('moves an event to another customer and another month, and each has what it comes to', async () => {
    const [one, other] = [await started([calls]), await started([calls])];
    const sent = many(3, one.life.customer, january);
    await sandbox.send(sent);
    await one.life.until('2026-03-02T00:00:00Z');
    await other.life.until('2026-03-02T00:00:00Z');
    const keyOf = (index: number) => sent[index]?.idempotency_key;
    const replacement = (customer_id: string) => ({ event: 'call', customer_id, timestamp: february });
    await amend({ idempotency_key: keyOf(0), action: 'replace', replacement: replacement(one.life.customer) });
    await amend({ idempotency_key: keyOf(1), action: 'replace', replacement: replacement(other.life.customer) });
    await one.life.until('2026-04-02T00:00:00Z');
    await other.life.until('2026-04-02T00:00:00Z');
    expect((await last(one.life))?.lines.slice(1)).toEqual([
      'calls (correction) x-2 -2.00 2026-01-01..2026-02-01',
      'calls (correction) x1 1.00 2026-02-01..2026-03-01',
    ]);
    expect((await last(other.life))?.lines.slice(1)).toEqual(['calls (correction) x1 1.00 2026-02-01..2026-03-01']);
  });

  it('that is taken back before the next invoice comes to nothing', async () => {
    const { life } = await started([calls]);
    const sent = many(1, life.customer, january);
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    const key = sent[0]?.idempotency_key;
    await amend({ idempotency_key: key, action: 'void' });
    const again = { event: 'call', customer_id: life.customer, timestamp: january };
    await amend({ idempotency_key: key, action: 'replace', replacement: again });
    await life.until('2026-03-02T00:00:00Z');
    expect(await last(life)).toMatchObject({ lines: ['calls x0 0.00 2026-02-01..2026-03-01'] });
    const [first, second] = await idsOf(life);
    expect((await invoice(second)).periods).toHaveLength(1);
    expect(await billingOf(sent[0] as Sent)).toMatchObject({ reason: null, invoice_id: first });
  });
});

describe('a delta goes to whoever was billed', () => {
  it('on the invoice of its own of a subscription that has ended, and in the world of its clock', async () => {
    const { life, id } = await started([calls]);
    await sandbox.send(many(3, life.customer, january));
    const other = await planOf([flat('fee', '5.00')]);
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: other });
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'period_end' });
    await life.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(2, life.customer, january));
    await life.until('2026-03-02T00:00:00Z');
    const invoices = (await life.invoices()).map(({ at, lines }) => [at, ...lines]);
    expect(invoices.toSorted()).toEqual([
      ['2026-02-01T00:00:00Z', 'fee x1 5.00 2026-01-01..2026-02-01'],
      ['2026-02-01T01:00:00Z', 'calls x3 3.00 2026-01-01..2026-02-01'],
      ['2026-03-01T00:00:00Z', 'calls (correction) x2 2.00 2026-01-01..2026-02-01'],
      ['2026-03-01T00:00:00Z', 'fee x1 5.00 2026-02-01..2026-03-01'],
    ]);
  });

  it('on the next invoice of the parent, and of the one that was billed where it was moved since', async () => {
    const parent = await lifeFrom(sandbox, '2026-01-01T00:00:00Z', { invoicing: 'consolidated' });
    const plan = await planOf([calls]);
    const child = `c-${unique()}`;
    await sandbox.made('/v1/customers', { external_id: child, name: 'Child', invoicing: 'consolidated' });
    await sandbox.made(`/v1/test-clocks/${parent.clock}/customers`, { customer_id: child });
    const moveTo = async (parent_id: string | null): Promise<void> => {
      const answer = await sandbox.api('PATCH', `/v1/customers/${child}`, { parent_id });
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    };
    await moveTo((await sandbox.api('GET', `/v1/customers/${parent.customer}`)).body.id);
    for (const customer_id of [parent.customer, child]) await sandbox.made('/v1/subscriptions', { customer_id, plan });
    await sandbox.send(many(3, child, january));
    await parent.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(2, child, january));
    await parent.until('2026-03-02T00:00:00Z');
    expect((await parent.invoices()).at(-1)).toMatchObject({
      total: '2.00',
      lines: [
        'calls x0 0.00 2026-02-01..2026-03-01',
        'calls x0 0.00 2026-02-01..2026-03-01',
        'calls (correction) x2 2.00 2026-01-01..2026-02-01',
      ],
    });
    await moveTo(null);
    await sandbox.send([...many(1, child, january), ...many(1, child, '2026-03-10T00:00:00Z')]);
    await parent.until('2026-04-02T00:00:00Z');
    expect((await parent.invoices()).at(-1)?.lines).toEqual([
      'calls x0 0.00 2026-03-01..2026-04-01',
      'calls (correction) x1 1.00 2026-01-01..2026-02-01',
    ]);
  });
});

describe('while a draft waits', () => {
  const waitAsDraft = async (draft_minutes: number): Promise<void> => {
    const answer = await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };

  it('what comes late is of no delta; a delta that waits in one takes what comes later still', async () => {
    await waitAsDraft(1_440);
    const { life } = await started([calls]);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2026-02-01T12:00:00Z');
    await sandbox.send(many(1, life.customer, january));
    await life.until('2026-02-03T00:00:00Z');
    expect(await life.invoices()).toMatchObject([{ total: '4.00', lines: ['calls x4 4.00 2026-01-01..2026-02-01'] }]);
    await sandbox.send(many(2, life.customer, january));
    await life.until('2026-03-01T12:00:00Z');
    const [draft] = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body.items;
    expect(await invoice(draft.id)).toMatchObject({ total: '2.00', lines: [{}, { kind: 'delta', quantity: '2' }] });
    await sandbox.send(many(3, life.customer, january));
    await until(
      () => invoice(draft.id),
      ({ total }) => total === '5.00',
    );
    await life.until('2026-03-03T00:00:00Z');
    expect(await last(life)).toMatchObject({
      total: '5.00',
      lines: ['calls x0 0.00 2026-02-01..2026-03-01', 'calls (correction) x5 5.00 2026-01-01..2026-02-01'],
    });
    await life.until('2026-04-03T00:00:00Z');
    expect(await last(life)).toMatchObject({ total: '0.00', lines: ['calls x0 0.00 2026-03-01..2026-04-01'] });
    await waitAsDraft(0);
  });
});

describe('taxes of a delta', () => {
  it('are those of now for what is due more, and of what was charged last for what is taken back', async () => {
    const spring = '2026-02-15T00:00:00Z';
    const rate = { name: 'VAT', country: 'DE' };
    await sandbox.made('/v1/tax-rates', { ...rate, code: 'de', percentage: '10', valid_until: spring });
    await sandbox.made('/v1/tax-rates', { ...rate, code: 'de-later', percentage: '20', valid_from: spring });
    const { life } = await started([calls], {}, { address: { line1: 'x', city: 'x', country: 'DE' } });
    const sent = many(3, life.customer, january);
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    await sandbox.send(many(1, life.customer, january));
    await life.until('2026-03-02T00:00:00Z');
    for (const { idempotency_key } of sent) await amend({ idempotency_key, action: 'void' });
    await life.until('2026-04-02T00:00:00Z');
    const invoices = await Promise.all((await idsOf(life)).map(invoice));
    // An answer of a delta is enough to check it, as that of any invoice is.
    for (const one of invoices) expect(verifyExported(JSON.stringify(one))).toMatchObject([{ faults: [] }]);
    const told = invoices.map(({ total, lines }) => [
      total,
      lines.map(({ amount, taxes }: { amount: string; taxes: { percentage: string; amount: string }[] }) => [
        amount,
        ...taxes.map((tax) => `${tax.percentage} ${tax.amount}`),
      ]),
    ]);
    expect(told).toEqual([
      ['3.30', [['3.00', '10 0.30']]],
      [
        '1.20',
        [
          ['0.00', '20 0.00'],
          ['1.00', '20 0.20'],
        ],
      ],
      [
        '-3.40',
        [
          ['0.00', '20 0.00'],
          ['-3.00', '20 -0.20', '10 -0.20'],
        ],
      ],
    ]);
  });
});

/** Bills three events, gives back what `ask` says, and makes the events void: the first invoice, and all totals. */
const billedAndTakenBack = async (ask: (id: string) => Promise<unknown>) => {
  const { life } = await started([calls]);
  const sent = many(3, life.customer, january);
  await sandbox.send(sent);
  await life.until('2026-02-02T00:00:00Z');
  const [id = ''] = await idsOf(life);
  await ask(id);
  for (const { idempotency_key } of sent) await amend({ idempotency_key, action: 'void' });
  await life.until('2026-03-02T00:00:00Z');
  return { id, totals: (await life.invoices()).map(({ total }) => total) };
};
const credit = (invoice_id: string) => sandbox.api('POST', '/v1/credit-notes', { invoice_id, reason: 'other' });
const voiding = (id: string) => sandbox.api('POST', `/v1/invoices/${id}/void`, {});

it.each([credit, voiding])(
  '[I32] what was given back by hand is reported, and given back by no delta: %o',
  async (ask) => {
    expect((await billedAndTakenBack(ask)).totals).toEqual(['3.00', '0.00']);
    expect((await sandbox.api('GET', '/v1/late-usage')).body.items[0]).toMatchObject({ state: 'reported' });
  },
);

it('[I32] what a delta took back is given back by no credit note', async () => {
  const { id, totals } = await billedAndTakenBack(async () => {});
  expect(totals).toEqual(['3.00', '-3.00']);
  expect((await credit(id)).body.error_code).toBe('INVOICE_CORRECTED');
  expect((await voiding(id)).body.error_code).toBe('INVOICE_NOT_VOIDABLE');
});
