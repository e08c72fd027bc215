import { describe, expect, it } from 'vitest';
import { currencies, isCurrency, minorUnitsOf } from '#schemas/currency.ts';

describe('currency', () => {
  it.each([
    ['JPY', 0],
    ['KRW', 0],
    ['VND', 0],
    ['ISK', 0],
    ['UYI', 0],
    ['UGX', 0],
    ['XAF', 0],
    ['HUF', 2],
    ['IDR', 2],
    ['LAK', 2],
    ['MGA', 2],
    ['MRU', 2],
    ['USD', 2],
    ['EUR', 2],
    ['XCG', 2],
    ['ZWG', 2],
    ['BHD', 3],
    ['IQD', 3],
    ['JOD', 3],
    ['KWD', 3],
    ['LYD', 3],
    ['OMR', 3],
    ['TND', 3],
    ['CLF', 4],
    ['UYW', 4],
  ] as const)('[I21] %s has %i decimals, as ISO 4217 says', (currency, minorUnits) => {
    expect(minorUnitsOf(currency)).toBe(minorUnits);
  });

  it('[I21] the table has the 165 active codes with a minor unit: 178 of list one less 13 whose minor unit is "N.A."', () => {
    expect(currencies).toHaveLength(165);
    const byMinorUnits = Object.groupBy(currencies, (currency) => String(minorUnitsOf(currency)));
    expect(byMinorUnits['0']?.join(' ')).toBe('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF');
    expect(byMinorUnits['3']?.join(' ')).toBe('BHD IQD JOD KWD LYD OMR TND');
    expect(byMinorUnits['4']?.join(' ')).toBe('CLF UYW');
    expect(Object.keys(byMinorUnits)).toEqual(['0', '2', '3', '4']);
  });

  it('the table is in alphabetical order, so a missing code is seen', () => {
    expect(currencies).toEqual(currencies.toSorted());
  });

  it.each([
    'usd',
    'BGN',
    'HRK',
    'ANG',
    'ZWL',
    'SLL',
    'CUC',
    'XAU',
    'XDR',
    'XXX',
    'XTS',
    '',
    'US',
    'toString',
    '__proto__',
  ])('nothing can be billed in "%s"', (text) => {
    expect(isCurrency(text)).toBe(false);
  });
});
