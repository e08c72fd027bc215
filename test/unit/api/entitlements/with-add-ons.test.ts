import { describe, expect, it } from 'vitest';
import type { Entitlement } from '#schemas/entitlement.ts';
import { wholeQuantity } from '#schemas/quantity.ts';
import { entitledBeside } from '../../../../api/entitlements/with-add-ons.ts';

const whole = (units: number | null) => (units === null ? null : wholeQuantity(units));
const on = (feature: string, enabled: boolean): Entitlement => ({ feature, type: 'switch', enabled });
const limit = (feature: string, units: number | null): Entitlement => ({ feature, type: 'limit', limit: whole(units) });
const metered = (units: number | null, reset: 'day' | 'month'): Entitlement => ({
  feature: 'calls',
  type: 'metered',
  allowance: whole(units),
  reset,
  overage: reset === 'day' ? 'allowed' : 'refused',
});
const items = (...all: Entitlement[]) => all.map((entitlement) => ({ name: 'x', entitlement, meter: null }));
const beside = (plan: Entitlement[], addOn: Entitlement[], quantity: number) =>
  entitledBeside(items(...plan), [{ items: items(...addOn), quantity }]).map(({ entitlement }) => entitlement);

describe('what add-ons entitle to beside a plan', () => {
  it.each([
    ['a switch is on where one of them has it on', [on('sso', false)], [on('sso', true)], [on('sso', true)]],
    ['limits are added, so many times', [limit('seats', 5)], [limit('seats', 2)], [limit('seats', 11)]],
    ['what is unlimited stays so', [limit('seats', null)], [limit('seats', 2)], [limit('seats', null)]],
    ['what is unlimited by the add-on is so', [limit('seats', 5)], [limit('seats', null)], [limit('seats', null)]],
    [
      'allowances are added, and begin anew as the plan has it',
      [metered(100, 'month')],
      [metered(50, 'day')],
      [metered(250, 'month')],
    ],
    ['what the plan has not is of the add-on alone', [], [limit('rooms', 2)], [limit('rooms', 6)]],
    ['features stand in the order of their codes', [limit('z', 1)], [on('a', true)], [on('a', true), limit('z', 1)]],
  ] as const)('%s', (_, plan, addOn, all) => {
    expect(beside([...plan], [...addOn], 3)).toEqual(all);
  });
});
