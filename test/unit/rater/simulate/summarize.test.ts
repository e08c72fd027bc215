import { describe, expect, it } from 'vitest';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';
import {
  bucketsMax,
  bucketWidth,
  meanOf,
  percentileOf,
  percentOf,
  type SummedUp,
  summarize,
} from '../../../../rater/simulate/summarize.ts';

const amount = (text: string): Amount => {
  const negative = text.startsWith('-');
  const parsed = parseAmount(negative ? text.slice(1) : text);
  if (parsed === undefined) throw new Error(`${text} is no amount`);
  return (negative ? -parsed : parsed) as Amount;
};
const amounts = (...texts: string[]): Amount[] => texts.map(amount);

describe('a percentage', () => {
  it.each([
    ['1', '3', '33.3333'],
    ['2', '3', '66.6667'],
    ['-2', '3', '-66.6667'],
    ['0', '3', '0.0000'],
    ['5', '5', '100.0000'],
    // Halves go away from zero, on either side: 0.00005 % of 2,000,000 is 1.
    ['1', '2000000', '0.0001'],
    ['-1', '2000000', '-0.0001'],
    ['0.99', '2000000', '0.0000'],
    ['-0.99', '2000000', '0.0000'],
    // Of a baseline below zero more is up.
    ['5', '-10', '50.0000'],
    ['-5', '-10', '-50.0000'],
    ['1', '0', null],
    ['0', '0', null],
  ])('%s of %s is %s', (difference, baseline, expected) => {
    expect(percentOf(amount(difference), amount(baseline))).toBe(expected);
  });

  it('keeps every digit of amounts that no double holds', () => {
    expect(percentOf(amount('90071992547409.93'), amount('90071992547409.92'))).toBe('100.0000');
    expect(percentOf(amount('0.01'), amount('90071992547409.92'))).toBe('0.0000');
  });
});

describe('a percentile, by the nearest rank', () => {
  it.each([
    [0, ['1', '2', '3', '4'], '1'],
    [5, ['1', '2', '3', '4'], '1'],
    [25, ['1', '2', '3', '4'], '1'],
    [26, ['1', '2', '3', '4'], '2'],
    [50, ['1', '2', '3', '4'], '2'],
    [51, ['1', '2', '3', '4'], '3'],
    [75, ['1', '2', '3', '4'], '3'],
    [95, ['1', '2', '3', '4'], '4'],
    [100, ['1', '2', '3', '4'], '4'],
    [50, ['1', '2', '3'], '2'],
    [0, ['7'], '7'],
    [50, ['7'], '7'],
    [100, ['7'], '7'],
  ])('%s of %s is %s', (percent, sorted, expected) => {
    expect(percentileOf(amounts(...sorted), percent)).toBe(amount(expected));
  });

  it('of 100 is the number itself, and of 20 the 95th is the 19th', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => amount(String(index + 1)));
    for (const percent of [1, 5, 25, 50, 75, 95, 99, 100])
      expect(percentileOf(hundred, percent)).toBe(amount(String(percent)));
    expect(percentileOf(hundred.slice(0, 20), 95)).toBe(amount('19'));
  });
});

describe('a mean', () => {
  it.each<[string[], Currency, string]>([
    [['1', '2'], 'USD', '1.5'],
    [['0.01', '0.02'], 'USD', '0.02'],
    [['-0.01', '-0.02'], 'USD', '-0.02'],
    [['0.01', '0', '0'], 'USD', '0'],
    [['0.01', '0.01', '0'], 'USD', '0.01'],
    [['1', '2'], 'JPY', '2'],
    [['1', '0', '0'], 'JPY', '0'],
    [['0.001', '0.002'], 'KWD', '0.002'],
    [['5', '-5'], 'USD', '0'],
  ])('of %s in %s is %s', (of, currency, expected) => {
    expect(meanOf(amounts(...of), currency)).toBe(amount(expected));
  });
});

describe('the width of a bucket', () => {
  it.each<[string, string, Currency, string]>([
    ['0', '0', 'USD', '0.01'],
    ['0', '0.19', 'USD', '0.01'],
    ['0', '0.20', 'USD', '0.02'],
    ['0', '0.39', 'USD', '0.02'],
    ['0', '0.40', 'USD', '0.05'],
    ['0', '0.99', 'USD', '0.05'],
    ['0', '1.00', 'USD', '0.1'],
    ['-0.10', '0.09', 'USD', '0.01'],
    ['-0.10', '0.10', 'USD', '0.02'],
    ['-1000', '1000', 'USD', '200'],
    ['0', '19', 'JPY', '1'],
    ['0', '20', 'JPY', '2'],
    ['0', '0.019', 'KWD', '0.001'],
  ])('from %s to %s in %s is %s', (least, most, currency, expected) => {
    expect(bucketWidth(amount(least), amount(most), currency)).toBe(amount(expected));
  });
});

const notFailed = { failed_period: null, cause: null, message: null };
const row = (customer: string, baseline: string | null, of: string | null, currency: Currency = 'USD'): SummedUp => ({
  customerId: `cus_${customer}`,
  externalId: customer,
  currency,
  baseline: baseline === null ? null : amount(baseline),
  amount: of === null ? null : amount(of),
  failure: of === null ? 'candidate_not_priced' : baseline === null ? 'baseline_not_priced' : null,
  failed: null,
});

