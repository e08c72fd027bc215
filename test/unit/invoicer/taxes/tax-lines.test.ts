import type { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import { type Amount, addAmounts, formatMinorUnits, negateAmount, parseAmount, sumAmounts } from '#schemas/money.ts';
import { type AppliedTax, type Percentage, parsePercentage, type TaxRounding } from '#schemas/tax-rate.ts';
import { type TaxableLine, type TaxPolicy, taxLines } from '../../../../invoicer/taxes/tax-lines.ts';
import { amountOracle, Exact, oracleRounding } from '../../../support/rating-arbitraries.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const tax = (code: string, percentage: string, inclusive = false): AppliedTax => ({
  taxRateId: `txr_${code}`,
  code,
  name: code,
  percentage: parsePercentage(percentage) as Percentage,
  inclusive,
  treatment: 'taxed',
});
const linesOf = (amounts: readonly string[], taxes: readonly AppliedTax[], from = 1): TaxableLine[] =>
  amounts.map((text, index) => ({ position: from + index, amount: amount(text), taxes }));

const perLine: TaxPolicy = { rounding: 'half_up', taxRounding: 'line' };
const perInvoice: TaxPolicy = { rounding: 'half_up', taxRounding: 'invoice' };

const shown = (lines: readonly TaxableLine[], currency: Currency, policy: TaxPolicy) => {
  const taxed = taxLines(lines, currency, policy);
  return {
    lines: [...taxed.lines.values()].map((entries) =>
      entries.map((entry) => formatMinorUnits(entry.amount, currency)).join(' '),
    ),
    summary: taxed.summary.map(
      ({ code, taxableAmount, amount }) =>
        `${code} ${formatMinorUnits(taxableAmount, currency)} ${formatMinorUnits(amount, currency)}`,
    ),
    total: formatMinorUnits(taxed.taxTotal, currency),
  };
};

describe('published examples', () => {
  // ConnectingEurope/eInvoicing-EN16931, ubl/examples/ubl-tc434-example1.xml: CEN/TC 434, the Netherlands, 6 % and
  // 21 %.
  const low = '19.90 9.85 8.29 14.46 35.00 35.00 10.65 1.55 14.37 8.29 16.58 9.95 3.30 3.90 102.12 -109.98'.split(' ');
  const high = '10.80 7.60 9.34 18.63'.split(' ');
  it('EN 16931, example 1: VAT of a category is its rate of the sum of its lines, one of them below zero', () => {
    const lines = [...linesOf(low, [tax('btw-06', '6')]), ...linesOf(high, [tax('btw-21', '21')], 17)];
    const { summary, total } = shown(lines, 'EUR', perInvoice);
    expect(summary).toEqual(['btw-06 183.23 10.99', 'btw-21 46.37 9.74']);
    expect(total).toBe('20.73');
  });

  // The same, ubl-tc434-example2.xml: Norway, 25 %, 15 % and exempt; an allowance and a charge of 100.00 as lines.
  it('EN 16931, example 2: half a minor unit is rounded up, and what is exempt has none', () => {
    const exempt: AppliedTax = { ...tax('exempt', '0'), taxRateId: null, treatment: 'exempt' };
    const lines = [
      ...linesOf(['1273.00', '187.50', '-100.00', '100.00'], [tax('mva-25', '25')]),
      ...linesOf(['-3.96', '4.96'], [tax('mva-15', '15')], 5),
      ...linesOf(['-25.00'], [exempt], 7),
    ];
    const { summary, total } = shown(lines, 'NOK', perInvoice);
    expect(summary).toEqual(['exempt -25.00 0.00', 'mva-15 1.00 0.15', 'mva-25 1460.50 365.13']);
    expect(total).toBe('365.28');
  });

  // Kansas Statutes 79-3676: to the third decimal place, up whenever that is greater than four; by item or by invoice,
  // as the seller elects. Kansas has 6.5 % of its own, and Wichita's county has 1 %.
  it.each([
    ['1.00', '0.07'],
    ['0.99', '0.06'],
    ['10.15', '0.66'],
    ['10.07', '0.65'],
    ['10.08', '0.66'],
  ])('Kansas 79-3676: 6.5 %% of %s is %s', (net, expected) => {
    expect(shown(linesOf([net], [tax('ks', '6.5')]), 'USD', perLine).total).toBe(expected);
  });

  it('Kansas 79-3676: an item and an invoice basis differ, and the seller elects one', () => {
    const lines = linesOf(['0.99', '0.99', '0.99'], [tax('ks', '6.5'), tax('sedgwick', '1')]);
    // 0.06435 and 0.0099 an item; 0.19305 and 0.0297 for all three.
    expect(shown(lines, 'USD', perLine)).toMatchObject({ summary: ['ks 2.97 0.18', 'sedgwick 2.97 0.03'] });
    expect(shown(lines, 'USD', perInvoice)).toMatchObject({ summary: ['ks 2.97 0.19', 'sedgwick 2.97 0.03'] });
    expect(shown(lines, 'USD', perInvoice).lines).toEqual(['0.07 0.01', '0.06 0.01', '0.06 0.01']);
  });

  // Zuora, "Rounding rule for inclusive tax mode": the tax amount is rounded, and not the net amount.
  it('an inclusive tax is rounded itself: of 2.99 with 4 % in it, 0.115 is 0.12', () => {
    const { summary, total } = shown(linesOf(['2.99'], [tax('vat', '4', true)]), 'USD', perLine);
    expect(summary).toEqual(['vat 2.87 0.12']);
    expect(total).toBe('0.00');
  });
});

