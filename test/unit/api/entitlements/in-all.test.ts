import { describe, expect, it } from 'vitest';
import type { Entitlement } from '#schemas/entitlement.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { EntitledSubscription } from '../../../../api/entitlements/entitled.postgres.ts';
import { entitledInAll } from '../../../../api/entitlements/in-all.ts';
import { leftOf, type Metered } from '../../../../api/entitlements/measure-use.ts';

const quantity = (text: string) => parseQuantity(text) as Quantity;
const meter = { code: 'm', version: 1, versionId: 'mtv_1' } as MeterVersion;

const subscription = (id: string, ...entitlements: Entitlement[]): EntitledSubscription => ({
  id,
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  now: 1,
  isEntitled: true,
  startedAt: 0,
  endedAt: null,
  items: entitlements.map((entitlement) => ({ name: entitlement.feature, entitlement, meter: null })),
});
const metered = (allowance: string | null): Extract<Entitlement, { type: 'metered' }> => ({
  feature: 'tokens',
  type: 'metered',
  allowance: allowance === null ? null : quantity(allowance),
  reset: 'month',
  overage: 'allowed',
});
const share = (id: string, allowance: string | null, used: string, start = 0): Metered => ({
  subscriptionId: id,
  name: 'tokens',
  entitlement: metered(allowance),
  meter,
  period: { start, end: 10 },
  used: quantity(used),
  left: null,
});

describe('over all subscriptions of a customer', () => {
  it('a switch is on where one has it on, and a limit is the largest', () => {
    const sso = (enabled: boolean): Entitlement => ({ feature: 'sso', type: 'switch', enabled });
    const seats = (limit: string | null): Entitlement => ({
      feature: 'seats',
      type: 'limit',
      limit: limit === null ? null : quantity(limit),
    });
    expect(entitledInAll([], [])).toEqual([]);
    const a = subscription('a', sso(false), seats('5'));
    expect(entitledInAll([a, subscription('b', sso(true), seats('7'))], [])).toMatchObject([
      { feature: 'seats', limit: quantity('7') },
      { feature: 'sso', enabled: true },
    ]);
    expect(entitledInAll([a, subscription('b', seats(null))], [])).toMatchObject([
      { feature: 'seats', limit: null },
      { feature: 'sso', enabled: false },
    ]);
  });

  it.each([
    ['in the same period', [share('a', '100', '30'), share('b', '50', '30')], ['150', '30', '120']],
    ['of which one is unlimited', [share('a', '100', '30'), share('b', null, '30')], [null, '30', null]],
    ['in different periods', [share('a', '100', '30'), share('b', '50', '10', 5)], ['150', null, null]],
    ['beyond them', [share('a', '10', '30'), share('b', '15', '30')], ['25', '30', '0']],
  ] as const)('allowances %s are summed, and usage counts once', (_, shares, [allowance, used, left]) => {
    const subscriptions = shares.map((one) => subscription(one.subscriptionId, one.entitlement));
    const asQuantity = (text: string | null) => (text === null ? null : quantity(text));
    expect(entitledInAll(subscriptions, shares)).toMatchObject([
      { allowance: asQuantity(allowance), used: asQuantity(used), left: asQuantity(left), shares },
    ]);
  });

  it('usage that was corrected to less than nothing leaves no more than the allowance', () => {
    expect(leftOf(quantity('10'), quantity('-3'))).toBe(quantity('10'));
  });
});
