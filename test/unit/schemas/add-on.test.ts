/** What an add-on is beside a plan: what is read, and what is refused at its place. */
import { describe, expect, it } from 'vitest';
import { addOnPlansMax, addOnQuantityMax, type PlanKind } from '#schemas/add-on.ts';
import { planTermsFromJson, planTermsToJson } from '#schemas/plan.ts';

const terms = { currency: 'USD', charges: [{ code: 'base', name: 'Base', price: { model: 'flat', amount: '5' } }] };
const read = (given: object, kind: PlanKind = 'add_on') => planTermsFromJson({ ...terms, ...given }, kind);
const faultsOf = (given: object, kind?: PlanKind) => {
  const parsed = read(given, kind);
  return parsed.ok ? [] : parsed.faults.map(({ field, code }) => `${field} ${code}`);
};
const shown = (given: object, kind?: PlanKind) => {
  const parsed = read(given, kind);
  return parsed.ok && planTermsToJson(parsed.value).add_on;
};

describe('an add-on', () => {
  it('goes with all plans and in any number, unless it says otherwise', () => {
    const any = { max_quantity: null, plans: null };
    for (const given of [{}, { add_on: null }, { add_on: {} }, { add_on: any }]) expect(shown(given)).toEqual(any);
    const some = { max_quantity: addOnQuantityMax, plans: ['pro', 'team'] };
    expect(shown({ add_on: some })).toEqual(some);
  });

  it('is what a plan of the other kind is not', () => {
    expect(shown({}, 'plan')).toBe(null);
    expect(faultsOf({ add_on: {} }, 'plan')).toEqual(['add_on not_allowed']);
  });

  it.each([
    ['no object', { add_on: 5 }, ['add_on wrong_type']],
    ['a field that it does not know', { add_on: { minimum: 1 } }, ['add_on.minimum unknown_field']],
    ['none of it', { add_on: { max_quantity: 0 } }, ['add_on.max_quantity out_of_range']],
    ['half of one', { add_on: { max_quantity: 1.5 } }, ['add_on.max_quantity out_of_range']],
    ['too many', { add_on: { max_quantity: addOnQuantityMax + 1 } }, ['add_on.max_quantity out_of_range']],
    ['a number that is a text', { add_on: { max_quantity: '5' } }, ['add_on.max_quantity wrong_type']],
    ['no plan', { add_on: { plans: [] } }, ['add_on.plans wrong_length']],
    ['plans that are no list', { add_on: { plans: 'pro' } }, ['add_on.plans wrong_type']],
    [
      'plans that are none, and one twice',
      { add_on: { plans: ['pro', 5, 'P R O', 'pro'] } },
      ['add_on.plans[1] wrong_type', 'add_on.plans[2] wrong_format', 'add_on.plans[3] duplicate'],
    ],
    [
      'more plans than there may be',
      { add_on: { plans: Array.from({ length: addOnPlansMax + 1 }, (_, index) => `p-${index}`) } },
      ['add_on.plans wrong_length'],
    ],
    [
      'what is of the plan beside it',
      { minimum_term: { unit: 'year' }, minimum_commitment: { amount: '5' }, spend_cap: { amount: '5' } },
      ['minimum_term not_allowed', 'minimum_commitment not_allowed', 'spend_cap not_allowed'],
    ],
  ])('with %s is refused', (_, given, faults) => {
    expect(faultsOf(given)).toEqual(faults);
  });
});