describe('a summary', () => {
  it('says revenue, who pays more and less, and where the differences lie', () => {
    const { baseline, candidates } = summarize([
      [row('a', '10', '12'), row('b', '10', '9.50'), row('c', '10', '10'), row('d', '0', '0.25')],
    ]);
    expect(baseline).toEqual({
      revenue: [{ currency: 'USD', amount: '30.00', customers: { counted: 4, failed: 0 } }],
    });
    expect(candidates).toEqual([
      {
        candidate: 1,
        currencies: [
          {
            currency: 'USD',
            customers: { compared: 4, up: 2, down: 1, equal: 1, failed: 0 },
            revenue: { baseline: '30.00', amount: '31.75', difference: '1.75', percent: '5.8333' },
            distribution: {
              min: '-0.50',
              p5: '-0.50',
              p25: '-0.50',
              median: '0.00',
              p75: '0.25',
              p95: '2.00',
              max: '2.00',
              mean: '0.44',
            },
            histogram: [
              ['-0.60', '-0.40', 1],
              ['-0.40', '-0.20', 0],
              ['-0.20', '0.00', 0],
              ['0.00', '0.20', 1],
              ['0.20', '0.40', 1],
              ...Array.from({ length: 8 }, (_, index) => [
                `${index < 3 ? 0 : 1}.${(4 + 2 * index) % 10}0`,
                `${index < 2 ? 0 : index < 7 ? 1 : 2}.${(6 + 2 * index) % 10}0`,
                0,
              ]),
              ['2.00', '2.20', 1],
            ].map(([from, to, customers]) => ({ from, to, customers })),
            top_increases: [
              {
                customer_id: 'cus_a',
                external_id: 'a',
                baseline: '10.00',
                amount: '12.00',
                difference: '2.00',
                percent: '20.0000',
              },
              {
                customer_id: 'cus_d',
                external_id: 'd',
                baseline: '0.00',
                amount: '0.25',
                difference: '0.25',
                percent: null,
              },
            ],
            top_decreases: [
              {
                customer_id: 'cus_b',
                external_id: 'b',
                baseline: '10.00',
                amount: '9.50',
                difference: '-0.50',
                percent: '-5.0000',
              },
            ],
          },
        ],
        failures: [],
      },
    ]);
  });

  it('compares in each currency by itself, and who failed in none', () => {
    const { baseline, candidates } = summarize([
      [row('a', '10', '12'), row('b', '1000', '900', 'JPY'), row('c', '5', null), row('d', null, '7', 'EUR')],
    ]);
    expect(baseline.revenue).toEqual([
      { currency: 'EUR', amount: '0.00', customers: { counted: 0, failed: 1 } },
      { currency: 'JPY', amount: '1000', customers: { counted: 1, failed: 0 } },
      { currency: 'USD', amount: '15.00', customers: { counted: 2, failed: 0 } },
    ]);
    expect(candidates[0]?.currencies).toMatchObject([
      { currency: 'EUR', customers: { compared: 0, failed: 1 }, distribution: null, histogram: [], top_increases: [] },
      { currency: 'JPY', revenue: { difference: '-100', percent: '-10.0000' } },
      { currency: 'USD', customers: { compared: 1, failed: 1 }, revenue: { baseline: '10.00', amount: '12.00' } },
    ]);
    expect(candidates[0]?.failures).toEqual([
      { customer_id: 'cus_c', external_id: 'c', currency: 'USD', code: 'candidate_not_priced', ...notFailed },
      { customer_id: 'cus_d', external_id: 'd', currency: 'EUR', code: 'baseline_not_priced', ...notFailed },
    ]);
  });

  it('shows ten of each side, the largest first and of equal ones the first, and twenty failures', () => {
    const rows = Array.from({ length: 30 }, (_, index) => row(`u${index}`, '1', String(2 + Math.floor(index / 2))));
    const failed = Array.from({ length: 30 }, (_, index) => row(`f${index}`, '1', null));
    const [candidate] = summarize([[...rows, ...failed]]).candidates;
    expect(candidate?.currencies[0]?.top_increases.map(({ external_id }) => external_id)).toEqual([
      'u28',
      'u29',
      'u26',
      'u27',
      'u24',
      'u25',
      'u22',
      'u23',
      'u20',
      'u21',
    ]);
    expect(candidate?.failures).toHaveLength(20);
  });

  it('of nobody is empty', () => {
    expect(summarize([[], []])).toEqual({
      baseline: { revenue: [] },
      candidates: [1, 2].map((candidate) => ({ candidate, currencies: [], failures: [] })),
    });
  });

  it('counts every customer in one bucket, wherever the differences lie', () => {
    for (const scale of [1, 7, 333, 99_999]) {
      const rows = Array.from({ length: 200 }, (_, index) => row(`c${index}`, '0', `${((index - 100) * scale) / 100}`));
      const histogram = summarize([rows]).candidates[0]?.currencies[0]?.histogram ?? [];
      expect(histogram.length).toBeLessThanOrEqual(bucketsMax);
      expect(histogram.reduce((sum, { customers }) => sum + customers, 0)).toBe(200);
      for (const [index, { from }] of histogram.entries()) if (index > 0) expect(from).toBe(histogram[index - 1]?.to);
    }
  });
});
