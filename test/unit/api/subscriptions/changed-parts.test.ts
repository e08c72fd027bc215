/** What a change would charge: worked by hand, over November with its 30 days. */
import { describe, expect, it } from 'vitest';
import type { Currency } from '#schemas/currency.ts';
import type { BilledPart, DuePart } from '#schemas/due-parts.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import { noGeneralTerms } from '#schemas/plan-terms.ts';
import type { ChangeBilling, SubscriptionChange } from '#schemas/subscription-terms.ts';
import {
  changedLedger,
  changedParts,
  previewedLinesJson,
  ratedPart,
  schedulesByVersion,
} from '../../../../api/subscriptions/changed-parts.ts';
import type { Subscription } from '../../../../api/subscriptions/subscriptions.postgres.ts';

const at = (day: number): number => Date.UTC(2026, 10, day);
const november = { start: at(1), end: at(31) };
const month = { unit: 'month', count: 1 } as const;
const flat = (amount: string, timing: 'advance' | 'arrears') => ({
  code: 'base',
  name: 'Base fee',
  meter: null,
  ...(timing === 'advance' && { timing }),
  price: { model: 'flat', amount },
});
const seats = (timing: 'advance' | 'arrears') => ({
  code: 'seats',
  name: 'Seats',
  meter: null,
  seats: true as const,
  ...(timing === 'advance' && { timing }),
  price: { model: 'per_unit', unit_amount: '10.00' },
});
const version = (...charges: object[]): PlanTermsJson =>
  ({ ...noGeneralTerms, currency: 'USD', charges, proration: 'time' }) as unknown as PlanTermsJson;

const subscription: Subscription = {
  id: 'sub',
  customerId: 'cus',
  currency: 'USD',
  planVersionId: 'old',
  seats: 2,
  startedAt: at(1),
  endedAt: null,
  canceledAt: null,
  trialEndsAt: null,
  trialEndAction: null,
  cancellationReason: null,
  cancellationRefund: null,
  finalUsage: null,
  clockNow: null,
  nextDueAt: null,
  refundsAtEnd: true,
  cycle: { interval: month, anchor: '2000-01-01T00:00:00.000', timeZone: 'UTC' },
  changes: [],
  planNames: new Map([['old', { planId: 'pln_old', planCode: 'old' }]]),
  metadata: {},
  version: 1,
  createdAt: at(1),
  updatedAt: at(1),
};
const names = new Map([...subscription.planNames, ['new', { planId: 'pln_new', planCode: 'new' }]]);

const charged = (isCounted: boolean): BilledPart => ({
  pricedAt: undefined,
  item: 'plan',
  planVersionId: 'old',
  timing: 'advance',
  interval: month,
  isCounted,
  billing: november,
  span: november,
  quantities: isCounted ? [[at(1), 2]] : undefined,
});

const preview = (change: SubscriptionChange, old: PlanTermsJson, other: PlanTermsJson, written: BilledPart[]) => {
  const versions = new Map([
    ['old', old],
    ['new', other],
  ]);
  const after = { ...subscription, changes: changedLedger(subscription, { undone: [], added: [change] }) };
  const schedules = schedulesByVersion(versions, names);
  const { charged: own, insteadOf } = changedParts(subscription, after, change.effectiveAt, schedules, written);
  const shownLines = (parts: readonly DuePart[]) => {
    const rated = parts.flatMap((part) => ratedPart(part, subscription, { versions, policy: { rounding: 'half_up' } }));
    return previewedLinesJson(rated, names, 'USD' as Currency);
  };
  return { ...shownLines(own), instead_of: shownLines(insteadOf) };
};
const toNew = (day: number, bills: ChangeBilling): SubscriptionChange => ({
  kind: 'plan',
  planVersionId: 'new',
  interval: month,
  effectiveAt: at(day),
  bills,
});
const shown = (list: { lines: readonly { charge_code: string; timing: string; amount: string; due_at: string }[] }) =>
  list.lines.map(({ charge_code: code, timing, amount, due_at: dueAt }) => [code, timing, amount, dueAt.slice(0, 10)]);

describe('the preview of a change', () => {
  it.each([
    ['now', '2026-11-16'],
    ['next', '2026-12-01'],
  ] as const)('credits what was charged in advance and charges the rest of the new, billed %s', (bills, due) => {
    const old = version(flat('30.00', 'advance'));
    const answer = preview(toNew(16, bills), old, version(flat('60.00', 'advance')), [charged(false)]);
    expect(shown(answer)).toEqual([
      ['base', 'credit', '-15.00', due],
      ['base', 'advance', '30.00', due],
    ]);
    expect(answer).toMatchObject({ total: '15.00', instead_of: { lines: [], total: '0.00' } });
  });

  it('of seats says the number of each part', () => {
    const old = version(seats('advance'));
    const change = { kind: 'seats', quantity: 5, effectiveAt: at(21), bills: 'now' } as const;
    const answer = preview(change, old, old, [charged(true)]);
    // Ten days of thirty: two seats are taken back, and five are charged.
    expect(answer.lines.map(({ quantity, amount }) => [quantity, amount])).toEqual([
      ['2', '-6.67'],
      ['5', '16.67'],
    ]);
    expect(answer.total).toBe('10.00');
  });

  it('of what is charged afterwards says what is charged then, and what would have been', () => {
    const answer = preview(toNew(16, 'now'), version(flat('30.00', 'arrears')), version(flat('60.00', 'arrears')), []);
    expect(shown(answer)).toEqual([
      ['base', 'arrears', '15.00', '2026-12-01'],
      ['base', 'arrears', '30.00', '2026-12-01'],
    ]);
    expect(shown(answer.instead_of)).toEqual([['base', 'arrears', '30.00', '2026-12-01']]);
  });

  it('at the end of the period is what the next one costs', () => {
    const [old, other] = [version(flat('30.00', 'advance')), version(flat('60.00', 'advance'))];
    const answer = preview({ ...toNew(31, 'next') }, old, other, [charged(false)]);
    expect(shown(answer)).toEqual([['base', 'advance', '60.00', '2026-12-01']]);
    expect(shown(answer.instead_of)).toEqual([['base', 'advance', '30.00', '2026-12-01']]);
  });
});
