import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { creditedBefore, printedOf } from '#schemas/credited-line.ts';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { DraftInvoice, InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, amountScale, formatMinorUnits, parseAmount, toPrecise } from '#schemas/money.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { joinCredits } from '../../../../invoicer/corrections/credit-delta.ts';
import {
  type CreditableLine,
  type CreditedParts,
  creditLine,
  joinCredited,
  leftOfLine,
} from '../../../../invoicer/corrections/credit-lines.ts';
import {
  type CreditedCharges,
  creditedCharge,
  creditedLineKey,
  givenBackOf,
  type IssuedCreditLine,
  type NamedParts,
} from '../../../../invoicer/corrections/credited-charges.ts';
import { plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import { giveBackOnce } from '../../../../invoicer/invoices/give-back-once.ts';
import { totalsOf } from '../../../../invoicer/invoices/invoice-totals.ts';
import { shareOf } from '../../../../rater/price/prorate.ts';

const zero = 0n as Amount;
const amount = (text: string): Amount => parseAmount(text) as Amount;
const taxOf = (code: string, percentage: string, of: Amount, taxableAmount: Amount): InvoiceTax => ({
  taxRateId: `txr_${code}`,
  code,
  name: code,
  percentage,
  isInclusive: false,
  treatment: 'taxed',
  taxableAmount,
  amount: of,
});
/** 30.00 less 3.00, with 5.13 and 1.49 of taxes. */
const fee: CreditableLine = {
  position: 1,
  amount: amount('30.00'),
  discounts: [{ discountId: 'a', couponId: 'cpn_a', name: 'A', amount: amount('3.00') }],
  taxes: [taxOf('de', '19', amount('5.13'), amount('27.00')), taxOf('city', '5.5', amount('1.49'), amount('27.00'))],
};

const creditOf = (billingPeriodId: string, of: Amount): InvoiceLine => ({
  kind: 'charge',
  billingPeriodId,
  position: 1,
  chargeCode: 'fee',
  description: 'Fee (unused)',
  meter: null,
  quantity: oneQuantity,
  rounding: 'half_up',
  precise: toPrecise(of),
  unitAmount: null,
  amount: of,
  discounts: [],
  taxes: [],
  steps: [],
  servicePeriod: { start: 0, end: 1 },
});
const draftOf = (lines: readonly InvoiceLine[], currency: Currency): { readonly draft: DraftInvoice } => ({
  draft: {
    ...plainTerms,
    kind: 'period',
    customerId: 'cus_1',
    currency,
    periods: lines.map(({ billingPeriodId }) => ({
      billingPeriodId: billingPeriodId ?? '',
      customerId: 'cus_1',
      subscriptionId: 'sub_1',
      planVersionId: 'plv_1',
      span: { start: 0, end: 1 },
      watermark: 0n,
    })),
    lines,
    ...totalsOf(lines),
  },
});

const named = (line: CreditableLine, parts: CreditedParts): NamedParts => ({
  amount: parts.amount,
  discounts: line.discounts.map((one, index) => ({ ...one, amount: parts.discounts[index] ?? zero })),
  taxes: line.taxes.map((one, index) => ({ ...one, ...(parts.taxes[index] ?? {}) })),
});
const noteOf = (line: CreditableLine, of: Amount, currency: Currency): NamedParts =>
  named(line, creditLine(line, undefined, { kind: 'amount', amount: of }, currency));
const chargesOf = (ids: readonly string[], notes: readonly NamedParts[], credits: readonly IssuedCreditLine[] = []) =>
  new Map(
    ids.map((id) => [id, new Map([['fee', creditedCharge('inv_1 1', fee, notes, credits, 'EUR')]])]),
  ) satisfies CreditedCharges;
const shownBy = (charges: CreditedCharges, ...credits: readonly string[]): string[] => {
  const lines = credits.map((text, index) => creditOf(`bpd_${index}`, amount(text)));
  const { drafts, given } = giveBackOnce(
    lines.map((line) => draftOf([line], 'EUR')),
    charges,
  );
  const inEuro = (of: Amount) => formatMinorUnits(of, 'EUR');
  return drafts.flatMap(({ draft }) =>
    draft.lines.map((line) => {
      const { discounts, taxes } = given.get(creditedLineKey(line)) ?? { discounts: [], taxes: [] };
      const beside = [...discounts, ...taxes].map((one) => inEuro(one.amount));
      return [inEuro(line.amount), `${inEuro(creditedBefore(line))} before`, ...beside].join(' ');
    }),
  );
};

describe('a credit of what was charged in advance', () => {
  it('has its share of the discounts and taxes of the line, and several of them come to all of these', () => {
    expect(shownBy(chargesOf(['bpd_0'], []), '-15.00')).toEqual(['-15.00 0.00 before -1.50 -2.57 -0.75']);
    // Of 1.49 that is 0.50, 0.99 and 1.49 so far.
    expect(shownBy(chargesOf(['bpd_0', 'bpd_1', 'bpd_2'], []), '-10.00', '-10.00', '-10.00')).toEqual([
      '-10.00 0.00 before -1.00 -1.71 -0.50',
      '-10.00 0.00 before -1.00 -1.71 -0.49',
      '-10.00 0.00 before -1.00 -1.71 -0.50',
    ]);
  });
});

describe('a credit of what credit notes gave back some of', () => {
  it('takes back what they left, with the rest of its discounts and taxes', () => {
    const notes = [noteOf(fee, amount('20.00'), 'EUR')];
    // Two thirds were credited, of the taxes 3.42 and 0.99.
    expect(shownBy(chargesOf(['bpd_0'], notes), '-15.00')).toEqual(['-10.00 5.00 before -1.00 -1.71 -0.50']);
    expect(shownBy(chargesOf(['bpd_0'], notes), '-10.00')).toEqual(['-10.00 0.00 before -1.00 -1.71 -0.50']);
    expect(shownBy(chargesOf(['bpd_0'], notes), '-6.00')).toEqual(['-6.00 0.00 before -0.60 -1.03 -0.30']);
  });

  it('leaves nothing of it to another one of the same line, and what is not charged yet is left alone', () => {
    const notes = [noteOf(fee, amount('20.00'), 'EUR')];
    expect(shownBy(chargesOf(['bpd_0', 'bpd_1'], notes), '-8.00', '-7.00')).toEqual([
      '-8.00 0.00 before -0.80 -1.37 -0.40',
      '-2.00 5.00 before -0.20 -0.34 -0.10',
    ]);
    expect(shownBy(new Map(), '-15.00')).toEqual(['-15.00 0.00 before']);
  });

  it('counts those of earlier invoices, less what credit notes of these took of them again', () => {
    const notes = [noteOf(fee, amount('10.00'), 'EUR')];
    const given = { amount: amount('-15.00'), discounts: [], taxes: [] };
    const undone = [{ amount: amount('-6.00'), discounts: [], taxes: [] }];
    expect(shownBy(chargesOf(['bpd_0'], notes, [{ ...given, undone: [] }]), '-15.00')[0]).toMatch(
      /^-5.00 10.00 before/,
    );
    expect(shownBy(chargesOf(['bpd_0'], notes, [{ ...given, undone }]), '-15.00')[0]).toMatch(/^-11.00 4.00 before/);
  });
});

it('a line is printed with what was given back before as a step, of a credit alone and of no more than it is', () => {
  const line = { ...creditOf('bpd_0', amount('-15.00')), timing: 'credit' } as unknown as RatedLine;
  expect(printedOf(line, amount('5.00'))).toMatchObject({
    amount: amount('-10.00'),
    precise: toPrecise(amount('-10.00')),
  });
  expect(creditedBefore(printedOf(line, amount('5.00')))).toBe(amount('5.00'));
  expect(printedOf(line, amount('15.01'))).toBe(line);
  expect(printedOf({ ...line, timing: 'advance' }, amount('5.00'))).toMatchObject({ amount: amount('-15.00') });
});

/** What is done one after the other: a credit note of so many thousandths of what is left, or a credit up to a part. */
const histories = fc.array(fc.record({ isNote: fc.boolean(), part: fc.integer({ min: 1, max: 1_000 }) }), {
  minLength: 1,
  maxLength: 8,
});
const charged = fc
  .record({
    currency: fc.constantFrom('EUR' as const, 'JPY' as const, 'KWD' as const),
    units: fc.bigInt({ min: 1n, max: 20_000n }),
    off: fc.bigInt({ min: 0n, max: 50n }),
    rates: fc.constantFrom<readonly bigint[]>([], [190n], [75n, 88n], [1_000n, 1_000n]),
  })
  .map(({ currency, units, off, rates }) => {
    const unit = 10n ** BigInt(amountScale - minorUnitsOf(currency));
    const discount = (units * off) / 100n;
    const net = units - discount;
    const line: CreditableLine = {
      position: 1,
      amount: (units * unit) as Amount,
      discounts: [{ discountId: 'a', couponId: 'cpn_a', name: 'A', amount: (discount * unit) as Amount }],
      taxes: rates.map((rate, index) =>
        taxOf(`t${index}`, String(rate), (((net * rate + 500n) / 1_000n) * unit) as Amount, (net * unit) as Amount),
      ),
    };
    return { currency, unit, line };
  });

describe('whatever gives back a line in whatever order', () => {
  it('[I32] never gives back more than it charged, and a cancellation at once or a credit note in full gives back all', () => {
    fc.assert(
      fc.property(charged, histories, fc.boolean(), ({ currency, unit, line }, history, endsByCredit) => {
        const notes: NamedParts[] = [];
        const credits: IssuedCreditLine[] = [];
        let [credited, from]: [CreditedParts | undefined, number] = [undefined, 0];
        const byCredits = () => givenBackOf(line, credits, credited, currency);
        const inAll = () => joinCredits(new Map(credited ? [[1, credited]] : []), new Map([[1, byCredits()]])).get(1);
        const left = () => leftOfLine(line, inAll(), currency);
        const note = (of: Amount | null): void => {
          const share = of === null ? ({ kind: 'rest' } as const) : ({ kind: 'amount', amount: of } as const);
          const parts = creditLine(line, inAll(), share, currency);
          credited = joinCredited(credited, parts);
          notes.push(named(line, parts));
        };
        const credit = (asked: Amount): void => {
          if (asked === zero) return;
          const charges = new Map([
            ['bpd_0', new Map([['fee', creditedCharge('inv_1 1', line, notes, credits, currency)]])],
          ]);
          const { drafts, given } = giveBackOnce([draftOf([creditOf('bpd_0', -asked as Amount)], currency)], charges);
          const printed = drafts[0]?.draft.lines[0] as InvoiceLine;
          const beside = given.get(creditedLineKey(printed));
          expect(-printed.amount + creditedBefore(printed)).toBe(asked);
          credits.push({ amount: printed.amount, discounts: [], taxes: [], ...beside, undone: [] });
        };
        /** What was given back, as it is printed. */
        const sums = () => {
          const all = [...notes, ...credits.map((one) => ({ ...one, isCredit: true }))];
          const sumOf = (of: (one: NamedParts) => Amount | undefined) =>
            all.reduce((sum, one) => sum + ('isCredit' in one ? -(of(one) ?? zero) : (of(one) ?? zero)), 0n);
          return {
            amount: sumOf((one) => one.amount),
            discount: sumOf((one) => one.discounts.find(({ discountId }) => discountId === 'a')?.amount),
            taxes: line.taxes.map(({ code }) => sumOf((one) => one.taxes.find((tax) => tax.code === code)?.amount)),
          };
        };
        const expectWithin = (): void => {
          const sum = sums();
          expect(sum.amount <= line.amount).toBe(true);
          expect(sum.discount <= (line.discounts[0]?.amount ?? zero)).toBe(true);
          for (const [index, tax] of line.taxes.entries()) expect((sum.taxes[index] ?? 0n) <= tax.amount).toBe(true);
        };
        const upTo = (to: number): void => {
          if (to <= from) return;
          credit(shareOf(toPrecise(line.amount), { by: 'time', from, to, of: 1_000 }, currency, 'half_up'));
          from = to;
        };
        for (const { isNote, part } of history) {
          const of = (((left().amount / unit) * BigInt(part)) / 1_000n) * unit;
          if (isNote && of > 0n) note(of as Amount);
          else if (!isNote) upTo(part);
          expectWithin();
        }
        if (endsByCredit) upTo(1_000);
        if (from < 1_000 || !endsByCredit) note(null);
        expectWithin();
        const sum = sums();
        expect(sum.amount).toBe(line.amount);
        expect(sum.discount).toBe(line.discounts[0]?.amount);
        expect(sum.taxes).toEqual(line.taxes.map((tax) => tax.amount));
      }),
      { numRuns: 300 },
    );
  });
});
