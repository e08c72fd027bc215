import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventWith, readEvent } from '../../support/read-body.ts';

/** The stored text of a property that a body gives as this JSON, or the codes of what is wrong with it. */
const stored = (json: string): string => {
  const read = readEvent(eventWith(`{"n":${json}}`));
  return 'status' in read ? read.faults.map(({ code }) => code).join() : (read.properties.find(([path]) => path === 'n')?.[1] ?? '');
};

describe('[I13] a number keeps its decimal digits', () => {
  it.each([
    ['0.1', '0.1'],
    ['0', '0'],
    ['-0', '0'],
    ['-0.0', '0'],
    ['0e5', '0'],
    ['0e999999', '0'],
    ['0.000000000000000000000', '0'],
    ['1.0', '1'],
    ['1.10', '1.1'],
    ['-5.5', '-5.5'],
    ['1e3', '1000'],
    ['1E3', '1000'],
    ['1e+3', '1000'],
    ['1.5e3', '1500'],
    ['1e-7', '0.0000001'],
    ['1.5e-7', '0.00000015'],
    ['-1.5e-7', '-0.00000015'],
    ['1e21', '1000000000000000000000'],
    ['1.5e21', '1500000000000000000000'],
    ['100000000000000000000', '100000000000000000000'],
    ['123456789012345', '123456789012345'],
    ['999999999999999', '999999999999999'],
    ['123456789012345000000', '123456789012345000000'],
    ['0.123456789012345', '0.123456789012345'],
    ['0.000000123456789012345', '0.000000123456789012345'],
    ['1234567890.12345', '1234567890.12345'],
    ['1234567890.123450000000000', '1234567890.12345'],
    ['00.1'.slice(1), '0.1'],
    ['1e40', `1${'0'.repeat(40)}`],
    ['1e-40', `0.${'0'.repeat(39)}1`],
  ])('%s is stored as %s', (json, text) => {
    expect(stored(json)).toBe(text);
  });

  it.each([
    '1234567890123456',
    '0.10000000000000000001',
    '0.1000000000000000055511151231257827',
    '9007199254740993',
    '-1234567890123456',
    '1.000000000000001',
    '10000000000000001',
    '1234567890.123456',
    '1234567890123456e-10',
    '0.01234567890123456',
    '1.2345678901234567E5',
  ])('%s, of more than 15 significant digits, is refused', (json) => {
    expect(stored(json)).toBe('inexact_number');
    expect(stored(`[0,${json}]`)).toBe('inexact_number');
    expect(stored(`{"deeper":[{"still":${json}}]}`)).toBe('inexact_number');
  });

  it.each([
    '1e41',
    '1e-41',
    '1e308',
    '1e309',
    '1e400',
    '-1e400',
    '5e-324',
    '1e-324',
    '1e-400',
    '-1e-400',
    '1E-0400',
    `0.${'0'.repeat(400)}1`,
  ])('%s, which would run too long or vanish, is refused', (json) => {
    expect(stored(json)).toBe('number_range');
    expect(stored(`[${json}]`)).toBe('number_range');
  });

  it.each(['"0.10000000000000000001"', '"1e-400"', '"\\"12345678901234567890"', '"12345678901234567890\\\\"'])(
    'in the text %s it is left alone',
    (json) => {
      expect(stored(json)).toBe(JSON.parse(json));
    },
  );

  it('for every decimal of at most 15 significant digits within range, the stored text is that decimal', () => {
    const Exact = Decimal.clone({ precision: 200, toExpNeg: -200, toExpPos: 200 });
    const zeros = fc.integer({ min: 0, max: 3 }).map((count) => '0'.repeat(count));
    const sources = fc
      .record({
        sign: fc.constantFrom('', '-'),
        digits: fc.oneof(fc.stringMatching(/^[0-9]{1,15}$/), fc.stringMatching(/^[1-9][0-9]{13}[1-9]$/)),
        point: fc.nat({ max: 15 }),
        trailing: zeros,
        exponent: fc.option(fc.tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), zeros, fc.nat({ max: 45 })), {
          nil: undefined,
        }),
      })
      .map(({ sign, digits, point, trailing, exponent }) => {
        const whole = digits.slice(0, point).replace(/^0+(?=.)/, '') || '0';
        const fraction = digits.slice(point) + trailing;
        return sign + whole + (fraction && `.${fraction}`) + (exponent ? exponent.join('') : '');
      });
    let taken = 0;
    fc.assert(
      fc.property(sources, (source) => {
        const exact = new Exact(source);
        const text = stored(source);
        if (!exact.isZero() && Math.abs(exact.e) > 40) {
          expect(text).toBe('number_range');
          return;
        }
        taken += 1;
        expect(text).toMatch(/^-?\d+(\.\d+)?$/);
        expect(new Exact(text).eq(exact), `${source} became ${text}`).toBe(true);
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(10_000);
  });

  it('no decimal of 16 or more significant digits is taken', () => {
    const sources = fc
      .tuple(fc.stringMatching(/^[1-9][0-9]{14,40}[1-9]$/), fc.nat({ max: 40 }))
      .map(([digits, point]) => `${digits.slice(0, point) || '0'}${digits.slice(point) && `.${digits.slice(point)}`}`);
    fc.assert(
      fc.property(sources, (source) => {
        expect(stored(source)).toBe('inexact_number');
      }),
      { numRuns: 5_000 },
    );
  });

  it('[I27] a number of a quarter of a million digits costs no more than reading it', () => {
    const begin = performance.now();
    expect(stored(`1${'0'.repeat(250_000)}1`)).toBe('inexact_number');
    expect(stored(`0.${'0'.repeat(250_000)}1`)).toBe('number_range');
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});
