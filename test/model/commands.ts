/** What a caller may do, each against the model and the API: refused exactly where the model says so. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Sandbox } from '../support/test-clock.ts';
import { type Bills, checkBills, readBills } from './bills.ts';
import { addOnCode, periodOf, planCodes } from './for-sale.ts';
import {
  type Action,
  type Change,
  hourOf,
  instantOf,
  isAhead,
  isAllowed,
  isTaken,
  type Model,
  type Subscription,
  stateAt,
  termsAt,
} from './subscription-model.ts';

/** One customer by one clock. */
export type Real = {
  readonly sandbox: Pick<Sandbox, 'api'>;
  readonly customer: string;
  readonly clock: string;
  readonly bills: Bills;
};

export type Command = fc.AsyncCommand<Model, Real>;

/** `done`, the fault 422, or the code of a 409. */
type Outcome = string;
const done = 'done';
const fault = '422';

// biome-ignore lint/suspicious/noExplicitAny: answers are held against the OpenAPI document where they come
type Body = any;

const instantText = (ms: number): string => new Date(ms).toISOString();

const post = async ({ sandbox }: Real, path: string, body: object): Promise<{ outcome: Outcome; body: Body }> => {
  const { status, body: answer } = await sandbox.api('POST', path, body);
  return { outcome: status < 300 ? done : status === 409 ? answer.error_code : String(status), body: answer };
};

const ledgerOf = async ({ sandbox }: Real, id: string): Promise<Change[]> => {
  const { body } = await sandbox.api('GET', `/v1/subscriptions/${id}/changes?limit=1000`);
  return body.items
    .filter(({ undone_at }: Body) => undone_at === null)
    .map(
      ({ id: changeId, kind, plan_code, quantity, effective_at }: Body): Change => ({
        id: changeId,
        kind,
        value: kind === 'plan' ? plan_code : quantity,
        effectiveAt: Date.parse(effective_at),
      }),
    )
    .toSorted((a: Change, b: Change) => a.effectiveAt - b.effectiveAt || (a.id < b.id ? -1 : 1));
};

/** The subscription as the API tells it is as the model has it. */
const checkSubscription = async ({ now }: Model, { sandbox }: Real, subscription: Subscription): Promise<void> => {
  const { body } = await sandbox.api('GET', `/v1/subscriptions/${subscription.id}`);
  const { startedAt, endedAt, changes } = subscription;
  const terms = termsAt(subscription, Math.max(startedAt, Math.min(now, (endedAt ?? Number.POSITIVE_INFINITY) - 1)));
  const ahead = changes.filter(({ effectiveAt }) => effectiveAt > now && (endedAt === null || effectiveAt < endedAt));
  assert.deepEqual(
    {
      state: body.state,
      plan: body.plan_code,
      seats: body.seats,
      addOns: body.add_ons.map(({ quantity }: Body) => quantity),
      endedAt: body.ended_at,
      pending: body.pending_changes.map(({ id }: Body) => id).toSorted(),
    },
    {
      state: stateAt(subscription, now),
      plan: terms.plan,
      seats: terms.seats,
      addOns: terms.addOns > 0 ? [terms.addOns] : [],
      endedAt: endedAt === null ? null : instantText(endedAt),
      pending: ahead.map(({ id }) => id).toSorted(),
    },
  );
};

type At = 'now' | 'period_end';
const at = fc.constantFrom<At>('now', 'period_end');
const invoice = fc.constantFrom('now', 'next');

/** What a request made holds from when the model says, or some milliseconds later. */
const checkInstant = (expected: number, instant: number): void =>
  assert(
    instant >= expected && instant <= expected + 200,
    `it holds from ${instantText(instant)}, and not from ${instantText(expected)}`,
  );

type Asked = {
  readonly name: string;
  /** Which subscription: its place, counted around. */
  readonly whose: number;
  readonly run: (model: Model, real: Real, subscription: Subscription) => Promise<void>;
  readonly check?: (model: Model, subscription: Subscription) => boolean;
};

const subscriptionOf = ({ subscriptions }: Model, whose: number): Subscription | undefined =>
  subscriptions[subscriptions.length - 1 - (whose % Math.max(1, subscriptions.length))];

