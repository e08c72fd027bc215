import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, addAmounts, amountScale, formatMinorUnits, parseAmount, sumAmounts } from '#schemas/money.ts';
import { type AppliedTax, formatPercentage, type Percentage, parsePercentage } from '#schemas/tax-rate.ts';
import {
  type AskedCredit,
  type CreditableLine,
  type CreditedLines,
  type CreditedParts,
  creditLines,
  grossAmount,
  leftOfLine,
} from '../../../../invoicer/corrections/credit-lines.ts';
import { taxLines } from '../../../../invoicer/taxes/tax-lines.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const rate = (code: string, percentage: string, inclusive = false): AppliedTax => ({
  taxRateId: `txr_${code}`,
  code,
  name: code,
  percentage: parsePercentage(percentage) as Percentage,
  inclusive,
  treatment: 'taxed',
});

type Untaxed = {
  readonly amount: Amount;
  readonly discounts?: readonly Amount[];
  readonly taxes: readonly AppliedTax[];
};

/** As the invoicer taxes them. */
const invoiceLines = (lines: readonly Untaxed[], currency: Currency, taxRounding: 'line' | 'invoice' = 'line') => {
  const taxable = lines.map((line, index) => ({
    position: index + 1,
    amount: (line.amount - sumAmounts(line.discounts ?? [])) as Amount,
    taxes: line.taxes,
  }));
  const taxed = taxLines(taxable, currency, { rounding: 'half_up', taxRounding });
  return lines.map(
    ({ amount: of, discounts = [] }, index): CreditableLine => ({
      position: index + 1,
      amount: of,
      discounts: discounts.map((one, at) => ({
        discountId: `dsc_${at}`,
        couponId: `cpn_${at}`,
        name: 'x',
        amount: one,
      })),
      taxes: (taxed.lines.get(index + 1) ?? []).map(
        ({ inclusive, percentage, ...tax }): InvoiceTax => ({
          ...tax,
          percentage: formatPercentage(percentage),
          isInclusive: inclusive,
        }),
      ),
    }),
  );
};

const addParts = (a: CreditedParts | undefined, b: CreditedParts): CreditedParts => ({
  amount: addAmounts(a?.amount ?? (0n as Amount), b.amount),
  discounts: b.discounts.map((one, index) => addAmounts(a?.discounts[index] ?? (0n as Amount), one)),
  taxes: b.taxes.map((tax, index) => ({
    amount: addAmounts(a?.taxes[index]?.amount ?? (0n as Amount), tax.amount),
    taxableAmount: addAmounts(a?.taxes[index]?.taxableAmount ?? (0n as Amount), tax.taxableAmount),
  })),
});
const addCredits = (before: CreditedLines, credited: CreditedLines): CreditedLines =>
  new Map([...before, ...[...credited].map(([at, parts]) => [at, addParts(before.get(at), parts)] as const)]);

const totalOf = (lines: readonly CreditableLine[], credited: CreditedLines): Amount =>
  sumAmounts(lines.map((line) => grossAmount(line, credited.get(line.position) ?? none(line))));
const none = (line: CreditableLine): CreditedParts => ({
  amount: 0n as Amount,
  discounts: line.discounts.map(() => 0n as Amount),
  taxes: line.taxes.map(() => ({ amount: 0n as Amount, taxableAmount: 0n as Amount })),
});
const wholeOf = ({ amount: of, discounts, taxes }: CreditableLine): CreditedParts => ({
  amount: of,
  discounts: discounts.map((one) => one.amount),
  taxes: taxes.map((tax) => ({ amount: tax.amount, taxableAmount: tax.taxableAmount })),
});

const shown = (credited: CreditedLines, currency: Currency) =>
  Object.fromEntries(
    [...credited].map(([at, parts]) => [
      at,
      [parts.amount, ...parts.discounts, ...parts.taxes.map((tax) => tax.amount)]
        .map((one) => formatMinorUnits(one, currency))
        .join(' '),
    ]),
  );

/** Asks one after the other, and shows what each credits. */
const inTurn = (lines: readonly CreditableLine[], asked: readonly AskedCredit[], currency: Currency) => {
  let before: CreditedLines = new Map();
  return asked.map((one) => {
    const credited = creditLines(lines, before, one, currency);
    before = addCredits(before, credited);
    return {
      ...(shown(credited, currency) as Record<string, string>),
      total: formatMinorUnits(totalOf(lines, credited), currency),
    };
  });
};
const ofLine = (position: number, text: string | null): AskedCredit => ({
  kind: 'lines',
  lines: new Map([[position, text === null ? null : amount(text)]]),
});
const ofTotal = (text: string): AskedCredit => ({ kind: 'amount', amount: amount(text) });
const rest: AskedCredit = { kind: 'rest' };

