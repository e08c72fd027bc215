import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { minorUnitsOf } from '#schemas/currency.ts';
import {
  type Amount,
  addAmounts,
  allocate,
  compareAmounts,
  divide,
  formatAmount,
  formatMinorUnits,
  formatPreciseAmount,
  isRoundingMode,
  multiply,
  negateAmount,
  type PreciseAmount,
  parseAmount,
  parsePreciseAmount,
  parseStoredAmount,
  type RoundingMode,
  roundToMinorUnits,
  subtractAmounts,
  sumAmounts,
  toPrecise,
} from '#schemas/money.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import {
  amountOracle,
  amounts,
  anyCurrency,
  oracleRounding,
  preciseOracle,
  quantities,
  quantityOracle,
  roundingModes,
} from '../../support/rating-arbitraries.ts';
import { scaled } from '../../support/scale.ts';

const amount = (text: string): Amount => {
  const value = parseAmount(text);
  if (value === undefined) throw new Error(`not an amount: ${text}`);
  return value;
};
const precise = (text: string): PreciseAmount => {
  const value = parsePreciseAmount(text);
  if (value === undefined) throw new Error(`not a precise amount: ${text}`);
  return value;
};
const signedAmounts = fc.bigInt({ min: -(10n ** 32n) + 1n, max: 10n ** 32n - 1n }).map((value) => value as Amount);

