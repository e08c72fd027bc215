import { expect, it } from 'vitest';
import { formatPercentage, parsePercentage, percentagePattern } from '#schemas/tax-rate.ts';

it.each([
  ['0', '0'],
  ['19', '19'],
  ['08.50', '8.5'],
  ['8.875', '8.875'],
  ['0.000001', '0.000001'],
  ['99.999999', '99.999999'],
  ['100', '100'],
  ['100.000000', '100'],
])('%s is the percentage %s', (text, canonical) => {
  const percentage = parsePercentage(text);
  expect(percentage === undefined ? undefined : formatPercentage(percentage)).toBe(canonical);
  expect(text).toMatch(new RegExp(percentagePattern));
});

it.each(['', '-0', '-1', '+5', '100.000001', '101', '1000', '019', '1.0000001', '1e1', '5%', '.5', '5.', ' 5', '5\n'])(
  '%j is none, by the reader and by the schema alike',
  (text) => {
    expect(parsePercentage(text)).toBeUndefined();
    expect(new RegExp(percentagePattern, 'u').test(text)).toBe(false);
  },
);