describe('a line and its taxes', () => {
  const vat = rate('vat', '19');
  it('the tax of a part is its share, and the last part takes what is left', () => {
    const lines = invoiceLines([{ amount: amount('100.00'), taxes: [vat] }], 'EUR');
    expect(inTurn(lines, [ofLine(1, '50.00'), ofLine(1, '33.33'), ofLine(1, null)], 'EUR')).toEqual([
      { 1: '50.00 9.50', total: '59.50' },
      // 83.33 have 15.8327 of tax.
      { 1: '33.33 6.33', total: '39.66' },
      { 1: '16.67 3.17', total: '19.84' },
    ]);
  });

  it('cents one by one have their taxes as they come due, and not all at the end', () => {
    const lines = invoiceLines([{ amount: amount('0.10'), taxes: [rate('half', '50')] }], 'EUR');
    const cents = Array.from({ length: 10 }, () => ofLine(1, '0.01'));
    const taxes = inTurn(lines, cents, 'EUR').map(
      (credited) => (credited as Record<string, string>)['1']?.split(' ')[1],
    );
    expect(taxes).toEqual(['0.01', '0.00', '0.01', '0.00', '0.01', '0.00', '0.01', '0.00', '0.01', '0.00']);
  });

  it('an inclusive tax is in the amount, and a tax beside it is added', () => {
    // 20 % in 100.00 is 16.67 of 83.33, and 5 % of that is 4.17.
    const both = [rate('a-in', '20', true), rate('b-beside', '5')];
    const lines = invoiceLines([{ amount: amount('100.00'), taxes: both }], 'EUR');
    expect(inTurn(lines, [ofLine(1, '50.00'), rest], 'EUR')).toEqual([
      { 1: '50.00 8.34 2.09', total: '52.09' },
      { 1: '50.00 8.33 2.08', total: '52.08' },
    ]);
  });

  it('taxable amounts are the net of what is credited', () => {
    const both = [rate('a-in', '20', true), rate('b-beside', '5')];
    const lines = invoiceLines([{ amount: amount('100.00'), discounts: [amount('10.00')], taxes: both }], 'EUR');
    const credited = creditLines(lines, new Map(), ofLine(1, '33.33'), 'EUR').get(1);
    // 33.33 less 3.33, of which 5.00 are in it.
    expect(credited?.discounts).toEqual([amount('3.33')]);
    expect(credited?.taxes.map((tax) => tax.taxableAmount)).toEqual([amount('25.00'), amount('25.00')]);
  });

  it('the total of a credit is to the cent what is asked, also where no amount with its tax comes to it', () => {
    const lines = invoiceLines([{ amount: amount('10.00'), taxes: [vat] }], 'EUR');
    // 0.01 with 19 % is 0.01, 0.03 is 0.04: nothing comes to 0.03 by itself.
    expect(inTurn(lines, [ofTotal('0.03'), ofTotal('11.86'), rest], 'EUR')).toEqual([
      { 1: '0.03 0.00', total: '0.03' },
      { 1: '9.96 1.90', total: '11.86' },
      { 1: '0.01 0.00', total: '0.01' },
    ]);
  });
});

describe('an amount of the total', () => {
  it('goes to the lines in proportion, by the largest remainder, the earlier of equal ones first', () => {
    const lines = invoiceLines(
      ['10.00', '10.00', '10.00'].map((text) => ({ amount: amount(text), taxes: [] })),
      'USD',
    );
    expect(inTurn(lines, [ofTotal('10.00'), ofTotal('0.01'), rest], 'USD')).toEqual([
      { 1: '3.34', 2: '3.33', 3: '3.33', total: '10.00' },
      { 2: '0.01', total: '0.01' },
      { 1: '6.66', 2: '6.66', 3: '6.67', total: '19.99' },
    ]);
  });

  it('takes back what takes off, in proportion too', () => {
    const lines = invoiceLines(
      [
        { amount: amount('100.00'), taxes: [] },
        { amount: amount('-40.00'), taxes: [] },
      ],
      'USD',
    );
    expect(inTurn(lines, [ofTotal('30.00'), rest], 'USD')).toEqual([
      { 1: '50.00', 2: '-20.00', total: '30.00' },
      { 1: '50.00', 2: '-20.00', total: '30.00' },
    ]);
  });
});

