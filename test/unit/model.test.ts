/** The model finds what is wrong with a bill: a check that could pass because it has stopped looking is fed lies. */
import { describe, expect, it } from 'vitest';
import { checkBills, type Line } from '../model/bills.ts';
import { chargesOfModel } from '../model/for-sale.ts';
import { costOf, type Model, type Subscription } from '../model/subscription-model.ts';

const march = Date.UTC(2027, 2, 1);
const april = Date.UTC(2027, 3, 1);
const turn = Date.UTC(2027, 2, 11, 7);

const subscription: Subscription = {
  id: 'sub_1',
  plan: 'basic',
  seats: 2,
  startedAt: march,
  trialEndsAt: null,
  endedAt: april,
  canceledAt: march,
  updatedAt: march,
  changes: [{ id: 'chg_1', kind: 'seats', value: 3, effectiveAt: turn }],
};
const model: Model = { now: april, subscriptions: [subscription] };

const line = (code: string, from: number, to: number, quantity: number, isCredit = false): Line => {
  const charge = chargesOfModel.find((one) => one.code === code) as Line['charge'];
  const cents = costOf(charge, { from, to, quantity }) * (isCredit ? -1n : 1n);
  return { subscription: 'sub_1', charge, from, to, quantity, cents, isCredit };
};

const right: readonly Line[] = [
  line('basic-fee', march, april, 1),
  line('basic-after', march, april, 1),
  line('basic-seats', march, april, 2),
  line('basic-seats', turn, april, 2, true),
  line('basic-seats', turn, april, 3),
];
const check = (lines: readonly Line[]) => () =>
  checkBills(model, { lastNumber: 1, periods: new Set(), lines: [...lines] });

describe('the model', () => {
  it('takes what was charged, taken back and charged anew, whose parts sum to the whole', () => {
    expect(check(right)).not.toThrow();
    const fee = line('basic-fee', march, turn, 1).cents + line('basic-fee', turn, april, 1).cents;
    expect(fee).toBe(3_107n);
  });

  it('finds a line that is missing, twice there, of another amount, time or number, or too early', () => {
    for (const [index, one] of right.entries()) {
      const others = right.filter((other) => other !== one);
      const name = `${index} ${one.charge.code}`;
      expect(check(others), name).toThrow();
      expect(check([...right, one]), name).toThrow();
      expect(check([...others, { ...one, cents: one.cents + 1n }]), name).toThrow();
      expect(check([...others, { ...one, to: one.to - 1 }]), name).toThrow();
      expect(check([...others, { ...one, quantity: one.quantity + 1 }]), name).toThrow();
      expect(check([...others, { ...one, isCredit: !one.isCredit }]), name).toThrow();
    }
    expect(check([...right, line('basic-fee', april, Date.UTC(2027, 4, 1), 1)])).toThrow();
  });
});
