import { describe, expect, it } from 'vitest';
import { linkOf, rateFaults, unitCodeFaults } from '#schemas/credit-unit.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';

const link = (unit: string, amount: string) => linkOf(unit, parseAmount(amount) as Amount);
const links = (byUnit: Record<string, [string, string][]>) =>
  new Map(Object.entries(byUnit).map(([unit, rates]) => [unit, rates.map(([to, amount]) => link(to, amount))]));
const faultsOf = (unit: string, to: string, amount: string, known: Record<string, [string, string][]>) =>
  rateFaults(unit, link(to, amount), links(known)).map(({ field, code }) => `${field} ${code}`);

describe('how many digits a rate has', () => {
  it.each([
    ['0.01', 0, 2],
    ['1', 1, 0],
    ['120.50', 3, 1],
    ['0.000001', 0, 6],
  ])('%s', (amount, integerDigits, decimals) => {
    expect(link('USD', amount)).toEqual({ unit: 'USD', integerDigits, decimals });
  });
});

describe('a rate that is written', () => {
  it.each<[string, Parameters<typeof faultsOf>, string[]]>([
    ['into a currency', ['A', 'USD', '1', { A: [] }], []],
    ['into several currencies', ['A', 'EUR', '1', { A: [['USD', '1']] }], []],
    ['into another unit', ['A', 'B', '1', { A: [['USD', '1']], B: [] }], []],
    ['into the same unit again', ['A', 'B', '2', { A: [['B', '1']], B: [] }], []],
    ['into a second unit', ['A', 'C', '1', { A: [['B', '1']], B: [], C: [] }], ['unit not_allowed']],
    ['into itself', ['A', 'A', '1', { A: [] }], ['unit circular']],
    ['back to itself', ['B', 'A', '1', { A: [['B', '1']], B: [] }], ['unit circular']],
    ['back over three', ['C', 'A', '1', { A: [['B', '1']], B: [['C', '1']], C: [['USD', '1']] }], ['unit circular']],
    ['the fourth of a chain', ['C', 'D', '1', { A: [['B', '1']], B: [['C', '1']], C: [], D: [] }], []],
    [
      'the fifth of a chain, in its middle',
      ['B', 'C', '1', { A: [['B', '1']], B: [], C: [['D', '1']], D: [['E', '1']], E: [['USD', '1']] }],
      ['unit out_of_range'],
    ],
    ['6 decimals in all', ['A', 'B', '0.001', { A: [], B: [['USD', '0.001']] }], []],
    ['7 decimals in all', ['A', 'B', '0.0001', { A: [], B: [['USD', '0.001']] }], ['amount not_a_decimal']],
    ['7 decimals of those before it', ['B', 'USD', '0.0001', { A: [['B', '0.001']], B: [] }], ['amount not_a_decimal']],
    ['10 digits in all', ['A', 'B', '10000', { A: [], B: [['USD', '99999']] }], []],
    ['11 digits in all', ['A', 'B', '100000', { A: [], B: [['USD', '99999']] }], ['amount not_a_decimal']],
    [
      'short after a longer one, whose digits stay',
      ['B', 'USD', '1', { A: [['B', '0.001']], B: [['USD', '0.001']] }],
      [],
    ],
  ])('%s', (_, given, faults) => {
    expect(faultsOf(...given)).toEqual(faults);
  });

  it('names the circle', () => {
    const known = links({ A: [['B', '1']], B: [['C', '1']], C: [] });
    expect(rateFaults('C', link('A', '1'), known)[0]?.message).toBe('makes a circle: C -> A -> B -> C');
  });
});

it('a unit has no code of a currency, and none that may be taken for an id', () => {
  const codes = (code: string) => unitCodeFaults(code).map((fault) => fault.code);
  expect([codes('AIC'), codes('USD'), codes(`ABC_${'0'.repeat(32)}`)]).toEqual([[], ['not_allowed'], ['not_allowed']]);
});
