import { describe, expect, it } from 'vitest';
import { formatMinorUnits } from '#schemas/money.ts';
import { type Price, type PriceJson, priceFromJson } from '#schemas/price/price.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { worthOfFreeUnits } from '../../../../invoicer/discounts/free-units.ts';
import { priceSpans } from '../../../../rater/price/price-spans.ts';
import { shareOf } from '../../../../rater/price/prorate.ts';
import { rateCharge } from '../../../../rater/price/rate.ts';
import { noParts } from '../../../../rater/price/usage.ts';

const units = (text: string): Quantity => parseQuantity(text) as Quantity;
const priceOf = (json: object): Price => {
  const parsed = priceFromJson(json as PriceJson);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};
const policy = { rounding: 'half_up' } as const;
const charge = (price: Price) => ({ code: 'calls', name: 'Calls', meter: 'calls', price }) as never;
const lineOf = (price: Price, quantity: string, more: Partial<RatedLine> = {}): RatedLine =>
  ({ ...rateCharge(charge(price), { quantity: units(quantity) }, 'USD', policy), ...more }) as RatedLine;
const worth = (line: RatedLine, free: string, price: Price | undefined): string =>
  formatMinorUnits(
    worthOfFreeUnits(line, units(free), () => price),
    'USD',
  );
const tiers = [
  { up_to: '10', unit_amount: '2' },
  { up_to: null, unit_amount: '1', flat_amount: '5' },
];

describe('the first units of a line cost', () => {
  it.each([
    [{ model: 'per_unit', unit_amount: '0.02' }, '2500', '1000', '20.00'],
    [{ model: 'per_unit', unit_amount: '0.02' }, '300', '1000', '6.00'],
    // Those that the price gives away come first.
    [{ model: 'per_unit', unit_amount: '0.02', free_units: '1000' }, '2500', '1000', '20.00'],
    [{ model: 'per_unit', unit_amount: '0.02', free_units: '1000' }, '1200', '1000', '4.00'],
    [{ model: 'graduated', tiers }, '15', '12', '27.00'],
    [{ model: 'graduated', tiers }, '15', '4.5', '9.00'],
    // By the tier of the first units, and not of all.
    [{ model: 'volume', tiers }, '15', '4', '8.00'],
    [{ model: 'volume', tiers }, '15', '12', '17.00'],
    [
      {
        model: 'tiered_flat',
        tiers: [
          { up_to: '10', flat_amount: '50' },
          { up_to: null, flat_amount: '200' },
        ],
      },
      '15',
      '4',
      '50.00',
    ],
    [{ model: 'package', package_amount: '0.50', package_size: '25' }, '80', '26', '1.00'],
    [{ model: 'percentage', percent: '3' }, '200', '50', '1.50'],
    // Neither the least nor the most of a period is that of some of its units.
    [{ model: 'per_unit', unit_amount: '1', minimum_amount: '100', maximum_amount: '100' }, '30', '20', '20.00'],
    [{ model: 'per_unit', unit_amount: '1' }, '-3', '20', '0.00'],
  ])('by %j, of %s, %s of them: %s', (json, quantity, free, expected) => {
    const price = priceOf(json);
    expect(worth(lineOf(price, quantity), free, price)).toBe(expected);
  });

  it('by a price that changed within the period, as much as the first ones in time', () => {
    const [low, high] = [
      priceOf({ model: 'per_unit', unit_amount: '1' }),
      priceOf({ model: 'per_unit', unit_amount: '3' }),
    ];
    const span = (start: number, quantity: string, id?: string) => ({
      span: { start, end: start + 1 },
      tiers: 'restart' as const,
      sources: id === undefined ? {} : { priceOverrideId: id },
      quantity: units(quantity),
      unmeasuredEvents: 0n,
    });
    const spans = [span(0, '10'), span(1, '10', 'pov_1')];
    const priced = priceSpans(spans.map((one, index) => ({ ...one, price: index === 0 ? low : high, parts: noParts })));
    const line = lineOf(low, '20', { ...priced, priceSpans: spans });
    const cost = worthOfFreeUnits(line, units('15'), (_, id) => (id === undefined ? low : high));
    expect(formatMinorUnits(cost, 'USD')).toBe('25.00');
  });

  it('of seats that came in the middle of a period, their parts of it', () => {
    const price = priceOf({ model: 'per_unit', unit_amount: '10' });
    const half = { by: 'day', from: 15, to: 30, of: 30 } as const;
    const whole = lineOf(price, '5');
    const step = {
      ...(whole.steps[0] as RatedLine['steps'][number]),
      kind: 'prorated' as const,
      units: units('5'),
      proration: half,
      amount: shareOf(whole.precise, half, 'USD', 'half_up') as never,
    };
    expect(worth({ ...whole, meter: null, steps: [step] }, '2', price)).toBe('10.00');
  });

  it.each([
    ['a flat price', { model: 'flat', amount: '20' }],
    ['a price by events', { model: 'percentage', percent: '3', fixed_amount: '1' }],
    ['amounts that events say', { model: 'dynamic', amount_property: 'cost' }],
    [
      'a matrix',
      {
        model: 'matrix',
        dimensions: ['kind'],
        cells: [{ match: { kind: 'a' }, price: { model: 'per_unit', unit_amount: '2' } }],
        default_price: { model: 'per_unit', unit_amount: '1' },
      },
    ],
  ])('nothing by %s, which has no first units', (_, json) => {
    const metered = priceOf({ model: 'per_unit', unit_amount: '1' });
    expect(worth(lineOf(metered, '20'), '15', priceOf(json))).toBe('0.00');
  });

  it('nothing where the price is in credits or of a cost book, or is not known', () => {
    const price = priceOf({ model: 'per_unit', unit_amount: '1' });
    const spanOf = (sources: object) =>
      [{ span: { start: 0, end: 1 }, tiers: 'restart', sources, quantity: units('20'), unmeasuredEvents: 0n }] as never;
    for (const sources of [{ creditUnitRateIds: ['crr_1'] }, { costBookVersionId: 'cbv_1' }])
      expect(worth(lineOf(price, '20', { priceSpans: spanOf(sources) }), '15', price)).toBe('0.00');
    expect(worth(lineOf(price, '20'), '15', undefined)).toBe('0.00');
  });
});
