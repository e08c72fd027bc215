/** [I15] [I32] Stories of usage that comes to less after it was billed, and is given back by credit notes. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { shortLeases } from '../../support/quick.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { call, flat, calls as metered, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  const services = [...parts.billedUsage, ...parts.amendedUsage];
  pipeline = await startPipeline(
    inject('serverUrls'),
    { MILLRACE_JOB_LEASE_SECONDS: '5', ...shortLeases },
    { services },
  );
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/meters', { code: 'texts', name: 'Texts', event: 'text', aggregation: 'count' });
}, 60_000);
afterAll(async () => {
  await expectRatedAgain(pipeline, sandbox);
  await pipeline?.stop();
});

const january = '2026-01-10T00:00:00Z';
const calls = metered('1.00');
const texts = { ...calls, code: 'texts', name: 'texts', meter: 'texts' };
const many = (count: number, customer: string, event = 'call') =>
  Array.from({ length: count }, () => ({ ...call(customer, january), event }));
type Sent = { readonly idempotency_key: string };

const newPlan = async (charges: readonly object[], terms: object): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges, ...terms });
  return code;
};
/** Of a plan by which late usage is credited. */
const subscribed = async (customer_id: string, charges: readonly object[], terms: object = {}): Promise<void> => {
  const plan = await newPlan(charges, { late_usage: 'credit_note', ...terms });
  await sandbox.made('/v1/subscriptions', { customer_id, plan });
};
/** A customer that lives by the clock, too. */
const joined = async ({ clock }: Life, more: object = {}): Promise<string> => {
  const customer = `c-${unique()}`;
  await sandbox.made('/v1/customers', { external_id: customer, name: 'A customer', ...more });
  await sandbox.made(`/v1/test-clocks/${clock}/customers`, { customer_id: customer });
  return customer;
};
/** A life with a run each week: somebody else is billed weekly. */
const weekly = async (customer: object = {}): Promise<Life> => {
  const life = await lifeFrom(sandbox, '2026-01-01T00:00:00Z', customer);
  const week = { billing_interval: { unit: 'week', count: 1 } };
  const plan = await newPlan([flat('fee', '1.00', week)], {});
  await sandbox.made('/v1/subscriptions', { customer_id: await joined(life), plan });
  return life;
};
const amend = async (amendments: readonly object[]): Promise<void> => {
  const asked = { amendments: amendments.map((one) => ({ reason: 'a test', ...one })) };
  const { items } = await sandbox.made('/v1/events/amendments', asked);
  for (const { id } of items)
    await until(
      () => sandbox.api('GET', `/v1/events/amendments/${id}`),
      ({ body }) => body.state === 'applied',
    );
};
const voided = (events: readonly Sent[]): Promise<void> =>
  amend(events.map(({ idempotency_key }) => ({ idempotency_key, action: 'void' })));
const list = async (path: string) => (await sandbox.api('GET', path)).body.items;
const invoicesOf = (customer: string) => list(`/v1/invoices?customer_id=${customer}&sort=number&limit=1000`);
const explain = async (noteId: string, line = 1) => {
  const answer = await sandbox.api('GET', `/v1/credit-notes/${noteId}/line-items/${line}/explain`);
  expect([answer.status, answer.body.errors]).toEqual([200, undefined]);
  return answer.body;
};
type Charge = { readonly charge_code: string; readonly amount: string };
/** What the charges of the period differ by, as its first credit note explains it. */
const differencesOf = async (customer: string): Promise<string[]> => {
  const [first] = await list(`/v1/credit-notes?customer_id=${customer}&sort=number`);
  const { charges } = (await explain(first.id)).delta;
  return charges.map(({ charge_code, amount }: Charge) => `${charge_code} ${amount}`);
};
/** Of each credit note its invoice, by its place, its total, and of each line the amount and taxes. */
const notesOf = async (customer: string) => {
  const ids = (await invoicesOf(customer)).map(({ id }: { id: string }) => id);
  const heads = await list(`/v1/credit-notes?customer_id=${customer}&sort=number&limit=1000`);
  const notes: string[][] = [];
  for (const { id } of heads) {
    const note = (await sandbox.api('GET', `/v1/credit-notes/${id}`)).body;
    expect(note).toMatchObject({ reason: 'late_usage', memo: null });
    const { checks } = (await sandbox.api('GET', `/v1/credit-notes/${id}/verify`)).body;
    expect(checks.filter(({ result }: { result: string }) => result !== 'passed')).toEqual([]);
    for (const { position, invoice_line, amount, discounts, taxes } of note.lines)
      expect(await explain(id, position)).toMatchObject({
        invoice_id: note.invoice_id,
        reason: 'late_usage',
        invoice_line: { position: invoice_line, rated_line: expect.stringMatching(/^rln_/) },
        credited: { amount, discounts, taxes },
        delta: { billing_period_id: note.delta_billing_period_id },
      });
    notes.push([
      `${ids.indexOf(note.invoice_id) + 1}: ${note.total}`,
      ...note.lines.map(
        (line: { charge_code: string; amount: string; discounts: { amount: string }[]; taxes: { amount: string }[] }) =>
          [
            line.charge_code,
            line.amount,
            ...line.discounts.map(({ amount }) => `less ${amount}`),
            ...line.taxes.map(({ amount }) => `tax ${amount}`),
          ].join(' '),
      ),
    ]);
  }
  return notes;
};
const billed = async (life: Life) => (await life.invoices()).map(({ total, lines }) => [total, ...lines.slice(1)]);

