import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numberTexts } from '../../support/number-texts.ts';
import { eventWith, readEvent } from '../../support/read-body.ts';
import { scaled } from '../../support/scale.ts';

/** The stored text of a property that a body gives as this JSON, or the codes of what is wrong with it. */
const stored = (json: string): string => {
  const read = readEvent(eventWith(`{"n":${json}}`));
  return 'status' in read
    ? read.faults.map(({ code }) => code).join()
    : (read.properties.find(([path]) => path === 'n')?.[1] ?? '');
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
    ['1e-40', `0.${'0'.repeat(39)}1`],
  ])('%s is stored as %s', (json, text) => {
    expect(stored(json)).toBe(text);
  });

  it.each([
    ['1234567890123456', '1234567890123456'],
    ['0.30000000000000004', '0.30000000000000004'],
    ['0.1000000000000000055511151231257827', '0.1000000000000000055511151231257827'],
    ['-9007199254740993', '-9007199254740993'],
    ['10000000000000001', '10000000000000001'],
    ['1234567890.1234567800', '1234567890.12345678'],
    ['1234567890123456e-10', '123456.7890123456'],
    ['1.2345678901234567E5', '123456.78901234567'],
    ['1e-52', `0.${'0'.repeat(51)}1`],
    ['1e39', `1${'0'.repeat(39)}`],
    [`${'9'.repeat(40)}.${'9'.repeat(52)}`, `${'9'.repeat(40)}.${'9'.repeat(52)}`],
  ])('%s, which a double does not carry or write out, is stored as %s', (json, text) => {
    expect(stored(json)).toBe(text);
    expect(stored(`[0,${json}]`)).toBe(`[0,${text}]`);
  });

  it.each([
    '1e40',
    '1e-53',
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
    '9'.repeat(41),
    `0.${'9'.repeat(53)}`,
  ])('%s, which no meter can measure, is refused at once', (json) => {
    expect(stored(json)).toBe('number_range');
    expect(stored(`[${json}]`)).toBe('number_range');
    expect(stored(`{"deeper":[{"still":${json}}]}`)).toBe('number_range');
  });

  it.each(['"0.10000000000000000001"', '"1e-400"', '"\\"12345678901234567890"', '"12345678901234567890\\\\"'])(
    'in the text %s it is left alone',
    (json) => {
      expect(stored(json)).toBe(JSON.parse(json));
    },
  );

  it('every decimal within the bounds is stored as that decimal, and no other is taken', () => {
    const Exact = Decimal.clone({ precision: 300, toExpNeg: -300, toExpPos: 300 });
    const json = numberTexts.filter((text) => /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text));
    let taken = 0;
    fc.assert(
      fc.property(json, (source) => {
        const exact = new Exact(source);
        const text = stored(source);
        if (!exact.isZero() && (!exact.isFinite() || exact.e >= 40 || exact.decimalPlaces() > 52)) {
          expect(text).toBe('number_range');
          return;
        }
        taken += 1;
        expect(text).toBe(exact.isZero() ? '0' : exact.toFixed());
      }),
      { numRuns: scaled(10_000) },
    );
    expect(taken).toBeGreaterThan(2_000);
  });

  it('[I27] a number of a quarter of a million digits costs no more than reading it', () => {
    const begin = performance.now();
    expect(stored(`1${'0'.repeat(250_000)}1`)).toBe('number_range');
    expect(stored(`0.${'0'.repeat(250_000)}1`)).toBe('number_range');
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
});
