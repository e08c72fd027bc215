/** What subscriptions are billed for over their time: plans, seats, add-ons, trials, pauses; now, later, taken back. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { subscriptionStateAt, subscriptionStates } from '#schemas/subscription-state.ts';
import type { SubscriptionChange } from '#schemas/subscription-terms.ts';
import { isInState } from '../../api/subscriptions/subscription-filters.ts';
import { type ApiAnswer, type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const day = 86_400_000;
const iso = (instant: number): string => new Date(instant).toISOString();
const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const flat = { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '30.00' } };
const perSeat = { code: 'seats', name: 'Seats', seats: true, price: { model: 'per_unit', unit_amount: '10.00' } };
const planOf = (more: object = {}) =>
  made('/v1/plans', { code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges: [flat, perSeat], ...more });
const addOnOf = (more: object = {}) =>
  planOf({ kind: 'add_on', charges: [{ ...flat, price: { model: 'flat', amount: '5.00' } }], ...more });
const customerOf = async (more: object = {}): Promise<string> => {
  const customer = `c-${unique()}`;
  await made('/v1/customers', { external_id: customer, name: customer, ...more });
  return customer;
};
const subscribed = async ({ plan, ...more }: { plan?: string; [field: string]: unknown } = {}) =>
  made('/v1/subscriptions', { customer_id: await customerOf(), plan: plan ?? (await planOf()).code, ...more });
const read = async (id: string) => (await api('GET', `/v1/subscriptions/${id}`)).body;
const post = (id: string, action: string, body: object = {}, headers: Record<string, string> = {}) =>
  api('POST', `/v1/subscriptions/${id}/${action}`, body, headers);
const done = async (id: string, action: string, body: object = {}) => {
  const answer = await post(id, action, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const ledger = async (id: string, query = '') =>
  (await api('GET', `/v1/subscriptions/${id}/changes?sort=effective_at${query}`)).body.items;
const actions = async (id: string): Promise<string[]> =>
  (await api('GET', `/v1/audit-log?object_id=${id}&sort=created_at`)).body.items.map(
    ({ action }: { action: string }) => action,
  );
const refused = (answer: ApiAnswer, status: number, code: string) => {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  expect(answer.body.error_code).toBe(code);
  return answer.body;
};

describe('a change of the plan', () => {
  it('now is in effect at once, and stands in the ledger, the lists and the audit log', async () => {
    const [before, next] = [await planOf(), await planOf()];
    const { id, customer_id: customer } = await subscribed({ plan: before.code });
    const after = await done(id, 'change-plan', { plan: next.code, invoice: 'now' });
    expect(after).toMatchObject({
      plan_id: next.id,
      plan_code: next.code,
      plan_version_id: next.plan_version_id,
      pending_changes: [],
      version: 2,
    });
    expect({ ...(await read(id)), preview: null }).toEqual(after);
    expect(await ledger(id)).toMatchObject([
      { kind: 'plan', plan_code: next.code, invoice: 'now', quantity: null, undone_at: null },
    ]);
    const listed = async (plan: string) =>
      (await api('GET', `/v1/subscriptions?plan=${plan}&customer_id=${customer}`)).body.pagination.total;
    expect([await listed(before.code), await listed(next.code)]).toEqual([0, 1]);
    expect(await actions(id)).toEqual(['subscription.created', 'subscription.plan_changed']);
    // It may have the old plan again, beside it.
    await made('/v1/subscriptions', { customer_id: customer, plan: before.code });
    refused(await post(id, 'change-plan', { plan: before.code }), 409, 'SUBSCRIPTION_ALREADY_ACTIVE');
  });

  it('at the end of the period waits for it, one at a time, and can be taken back until then', async () => {
    const [before, next] = [await planOf(), await planOf()];
    const { id, current_period: period } = await subscribed({ plan: before.code });
    const waiting = await done(id, 'change-plan', { plan: next.id, at: 'period_end' });
    expect(waiting).toMatchObject({
      plan_code: before.code,
      pending_changes: [{ kind: 'plan', plan_code: next.code, effective_at: period.end }],
    });
    const [{ id: change }] = waiting.pending_changes;
    const { detail } = refused(
      await post(id, 'change-plan', { plan: (await planOf()).code }),
      409,
      'SUBSCRIPTION_CHANGE_PENDING',
    );
    expect(detail).toContain(change);
    expect((await done(id, 'undo-change', { change_id: change })).pending_changes).toEqual([]);
    refused(await post(id, 'undo-change', { change_id: change }), 409, 'SUBSCRIPTION_CHANGE_IN_EFFECT');
    refused(
      await post(id, 'undo-change', { change_id: `chg_${'0'.repeat(32)}` }),
      404,
      'SUBSCRIPTION_CHANGE_NOT_FOUND',
    );
    expect(await ledger(id)).toMatchObject([{ id: change, undone_at: expect.any(String) }]);
    await done(id, 'change-plan', { plan: next.id });
    expect(await actions(id)).toEqual([
      'subscription.created',
      'subscription.plan_changed',
      'subscription.change_undone',
      'subscription.plan_changed',
    ]);
  });

  it('of a new version of the same plan is one, and of the same version is none', async () => {
    const plan = await planOf();
    const { id } = await subscribed({ plan: plan.code });
    refused(await post(id, 'change-plan', { plan: plan.code }), 409, 'SUBSCRIPTION_UNCHANGED');
    const newer = (await api('PATCH', `/v1/plans/${plan.id}`, { charges: [flat] })).body;
    expect((await done(id, 'change-plan', { plan: plan.code })).plan_version_id).toBe(newer.plan_version_id);
  });

  it('that can not be is refused at its place, and nothing is done', async () => {
    const { id } = await subscribed();
    const end = iso(Date.now() + 10 * day);
    const cases: [object, number, string, object?][] = [
      [{ plan: 'nothing' }, 404, 'PLAN_NOT_FOUND'],
      [{ plan: (await addOnOf()).code }, 409, 'PLAN_IS_ADD_ON'],
      [{ plan: (await planOf({ draft: true })).code }, 409, 'PLAN_NOT_ACTIVE'],
      [
        { plan: (await planOf({ currency: 'EUR' })).code },
        422,
        'VALIDATION_FAILED',
        { field: 'plan', code: 'not_priced' },
      ],
      [{ plan: 'x', at: '2026-02-30T00:00:00Z' }, 422, 'VALIDATION_FAILED', { field: 'at', code: 'wrong_format' }],
      [{ plan: 'x', at: '2020-01-01T00:00:00Z' }, 422, 'VALIDATION_FAILED', { field: 'at', code: 'out_of_range' }],
      [{ plan: 'x', at: '2090-01-01T00:00:00Z' }, 422, 'VALIDATION_FAILED', { field: 'at', code: 'out_of_range' }],
      [{ plan: 'x', at: end }, 422, 'VALIDATION_FAILED', { field: 'at', code: 'out_of_range' }],
    ];
    await done(id, 'cancel', { at: end });
    const before = await read(id);
    for (const [body, status, code, fault] of cases)
      expect(refused(await post(id, 'change-plan', body), status, code).errors.slice(0, 1)).toMatchObject(
        fault ? [fault] : [],
      );
    const { errors } = refused(
      await post(id, 'change-plan', { invoice: 'never', colour: 'red' }),
      422,
      'VALIDATION_FAILED',
    );
    expect(errors.map(({ field }: { field: string }) => field).toSorted()).toEqual(['colour', 'invoice', 'plan']);
    expect(await read(id)).toEqual(before);
    expect(await ledger(id)).toEqual([]);
  });

  it('[I22] asked for twice under one key, or six times at the same moment, is one', async () => {
    const { id } = await subscribed();
    const next = (await planOf()).code;
    const key = { 'idempotency-key': unique() };
    const [first, again] = [
      await post(id, 'change-plan', { plan: next }, key),
      await post(id, 'change-plan', { plan: next }, key),
    ];
    expect([again.status, again.body]).toEqual([200, first.body]);
    const other = (await planOf()).code;
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(id, 'change-plan', { plan: other })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409]);
    expect(await ledger(id, '&kind=plan')).toHaveLength(2);
  });

  it('says before it is made what it charges and credits, to the cent, and changes nothing by saying so', async () => {
    const inAdvance = [flat, perSeat].map((charge) => ({ ...charge, timing: 'advance' }));
    const dearer = { ...perSeat, timing: 'advance', price: { model: 'per_unit', unit_amount: '33.33' } };
    const [before, next] = [await planOf({ charges: inAdvance }), await planOf({ charges: [dearer] })];
    const { id, version } = await subscribed({ plan: before.code, seats: 3, billing_anchor: 'anniversary' });
    await pipeline.closePeriod({ subscription_id: id });
    const asked = { plan: next.code, invoice: 'now', at: iso(Date.now() + 5_000) };
    const asIs = await read(id);
    const { preview, ...unchanged } = (await api('POST', `/v1/subscriptions/${id}/change-plan?preview=true`, asked))
      .body;
    expect([unchanged, (await read(id)).version]).toEqual([asIs, version]);
    await done(id, 'change-plan', asked);
    await until(
      () => read(id),
      ({ plan_code: code }) => code === next.code,
    );
    await pipeline.closePeriod({ subscription_id: id });
    const { items } = (await api('GET', `/v1/invoices?subscription_id=${id}&sort=number`)).body;
    expect(items.map(({ total }: { total: string }) => total)).toEqual(['60.00', preview.total]);
    const { lines } = (await api('GET', `/v1/invoices/${items[1].id}`)).body;
    const shown = (some: { charge_code: string; amount: string }[]) =>
      some.map(({ charge_code: code, amount }) => [code, amount]).toSorted();
    expect(shown(preview.lines)).toEqual(shown(lines));
    expect(preview.lines.map(({ timing }: { timing: string }) => timing).toSorted()).toEqual([
      'advance',
      'credit',
      'credit',
    ]);
  });

  it('of one that has not begun holds from its begin', async () => {
    const startedAt = Date.now() + 3 * day;
    const { id } = await subscribed({ started_at: iso(startedAt) });
    const next = (await planOf()).code;
    expect(await done(id, 'change-plan', { plan: next })).toMatchObject({
      state: 'pending',
      plan_code: next,
      pending_changes: [{ effective_at: iso(startedAt) }],
    });
  });
});

describe('seats', () => {
  it('more come at once, fewer with the end of the period, and the ledger has each', async () => {
    const { id, current_period: period } = await subscribed({ seats: 5 });
    expect(await read(id)).toMatchObject({ seats: 5 });
    expect(await done(id, 'seats', { change: 3 })).toMatchObject({ seats: 8, pending_changes: [] });
    expect(await done(id, 'seats', { quantity: 2 })).toMatchObject({
      seats: 8,
      pending_changes: [{ kind: 'seats', quantity: 2, effective_at: period.end }],
    });
    // What is said as a difference holds from then on, so what lies ahead moves too.
    expect(await done(id, 'seats', { change: 1 })).toMatchObject({ seats: 9, pending_changes: [{ quantity: 3 }] });
    expect(await done(id, 'seats', { change: -2, at: 'now' })).toMatchObject({
      seats: 7,
      pending_changes: [{ quantity: 1 }],
    });
    refused(await post(id, 'seats', { change: -1, at: 'now' }), 422, 'VALIDATION_FAILED');
  });

  it('are refused where they are none, fractions, too many or none at all', async () => {
    const { id } = await subscribed({ seats: 2 });
    const fault = async (body: object, field: string, code: string) => {
      const { errors } = refused(await post(id, 'seats', body), 422, 'VALIDATION_FAILED');
      expect(errors).toContainEqual(expect.objectContaining({ field, code }));
    };
    await fault({ quantity: -1 }, 'quantity', 'minimum');
    await fault({ quantity: 0 }, 'quantity', 'minimum');
    await fault({ quantity: 1.5 }, 'quantity', 'wrong_type');
    await fault({ quantity: 1_000_001 }, 'quantity', 'maximum');
    await fault({ change: -2 }, 'change', 'out_of_range');
    await fault({ change: 0 }, 'change', 'out_of_range');
    await fault({ change: 1, quantity: 3 }, 'change', 'not_allowed');
    await fault({}, 'quantity', 'missing');
    refused(await post(id, 'seats', { quantity: 2 }), 409, 'SUBSCRIPTION_UNCHANGED');
    expect(await read(id)).toMatchObject({ version: 1, seats: 2 });
  });

  it('that are added six times at the same moment are six more, each from an instant of its own', async () => {
    const { id } = await subscribed();
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(id, 'seats', { change: 1 })));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(await read(id)).toMatchObject({ seats: 7, version: 7, pending_changes: [] });
    const entries: { effective_at: string; quantity: number }[] = await ledger(id, '&kind=seats');
    expect(entries.map(({ quantity }) => quantity)).toEqual([2, 3, 4, 5, 6, 7]);
    expect(new Set(entries.map((entry) => entry.effective_at)).size).toBe(6);
  });
});

describe('an add-on', () => {
  it('is taken, taken more often, and ended, in the version that was active first', async () => {
    const addOn = await addOnOf();
    const { id } = await subscribed({ add_ons: [{ plan: addOn.code, quantity: 2 }] });
    const { plan_version_id: version } = addOn;
    expect(await read(id)).toMatchObject({
      add_ons: [{ plan_code: addOn.code, plan_version_id: version, quantity: 2 }],
    });
    await api('PATCH', `/v1/plans/${addOn.id}`, { charges: [{ ...flat, name: 'Another' }] });
    const { add_ons: addOns } = await done(id, 'add-ons', { plan: addOn.code, quantity: 5 });
    expect(addOns).toMatchObject([{ plan_version_id: version, quantity: 5 }]);
    expect((await done(id, 'add-ons', { plan: addOn.id, quantity: 0 })).add_ons).toEqual([]);
    refused(await post(id, 'add-ons', { plan: addOn.id, quantity: 0 }), 409, 'SUBSCRIPTION_UNCHANGED');
    expect((await done(id, 'add-ons', { plan: addOn.id, quantity: 1 })).add_ons[0].plan_version_id).not.toBe(version);
  });

  it('goes with the plans that it names, now and later, and at most so many times', async () => {
    const plan = await planOf();
    const addOn = await addOnOf({ add_on: { plans: [plan.code], max_quantity: 3 } });
    const { id } = await subscribed({ plan: plan.code });
    const other = (await planOf()).code;
    const { errors } = refused(await post(id, 'add-ons', { plan: addOn.code, quantity: 4 }), 422, 'VALIDATION_FAILED');
    expect(errors).toMatchObject([{ field: 'quantity', code: 'out_of_range' }]);
    await done(id, 'add-ons', { plan: addOn.code, quantity: 3 });
    expect(refused(await post(id, 'change-plan', { plan: other }), 409, 'SUBSCRIPTION_ADD_ON_MISFIT').detail).toContain(
      addOn.code,
    );
    await done(id, 'add-ons', { plan: addOn.code, quantity: 0 });
    await done(id, 'change-plan', { plan: other, at: 'period_end' });
    refused(await post(id, 'add-ons', { plan: addOn.code, quantity: 1 }), 409, 'SUBSCRIPTION_ADD_ON_MISFIT');
    refused(await post(id, 'add-ons', { plan: plan.code, quantity: 1 }), 409, 'PLAN_IS_NO_ADD_ON');
    const foreign = (await addOnOf({ currency: 'EUR' })).code;
    const refusal = refused(await post(id, 'add-ons', { plan: foreign, quantity: 1 }), 422, 'VALIDATION_FAILED');
    expect(refusal.errors).toMatchObject([{ field: 'plan', code: 'not_priced' }]);
  });

  it('that comes keeps a plan away that it does not go with, whichever of them was asked for first', async () => {
    const [plan, other] = [await planOf(), await planOf()];
    const addOn = await addOnOf({ add_on: { plans: [plan.code] } });
    const ahead = (days: number) => ({ at: iso(Date.now() + days * day) });
    const { id } = await subscribed({ plan: plan.code });
    await done(id, 'add-ons', { plan: addOn.code, quantity: 1, ...ahead(9) });
    refused(await post(id, 'change-plan', { plan: other.code }), 409, 'SUBSCRIPTION_ADD_ON_MISFIT');
    const { id: elsewhere } = await subscribed({ plan: other.code });
    const { pending_changes: coming } = await done(elsewhere, 'change-plan', { plan: plan.code, ...ahead(5) });
    await done(elsewhere, 'add-ons', { plan: addOn.code, quantity: 1, ...ahead(9) });
    const undone = await post(elsewhere, 'undo-change', { change_id: coming[0].id });
    refused(undone, 409, 'SUBSCRIPTION_ADD_ON_MISFIT');
  });
});

describe('a pause', () => {
  it('holds until it is resumed, now or at the instant that was said', async () => {
    const { id, customer_id: customer } = await subscribed();
    const resumesAt = iso(Date.now() + 5 * day);
    const paused = await done(id, 'pause', { usage: 'refused', resumes_at: resumesAt });
    expect(paused).toMatchObject({ state: 'paused', pause: { usage: 'refused', resumes_at: resumesAt } });
    const listed = async (state: string) =>
      (await api('GET', `/v1/subscriptions?state=${state}&customer_id=${customer}`)).body.pagination.total;
    expect([await listed('paused'), await listed('active')]).toEqual([1, 0]);
    expect(refused(await post(id, 'pause'), 409, 'SUBSCRIPTION_STATE_CONFLICT').detail).toMatch(
      /is paused: what can be done now is cancel, change_plan, .*resume/,
    );
    expect(await done(id, 'resume')).toMatchObject({ state: 'active', pause: null, pending_changes: [] });
    refused(await post(id, 'resume'), 409, 'SUBSCRIPTION_STATE_CONFLICT');
    expect(await actions(id)).toEqual(['subscription.created', 'subscription.paused', 'subscription.resumed']);
  });

  it('that lies ahead is taken back with its end', async () => {
    const { id } = await subscribed();
    const at = Date.now() + day;
    const body = { at: iso(at), resumes_at: iso(at + day) };
    const { pending_changes: pending } = await done(id, 'pause', body);
    expect(pending.map(({ kind }: { kind: string }) => kind)).toEqual(['pause', 'resume']);
    expect((await done(id, 'undo-change', { change_id: pending[0].id })).pending_changes).toEqual([]);
    const { errors } = refused(await post(id, 'pause', { at: iso(at), resumes_at: iso(at) }), 422, 'VALIDATION_FAILED');
    expect(errors).toMatchObject([{ field: 'resumes_at', code: 'out_of_range' }]);
  });
});

describe('a trial', () => {
  it.each([
    ['activate', {}, 0],
    ['cancel', { canceled: true }, 0],
    ['pause', {}, 1],
  ])('that ends with %s says so from the begin', async (endAction, { canceled }: { canceled?: boolean }, pending) => {
    const started = await subscribed({
      trial: { days: 14, end_action: endAction },
      billing_anchor: 'anniversary',
    });
    const endsAt = iso(Date.parse(started.started_at) + 14 * day);
    expect(started).toMatchObject({ state: 'trialing', trial: { ends_at: endsAt, end_action: endAction } });
    expect(started.ended_at).toBe(canceled ? endsAt : null);
    expect(started.pending_changes).toHaveLength(pending);
    expect(started.current_period.end).toBe(endsAt);
    expect(`${started.billing_cycle.anchor}Z`).toBe(endsAt);
    expect(refused(await post(started.id, 'pause'), 409, 'SUBSCRIPTION_STATE_CONFLICT').detail).toContain('trialing');
    // What is to end it can be taken back, and then it goes on.
    const body = canceled
      ? await done(started.id, 'undo-cancel')
      : pending
        ? await done(started.id, 'undo-change', { change_id: started.pending_changes[0].id })
        : started;
    expect(body).toMatchObject({ state: 'trialing', ended_at: null, trial: { end_action: 'activate' } });
  });

  it('that would have ended it goes over into what is billed where another end is set', async () => {
    const { id } = await subscribed({ trial: { days: 14, end_action: 'cancel' } });
    const end = iso(Date.now() + 60 * day);
    const { ended_at: endedAt, trial } = await done(id, 'cancel', { at: end });
    expect({ endedAt, action: trial.end_action }).toEqual({ endedAt: end, action: 'activate' });
  });

  it('that is over shows in the state', async () => {
    const startedAt = Date.now() - 10 * day;
    const of = async (endAction: string) => {
      const trial = { ends_at: iso(startedAt + day), end_action: endAction };
      return (await subscribed({ started_at: iso(startedAt), trial })).state;
    };
    expect([await of('activate'), await of('cancel'), await of('pause')]).toEqual(['active', 'canceled', 'paused']);
  });

  it.each([
    [{}, 'trial.ends_at', 'missing'],
    [{ days: 3, ends_at: '2030-01-01T00:00:00Z' }, 'trial.days', 'not_allowed'],
    [{ days: 0 }, 'trial.days', 'minimum'],
    [{ days: 1.5 }, 'trial.days', 'wrong_type'],
    [{ ends_at: '2020-01-01T00:00:00Z' }, 'trial.ends_at', 'out_of_range'],
    [{ ends_at: '2026-02-30T00:00:00Z' }, 'trial.ends_at', 'wrong_format'],
    [{ days: 3, end_action: 'explode' }, 'trial.end_action', 'not_allowed'],
  ])('%o is refused at its place', async (trial, field, code) => {
    const body = { customer_id: await customerOf(), plan: (await planOf()).code, trial };
    const { errors } = refused(await api('POST', '/v1/subscriptions', body), 422, 'VALIDATION_FAILED');
    expect(errors).toMatchObject([{ field, code }]);
  });
});

describe('what a subscription is entitled to', () => {
  const entitlementsOf = async (id: string): Promise<object[]> =>
    (await api('GET', `/v1/subscriptions/${id}/entitlements`)).body.items;

  it('is what its plan and its add-ons have now, in a trial too, and nothing where usage is refused', async () => {
    const feature = (await made('/v1/features', { code: `f-${unique()}`, name: 'Rooms', type: 'limit' })).code;
    const rooms = (limit: string) => ({ entitlements: [{ feature, limit }] });
    const [small, large] = [await planOf(rooms('5')), await planOf(rooms('50'))];
    const addOn = await addOnOf(rooms('2'));
    const started = await subscribed({
      plan: small.code,
      trial: { days: 3 },
      add_ons: [{ plan: addOn.code, quantity: 3 }],
    });
    expect(await entitlementsOf(started.id)).toMatchObject([{ feature, limit: '11' }]);
    const { id, customer_id: customer } = await subscribed({ plan: small.code });
    expect(await entitlementsOf(id)).toMatchObject([{ feature, limit: '5' }]);
    await done(id, 'change-plan', { plan: large.code });
    expect(await entitlementsOf(id)).toMatchObject([{ feature, limit: '50' }]);
    await done(id, 'add-ons', { plan: addOn.code, quantity: 1 });
    expect((await api('GET', `/v1/customers/${customer}/entitlements`)).body.items).toMatchObject([{ limit: '52' }]);
    await done(id, 'pause', { usage: 'unbilled' });
    expect(await entitlementsOf(id)).toMatchObject([{ limit: '52' }]);
    await done(id, 'resume');
    await done(id, 'pause', { usage: 'refused' });
    expect(await entitlementsOf(id)).toEqual([]);
    expect((await api('GET', `/v1/customers/${customer}/entitlements`)).body.items).toEqual([]);
  });
});

it('the state is the same in the list as in the rules, of whatever life and at whatever instant', async () => {
  const instant = fc.integer({ min: 0, max: 9 });
  const life = fc.record({
    startedAt: instant,
    length: fc.option(instant),
    isCanceled: fc.boolean(),
    trialDays: fc.option(fc.integer({ min: 1, max: 9 })),
    changes: fc.array(
      fc.record({ kind: fc.constantFrom('pause', 'resume', 'seats'), effectiveAt: instant, isUndone: fc.boolean() }),
      { maxLength: 4 },
    ),
  });
  const now = 5;
  const lives = fc.sample(life, 600);
  const at = (of: number): Date => new Date(Date.UTC(2026, 0, 1) + of * 1_000);
  const subscriptions = lives.map(({ startedAt, length, isCanceled, trialDays, changes }, index) => ({
    id: String(index),
    started_at: at(startedAt),
    ended_at: length === null ? null : at(startedAt + length),
    canceled_at: length !== null && isCanceled ? at(0) : null,
    trial_ends_at: trialDays === null ? null : at(startedAt + trialDays),
    has_changes: changes.length > 0,
  }));
  const changes = lives.flatMap(({ changes: some }, index) =>
    some.map(({ kind, effectiveAt, isUndone }, place) => ({
      subscription_id: String(index),
      id: String(place),
      kind,
      effective_at: at(effectiveAt),
      undone_at: isUndone ? at(0) : null,
    })),
  );
  const expected = subscriptions.map((one, index) =>
    subscriptionStateAt(
      {
        startedAt: one.started_at.getTime(),
        endedAt: one.ended_at?.getTime() ?? null,
        canceledAt: one.canceled_at?.getTime() ?? null,
        trialEndsAt: one.trial_ends_at?.getTime() ?? null,
        changes: (lives[index]?.changes ?? [])
          .filter(({ isUndone }) => !isUndone)
          .map(({ kind, effectiveAt }) => ({ kind, effectiveAt: at(effectiveAt).getTime() }) as SubscriptionChange)
          .toSorted((a, b) => a.effectiveAt - b.effectiveAt),
      },
      at(now).getTime(),
    ),
  );
  const states = await pipeline.asOwner.transaction(async ({ query }) => {
    await query(
      `CREATE TEMP TABLE subscription_changes ON COMMIT DROP AS
      SELECT NULL::text AS plan_version_id, r.* FROM json_to_recordset($1) AS r (subscription_id text, id text,
        kind text, effective_at timestamptz, undone_at timestamptz)`,
      [JSON.stringify(changes)],
    );
    const { rows } = await query<{ state: string }>(
      `SELECT concat_ws(' ', ${subscriptionStates
        .map((state) => `CASE WHEN ${isInState[state]("'2026-01-01T00:00:05Z'::timestamptz")} THEN '${state}' END`)
        .join(', ')}) AS state
       FROM json_to_recordset($1) AS s (id text, started_at timestamptz, ended_at timestamptz, canceled_at timestamptz,
         trial_ends_at timestamptz, has_changes boolean)
       ORDER BY s.id::integer`,
      [JSON.stringify(subscriptions)],
    );
    return rows.map(({ state }) => state);
  });
  expect(states).toEqual(expected);
  expect(new Set(states)).toEqual(new Set(subscriptionStates));
});

it('[I28] all of these stand as the log says', async () => {
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});
