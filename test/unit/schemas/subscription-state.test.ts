import { describe, expect, it } from 'vitest';
import { allowedActions, type SubscriptionLife, subscriptionStateAt } from '#schemas/subscription-state.ts';

const goesOn: SubscriptionLife = { startedAt: 100, endedAt: null, canceledAt: null, trialEndsAt: null, changes: [] };
const canceled: SubscriptionLife = { ...goesOn, endedAt: 200, canceledAt: 150 };
const neverBegun: SubscriptionLife = { ...goesOn, endedAt: 100, canceledAt: 50 };
const onTrial: SubscriptionLife = { ...goesOn, trialEndsAt: 200 };
const endOfTrial: SubscriptionLife = { ...onTrial, endedAt: 200, canceledAt: 100 };
const pause = { kind: 'pause', usage: 'unbilled', bills: 'next', effectiveAt: 200 } as const;
const paused: SubscriptionLife = {
  ...goesOn,
  changes: [pause, { kind: 'seats', quantity: 3, effectiveAt: 250, bills: 'next' }],
};
const resumed: SubscriptionLife = {
  ...goesOn,
  changes: [pause, { kind: 'resume', effectiveAt: 300, bills: 'next' }],
};
const changes = ['change_plan', 'change_seats', 'change_add_ons', 'add_charge'] as const;

describe('the state of a subscription', () => {
  it.each([
    [goesOn, 99, 'pending', ['cancel', ...changes]],
    [goesOn, 100, 'active', ['cancel', ...changes, 'pause']],
    [goesOn, 1e12, 'active', ['cancel', ...changes, 'pause']],
    [canceled, 150, 'active', ['cancel', 'undo_cancel', ...changes, 'pause']],
    [canceled, 199, 'active', ['cancel', 'undo_cancel', ...changes, 'pause']],
    [canceled, 200, 'canceled', []],
    [neverBegun, 99, 'pending', ['cancel', 'undo_cancel', ...changes]],
    [neverBegun, 100, 'canceled', []],
    [onTrial, 99, 'pending', ['cancel', ...changes]],
    [onTrial, 199, 'trialing', ['cancel', ...changes]],
    [onTrial, 200, 'active', ['cancel', ...changes, 'pause']],
    [endOfTrial, 199, 'trialing', ['cancel', 'undo_cancel', ...changes]],
    [endOfTrial, 200, 'canceled', []],
    [paused, 199, 'active', ['cancel', ...changes, 'pause']],
    [paused, 200, 'paused', ['cancel', ...changes, 'resume']],
    [paused, 1e12, 'paused', ['cancel', ...changes, 'resume']],
    [{ ...paused, endedAt: 300, canceledAt: 250 }, 300, 'canceled', []],
    [{ ...onTrial, changes: [pause] }, 200, 'paused', ['cancel', ...changes, 'resume']],
    [resumed, 299, 'paused', ['cancel', ...changes, 'resume']],
    [resumed, 300, 'active', ['cancel', ...changes, 'pause']],
    // One from before there were cancellations.
    [{ ...canceled, canceledAt: null }, 199, 'active', ['cancel', ...changes, 'pause']],
    [{ ...canceled, canceledAt: null }, 200, 'ended', []],
  ] as const)('%o at %i is %s and allows %o', (life, now, state, actions) => {
    expect([subscriptionStateAt(life, now), allowedActions(life, now)]).toEqual([state, actions]);
  });
});
