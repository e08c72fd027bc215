import { describe, expect, it } from 'vitest';
import { allowedActions, type SubscriptionLife, subscriptionStateAt } from '#schemas/subscription-state.ts';

const goesOn: SubscriptionLife = { startedAt: 100, endedAt: null, canceledAt: null };
const canceled: SubscriptionLife = { startedAt: 100, endedAt: 200, canceledAt: 150 };
const neverBegun: SubscriptionLife = { startedAt: 100, endedAt: 100, canceledAt: 50 };

describe('the state of a subscription', () => {
  it.each([
    [goesOn, 99, 'pending', ['cancel']],
    [goesOn, 100, 'active', ['cancel']],
    [goesOn, 1e12, 'active', ['cancel']],
    [canceled, 150, 'active', ['cancel', 'undo_cancel']],
    [canceled, 199, 'active', ['cancel', 'undo_cancel']],
    [canceled, 200, 'canceled', []],
    [neverBegun, 99, 'pending', ['cancel', 'undo_cancel']],
    [neverBegun, 100, 'canceled', []],
    // One from before there were cancellations.
    [{ ...canceled, canceledAt: null }, 199, 'active', ['cancel']],
    [{ ...canceled, canceledAt: null }, 200, 'ended', []],
  ] as const)('%o at %i is %s and allows %o', (life, now, state, actions) => {
    expect([subscriptionStateAt(life, now), allowedActions(life, now)]).toEqual([state, actions]);
  });
});