const ofSubscription = ({ name, whose, run, check }: Asked): Command => ({
  check: (model) => {
    const subscription = subscriptionOf(model, whose);
    return subscription !== undefined && (check?.(model, subscription) ?? true);
  },
  run: async (model, real) => {
    const subscription = subscriptionOf(model, whose) as Subscription;
    await run(model, real, subscription);
    await checkSubscription(model, real, subscription);
  },
  toString: () => `${name} of ${whose}`,
});

/** Sends a change, and takes over what the ledger has of it where it was taken. */
const change = async (
  real: Real,
  subscription: Subscription,
  { path, body, expected, instant }: { path: string; body: object; expected: Outcome; instant?: number },
): Promise<void> => {
  const answer = await post(real, `/v1/subscriptions/${subscription.id}/${path}`, body);
  assert.equal(answer.outcome, expected, `${path} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
  if (expected !== done) return;
  const known = new Set(subscription.changes.map(({ id }) => id));
  subscription.changes = await ledgerOf(real, subscription.id);
  subscription.updatedAt = Date.parse(answer.body.updated_at);
  if (instant === undefined) return;
  const made = subscription.changes.filter(({ id }) => !known.has(id));
  assert(made.length > 0, `${path} ${JSON.stringify(body)} changed nothing`);
  checkInstant(instant, (made[0] as Change).effectiveAt);
};

/** The first of these that holds. */
const firstOf = (...refusals: readonly (readonly [holds: boolean, outcome: Outcome])[]): Outcome =>
  refusals.find(([holds]) => holds)?.[1] ?? done;

const conflict = (subscription: Subscription, action: Action, hour: number): readonly [boolean, Outcome] => [
  !isAllowed(subscription, action, hour),
  'SUBSCRIPTION_STATE_CONFLICT',
];
const behindEnd = ({ endedAt }: Subscription, instant: number): readonly [boolean, Outcome] => [
  endedAt !== null && instant >= endedAt,
  fault,
];

const dayMs = 86_400_000;

const start = fc
  .record({
    plan: fc.constantFrom(...planCodes),
    seats: fc.integer({ min: 1, max: 5 }),
    inDays: fc.constantFrom(0, 0, 0, 7, 40),
    trialDays: fc.constantFrom(0, 0, 0, 10),
  })
  .map(({ plan, seats, inDays, trialDays }): Command => {
    const run = async (model: Model, real: Real): Promise<void> => {
      const startedAt = model.now + inDays * dayMs;
      const answer = await post(real, '/v1/subscriptions', {
        customer_id: real.customer,
        plan,
        seats,
        started_at: instantText(startedAt),
        ...(trialDays > 0 && { trial: { days: trialDays, end_action: 'activate' } }),
      });
      const expected = firstOf([isTaken(model, plan, startedAt), 'SUBSCRIPTION_ALREADY_ACTIVE']);
      assert.equal(answer.outcome, expected, JSON.stringify(answer.body));
      if (expected !== done) return;
      const { id, trial, updated_at } = answer.body;
      const trialEndsAt = trialDays > 0 ? startedAt + trialDays * dayMs : null;
      assert.equal(trial?.ends_at ?? null, trialEndsAt === null ? null : instantText(trialEndsAt));
      const times = { startedAt, trialEndsAt, endedAt: null, canceledAt: null, updatedAt: Date.parse(updated_at) };
      const subscription: Subscription = { id, plan, seats, ...times, changes: [] };
      model.subscriptions.push(subscription);
      await checkSubscription(model, real, subscription);
    };
    return { check: () => true, run, toString: () => `start ${plan} in ${inDays} days, trial ${trialDays}` };
  });

const whose = fc.nat({ max: 3 });

const changePlan = fc
  .record({ whose, plan: fc.constantFrom(...planCodes), at, invoice })
  .map(({ whose, plan, at, invoice }) =>
    ofSubscription({
      name: `change-plan ${plan} ${at}, invoice ${invoice}`,
      whose,
      run: (model, real, subscription) => {
        const hour = hourOf(model, subscription);
        const instant = instantOf(subscription, at, hour);
        const expected = firstOf(
          conflict(subscription, 'change', hour),
          behindEnd(subscription, instant),
          [termsAt(subscription, instant).plan === plan, 'SUBSCRIPTION_UNCHANGED'],
          [isAhead(subscription, 'plan', hour), 'SUBSCRIPTION_CHANGE_PENDING'],
          [isTaken(model, plan, instant, subscription), 'SUBSCRIPTION_ALREADY_ACTIVE'],
        );
        return change(real, subscription, { path: 'change-plan', body: { plan, at, invoice }, expected, instant });
      },
    }),
  );

const seats = fc
  .record({ whose, quantity: fc.integer({ min: 1, max: 6 }), at: fc.option(at, { nil: undefined }), invoice })
  .map(({ whose, quantity, at, invoice }) =>
    ofSubscription({
      name: `seats ${quantity} ${at}, invoice ${invoice}`,
      whose,
      run: (model, real, subscription) => {
        const hour = hourOf(model, subscription);
        const soonest = instantOf(subscription, 'now', hour);
        const isMore = quantity >= termsAt(subscription, soonest).seats;
        const instant = instantOf(subscription, at ?? (isMore ? 'now' : 'period_end'), hour);
        const expected = firstOf(
          conflict(subscription, 'change', hour),
          behindEnd(subscription, soonest),
          behindEnd(subscription, instant),
          [termsAt(subscription, instant).seats === quantity, 'SUBSCRIPTION_UNCHANGED'],
        );
        const body = { quantity, invoice, ...(at && { at }) };
        return change(real, subscription, { path: 'seats', body, expected, instant });
      },
    }),
  );

const addOn = fc
  .record({ whose, quantity: fc.integer({ min: 0, max: 3 }), at, invoice })
  .map(({ whose, quantity, at, invoice }) =>
    ofSubscription({
      name: `add-on ${quantity} ${at}, invoice ${invoice}`,
      whose,
      run: (model, real, subscription) => {
        const hour = hourOf(model, subscription);
        const instant = instantOf(subscription, at, hour);
        const expected = firstOf(
          conflict(subscription, 'change', hour),
          behindEnd(subscription, instant),
          [termsAt(subscription, instant).addOns === quantity, 'SUBSCRIPTION_UNCHANGED'],
          [isAhead(subscription, 'add_on', hour), 'SUBSCRIPTION_CHANGE_PENDING'],
        );
        const body = { plan: addOnCode, quantity, at, invoice };
        return change(real, subscription, { path: 'add-ons', body, expected, instant });
      },
    }),
  );

const pause = fc
  .record({ whose, at, invoice, forDays: fc.constantFrom(0, 0, 5, 40) })
  .map(({ whose, at, invoice, forDays }) =>
    ofSubscription({
      name: `pause ${at} for ${forDays} days, invoice ${invoice}`,
      whose,
      run: (model, real, subscription) => {
        const hour = hourOf(model, subscription);
        const instant = instantOf(subscription, at, hour);
        const expected = firstOf(
          conflict(subscription, 'pause', hour),
          [isAhead(subscription, 'pause', hour), 'SUBSCRIPTION_CHANGE_PENDING'],
          behindEnd(subscription, instant),
        );
        const resumes = forDays > 0 ? { resumes_at: instantText(instant + forDays * dayMs) } : {};
        const body = { at, invoice, ...resumes };
        return change(real, subscription, { path: 'pause', body, expected, instant });
      },
    }),
  );

const resume = fc.record({ whose, at, invoice }).map(({ whose, at, invoice }) =>
  ofSubscription({
    name: `resume ${at}, invoice ${invoice}`,
    whose,
    run: (model, real, subscription) => {
      const hour = hourOf(model, subscription);
      const instant = instantOf(subscription, at, hour);
      const expected = firstOf(conflict(subscription, 'resume', hour), behindEnd(subscription, instant));
      return change(real, subscription, { path: 'resume', body: { at, invoice }, expected, instant });
    },
  }),
);

const cancel = fc.record({ whose, at }).map(({ whose, at }) =>
  ofSubscription({
    name: `cancel ${at}`,
    whose,
    run: async (model, real, subscription) => {
      const hour = hourOf(model, subscription);
      const expected = firstOf(conflict(subscription, 'cancel', hour));
      const answer = await post(real, `/v1/subscriptions/${subscription.id}/cancel`, { at });
      assert.equal(answer.outcome, expected, JSON.stringify(answer.body));
      if (expected !== done) return;
      const { startedAt } = subscription;
      subscription.canceledAt = hour;
      const expectedEnd = startedAt > hour ? startedAt : instantOf(subscription, at, hour);
      subscription.endedAt = Date.parse(answer.body.ended_at);
      checkInstant(expectedEnd, subscription.endedAt);
      subscription.updatedAt = Date.parse(answer.body.updated_at);
    },
  }),
);

const undoCancel = fc.record({ whose }).map(({ whose }) =>
  ofSubscription({
    name: 'undo-cancel',
    whose,
    run: async (model, real, subscription) => {
      const hour = hourOf(model, subscription);
      const { startedAt, endedAt } = subscription;
      const { plan } = termsAt(subscription, Math.max(startedAt, Math.min(hour, (endedAt ?? hour + 1) - 1)));
      const expected = firstOf(conflict(subscription, 'undo_cancel', hour), [
        isTaken(model, plan, Math.max(endedAt ?? hour, hour), subscription),
        'SUBSCRIPTION_ALREADY_ACTIVE',
      ]);
      const answer = await post(real, `/v1/subscriptions/${subscription.id}/undo-cancel`, {});
      assert.equal(answer.outcome, expected, JSON.stringify(answer.body));
      if (expected !== done) return;
      subscription.canceledAt = null;
      subscription.endedAt = null;
      subscription.updatedAt = Date.parse(answer.body.updated_at);
    },
  }),
);

const aheadOf = (model: Model, subscription: Subscription): Change[] =>
  subscription.changes.filter(({ effectiveAt }) => effectiveAt > hourOf(model, subscription));

const undoChange = fc.record({ whose, which: fc.nat({ max: 5 }) }).map(({ whose, which }) =>
  ofSubscription({
    name: `undo-change ${which}`,
    whose,
    check: (model, subscription) => aheadOf(model, subscription).length > 0,
    run: (model, real, subscription) => {
      const hour = hourOf(model, subscription);
      const ahead = aheadOf(model, subscription);
      const undone = ahead[which % ahead.length] as Change;
      const rest = subscription.changes.filter((one) => one !== undone);
      const { plan } = termsAt({ ...subscription, changes: rest }, undone.effectiveAt);
      const expected = firstOf(conflict(subscription, 'change', hour), [
        undone.kind === 'plan' && isTaken(model, plan, undone.effectiveAt, subscription),
        'SUBSCRIPTION_ALREADY_ACTIVE',
      ]);
      return change(real, subscription, { path: 'undo-change', body: { change_id: undone.id }, expected });
    },
  }),
);

type Step = { readonly hours: number } | { readonly boundary: 'week' | 'month' };

const advance = fc
  .oneof(
    fc.record({ hours: fc.integer({ min: 1, max: 72 }) }),
    fc.record({ hours: fc.integer({ min: 73, max: 45 * 24 }) }),
    fc.record({ boundary: fc.constantFrom<'week' | 'month'>('week', 'month') }),
  )
  .map((step: Step): Command => {
    const run = async (model: Model, real: Real): Promise<void> => {
      const { sandbox, clock, customer, bills } = real;
      const to = 'hours' in step ? model.now + step.hours * 3_600_000 : periodOf(step.boundary, model.now).end;
      const asked = await sandbox.api('POST', `/v1/test-clocks/${clock}/advance`, { to: instantText(to) });
      assert.equal(asked.status, 202, JSON.stringify(asked.body));
      let body = asked.body;
      for (let round = 0; round < 20 && body.state !== 'ready'; round += 1)
        ({ body } = await sandbox.api('GET', `/v1/test-clocks/${clock}?wait_seconds=25`));
      assert.deepEqual([body.state, body.now, body.failure], ['ready', instantText(to), null]);
      model.now = to;
      await readBills(sandbox, customer, bills);
      checkBills(model, bills);
      for (const subscription of model.subscriptions) await checkSubscription(model, real, subscription);
    };
    const name = 'hours' in step ? `${step.hours} hours` : `to the end of the ${step.boundary}`;
    return { check: () => true, run, toString: () => `advance ${name}` };
  });

/** In about the shares in which callers do them; time goes on often enough that something is billed in between. */
export const commands: fc.Arbitrary<Command>[] = [
  start,
  start,
  start,
  changePlan,
  changePlan,
  seats,
  seats,
  addOn,
  pause,
  resume,
  resume,
  cancel,
  undoCancel,
  undoChange,
  advance,
  advance,
  advance,
];
