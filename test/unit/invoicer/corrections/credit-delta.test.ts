/** [I32] Of which lines of which invoices a delta is given back, and which deltas are not. */
import { describe, expect, it } from 'vitest';
import type { InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, formatMinorUnits, parseStoredAmount } from '#schemas/money.ts';
import type { BilledLine } from '../../../../invoicer/corrections/billed-before.ts';
import { type CorrectedInvoice, creditsOfDelta } from '../../../../invoicer/corrections/credit-delta.ts';

const amount = (text: string): Amount => parseStoredAmount(text) as Amount;

const tax = (code: string, text: string): InvoiceTax => ({
  taxRateId: `txr_${code}`,
  code,
  name: code,
  percentage: code,
  isInclusive: false,
  treatment: 'taxed',
  taxableAmount: amount('0'),
  amount: amount(text),
});
const off = (text: string) => ({ discountId: 'dis_1', couponId: 'cpn_1', name: 'Off', amount: amount(text) });

type Printed = Pick<InvoiceLine, 'amount' | 'chargeCode' | 'discounts' | 'taxes'>;
const line = (chargeCode: string, text: string, more: Partial<Printed> = {}): Printed => ({
  chargeCode,
  amount: amount(text),
  discounts: [],
  taxes: [],
  ...more,
});

/** Invoices in their order, each with its lines and what is left of its total. */
type Given = readonly { readonly lines: readonly Printed[]; readonly left: string }[];

const credited = (invoices: Given, delta: readonly Printed[]): Record<string, string[]> | undefined => {
  const billed = invoices.flatMap(({ lines }, correction) =>
    lines.map(
      (one, index): BilledLine => ({
        ...one,
        chargeCode: one.chargeCode ?? '',
        meter: null,
        correction,
        printed: { invoiceId: `${correction}`, position: index + 1 },
      }),
    ),
  );
  const corrected = invoices.map(({ lines, left }, place): [string, CorrectedInvoice] => [
    `${place}`,
    {
      lines: lines.map((one, index) => ({ ...one, position: index + 1 }) as InvoiceLine),
      credited: new Map(),
      left: amount(left),
    },
  ]);
  const credits = creditsOfDelta({ currency: 'USD', lines: delta, billed, invoices: new Map(corrected) });
  return (
    credits &&
    Object.fromEntries(
      [...credits].map(([id, lines]) => [
        id,
        [...lines].map(([position, parts]) => {
          const texts = [parts.amount, ...parts.discounts, ...parts.taxes.map((one) => one.amount)];
          return [position, ...texts.map((one) => formatMinorUnits(one, 'USD'))].join(' ');
        }),
      ]),
    )
  );
};

describe('a delta is given back', () => {
  it('of the invoice that billed it, and of what a delta before billed first', () => {
    const invoices = [
      { lines: [line('calls', '5.00', { taxes: [tax('10', '0.50')] })], left: '5.50' },
      { lines: [line('calls', '4.00', { taxes: [tax('20', '0.80')] })], left: '4.80' },
    ];
    expect(credited(invoices, [line('calls', '-3.00')])).toEqual({ 1: ['1 3.00 0.60'] });
    expect(credited(invoices, [line('calls', '-6.00')])).toEqual({ 0: ['1 2.00 0.20'], 1: ['1 4.00 0.80'] });
  });

  it('with what it changes of discounts, over two invoices', () => {
    const invoices = [
      { lines: [line('calls', '10.00', { discounts: [off('1.00')] })], left: '9.00' },
      { lines: [line('calls', '5.00', { discounts: [off('0.50')] })], left: '4.50' },
    ];
    expect(credited(invoices, [line('calls', '-7.00', { discounts: [off('-0.70')] })])).toEqual({
      0: ['1 2.00 0.20'],
      1: ['1 5.00 0.50'],
    });
  });

  it('less what other charges come to more, where all has the same taxes', () => {
    const taxes = [tax('10', '1.00')];
    const lines = [line('calls', '10.00', { taxes }), line('texts', '10.00', { taxes })];
    const delta = [line('calls', '-6.00'), line('minimum_commitment', '2.00'), line('texts', '-1.00')];
    expect(credited([{ lines, left: '22.00' }], delta)).toEqual({ 0: ['1 5.00 0.50'] });
    const two = [line('calls', '10.00', { taxes }), line('texts', '10.00', { taxes: [tax('20', '2.00')] })];
    expect(credited([{ lines: two, left: '23.00' }], delta)).toBeUndefined();
    const discounted = [line('calls', '10.00', { discounts: [off('1.00')] }), line('texts', '10.00')];
    expect(credited([{ lines: discounted, left: '19.00' }], delta)).toBeUndefined();
  });

  it('where a charge was off for nothing, beside one that was not', () => {
    const lines = [line('calls', '5.00', { discounts: [off('5.00')] }), line('texts', '3.00')];
    const delta = [line('calls', '-2.00', { discounts: [off('-2.00')] }), line('texts', '-1.00')];
    expect(credited([{ lines, left: '3.00' }], delta)).toEqual({ 0: ['1 2.00 2.00', '2 1.00'] });
  });
});

describe('a delta is for the next invoice', () => {
  const calls = [line('calls', '5.00')];
  it.each([
    ['that comes to more', [{ lines: calls, left: '5.00' }], [line('calls', '1.00')]],
    ['that comes to nothing', [{ lines: calls, left: '5.00' }], [line('calls', '-1.00'), line('texts', '1.00')]],
    ['of an invoice that has less left', [{ lines: calls, left: '2.99' }], [line('calls', '-3.00')]],
    ['of more than was billed', [{ lines: calls, left: '9.00' }], [line('calls', '-5.01')]],
    [
      'by which a discount is shared otherwise',
      [{ lines: [line('calls', '5.00', { discounts: [off('1.00')] })], left: '4.00' }],
      [line('calls', '-2.00', { discounts: [off('1.00')] })],
    ],
    [
      'by which a discount is on a line that had none',
      [{ lines: calls, left: '5.00' }],
      [line('calls', '-2.00', { discounts: [off('1.00')] })],
    ],
  ] satisfies readonly (readonly [string, Given, readonly Printed[]])[])('%s', (_name, invoices, delta) => {
    expect(credited(invoices, delta)).toBeUndefined();
  });
});