describe('places', () => {
  it.each([
    ['JPY', '1005', '10', '101'],
    ['KWD', '1.005', '5', '0.050'],
    ['HUF', '999.99', '27', '270.00'],
    ['EUR', '100.00', '19', '19.00'],
    ['USD', '49.99', '8.875', '4.44'],
    ['EUR', '-10.50', '19', '-2.00'],
    ['EUR', '0.00', '19', '0.00'],
    ['EUR', '10.00', '0', '0.00'],
    ['EUR', '10.00', '100', '10.00'],
    ['EUR', '1000000.00', '0.000001', '0.01'],
  ] as const)('%s %s at %s %% has a tax of %s', (currency, net, percentage, expected) => {
    for (const policy of [perLine, perInvoice])
      expect(shown(linesOf([net], [tax('a', percentage)]), currency, policy).total).toBe(expected);
  });

  it('half_even is for taxes too', () => {
    const lines = linesOf(['0.50'], [tax('a', '5')]);
    expect(shown(lines, 'USD', perLine).total).toBe('0.03');
    expect(shown(lines, 'USD', { ...perLine, rounding: 'half_even' }).total).toBe('0.02');
  });

  it('several taxes are each of the net, and none is of another tax', () => {
    // Quebec: GST 5 % and QST 9.975 %, both of the price without taxes.
    const lines = linesOf(['100.00'], [tax('gst', '5'), tax('qst', '9.975')]);
    expect(shown(lines, 'CAD', perLine)).toEqual({
      lines: ['5.00 9.98'],
      summary: ['gst 100.00 5.00', 'qst 100.00 9.98'],
      total: '14.98',
    });
    // Both within the price: 100 / 1.14975 = 86.975429...
    const within = linesOf(['100.00'], [tax('gst', '5', true), tax('qst', '9.975', true)]);
    expect(shown(within, 'CAD', perLine)).toEqual({
      lines: ['4.35 8.68'],
      summary: ['gst 86.97 4.35', 'qst 86.97 8.68'],
      total: '0.00',
    });
  });

  it.each([
    ['0.08', '0.04 0.01', 'put 0.07 0.04'],
    ['0.09', '0.04 0.02', 'put 0.07 0.04'],
    ['-0.09', '-0.04 -0.02', 'put -0.07 -0.04'],
  ])('of %s with 20 %% in it, 50 %% is put on the net that is printed', (gross, ofLine, put) => {
    const lines = linesOf([gross], [tax('within', '20', true), tax('put', '50')]);
    const { lines: taxes, summary } = shown(lines, 'USD', perLine);
    expect(taxes).toEqual([ofLine]);
    expect(summary[0]).toBe(put);
  });

  it('by invoice a tax is put on the sum of the nets that are printed, and rounded once', () => {
    const lines = linesOf(['0.08', '0.08', '0.08'], [tax('put', '50'), tax('within', '20', true)]);
    // 0.04 is within all three, in parts of 0.02, 0.01 and 0.01: 0.06 + 0.07 + 0.07 is left. By line it is 0.21.
    expect(shown(lines, 'USD', perInvoice)).toEqual({
      lines: ['0.03 0.02', '0.04 0.01', '0.03 0.01'],
      summary: ['put 0.20 0.10', 'within 0.20 0.04'],
      total: '0.10',
    });
    expect(shown(lines, 'USD', perLine)).toMatchObject({ summary: ['put 0.21 0.12', 'within 0.21 0.03'] });
  });

  it('a line without taxes has none, and an invoice without lines neither', () => {
    expect(shown(linesOf(['5.00'], []), 'USD', perInvoice)).toEqual({ lines: [''], summary: [], total: '0.00' });
    expect(shown([], 'USD', perInvoice)).toEqual({ lines: [], summary: [], total: '0.00' });
  });

  it('a line with the same tax twice is a bug', () => {
    expect(() => taxLines(linesOf(['5.00'], [tax('a', '1'), tax('a', '1')]), 'USD', perLine)).toThrow('twice');
    const twice = [...linesOf(['5.00'], []), ...linesOf(['5.00'], [])];
    expect(() => taxLines(twice, 'USD', perLine)).toThrow('twice');
  });
});

