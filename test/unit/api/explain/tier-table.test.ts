import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chargeFromJson, chargeToJson } from '#schemas/plan.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy, priceStepToJson } from '#schemas/rated-line.ts';
import { tierTable } from '../../../../api/explain/tier-table.ts';
import { rateCharge } from '../../../../rater/price/rate.ts';

const chargeOf = (price: object) => {
  const parsed = chargeFromJson({ code: 'c', name: 'C', meter: 'm', price });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};
const tableOf = (price: object, quantity: Quantity) => {
  const charge = chargeOf(price);
  const steps = rateCharge(charge, { quantity }, 'USD', defaultRatingPolicy).steps.map(priceStepToJson);
  return { steps, tiers: tierTable(chargeToJson(charge).price, steps) };
};
const graduated = {
  model: 'graduated',
  free_units: '5',
  tiers: [
    { up_to: '10', unit_amount: '1', flat_amount: '3' },
    { up_to: '20.5', unit_amount: '0' },
    { up_to: null, unit_amount: '0.25' },
  ],
};

it.each([
  ['0', ['0', '0', '0'], ['0', '0', '0']],
  ['5', ['0', '0', '0'], ['0', '0', '0']],
  ['5.000000000001', ['0.000000000001', '0', '0'], ['3.000000000001', '0', '0']],
  ['15', ['10', '0', '0'], ['13', '0', '0']],
  ['25.5', ['10', '10.5', '0'], ['13', '0', '0']],
  ['26.5', ['10', '10.5', '1'], ['13', '0', '0.25']],
  ['-4', ['0', '0', '0'], ['0', '0', '0']],
])('a quantity of %s lies in the tiers as it is priced', (quantity, units, amounts) => {
  const { tiers } = tableOf(graduated, parseQuantity(quantity) as Quantity);
  expect(tiers.map(({ from, to }) => [from, to])).toEqual([
    ['5', '15'],
    ['15', '25.5'],
    ['25.5', null],
  ]);
  expect(tiers.map((tier) => tier.units)).toEqual(units);
  expect(tiers.map((tier) => tier.amount)).toEqual(amounts);
});

it('has every step in units in exactly one tier', () => {
  const property = fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), (units) => {
    const { steps, tiers } = tableOf(graduated, units as Quantity);
    const inUnits = steps.filter(({ kind }) => kind === 'units');
    expect(tiers.filter((tier) => tier.units !== '0').map((tier) => [tier.units, tier.amount])).toEqual(
      inUnits.map((step) => [step.units, step.amount]),
    );
  });
  fc.assert(property);
});

it('is empty for a price without tiers', () => {
  expect(tableOf({ model: 'per_unit', unit_amount: '1' }, 5n as Quantity).tiers).toEqual([]);
});
