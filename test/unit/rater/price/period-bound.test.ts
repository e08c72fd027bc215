import { describe, expect, it } from 'vitest';
import { type Amount, formatAmount, formatPreciseAmount, parseAmount } from '#schemas/money.ts';
import { applyPeriodBounds } from '../../../../rater/price/period-bound.ts';

const amount = (text: string): Amount => parseAmount(text.replace('-', '')) as Amount;
const bound = (text: string | undefined) => text && { name: 'A bound', amount: amount(text) };

describe('a bound over all charges', () => {
  it.each([
    // minimum, cap, charged -> line, amount
    ['10', undefined, '0', 'minimum_commitment', '10'],
    ['10', undefined, '9.99', 'minimum_commitment', '0.01'],
    ['10', undefined, '10', undefined, undefined],
    ['10', undefined, '10.01', undefined, undefined],
    [undefined, '10', '9.99', undefined, undefined],
    [undefined, '10', '10', undefined, undefined],
    [undefined, '10', '10.01', 'spend_cap', '-0.01'],
    [undefined, '0', '3', 'spend_cap', '-3'],
    ['5', '10', '4', 'minimum_commitment', '1'],
    ['5', '10', '7', undefined, undefined],
    ['5', '10', '12', 'spend_cap', '-2'],
    ['10', '10', '9', 'minimum_commitment', '1'],
    ['10', '10', '11', 'spend_cap', '-1'],
    [undefined, undefined, '11', undefined, undefined],
  ])('least %s, most %s: of %s it makes %s %s', (minimum, cap, charged, code, difference) => {
    const bounds = {
      ...(minimum !== undefined && { minimum_commitment: bound(minimum) as { name: string; amount: Amount } }),
      ...(cap !== undefined && { spend_cap: bound(cap) as { name: string; amount: Amount } }),
    };
    const applied = applyPeriodBounds(bounds, amount(charged));
    expect([applied?.code, applied && formatPreciseAmount(applied.priced.precise)]).toEqual([code, difference]);
    const step = applied?.priced.steps[0];
    expect(applied?.priced.steps.length).toBe(applied && 1);
    if (step) {
      expect(formatPreciseAmount(step.amount)).toBe(difference);
      expect(step.kind).toBe(code === 'spend_cap' ? 'maximum' : 'minimum');
      expect(formatAmount(step.flatAmount)).toBe(code === 'spend_cap' ? cap : minimum);
    }
  });
});
