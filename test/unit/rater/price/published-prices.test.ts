/**
 * Prices that vendors have published, and the amounts that they or others worked out from them: facts that nobody here
 * made up. Each names its page, and the date that the page or its copy bears. They are examples of forms of prices, not
 * what these vendors charge today.
 */
import { describe, expect, it } from 'vitest';
import { type Amount, formatMinorUnits, roundToMinorUnits } from '#schemas/money.ts';
import { partsOfCells, partsOfValues } from '../../../support/priced-events.ts';
import { type PartsJson, pricedOf } from '../../../support/prices.ts';

/** As it would be printed. */
const billed = (json: unknown, quantity: string | undefined, parts?: PartsJson): string => {
  const { precise } = pricedOf(json, quantity, parts);
  const amount: Amount = roundToMinorUnits(precise, 'USD', 'half_up');
  return formatMinorUnits(amount, 'USD');
};
const perEvent = (json: Readonly<Record<string, unknown>>, ...values: string[]): string =>
  billed(json, undefined, partsOfValues(json, values));

describe('object storage', () => {
  it('Amazon S3 Standard, "S3 Data Storage": tiers of 50 TB, the next 450 TB, and more (copy of 2022-07-07)', () => {
    const storage = {
      model: 'graduated',
      // In GB, of which a TB has 1,024.
      tiers: [
        { up_to: '51200', unit_amount: '0.023' },
        { up_to: '512000', unit_amount: '0.022' },
        { up_to: null, unit_amount: '0.021' },
      ],
    };
    expect(billed(storage, '1024')).toBe('23.55');
    expect(billed(storage, '51200')).toBe('1177.60');
    expect(billed(storage, '512000')).toBe('11315.20');
    expect(billed(storage, '614400')).toBe('13465.60');
  });

  // developers.cloudflare.com/r2/pricing, "Pricing", with its own "R2 billing examples"; a copy without a date, whose
  // rates another page read on 2026-08-03.
  it('Cloudflare R2, "Pricing": usage is rounded up to the next million or GB after what is free', () => {
    const million = { model: 'package', package_size: '1000000' };
    const storage = { model: 'package', package_amount: '0.015', package_size: '1', free_units: '10' };
    const classA = { ...million, package_amount: '4.50', free_units: '1000000' };
    const classB = { ...million, package_amount: '0.36', free_units: '10000000' };
    expect([billed(storage, '1000'), billed(classA, '1000'), billed(classB, '1000000')]).toEqual([
      '14.85',
      '0.00',
      '0.00',
    ]);
    expect(billed(classB, '300000000')).toBe('104.40');
    expect(billed({ ...classA, free_units: '0' }, '1000001')).toBe('9.00');
  });

  it('Cloudflare R2, "Pricing", infrequent access: 1,000 writes cost a whole million', () => {
    const million = { model: 'package', package_size: '1000000' };
    const gigabytes = { model: 'package', package_amount: '0.01', package_size: '1' };
    expect([
      billed(gigabytes, '1000'),
      billed({ ...million, package_amount: '9' }, '1000'),
      billed({ ...million, package_amount: '0.90' }, '1000000'),
      billed(gigabytes, '1000'),
    ]).toEqual(['10.00', '9.00', '0.90', '10.00']);
  });
});

describe('a list of prices of language models', () => {
  // platform.claude.com/docs/en/about-claude/pricing, "Pricing", in dollars for a million tokens; a copy without a date
  // that was found on 2026-11-28.
  const kinds = ['input', 'cache_write_5m', 'cache_write_1h', 'cache_read', 'output'];
  const list: Readonly<Record<string, readonly string[]>> = {
    'claude-fable-5': ['10', '12.50', '20', '1', '50'],
    'claude-opus-4-5': ['5', '6.25', '10', '0.50', '25'],
    'claude-opus-4-1': ['15', '18.75', '30', '1.50', '75'],
  };
  const million = (amount: string) => ({
    model: 'package',
    package_amount: amount,
    package_size: '1000000',
    partial_package: 'prorate',
  });
  const price = {
    model: 'matrix',
    dimensions: ['model', 'kind'],
    cells: Object.entries(list).flatMap(([model, amounts]) =>
      amounts.map((amount, index) => ({ match: { model, kind: kinds[index] ?? '' }, price: million(amount) })),
    ),
    default_price: million('0'),
  };
  const tokens = (...events: [model: string, kind: string, tokens: string][]): string =>
    billed(
      price,
      undefined,
      partsOfCells(
        price,
        events.map(([model, kind, value]) => ({ values: [model, kind], value })),
      ),
    );

  it('Anthropic, "Pricing": each model has a price of each kind of token', () => {
    for (const [model, amounts] of Object.entries(list))
      for (const [index, amount] of amounts.entries())
        expect(Number(tokens([model, kinds[index] ?? '', '1000000']))).toBe(Number(amount));
  });

  it('ccboard-core 0.8.0, its example of the same: 30 dollars, and 16.25 with a cache', () => {
    expect(tokens(['claude-opus-4-5', 'input', '1000000'], ['claude-opus-4-5', 'output', '1000000'])).toBe('30.00');
    expect(
      tokens(
        ['claude-opus-4-5', 'input', '1000000'],
        ['claude-opus-4-5', 'cache_write_5m', '1000000'],
        ['claude-opus-4-5', 'cache_read', '10000000'],
      ),
    ).toBe('16.25');
  });
});