describe('what comes to less', () => {
  it('is credited at once of the invoice that billed it, and what comes to more is on the next invoice', async () => {
    const life = await weekly();
    const { customer } = life;
    await subscribed(customer, [calls]);
    const sent = many(5, customer);
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    await voided(sent.slice(0, 2));
    await life.until('2026-02-12T00:00:00Z');
    expect(await notesOf(customer)).toEqual([['1: 2.00', 'calls 2.00']]);
    const [first] = await invoicesOf(customer);
    expect(first).toMatchObject({ state: 'issued', amount_credited: '2.00', amount_due: '3.00' });

    // What is more waits for the next invoice, and what comes while it waits is in it.
    await sandbox.send(many(4, customer));
    await life.until('2026-02-19T00:00:00Z');
    await sandbox.send(many(2, customer));
    await life.until('2026-02-26T00:00:00Z');
    expect(await billed(life)).toEqual([['5.00']]);
    await life.until('2026-03-02T00:00:00Z');
    const correction = 'calls (correction) x6 6.00 2026-01-01..2026-02-01';
    expect(await billed(life)).toEqual([['5.00'], ['6.00', correction]]);

    // Of nine three are taken away: of what was billed last.
    await voided(sent.slice(2));
    await life.until('2026-03-12T00:00:00Z');
    expect((await notesOf(customer)).slice(1)).toEqual([['2: 3.00', 'calls 3.00']]);
    expect(await billed(life)).toEqual([['5.00'], ['6.00', correction]]);
    const states = (await list(`/v1/late-usage?customer_id=${customer}&sort=created_at`)).map(
      ({ state, amount, credit_note_ids }: { state: string; amount: string; credit_note_ids: string[] }) =>
        `${state} ${amount} ${credit_note_ids.length}`,
    );
    expect(states).toEqual(['credited -2.00 1', 'billed 6.00 0', 'credited -3.00 1']);

    // An event that was taken away names the credit note; who gave back what is in the audit log.
    const [note, later] = await list(`/v1/credit-notes?customer_id=${customer}&sort=number`);
    const fate = (await sandbox.api('GET', `/v1/events/${sent[0]?.idempotency_key}`)).body;
    expect(fate.versions[0].billing).toMatchObject([
      {
        invoice_id: first.id,
        line_position: 1,
        credit_note_id: null,
        taken_back_by: { invoice_id: first.id, credit_note_id: note.id, line_position: 1 },
      },
    ]);
    expect(note.delta_billing_period_id).toMatch(/^bpd_/);
    expect(later.delta_billing_period_id).not.toBe(note.delta_billing_period_id);

    // Down to the events: the two of the first invoice, and the three of what the second one billed.
    const nothing = { amount: '0.00', discounts: [], taxes: [], total: '0.00' };
    const [ofNote, ofLater] = [await explain(note.id), await explain(later.id)];
    expect(ofNote).toMatchObject({
      invoice_line: { kind: 'charge', description: 'calls', amount: '5.00', total: '5.00' },
      credited_before: nothing,
      credited: { ...nothing, amount: '2.00', total: '2.00' },
      left: { ...nothing, amount: '3.00', total: '3.00' },
      delta: {
        amount: '-2.00',
        charges: [
          {
            charge_code: 'calls',
            amount: '-2.00',
            corrects: {
              invoice_id: first.id,
              quantity_before: '5',
              quantity_now: '3',
              amount_before: '5.00',
              amount_now: '3.00',
            },
            rated_line_before: ofNote.invoice_line.rated_line,
            changes: { added: '0', removed: '2' },
          },
        ],
      },
    });
    expect(ofLater).toMatchObject({
      invoice_line: { kind: 'delta', amount: '6.00' },
      left: { amount: '3.00' },
      delta: { charges: [{ corrects: { quantity_before: '9', quantity_now: '6' }, changes: { removed: '3' } }] },
    });
    const keysOf = async ({ delta }: typeof ofNote) =>
      (await list(delta.charges[0].changes.url)).map((event: Sent & { change: string }) => {
        expect(event.change).toBe('removed');
        return event.idempotency_key;
      });
    const keys = sent.map(({ idempotency_key }) => idempotency_key);
    expect((await keysOf(ofNote)).sort()).toEqual(keys.slice(0, 2).sort());
    expect((await keysOf(ofLater)).sort()).toEqual(keys.slice(2).sort());
    const { rated_line } = ofLater.delta.charges[0];
    expect((await sandbox.api('GET', `/v1/rated-lines/${rated_line}/explain`)).body).toMatchObject({
      output: { quantity: '6', amount: '6.00' },
      hashes: { is_as_rated: true },
    });

    const entries = await list(`/v1/audit-log?object_id=${note.id}`);
    expect(entries).toMatchObject([{ action: 'credit_note.issued', actor: 'invoicer' }]);
  });

  type Case = {
    readonly charges?: readonly object[];
    readonly terms?: object;
    readonly country?: string;
    readonly coupon?: object;
    readonly calls: number;
    readonly texts?: number;
    /** How many calls are made void, and how many texts then. */
    readonly void: readonly [number, number];
    readonly notes: readonly (readonly string[])[];
    readonly due: string;
    /** What each charge comes to less, or more. */
    readonly differences: readonly string[];
  };
  const third = { ...calls, price: { model: 'per_unit', unit_amount: '0.33' } };
  const yen = { ...calls, price: { model: 'per_unit', unit_amount: '33' } };
  const cases: Readonly<Record<string, Case>> = {
    'a tax that is added: of 0.19 two thirds are 0.13': {
      charges: [third],
      country: 'DE',
      calls: 3,
      void: [1, 0],
      notes: [['1: 0.39', 'calls 0.33 tax 0.06']],
      due: '0.79',
      differences: ['calls -0.33'],
    },
    'a tax that is in the price: of 0.17 a third is 0.06': {
      charges: [third],
      country: 'FR',
      calls: 3,
      void: [1, 0],
      notes: [['1: 0.33', 'calls 0.33 tax 0.06']],
      due: '0.66',
      differences: ['calls -0.33'],
    },
    'a currency without cents: of 10 a third is 3': {
      charges: [yen],
      terms: { currency: 'JPY' },
      country: 'JP',
      calls: 3,
      void: [1, 0],
      notes: [['1: 36', 'calls 33 tax 3']],
      due: '73',
      differences: ['calls -33'],
    },
    'a percentage that was taken off': {
      coupon: { kind: 'percentage', percentage: '10' },
      calls: 10,
      void: [3, 0],
      notes: [['1: 2.70', 'calls 3.00 less 0.30']],
      due: '6.30',
      differences: ['calls -3.00'],
    },
    'an amount that was taken off, and is taken off what is left': {
      coupon: { kind: 'amount', amount: '4.00', currency: 'USD' },
      calls: 10,
      void: [8, 0],
      notes: [['1: 6.00', 'calls 8.00 less 2.00']],
      due: '0.00',
      differences: ['calls -8.00'],
    },
    'what a minimum commitment comes to more is taken off first': {
      terms: { minimum_commitment: { amount: '10.00' } },
      calls: 15,
      void: [10, 0],
      notes: [['1: 5.00', 'calls 5.00']],
      due: '10.00',
      differences: ['calls -10.00', 'minimum_commitment 5.00'],
    },
    'what was capped is given back less what the cap took off': {
      terms: { spend_cap: { amount: '5.00' } },
      calls: 8,
      void: [4, 0],
      notes: [['1: 1.00', 'calls 4.00', 'spend_cap -3.00']],
      due: '4.00',
      differences: ['calls -4.00', 'spend_cap 3.00'],
    },
    'of several charges each has its line': {
      charges: [calls, texts],
      calls: 4,
      texts: 3,
      void: [1, 2],
      notes: [['1: 3.00', 'calls 1.00', 'texts 2.00']],
      due: '4.00',
      differences: ['calls -1.00', 'texts -2.00'],
    },
    'all of it, and the invoice is voided': {
      calls: 2,
      void: [2, 0],
      notes: [['1: 2.00', 'calls 2.00']],
      due: '0.00',
      differences: ['calls -2.00'],
    },
  };

  it('is given back to the exact cent', async () => {
    for (const [country, percentage, inclusive] of [
      ['DE', '19', false],
      ['FR', '20', true],
      ['JP', '10', false],
    ] as const) {
      const code = country.toLowerCase();
      await sandbox.made('/v1/tax-rates', { code, name: code, country, percentage, inclusive });
    }
    const life = await weekly();
    const told = Object.entries(cases);
    const lives = await Promise.all(
      told.map(async ([name, one]) => {
        const { country, coupon } = one;
        const customer = await joined(life, country ? { address: { line1: 'x', city: 'x', country } } : {});
        await subscribed(customer, one.charges ?? [calls], one.terms);
        if (coupon) {
          const made = await sandbox.made('/v1/coupons', {
            code: unique(),
            name: 'Off',
            duration: 'forever',
            ...coupon,
          });
          await sandbox.made(`/v1/customers/${customer}/discounts`, { coupon: made.code });
        }
        const sent = [many(one.calls, customer), many(one.texts ?? 0, customer, 'text')] as const;
        return { name, customer, sent };
      }),
    );
    await sandbox.send(lives.flatMap(({ sent }) => sent.flat()));
    await life.until('2026-02-02T00:00:00Z');
    await voided(
      lives.flatMap(({ sent }, index) => sent.flatMap((some, of) => some.slice(0, told[index]?.[1].void[of]))),
    );
    await life.until('2026-02-12T00:00:00Z');
    const found = await Promise.all(
      lives.map(async ({ name, customer }) => {
        const [invoice] = await invoicesOf(customer);
        const differences = await differencesOf(customer);
        return [name, { notes: await notesOf(customer), due: invoice.amount_due, differences }];
      }),
    );
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(told.map(([name, { notes, due, differences }]) => [name, { notes, due, differences }])),
    );
  });
});