describe('amounts as text', () => {
  it.each([
    ['0', '0'],
    ['-0', '0'],
    ['-0.000', '0'],
    ['20.00', '20'],
    ['007.50', '7.5'],
    ['-12.3400', '-12.34'],
    ['0.000000000001', '0.000000000001'],
    ['-0.000000000001', '-0.000000000001'],
    ['99999999999999999999.999999999999', '99999999999999999999.999999999999'],
  ])('%s is read and printed as %s', (text, canonical) => {
    expect(formatAmount(amount(text))).toBe(canonical);
  });

  it.each([
    '',
    '-',
    '.5',
    '5.',
    '1e3',
    '1E-7',
    '+1',
    ' 1',
    '1 ',
    '1\n',
    '1,000',
    '1_000',
    '0x10',
    'NaN',
    'Infinity',
    '--1',
    '1.2.3',
    '١',
  ])('the text "%s" is refused and not guessed at', (text) => {
    expect(parseAmount(text)).toBeUndefined();
  });

  it('a digit that could not be kept is refused: 13 decimals, 21 integer digits, a megabyte of zeros', () => {
    expect(parseAmount('0.0000000000001')).toBeUndefined();
    expect(parseAmount('0.1000000000000')).toBeUndefined();
    expect(parseAmount('100000000000000000000')).toBeUndefined();
    expect(parseAmount('0'.repeat(1_000_000))).toBeUndefined();
  });

  it('[I13] every amount survives being printed and read', () => {
    fc.assert(
      fc.property(signedAmounts, (value) => {
        expect(parseAmount(formatAmount(value))).toBe(value);
        expect(parsePreciseAmount(formatPreciseAmount(toPrecise(value)))).toBe(toPrecise(value));
        expect(formatAmount(value)).toBe(amountOracle(value).toString());
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('a printed amount has exactly the decimals of its currency', () => {
    expect(formatMinorUnits(amount('25.4'), 'USD')).toBe('25.40');
    expect(formatMinorUnits(amount('1009.34'), 'USD')).toBe('1009.34');
    expect(formatMinorUnits(amount('500'), 'JPY')).toBe('500');
    expect(formatMinorUnits(amount('-0.5'), 'KWD')).toBe('-0.500');
    expect(formatMinorUnits(amount('0'), 'CLF')).toBe('0.0000');
  });

  it('printing never rounds: a fraction of a minor unit is a bug', () => {
    expect(() => formatMinorUnits(amount('0.005'), 'USD')).toThrow(
      '0.005 is not a whole number of units of 2 decimals',
    );
    expect(() => formatMinorUnits(amount('0.5'), 'JPY')).toThrow('not a whole number');
  });
});

it('a computed amount may have 110 digits before the point, of which a price has 20', () => {
  for (const parse of [parseStoredAmount, parsePreciseAmount]) {
    expect(parse(`${'9'.repeat(110)}.5`)).toBeDefined();
    expect(parse('9'.repeat(111))).toBeUndefined();
  }
});

describe('rounding', () => {
  // Rows at each side of each half, with their mirror below zero.
  const rows: [string, Record<RoundingMode, string>][] = [
    ['0.004', { half_up: '0.00', half_even: '0.00', down: '0.00', up: '0.01' }],
    ['0.004999999999999999999999', { half_up: '0.00', half_even: '0.00', down: '0.00', up: '0.01' }],
    ['0.005', { half_up: '0.01', half_even: '0.00', down: '0.00', up: '0.01' }],
    ['0.005000000000000000000001', { half_up: '0.01', half_even: '0.01', down: '0.00', up: '0.01' }],
    ['0.015', { half_up: '0.02', half_even: '0.02', down: '0.01', up: '0.02' }],
    ['0.025', { half_up: '0.03', half_even: '0.02', down: '0.02', up: '0.03' }],
    ['0.02', { half_up: '0.02', half_even: '0.02', down: '0.02', up: '0.02' }],
    ['-0.005', { half_up: '-0.01', half_even: '0.00', down: '0.00', up: '-0.01' }],
    ['-0.015', { half_up: '-0.02', half_even: '-0.02', down: '-0.01', up: '-0.02' }],
    ['-0.025', { half_up: '-0.03', half_even: '-0.02', down: '-0.02', up: '-0.03' }],
  ];
  it.each(rows)('%s rounds to cents as each mode says', (text, expected) => {
    for (const mode of ['half_up', 'half_even', 'down', 'up'] as const) {
      expect([mode, formatMinorUnits(roundToMinorUnits(precise(text), 'USD', mode), 'USD')]).toEqual([
        mode,
        expected[mode],
      ]);
    }
  });

  it.each([
    ['JPY', '0.5', '1'],
    ['JPY', '499.499999', '499'],
    ['HUF', '0.005', '0.01'],
    ['KWD', '0.0005', '0.001'],
    ['CLF', '0.00005', '0.0001'],
  ] as const)('[I21] %s %s rounds half up to %s', (currency, text, expected) => {
    expect(formatMinorUnits(roundToMinorUnits(precise(text), currency, 'half_up'), currency)).toBe(expected);
  });

  it('[I13] a line is rounded once: 0.0049999999999996 is 0.00 and does not become 0.005 and then 0.01', () => {
    const line = multiply(amount('0.000000000004'), parseQuantity('1249999999.9999') as Quantity);
    expect(formatPreciseAmount(line)).toBe('0.0049999999999996');
    expect(formatMinorUnits(roundToMinorUnits(line, 'USD', 'half_up'), 'USD')).toBe('0.00');
  });

  it('[I13] price x quantity rounds like exact decimals do, in every currency and mode, both signs', () => {
    const signs = fc.constantFrom(1n, -1n);
    fc.assert(
      fc.property(amounts, quantities, signs, anyCurrency, roundingModes, (price, quantity, sign, currency, mode) => {
        const exact = multiply((price * sign) as Amount, quantity);
        const oracle = amountOracle(price).mul(quantityOracle(quantity)).mul(Number(sign));
        expect(preciseOracle(exact).equals(oracle)).toBe(true);
        const rounded = roundToMinorUnits(exact, currency, mode);
        expect(amountOracle(rounded).equals(oracle.toDecimalPlaces(minorUnitsOf(currency), oracleRounding[mode]))).toBe(
          true,
        );
      }),
      { numRuns: scaled(5000) },
    );
  });

  it('[I13] halves and their neighbours round like exact decimals do', () => {
    // Random products hardly ever hit a half, so halves are made: k halves of a minor unit, plus or minus the smallest
    // step.
    const nearHalves = fc.record({
      halves: fc.bigInt({ min: -1000n, max: 1000n }),
      nudge: fc.constantFrom(-1n, 0n, 1n),
      currency: anyCurrency,
      mode: roundingModes,
    });
    fc.assert(
      fc.property(nearHalves, ({ halves, nudge, currency, mode }) => {
        const half = 10n ** BigInt(24 - minorUnitsOf(currency)) / 2n;
        const value = (halves * half + nudge) as PreciseAmount;
        const oracle = preciseOracle(value).toDecimalPlaces(minorUnitsOf(currency), oracleRounding[mode]);
        expect(amountOracle(roundToMinorUnits(value, currency, mode)).equals(oracle)).toBe(true);
      }),
      { numRuns: scaled(5000) },
    );
  });

  it('a credit mirrors what it takes back: round(-x) = -round(x) in every mode', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt({ min: 1n }), roundingModes, (dividend, divisor, mode) => {
        expect(divide(-dividend, divisor, mode)).toBe(-divide(dividend, divisor, mode));
      }),
    );
  });

  it('a divisor of zero or below is a bug', () => {
    expect(() => divide(1n, 0n, 'down')).toThrow('positive');
    expect(() => divide(1n, -2n, 'down')).toThrow('positive');
  });

  it('only the four named modes exist', () => {
    expect(['half_up', 'half_even', 'down', 'up'].every(isRoundingMode)).toBe(true);
    expect(['half_down', 'HALF_UP', '', 'toString'].some(isRoundingMode)).toBe(false);
  });
});

describe('sums and comparison', () => {
  it('sums are exact in any order', () => {
    fc.assert(
      fc.property(fc.array(signedAmounts), (values) => {
        expect(sumAmounts(values)).toBe(sumAmounts(values.toReversed()));
        expect(subtractAmounts(addAmounts(sumAmounts(values), 5n as Amount), 5n as Amount)).toBe(sumAmounts(values));
        expect(addAmounts(sumAmounts(values), negateAmount(sumAmounts(values)))).toBe(0n);
      }),
    );
  });

  it('amounts sort by value', () => {
    expect(['1', '-2', '0.5', '10'].map(amount).toSorted(compareAmounts).map(formatAmount)).toEqual([
      '-2',
      '0.5',
      '1',
      '10',
    ]);
    expect(compareAmounts(amount('1'), amount('1.0'))).toBe(0);
    expect([compareAmounts(amount('1'), amount('2')), compareAmounts(amount('2'), amount('1'))]).toEqual([-1, 1]);
  });
});

describe('allocation', () => {
  const split = (total: string, weights: bigint[], currency: 'USD' | 'JPY' = 'USD') =>
    allocate(amount(total), weights, currency).map((part) => formatMinorUnits(part, currency));

  it('[I19] what does not divide goes to the largest remainders, and among equals to the earlier position', () => {
    expect(split('0.01', [1n, 1n, 1n])).toEqual(['0.01', '0.00', '0.00']);
    expect(split('0.05', [1n, 1n, 1n])).toEqual(['0.02', '0.02', '0.01']);
    expect(split('100.00', [1n, 1n, 1n])).toEqual(['33.34', '33.33', '33.33']);
    expect(split('1.00', [1n, 2n, 3n])).toEqual(['0.17', '0.33', '0.50']);
    expect(split('10', [3n, 3n, 1n], 'JPY')).toEqual(['4', '4', '2']);
  });

  it('[I19] among hundreds of positions, too, each unit that is left over goes to the largest remainder yet', () => {
    const weights = fc.array(fc.bigInt({ min: 0n, max: 9n }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(weights, fc.bigInt({ min: 0n, max: 5000n }), (shares, total) => {
        const sum = shares.reduce((all, share) => all + share, 0n);
        if (sum === 0n) return;
        const parts = shares.map((share) => (total * share) / sum);
        const rests = shares.map((share) => (total * share) % sum);
        for (let left = total - parts.reduce((all, part) => all + part, 0n); left > 0n; left -= 1n) {
          const largest = rests.reduce((best, rest, index) => (rest > (rests[best] as bigint) ? index : best), 0);
          parts[largest] = (parts[largest] as bigint) + 1n;
          rests[largest] = -1n;
        }
        expect(allocate((total * 10n ** 12n) as Amount, shares, 'JPY').map((part) => part / 10n ** 12n)).toEqual(parts);
      }),
      { numRuns: scaled(300) },
    );
  });

  it('one weight gets all, however small it is', () => {
    expect(split('7.77', [1n])).toEqual(['7.77']);
  });

  it('a weight of zero gets nothing, and a refund is split like the charge', () => {
    expect(split('0.05', [0n, 1n, 1n, 0n])).toEqual(['0.00', '0.03', '0.02', '0.00']);
    expect(split('-0.05', [0n, 1n, 1n, 0n])).toEqual(['0.00', '-0.03', '-0.02', '0.00']);
  });

  it('nothing to split needs no weights', () => {
    expect(split('0', [])).toEqual([]);
    expect(split('0', [0n, 0n])).toEqual(['0.00', '0.00']);
  });

  it('an amount without a place to go, a negative weight or a fraction of a cent is a bug', () => {
    expect(() => split('1', [])).toThrow('weight above zero');
    expect(() => split('1', [0n])).toThrow('weight above zero');
    expect(() => split('1', [2n, -1n])).toThrow('not negative');
    expect(() => split('0.001', [1n])).toThrow('whole number of minor units');
  });

  it('[I19] parts sum to the whole, lie within one minor unit of their exact share, and keep the order of their weights', () => {
    const weights = fc
      .array(fc.bigInt({ min: 0n, max: 10n ** 20n }), { minLength: 1, maxLength: 20 })
      .filter((all) => all.some((one) => one > 0n));
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }),
        weights,
        anyCurrency,
        (units, shares, currency) => {
          const minorUnit = 10n ** BigInt(12 - minorUnitsOf(currency));
          const total = (units * minorUnit) as Amount;
          const parts = allocate(total, shares, currency);
          expect(sumAmounts(parts)).toBe(total);
          const weightsSum = shares.reduce((sum, share) => sum + share, 0n);
          for (const [index, part] of parts.entries()) {
            expect(part % minorUnit).toBe(0n);
            const difference = part * weightsSum - total * (shares[index] as bigint);
            expect(difference < minorUnit * weightsSum && difference > -minorUnit * weightsSum).toBe(true);
          }
          const byWeight = parts.map((part, index) => ({
            part: units < 0n ? -part : part,
            share: shares[index] as bigint,
          }));
          for (const a of byWeight)
            for (const b of byWeight) if (a.share > b.share) expect(a.part >= b.part).toBe(true);
          expect(allocate(total, shares, currency)).toEqual(parts);
        },
      ),
      { numRuns: scaled(1000) },
    );
  });
});

describe('types', () => {
  it('[I13] an amount, an exact amount, a quantity and a number can not stand for each other', () => {
    const price = amount('1');
    const quantity = parseQuantity('1') as Quantity;
    // @ts-expect-error a quantity is not an amount
    formatAmount(quantity);
    // @ts-expect-error an amount is not yet exact at the finer scale
    roundToMinorUnits(price, 'USD', 'half_up');
    // @ts-expect-error an exact amount has to be rounded before it is printed
    expect(() => formatMinorUnits(multiply(price, quantity), 'USD')).not.toThrow();
    // @ts-expect-error a sum of bare bigints has lost its unit
    const sum: Amount = price + price;
    // @ts-expect-error a number is not money
    expect(() => multiply(0.1, quantity)).toThrow(TypeError);
    expect(sum).toBe(2n * price);
  });
});