describe('a processor of payments', () => {
  // stripe.com/pricing, transcribed on 2026-09-20 (api-evangelist/stripe): 2.9 % and 30 cents; 0.8 %, capped at 5
  // dollars.
  const card = { model: 'percentage', percent: '2.9', fixed_amount: '0.30' };
  const debit = { model: 'percentage', percent: '0.8', event_maximum_amount: '5' };

  it.each([
    ['100', '3.20', '0.80'],
    ['500', '14.80', '4.00'],
    ['1000', '29.30', '5.00'],
  ])(
    'Stripe, as Service Invoice Pro, "Payment Fees", works it out: of %s dollars %s by card and %s by debit',
    (...row) => {
      const [value, byCard, byDebit] = row;
      expect([perEvent(card, value), perEvent(debit, value)]).toEqual([byCard, byDebit]);
    },
  );

  it('the cap of a debit is reached at 625 dollars, and is one of each payment', () => {
    expect(['624.99', '625', '625.01'].map((value) => perEvent(debit, value))).toEqual(['5.00', '5.00', '5.00']);
    expect(perEvent(debit, '624')).toBe('4.99');
    expect(perEvent(debit, '1000', '1000', '100')).toBe('10.80');
    expect(perEvent(card, '5')).toBe('0.45');
  });

  it('an instant payout, "Standard Stripe Processing Fees (2026)", calculatorcove.com: 1.5 %, at least 50 cents', () => {
    const payout = { model: 'percentage', percent: '1.5', event_minimum_amount: '0.50' };
    expect(['20', '33.33', '34', '100'].map((value) => perEvent(payout, value))).toEqual([
      '0.50',
      '0.50',
      '0.51',
      '1.50',
    ]);
  });

  it('Upvest, "Designing your transaction fee model": 1 % of an order, not under 1 and not over 100', () => {
    const order = {
      model: 'basis_points',
      basis_points: '100',
      event_minimum_amount: '1',
      event_maximum_amount: '100',
    };
    expect(['50', '100', '5000', '10000', '20000'].map((value) => perEvent(order, value))).toEqual([
      '1.00',
      '1.00',
      '50.00',
      '100.00',
      '100.00',
    ]);
  });
});

describe('what other billing systems work out in their documentation', () => {
  it('Zuplo, "Pricing Models": 15,000 units graduated 600, as a volume 150; 100,000 calls 100', () => {
    const tiers = [
      { up_to: '1000', unit_amount: '0.10' },
      { up_to: '10000', unit_amount: '0.05' },
      { up_to: null, unit_amount: '0.01' },
    ];
    expect(billed({ model: 'graduated', tiers }, '15000')).toBe('600.00');
    expect(billed({ model: 'volume', tiers }, '15000')).toBe('150.00');
    expect(billed({ model: 'per_unit', unit_amount: '0.001' }, '100000')).toBe('100.00');
  });

  it('Autumn, "Graduated Pricing": 15,000 requests 107', () => {
    const tiers = [
      { up_to: '1000', unit_amount: '0.01' },
      { up_to: '10000', unit_amount: '0.008' },
      { up_to: null, unit_amount: '0.005' },
    ];
    expect(billed({ model: 'graduated', tiers }, '15000')).toBe('107.00');
  });

  it('Lago, "Volume": 65,000 calls 49', () => {
    const tiers = [
      { up_to: '10000', unit_amount: '0.0010', flat_amount: '10' },
      { up_to: '50000', unit_amount: '0.0008', flat_amount: '10' },
      { up_to: '100000', unit_amount: '0.0006', flat_amount: '10' },
      { up_to: null, unit_amount: '0.0004', flat_amount: '10' },
    ];
    expect(billed({ model: 'volume', tiers }, '65000')).toBe('49.00');
  });

  it('Lago, "Graduated percentage": of 500 it is 205, of 550 more 306 more, of 4,000 more 80 more', () => {
    const price = {
      model: 'graduated_percentage',
      tiers: [
        { up_to: '1000', percent: '1', flat_amount: '200' },
        { up_to: '10000', percent: '2', flat_amount: '300' },
        { up_to: null, percent: '3', flat_amount: '400' },
      ],
    };
    expect(['500', '1050', '5050'].map((value) => billed(price, value))).toEqual(['205.00', '511.00', '591.00']);
  });

  it('Lago, "Dynamic": 0.70, 0.55 and 2.20 are 3.45', () => {
    expect(billed({ model: 'dynamic', amount_property: 'cost' }, '22', { amounts: ['3.45', 0] })).toBe('3.45');
  });
});
