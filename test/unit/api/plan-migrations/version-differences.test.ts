import { describe, expect, it } from 'vitest';
import type { ChargeJson, PlanTermsJson } from '#schemas/plan.ts';
import { noGeneralTerms } from '#schemas/plan-terms.ts';
import { versionDifferences } from '../../../../api/plan-migrations/version-differences.ts';

const charge = (code: string, amount: string, more: Partial<ChargeJson> = {}): ChargeJson => ({
  code,
  name: code,
  meter: null,
  price: { model: 'flat', amount },
  ...more,
});
const version = (charges: readonly ChargeJson[], more: Partial<PlanTermsJson> = {}): PlanTermsJson => ({
  ...noGeneralTerms,
  currency: 'USD',
  charges,
  ...more,
});
const nothing = { added: [], removed: [], changed: [] };

describe('the differences of two versions', () => {
  it('are none of equal ones, however the defaults were written', () => {
    const written = charge('a', '1', { timing: 'arrears', billing_interval: { unit: 'month', count: 1 } });
    expect(versionDifferences(version([charge('a', '1')]), version([{ ...written, currency_options: {} }]))).toEqual({
      charges: nothing,
      entitlements: nothing,
      terms: [],
    });
  });

  it('are of charges by their codes, whatever their order, with the names of the fields', () => {
    const before = version([charge('a', '1'), charge('b', '2'), charge('c', '3')]);
    const after = version([charge('d', '4'), charge('b', '2', { timing: 'advance', name: 'B' }), charge('a', '1')]);
    expect(versionDifferences(before, after).charges).toMatchObject({
      added: [{ code: 'd' }],
      removed: [{ code: 'c' }],
      changed: [
        {
          code: 'b',
          fields: ['name', 'timing'],
          before: { timing: 'arrears' },
          after: { name: 'B', timing: 'advance' },
        },
      ],
    });
  });

  it('are of entitlements by their features, and of terms by name', () => {
    const cap = { name: 'Spend cap', amount: '10', currency_options: {} };
    const before = version([], { entitlements: [{ feature: 'sso', enabled: false }], proration: 'none' });
    const after = version([], {
      entitlements: [
        { feature: 'sso', enabled: true },
        { feature: 'projects', limit: '5' },
      ],
      proration: 'time',
      spend_cap: cap,
    });
    const { entitlements, terms } = versionDifferences(before, after);
    expect(entitlements).toEqual({
      added: [{ feature: 'projects', limit: '5' }],
      removed: [],
      changed: [
        {
          code: 'sso',
          fields: ['enabled'],
          before: { feature: 'sso', enabled: false },
          after: { feature: 'sso', enabled: true },
        },
      ],
    });
    expect(terms).toEqual([
      { term: 'spend_cap', before: null, after: cap },
      { term: 'proration', before: 'none', after: 'time' },
    ]);
  });
});