describe('whatever lines and taxes there are', () => {
  const percentages = fc.oneof(
    fc.constantFrom('0', '5', '6.625', '7', '8.875', '9.975', '19', '20', '25', '100').map((text) => text),
    fc.bigInt({ min: 0n, max: 10n ** 8n }).map((millionths) => new Exact(millionths.toString()).div(1e6).toFixed()),
  );
  const pool = fc
    .array(fc.record({ percentage: percentages, inclusive: fc.boolean() }), { minLength: 1, maxLength: 4 })
    .map((all) => all.map(({ percentage, inclusive }, index) => tax(`t${index}`, percentage, inclusive)));
  const currencyOf = fc.constantFrom<Currency>('USD', 'EUR', 'JPY', 'KWD', 'HUF', 'UYW');
  const invoices = fc
    .tuple(pool, currencyOf, fc.array(fc.tuple(fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }), fc.nat(15))))
    .map(([taxes, currency, drawn]) => ({
      currency,
      lines: drawn.map(
        ([units, subset], index): TaxableLine => ({
          position: index + 1,
          amount: (units * 10n ** BigInt(12 - minorUnitsOf(currency))) as Amount,
          taxes: taxes.filter((_, place) => (subset >> place) % 2 === 1),
        }),
      ),
    }));
  const policies = fc.record<TaxPolicy>({
    rounding: fc.constantFrom('half_up' as const, 'half_even' as const),
    taxRounding: fc.constantFrom<TaxRounding>('line', 'invoice'),
  });

  /** What a tax of a line is before it is rounded: an exclusive one of the net as it is printed. */
  const exactOf = ({ amount, taxes }: TaxableLine, one: AppliedTax, net: Amount): Decimal => {
    const rate = (of: AppliedTax) => new Exact(of.percentage.toString()).div(1e8);
    if (!one.inclusive) return amountOracle(net).mul(rate(one));
    const inclusive = taxes.reduce((sum, of) => (of.inclusive ? sum.add(rate(of)) : sum), new Exact(0));
    return amountOracle(amount).mul(rate(one)).div(inclusive.add(1));
  };

  /** Of 7,371,003.99 in five lines a sixth, which is half a cent more than 1,228,500.66. */
  const sixths = {
    currency: 'USD' as Currency,
    lines: linesOf(['-3921541.37', '3607312.10', '-779442.70', '8989201.85', '-524525.89'], [tax('t0', '20', true)]),
  };

  it('agrees with decimal.js: each tax of a line, or the sum of each tax, is rounded once', () => {
    fc.assert(
      fc.property(invoices, policies, ({ lines, currency }, policy) => {
        const taxed = taxLines(lines, currency, policy);
        const places = minorUnitsOf(currency);
        const round = (exact: Decimal) => exact.toDecimalPlaces(places, oracleRounding[policy.rounding]);
        for (const line of lines)
          for (const entry of taxed.lines.get(line.position) ?? []) {
            const exact = exactOf(line, entry, entry.taxableAmount);
            const printed = amountOracle(entry.amount);
            if (policy.taxRounding === 'line') expect(printed.toFixed()).toBe(round(exact).toFixed());
            else expect(printed.sub(exact).abs().lt(new Exact(10).pow(-places))).toBe(true);
          }
        if (policy.taxRounding === 'line') return;
        for (const { code, amount } of taxed.summary) {
          const exact = lines.flatMap((line) =>
            (taxed.lines.get(line.position) ?? [])
              .filter((one) => one.code === code)
              .map((one) => exactOf(line, one, one.taxableAmount)),
          );
          // Sixths that sum to a half are a little less once each was cut off.
          const sum = exact.reduce((all, one) => all.add(one), new Exact(0)).toDecimalPlaces(20);
          expect(amountOracle(amount).toFixed()).toBe(round(sum).toFixed());
        }
      }),
      { examples: [[sixths, { rounding: 'half_up', taxRounding: 'invoice' }]] },
    );
  });

  it('sums: the lines to the summary, the exclusive ones to the total, net and inclusive taxes to the line', () => {
    fc.assert(
      fc.property(invoices, policies, ({ lines, currency }, policy) => {
        const taxed = taxLines(lines, currency, policy);
        const entries = [...taxed.lines.values()].flat();
        for (const one of taxed.summary) {
          const same = entries.filter(({ code }) => code === one.code);
          expect(sumAmounts(same.map(({ amount }) => amount))).toBe(one.amount);
          expect(sumAmounts(same.map(({ taxableAmount }) => taxableAmount))).toBe(one.taxableAmount);
        }
        const exclusive = taxed.summary.filter(({ inclusive }) => !inclusive).map(({ amount }) => amount);
        expect(taxed.taxTotal).toBe(sumAmounts(exclusive));
        for (const line of lines) {
          const own = taxed.lines.get(line.position) ?? [];
          const within = sumAmounts(own.filter(({ inclusive }) => inclusive).map(({ amount }) => amount));
          for (const { taxableAmount } of own) expect(addAmounts(taxableAmount, within)).toBe(line.amount);
        }
      }),
    );
  });

  it('is the same in whatever order lines and their taxes come', () => {
    const shuffled = invoices.chain(({ lines, currency }) =>
      fc
        .shuffledSubarray(lines, { minLength: lines.length, maxLength: lines.length })
        .map((others) => ({ lines, currency, others: others.map((of) => ({ ...of, taxes: of.taxes.toReversed() })) })),
    );
    fc.assert(
      fc.property(shuffled, policies, ({ lines, others, currency }, policy) => {
        expect(taxLines(others, currency, policy)).toEqual(taxLines(lines, currency, policy));
      }),
    );
  });

  it('of what is taken back is what was charged, below zero', () => {
    fc.assert(
      fc.property(invoices, policies, ({ lines, currency }, policy) => {
        const back = taxLines(
          lines.map((line) => ({ ...line, amount: negateAmount(line.amount) })),
          currency,
          policy,
        );
        const taxed = taxLines(lines, currency, policy);
        expect(back.summary.map(({ amount }) => negateAmount(amount))).toEqual(taxed.summary.map((one) => one.amount));
        for (const [position, entries] of back.lines)
          expect(entries.map((one) => negateAmount(one.amount))).toEqual(
            taxed.lines.get(position)?.map((one) => one.amount),
          );
      }),
    );
  });

  it('an inclusive tax takes out of a price what an exclusive one put on it', () => {
    const rounding = fc.constantFrom('half_up' as const, 'half_even' as const);
    const minor = fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n });
    fc.assert(
      fc.property(minor, percentages, currencyOf, rounding, (units, percentage, currency, mode) => {
        const net = (units * 10n ** BigInt(12 - minorUnitsOf(currency))) as Amount;
        const policy: TaxPolicy = { rounding: mode, taxRounding: 'line' };
        const one = (amount: Amount, inclusive: boolean) =>
          taxLines([{ position: 1, amount, taxes: [tax('a', percentage, inclusive)] }], currency, policy).summary[0];
        const put = one(net, false)?.amount as Amount;
        expect(one(addAmounts(net, put), true)).toMatchObject({ amount: put, taxableAmount: net });
      }),
    );
  });
});
