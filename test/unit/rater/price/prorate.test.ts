import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, formatAmount, parseAmount, type RoundingMode, toPrecise } from '#schemas/money.ts';
import { chargeFromJson } from '#schemas/plan.ts';
import type { Proration } from '#schemas/proration.ts';
import { priceStepToJson, ratedLineToJson } from '#schemas/rated-line.ts';
import { prorateBounds, shareOf } from '../../../../rater/price/prorate.ts';
import { ratePlan } from '../../../../rater/price/rate.ts';
import type { PartToRate, PeriodToRate } from '../../../../rater/price/rating-task.ts';
import { scaled } from '../../../support/scale.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const part = (from: number, to: number, of: number): Proration => ({ by: 'day', from, to, of });
const share = (
  whole: string,
  proration: Proration,
  currency: Currency = 'USD',
  rounding: RoundingMode = 'half_up',
): string => formatAmount(shareOf(toPrecise(amount(whole)), proration, currency, rounding));

describe('a part of a flat amount', () => {
  it.each([
    // 10.00 in three: due until 1/3 is 3.333 -> 3.33, until 2/3 is 6.667 -> 6.67.
    ['10.00', part(0, 1, 3), '3.33'],
    ['10.00', part(1, 2, 3), '3.34'],
    ['10.00', part(2, 3, 3), '3.33'],
    ['10.00', part(0, 3, 3), '10'],
    ['10.00', part(1, 1, 3), '0'],
    // Half of a cent goes to whoever comes first, and is not charged twice.
    ['0.01', part(0, 1, 2), '0.01'],
    ['0.01', part(1, 2, 2), '0'],
    ['20', part(0, 11, 31), '7.1'],
    ['20', part(11, 31, 31), '12.9'],
    ['0', part(1, 2, 3), '0'],
  ])('of %s, %o is %s', (whole, proration, expected) => {
    expect(share(whole, proration)).toBe(expected);
  });

  it('is in whole units of its currency, rounded as the organization says', () => {
    expect([share('1000', part(0, 1, 3), 'JPY'), share('1000', part(1, 2, 3), 'JPY')]).toEqual(['333', '334']);
    expect(share('1', part(0, 1, 3), 'KWD')).toBe('0.333');
    // 0.125 of 1.00 is 0.125.
    expect([share('1', part(0, 1, 8)), share('1', part(0, 1, 8), 'USD', 'half_even')]).toEqual(['0.13', '0.12']);
  });

  it('sums to the whole, to the last minor unit, wherever a period is cut and however often', () => {
    const cuts = fc.record({
      of: fc.integer({ min: 1, max: 2_678_400_000 }),
      at: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
      cents: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      rounding: fc.constantFrom<RoundingMode>('half_up', 'half_even'),
      currency: fc.constantFrom<Currency>('USD', 'JPY', 'KWD', 'HUF'),
    });
    fc.assert(
      fc.property(cuts, ({ of, at, cents, rounding, currency }) => {
        const whole = (cents * 10n ** 12n) as Amount;
        const bounds = [0, ...at.map((where) => Math.floor(where * of)).toSorted((a, b) => a - b), of];
        const parts = bounds
          .slice(1)
          .map((to, index) => shareOf(toPrecise(whole), part(bounds[index] ?? 0, to, of), currency, rounding));
        expect(parts.reduce((sum, one) => sum + one, 0n)).toBe(whole);
        expect(parts.every((one) => one >= 0n)).toBe(true);
      }),
      { numRuns: scaled(500) },
    );
  });
});