const currencies = ['EUR', 'JPY', 'KWD', 'HUF'] as const;
const taxesOf = [
  [],
  [rate('a', '19')],
  [rate('a', '7.5'), rate('b', '8.875')],
  [rate('in', '20', true)],
  [rate('in', '27', true), rate('beside', '5')],
  [rate('x', '100'), rate('y', '100')],
  [{ ...rate('reverse', '0'), treatment: 'reverse_charge' as const }],
];

const invoices = fc
  .record({
    currency: fc.constantFrom(...currencies),
    taxRounding: fc.constantFrom('line' as const, 'invoice' as const),
    lines: fc.array(
      fc.record({
        units: fc.bigInt({ min: -2_000n, max: 20_000n }),
        discounts: fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 2 }),
        taxes: fc.constantFrom(...taxesOf),
      }),
      { minLength: 1, maxLength: 5 },
    ),
  })
  .map(({ currency, taxRounding, lines }) => {
    const unit = 10n ** BigInt(amountScale - minorUnitsOf(currency));
    const untaxed = lines.map(({ units, discounts, taxes }) => ({
      amount: (units * unit) as Amount,
      discounts: units > 0n ? discounts.map((percent) => (((units * BigInt(percent)) / 100n) * unit) as Amount) : [],
      taxes,
    }));
    return { currency, unit, lines: invoiceLines(untaxed, currency, taxRounding) };
  });

/** How each credit is asked: by line or by total, and how many thousandths of what is left. */
const steps = fc.array(
  fc.record({
    by: fc.constantFrom('line' as const, 'total' as const),
    line: fc.nat(),
    part: fc.integer({ min: 0, max: 1000 }),
  }),
  { maxLength: 12 },
);

describe('whatever is credited in whatever order', () => {
  it('parts and the rest sum to each line, discount and tax; no part is of the other sign or more than is left', () => {
    fc.assert(
      fc.property(invoices, steps, ({ currency, unit, lines }, asked) => {
        let before: CreditedLines = new Map();
        const leftOf = (line: CreditableLine) => leftOfLine(line, before.get(line.position), currency);
        const step = (one: AskedCredit, wanted: Amount | undefined): void => {
          const credited = creditLines(lines, before, one, currency);
          if (wanted !== undefined) expect(totalOf(lines, credited)).toBe(wanted);
          before = addCredits(before, credited);
          for (const line of lines) {
            const [whole, sum] = [wholeOf(line), before.get(line.position) ?? none(line)];
            const pairs = [
              [whole.amount, sum.amount],
              [grossAmount(line, whole), grossAmount(line, sum)],
              ...whole.discounts.map((one, index) => [one, sum.discounts[index]]),
              ...whole.taxes.map((tax, index) => [tax.amount, sum.taxes[index]?.amount]),
            ] as [Amount, Amount][];
            for (const [most, is] of pairs)
              expect(most < 0n ? is >= most && is <= 0n : is <= most && is >= 0n).toBe(true);
            // Never more than a minor unit from its share of the amount, but where the total asked for a sum.
            const beside = pairs.length;
            for (const [most, is] of pairs.slice(2)) {
              const distance = is * whole.amount - most * sum.amount;
              const bound = unit * (whole.amount < 0n ? -whole.amount : whole.amount) * BigInt(beside);
              expect(distance <= bound && distance >= -bound).toBe(true);
            }
          }
        };
        for (const { by, line: at, part } of asked) {
          const line = lines[at % lines.length] as CreditableLine;
          const left =
            by === 'line' ? leftOf(line).amount : sumAmounts(lines.map((one) => grossAmount(one, leftOf(one))));
          const wanted = ((((left / unit) * BigInt(part)) / 1000n) * unit) as Amount;
          if (wanted <= 0n || (by === 'line' && line.amount <= 0n)) continue;
          if (by === 'total') step({ kind: 'amount', amount: wanted }, wanted);
          else step({ kind: 'lines', lines: new Map([[line.position, wanted]]) }, undefined);
        }
        step(rest, undefined);
        for (const line of lines) expect(before.get(line.position) ?? none(line)).toEqual(wholeOf(line));
      }),
      { numRuns: 200 },
    );
  });
});
