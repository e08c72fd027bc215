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

it('has all units in the tier of the last one where it says what all of them cost', () => {
  const tiers = [
    { up_to: '10', unit_amount: '1', flat_amount: '3' },
    { up_to: null, unit_amount: '0.5' },
  ];
  const of = (price: object, quantity: string) =>
    tableOf(price, parseQuantity(quantity) as Quantity).tiers.map(({ units, amount }) => [units, amount]);
  const volume = { model: 'volume', free_units: '2', tiers };
  expect(of(volume, '12')).toEqual([
    ['10', '13'],
    ['0', '0'],
  ]);
  expect(of(volume, '14')).toEqual([
    ['0', '0'],
    ['12', '6'],
  ]);
  const fees = [
    { up_to: '10', flat_amount: '3' },
    { up_to: null, flat_amount: '7' },
  ];
  expect(of({ model: 'tiered_flat', tiers: fees }, '11')).toEqual([
    ['0', '0'],
    ['11', '7'],
  ]);
  const shares = [
    { up_to: '10', percent: '10' },
    { up_to: null, percent: '5' },
  ];
  expect(of({ model: 'graduated_percentage', tiers: shares }, '30')).toEqual([
    ['10', '1'],
    ['20', '1'],
  ]);
});

it('has the tiers of each cell of a matrix', () => {
  const tiers = [
    { up_to: '1', unit_amount: '4' },
    { up_to: null, unit_amount: '1' },
  ];
  const charge = chargeOf({
    model: 'matrix',
    dimensions: ['region'],
    cells: [{ match: { region: 'eu' }, price: { model: 'graduated', tiers } }],
    default_price: { model: 'per_unit', unit_amount: '9' },
  });
  const parts = new Map([
    ['1', { quantity: parseQuantity('3') as Quantity, events: 3n }],
    ['0', { quantity: parseQuantity('2') as Quantity, events: 2n }],
  ]);
  const used = { quantity: parseQuantity('5') as Quantity, parts };
  const steps = rateCharge(charge, used, 'USD', defaultRatingPolicy).steps.map(priceStepToJson);
  const region = { region: 'eu' };
  expect(tierTable(chargeToJson(charge).price, steps)).toEqual([
    { from: '0', to: '1', unit_amount: '4', flat_amount: '0', units: '1', amount: '4', cell: region },
    { from: '1', to: null, unit_amount: '1', flat_amount: '0', units: '2', amount: '2', cell: region },
  ]);
});

it('is empty for a price without tiers', () => {
  expect(tableOf({ model: 'per_unit', unit_amount: '1' }, 5n as Quantity).tiers).toEqual([]);
});