describe('a plan over a part of its billing period', () => {
  const charge = (json: object) => {
    const parsed = chargeFromJson(json);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
    return parsed.value;
  };
  const charges = [
    charge({ code: 'base', name: 'Base', price: { model: 'flat', amount: '31.00' } }),
    charge({ code: 'calls', name: 'Calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '0.10' } }),
  ];
  const period = (more: Partial<PeriodToRate>): PeriodToRate => ({
    billingPeriodId: 'bpd_1',
    span: { start: 0, end: 1 },
    subscriptionId: 'sub_1',
    customerId: 'cus_1',
    planVersionId: 'plv_1',
    currency: 'USD',
    charges,
    usage: { calls: { quantity: '7' } },
    ...more,
  });
  const linesOf = (more: Partial<PeriodToRate>) =>
    ratePlan(period(more), { rounding: 'half_up' })
      .map(ratedLineToJson)
      .map((line) => [line.charge_code, line.precise_amount, line.amount]);
  const proration = part(10, 31, 31);

  it('has a part of what is flat, and all of what was used', () => {
    expect(linesOf({})).toEqual([
      ['base', '31', '31.00'],
      ['calls', '0.7', '0.70'],
    ]);
    expect(linesOf({ proration })).toEqual([
      ['base', '21', '21.00'],
      ['calls', '0.7', '0.70'],
    ]);
  });

  it('says in the step of which part, and what the whole is', () => {
    const [base] = ratePlan(period({ proration }), { rounding: 'half_up' });
    expect(base?.steps.map(priceStepToJson)).toEqual([
      {
        kind: 'prorated',
        from: '0',
        to: '1',
        units: '1',
        priced: '0',
        unit_amount: '0',
        flat_amount: '31',
        amount: '21',
        proration: { by: 'day', from: 10, to: 31, of: 31 },
      },
    ]);
  });

  it('has a part of a fee whose price was another one, too', () => {
    const overridden = {
      base: [
        {
          span: { start: 0, end: 1 },
          tiers: 'restart' as const,
          sources: { priceOverrideId: 'pov_1' },
          price: charge({ code: 'base', name: 'Base', price: { model: 'flat', amount: '62.00' } }).price,
          storedPrice: { model: 'flat' as const, amount: '62.00' },
          usage: undefined,
        },
      ],
    };
    expect(linesOf({ priceSpans: overridden })[0]).toEqual(['base', '62', '62.00']);
    // 62.00 x 21/31.
    expect(linesOf({ priceSpans: overridden, proration })[0]).toEqual(['base', '42', '42.00']);
  });

  it('is held against a part of the least and the most that the whole may cost', () => {
    const minimum = { name: 'At least', amount: amount('62.00') };
    const cap = { name: 'At most', amount: amount('15.50') };
    // 62.00 x 21/31 = 42.00; the lines have 21.70.
    expect(linesOf({ proration, bounds: { minimum_commitment: minimum } }).at(-1)).toEqual([
      'minimum_commitment',
      '20.3',
      '20.30',
    ]);
    // 15.50 x 21/31 = 10.50.
    expect(linesOf({ proration, bounds: { spend_cap: cap } }).at(-1)).toEqual(['spend_cap', '-11.2', '-11.20']);
    const bound = ratePlan(period({ proration, bounds: { spend_cap: cap } }), { rounding: 'half_up' }).at(-1);
    expect(bound?.steps[0]).toMatchObject({ proration, flatAmount: amount('10.50') });
    expect(prorateBounds({ spend_cap: cap }, proration, 'USD', 'half_up')).toEqual({
      spend_cap: { name: 'At most', amount: amount('10.50') },
    });
  });

  const seats = charge({
    code: 'seats',
    name: 'Seats',
    seats: true,
    price: {
      model: 'graduated',
      tiers: [
        { up_to: '3', unit_amount: '10.00' },
        { up_to: null, unit_amount: '8.00' },
      ],
    },
  });
  const partOf = (more: Partial<PartToRate>): PartToRate => ({
    timing: 'arrears',
    positions: [1],
    boundPosition: 2,
    counted: { seats: 'units' },
    levels: [{ quantity: 5, proration: undefined }],
    others: [],
    ...more,
  });

  it('prices a number of seats by its tiers, and each number by its part of the period', () => {
    const [whole] = ratePlan(period({ charges: [seats], part: partOf({}) }), { rounding: 'half_up' });
    // 3 x 10 + 2 x 8
    expect([formatAmount(whole?.amount as Amount), whole?.steps.map(({ kind }) => kind)]).toEqual([
      '46',
      ['units', 'units'],
    ]);
    const levels = [
      { quantity: 3, proration: part(0, 10, 30) },
      { quantity: 5, proration: part(10, 30, 30) },
    ];
    const [line] = ratePlan(period({ charges: [seats], part: partOf({ levels }) }), { rounding: 'half_up' });
    // 30.00 x 10/30 = 10.00, and of 46.00 what is due until 30/30 less until 10/30: 46.00 - 15.33.
    expect(line && ratedLineToJson(line)).toMatchObject({
      quantity: '5',
      amount: '40.67',
      steps: [
        { kind: 'prorated', units: '3', flat_amount: '30', amount: '10' },
        { kind: 'prorated', units: '5', flat_amount: '46', amount: '30.67' },
      ],
    });
  });

  it('takes back what was charged in advance, and charges what holds instead: both sum to what was had', () => {
    const rest = part(15, 31, 31);
    const line = (timing: PartToRate['timing'], quantity: number, proration?: Proration) => {
      const asked = period({ charges: [seats], part: partOf({ timing, levels: [{ quantity, proration }] }) });
      const [rated] = ratePlan(asked, { rounding: 'half_up' });
      return rated && ratedLineToJson(rated);
    };
    expect(line('advance', 5)).toMatchObject({ timing: 'advance', amount: '46.00', charge_name: 'Seats' });
    // Until 15/31 of 46.00: 22.26; so 23.74 are unused.
    expect(line('credit', 5, rest)).toMatchObject({
      timing: 'credit',
      charge_name: 'Seats (unused)',
      amount: '-23.74',
      steps: [{ kind: 'credit', units: '5', flat_amount: '46', amount: '-23.74' }],
    });
    // Until 15/31 of 54.00: 26.13.
    expect(line('advance', 6, rest)).toMatchObject({ timing: 'advance', amount: '27.87' });
  });

  it('charges what is flat in an add-on as often as it is taken', () => {
    const base = charge({ code: 'base', name: 'Base', price: { model: 'flat', amount: '2.50' } });
    const asked = {
      charges: [base],
      part: partOf({ counted: { base: 'times' }, levels: [{ quantity: 4, proration: undefined }] }),
    };
    const [line] = ratePlan(period(asked), { rounding: 'half_up' });
    expect(line && ratedLineToJson(line)).toMatchObject({
      quantity: '4',
      amount: '10.00',
      steps: [{ kind: 'units', priced: '4', unit_amount: '2.5' }],
    });
  });

  it('counts what is charged in advance for what the period costs at least and at most', () => {
    const bounds = { spend_cap: { name: 'Cap', amount: amount('20.00') } };
    const calls = charges[1] as PeriodToRate['charges'][number];
    const base = charges[0] as PeriodToRate['charges'][number];
    const asked = period({
      charges: [calls],
      bounds,
      usage: { calls: { quantity: '70' } },
      part: partOf({ positions: [2], boundPosition: 3, counted: {}, others: [base] }),
    });
    // 31.00 in advance and 7.00 of calls are 18.00 more than 20.00.
    expect(ratePlan(asked, { rounding: 'half_up' }).map(ratedLineToJson)).toMatchObject([
      { position: 2, charge_code: 'calls', amount: '7.00' },
      { position: 3, charge_code: 'spend_cap', amount: '-18.00' },
    ]);
  });
});