const patch = async (path: string, body: object) => {
  const answer = await sandbox.api('PATCH', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};
const credit = (invoice_id: string, more: object = {}) =>
  sandbox.api('POST', '/v1/credit-notes', { invoice_id, reason: 'other', ...more });

describe('what is left of an invoice', () => {
  it('[I32] bounds deltas and credit notes by hand, in whatever order they come', async () => {
    const life = await weekly({ invoicing: 'consolidated' });
    const [last, first, second, paid, child] = [
      await joined(life),
      await joined(life),
      await joined(life),
      await joined(life),
      await joined(life, { invoicing: 'consolidated' }),
    ];
    await patch(`/v1/customers/${child}`, {
      parent_id: (await sandbox.api('GET', `/v1/customers/${life.customer}`)).body.id,
    });
    const all = [last, first, second, paid, child];
    for (const customer of all) await subscribed(customer, [calls]);
    const sent = new Map(all.map((customer) => [customer, many(5, customer)]));
    const some = (customer: string, from: number, to: number) => sent.get(customer)?.slice(from, to) ?? [];
    await sandbox.send([...sent.values()].flat());
    await life.until('2026-02-02T00:00:00Z');

    // By hand before a delta: it is reported. What was paid is kept. The parent has what its child was billed for.
    const firstOf = async (customer: string): Promise<string> => (await invoicesOf(customer))[0].id;
    expect((await credit(await firstOf(first), { amount: '1.00' })).status).toBe(201);
    await patch(`/v1/invoices/${await firstOf(paid)}`, { amount_paid: '5.00' });
    const more = many(4, last);
    await sandbox.send(more);
    await voided([first, second, paid, child].flatMap((customer) => some(customer, 0, 2)));
    await life.until('2026-03-02T00:00:00Z');
    const reported = await list(`/v1/late-usage?customer_id=${first}`);
    expect(reported).toMatchObject([{ state: 'reported', amount: '-2.00', credit_note_ids: [] }]);
    const ofPaid = (await list(`/v1/credit-notes?customer_id=${paid}`))[0];
    expect(ofPaid).toMatchObject({ settlement: 'balance', pre_payment_amount: '0.00', post_payment_amount: '2.00' });
    expect(await notesOf(life.customer)).toEqual([['1: 2.00', 'calls 2.00']]);

    // By hand after a delta: what is left. A delta over two invoices: a credit note of each, the later one first.
    const one = await firstOf(second);
    expect((await credit(one, { lines: [{ invoice_line: 1, amount: '3.01' }] })).status).toBe(422);
    expect((await credit(one)).body).toMatchObject({ total: '3.00' });
    expect((await credit(one)).body).toMatchObject({ error_code: 'INVOICE_FULLY_CREDITED' });
    await voided([...more, ...some(last, 0, 3), ...some(second, 2, 3)]);
    await life.until('2026-03-12T00:00:00Z');
    expect(await notesOf(last)).toEqual([
      ['2: 4.00', 'calls 4.00'],
      ['1: 3.00', 'calls 3.00'],
    ]);
    const states = (await list(`/v1/late-usage?customer_id=${second}&sort=created_at`)).map(
      ({ state }: { state: string }) => state,
    );
    expect(states).toEqual(['credited', 'reported']);
  });

  it('is credited at once where invoices are drafts first; what is more is in the next draft', async () => {
    const life = await weekly();
    const { customer } = life;
    await subscribed(customer, [calls]);
    const sent = many(5, customer);
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    await patch('/v1/organization', { invoicing: { draft_minutes: 1_440 } });
    await voided(sent.slice(0, 1));
    await life.until('2026-02-12T00:00:00Z');
    await voided(sent.slice(1, 2));
    await life.until('2026-03-03T00:00:00Z');
    const note = ['1: 1.00', 'calls 1.00'];
    expect([await billed(life), await notesOf(customer)]).toEqual([
      [['5.00'], ['0.00']],
      [note, note],
    ]);
    // More waits for the next draft. Then less is of what was billed last.
    await sandbox.send(many(2, customer));
    await life.until('2026-03-12T00:00:00Z');
    expect(await list(`/v1/invoices?customer_id=${customer}&state=draft`)).toEqual([]);
    await life.until('2026-04-03T00:00:00Z');
    const more = ['2.00', 'calls (correction) x2 2.00 2026-01-01..2026-02-01'];
    expect(await billed(life)).toEqual([['5.00'], ['0.00'], more]);
    await voided(sent.slice(2, 3));
    await life.until('2026-04-12T00:00:00Z');
    await patch('/v1/organization', { invoicing: { draft_minutes: 0 } });
    expect(await notesOf(customer)).toEqual([note, note, ['3: 1.00', 'calls 1.00']]);
  });
});

it('[I2] [I18] an invoicer that is killed while it credits credits once', async () => {
  const life = await weekly();
  const customers = await Promise.all(Array.from({ length: 12 }, () => joined(life)));
  for (const customer of customers) await subscribed(customer, [calls]);
  const sent = customers.map((customer) => many(3, customer));
  await sandbox.send(sent.flat());
  await life.until('2026-02-02T00:00:00Z');
  await voided(sent.map(([first]) => first as Sent));
  const pidOf = () => pipeline.stack.processes.find(({ name }) => name === 'invoicer')?.pid ?? 0;
  const arrived = life.until('2026-02-12T00:00:00Z');
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
  for (const customer of customers) expect(await notesOf(customer)).toEqual([['1: 1.00', 'calls 1.00']]);
}, 180_000);

it('and what stands verifies', async () => {
  expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [], stderr: '' });
});
