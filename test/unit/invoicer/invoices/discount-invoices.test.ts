import { describe, expect, it } from 'vitest';
import type { CouponValue, DiscountUse, HeldDiscount } from '#schemas/coupon.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import type { DraftInvoice, InvoiceLine, InvoicePeriod } from '#schemas/invoice.ts';
import { type Amount, formatMinorUnits, parseAmount, toPrecise } from '#schemas/money.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import { type Percentage, parsePercentage } from '#schemas/tax-rate.ts';
import type { DiscountedPeriod, DiscountFacts, TakenBack } from '../../../../invoicer/discounts/discount-facts.ts';
import { discountInvoices } from '../../../../invoicer/invoices/discount-invoices.ts';
import { plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import { totalsOf } from '../../../../invoicer/invoices/invoice-totals.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const off = (text: string, currency = 'USD'): CouponValue =>
  ({ kind: 'amount', amount: amount(text), currency }) as never;
const percent = (text: string): CouponValue => ({
  kind: 'percentage',
  percentage: parsePercentage(text) as Percentage,
});
const held = (value: CouponValue, more: Partial<HeldDiscount> = {}): HeldDiscount => ({
  id: 'a',
  couponId: 'cpn_a',
  name: 'A',
  customerId: 'cus_1',
  subscriptionId: null,
  startedAt: 0,
  endedAt: null,
  expiresAt: null,
  value,
  duration: 'forever',
  durationPeriods: null,
  appliesTo: { chargeCodes: [], planIds: [], chargeKinds: [] },
  ...more,
});

type Part = {
  readonly id: string;
  readonly sub?: string;
  readonly customer?: string;
  readonly timing?: PartTiming;
  readonly start?: number;
  readonly due?: number;
  readonly lines: Readonly<Record<string, string>>;
};
const known = new Map<string, DiscountedPeriod>();
const invoiceOf = (parts: readonly Part[], more: Partial<DraftInvoice> = {}): DraftInvoice => {
  const periods = parts.map(
    ({ id, sub = 'sub_1', customer = 'cus_1', timing = 'arrears', start = 0, due = start + 1 }) => {
      known.set(id, { timing, start, dueAt: due });
      return {
        billingPeriodId: id,
        customerId: customer,
        subscriptionId: sub,
        planVersionId: `plv_${sub}`,
        span: { start, end: start + 1 },
        watermark: 0n,
      } satisfies InvoicePeriod;
    },
  );
  const lines = parts
    .flatMap(({ id, lines: own }) => Object.entries(own).map(([code, text]) => ({ id, code, text })))
    .map(
      ({ id, code, text }, index): InvoiceLine => ({
        kind: 'charge',
        billingPeriodId: id,
        position: index + 1,
        chargeCode: code,
        description: code,
        meter: code.startsWith('calls') ? 'calls' : null,
        quantity: oneQuantity,
        rounding: 'half_up',
        precise: toPrecise(amount(text)),
        unitAmount: null,
        amount: amount(text),
        discounts: [],
        taxes: [],
        steps: [],
        servicePeriod: { start: 0, end: 1 },
      }),
    );
  return {
    ...plainTerms,
    kind: 'period',
    customerId: 'cus_1',
    currency: 'USD',
    periods,
    lines,
    ...totalsOf(lines),
    ...more,
  };
};

const factsOf = (
  discounts: readonly HeldDiscount[],
  {
    uses = [],
    takenBack = {},
  }: { uses?: readonly DiscountUse[]; takenBack?: Readonly<Record<string, TakenBack>> } = {},
): DiscountFacts => ({
  rounding: 'half_up',
  held: discounts,
  uses,
  periods: known,
  planIds: new Map([
    ['plv_sub_1', 'pln_1'],
    ['plv_sub_2', 'pln_2'],
  ]),
  priceOf: () => undefined,
  takenBack: new Map(Object.entries(takenBack)),
  billedBefore: new Map(),
});

const at = 100;
const discounted = (invoices: readonly DraftInvoice[], facts: DiscountFacts, discountIds: readonly string[] = []) => {
  const done = discountInvoices(
    invoices.map((draft) => ({ draft, discountIds, issuedAt: at })),
    [],
    facts,
  );
  return {
    lines: done.map(({ draft: { lines, currency } }) =>
      lines.map(({ chargeCode, amount: printed, discounts }) =>
        [
          `${chargeCode ?? 'item'} ${formatMinorUnits(printed, currency)}`,
          ...discounts.map((one) => `${one.discountId} ${formatMinorUnits(one.amount, currency)}`),
        ].join(', '),
      ),
    ),
    uses: done.map(({ uses, draft: { currency } }) =>
      uses.map(({ discountId, isOnce, period, amount: taken }) => {
        const counted = period ? `${period.subscriptionId} ${period.start}` : '-';
        return `${discountId} ${isOnce ? 'once' : counted} ${formatMinorUnits(taken, currency)}`;
      }),
    ),
  };
};
const lines = (invoices: readonly DraftInvoice[], facts: DiscountFacts) => discounted(invoices, facts).lines;

describe('a discount', () => {
  it('of a subscription is for its lines, and one of a customer for those that it pays and its own', () => {
    const parts = [
      { id: 'p1', lines: { fee: '10.00' } },
      { id: 'p2', sub: 'sub_2', customer: 'cus_2', lines: { fee: '10.00' } },
    ];
    const of = (discount: Partial<HeldDiscount>) =>
      lines([invoiceOf(parts)], factsOf([held(percent('10'), discount)]))[0];
    expect(of({ subscriptionId: 'sub_2', customerId: 'cus_2' })).toEqual(['fee 10.00', 'fee 10.00, a 1.00']);
    expect(of({ customerId: 'cus_1' })).toEqual(['fee 10.00, a 1.00', 'fee 10.00, a 1.00']);
    expect(of({ customerId: 'cus_2' })).toEqual(['fee 10.00', 'fee 10.00, a 1.00']);
  });

  it('is for what its coupon says: charges, plans and kinds, each where they are said', () => {
    const parts: Part[] = [
      { id: 'p1', lines: { calls: '10.00', fee: '10.00', minimum_commitment: '5.00' } },
      { id: 'p2', sub: 'sub_2', timing: 'once', lines: { setup: '10.00' } },
    ];
    const of = (scope: Partial<HeldDiscount['appliesTo']>) => {
      const appliesTo = { chargeCodes: [], planIds: [], chargeKinds: [], ...scope };
      const [own = []] = lines([invoiceOf(parts)], factsOf([held(percent('10'), { appliesTo })]));
      return own.filter((line) => line.includes(', a')).map((line) => line.split(' ')[0]);
    };
    expect(of({})).toEqual(['calls', 'fee', 'minimum_commitment', 'setup']);
    expect(of({ chargeCodes: ['fee', 'setup'] })).toEqual(['fee', 'setup']);
    expect(of({ planIds: ['pln_2'] })).toEqual(['setup']);
    expect(of({ chargeKinds: ['usage'] })).toEqual(['calls']);
    expect(of({ chargeKinds: ['recurring', 'one_time'] })).toEqual(['fee', 'setup']);
    expect(of({ chargeKinds: ['recurring'], chargeCodes: ['setup'] })).toEqual([]);
  });

  it('takes nothing off from when it expires, in another currency, or off a delta', () => {
    const fee = [{ id: 'p1', lines: { fee: '10.00' } }];
    const of = (value: CouponValue, more: Partial<HeldDiscount> = {}) =>
      lines([invoiceOf(fee)], factsOf([held(value, more)]))[0];
    expect(of(percent('10'), { expiresAt: at })).toEqual(['fee 10.00']);
    expect(of(percent('10'), { expiresAt: at + 1 })).toEqual(['fee 10.00, a 1.00']);
    expect(of(off('5', 'EUR'))).toEqual(['fee 10.00']);
    const draft = invoiceOf(fee);
    const delta = { ...draft, lines: draft.lines.map((line) => ({ ...line, kind: 'delta' as never })) };
    expect(lines([delta], factsOf([held(percent('10'))]))).toEqual([['fee 10.00']]);
  });

  it('takes no more off than a spend cap leaves', () => {
    const capped = invoiceOf([{ id: 'p1', lines: { calls: '100.00', spend_cap: '-50.00' } }]);
    expect(lines([capped], factsOf([held(percent('100'))]))).toEqual([['calls 100.00, a 50.00', 'spend_cap -50.00']]);
    expect(lines([capped], factsOf([held(percent('10'))]))).toEqual([['calls 100.00, a 5.00', 'spend_cap -50.00']]);
  });
});

describe('what is used', () => {
  const month = (start: number, more: Partial<Part> = {}): Part => ({
    id: `m${start} ${more.sub ?? ''} ${more.timing ?? ''}`,
    start,
    lines: { fee: '10.00' },
    ...more,
  });

  it('once is on the first invoice that falls due, and on no other', () => {
    const invoices = [invoiceOf([month(2)]), invoiceOf([month(1)])];
    const { lines: own, uses } = discounted(invoices, factsOf([held(off('30'), { duration: 'once' })]));
    expect(own).toEqual([['fee 10.00'], ['fee 10.00, a 10.00']]);
    expect(uses).toEqual([[], ['a once 10.00']]);
    const used: DiscountUse = { discountId: 'a', isOnce: true, period: null, amount: amount('10') };
    expect(lines(invoices, factsOf([held(off('30'), { duration: 'once' })], { uses: [used] }))).toEqual([
      ['fee 10.00'],
      ['fee 10.00'],
    ]);
  });

  it('once waits for something to take off', () => {
    const invoices = [invoiceOf([month(1, { lines: { fee: '0.00' } })]), invoiceOf([month(2)])];
    expect(discounted(invoices, factsOf([held(percent('50'), { duration: 'once' })])).uses).toEqual([
      [],
      ['a once 5.00'],
    ]);
  });

  it('in so many billing periods is in each the same for all that is billed of it', () => {
    const repeating = held(percent('10'), { duration: 'repeating', durationPeriods: 2 });
    const invoices = [
      invoiceOf([month(1, { timing: 'advance' })]),
      invoiceOf([month(1, { lines: { calls: '3.00' }, due: 2 }), month(2, { timing: 'advance' })]),
      invoiceOf([month(2, { lines: { calls: '0.00' }, due: 3 }), month(3, { timing: 'advance' })]),
    ];
    const { lines: own, uses } = discounted(invoices, factsOf([repeating]));
    expect(own).toEqual([
      ['fee 10.00, a 1.00'],
      ['calls 3.00, a 0.30', 'fee 10.00, a 1.00'],
      ['calls 0.00', 'fee 10.00'],
    ]);
    expect(uses).toEqual([['a sub_1 1 1.00'], ['a sub_1 1 0.30', 'a sub_1 2 1.00'], ['a sub_1 2 0.00']]);
  });

  it('counts a billing period in which there was nothing to take off, and each subscription by itself', () => {
    const repeating = held(percent('10'), { duration: 'repeating', durationPeriods: 1 });
    const invoices = [
      invoiceOf([month(1, { lines: {} })]),
      invoiceOf([month(2)]),
      invoiceOf([month(2, { sub: 'sub_2' })]),
    ];
    expect(discounted(invoices, factsOf([repeating])).uses).toEqual([['a sub_1 1 0.00'], [], ['a sub_2 2 1.00']]);
  });

  it('of an amount in a billing period is not there any more for what is billed of it later', () => {
    const invoices = [
      invoiceOf([month(1, { timing: 'advance' })]),
      invoiceOf([month(1, { lines: { calls: '9.00' }, due: 2 }), month(2, { timing: 'advance' })]),
    ];
    expect(lines(invoices, factsOf([held(off('12'))]))).toEqual([
      ['fee 10.00, a 10.00'],
      ['calls 9.00, a 2.00', 'fee 10.00, a 10.00'],
    ]);
  });
});

describe('a credit gives back', () => {
  const charged = (text: string, taken: string) => ({
    amount: amount(text),
    discounts: [{ discountId: 'a', couponId: 'cpn_a', name: 'A', amount: amount(taken) }],
  });
  const upgrade = () =>
    invoiceOf([
      { id: 'credit', timing: 'credit', start: 1, lines: { fee: '-15.00' } },
      { id: 'new', timing: 'advance', start: 1, lines: { pro: '30.00' } },
    ]);
  const takenBack = { credit: { chargeId: 'old', lines: new Map([['fee', charged('30.00', '6.01')]]) } };

  it('its part of the discount that the charge had, though that is ended by now', () => {
    expect(discounted([upgrade()], factsOf([], { takenBack }))).toEqual({
      lines: [['fee -15.00, a -3.01', 'pro 30.00']],
      uses: [['a sub_1 1 -3.01']],
    });
  });

  it('what an amount took off, to be taken off what is charged instead', () => {
    const used: DiscountUse = {
      discountId: 'a',
      isOnce: false,
      period: { subscriptionId: 'sub_1', start: 1 },
      amount: amount('6.01'),
    };
    expect(discounted([upgrade()], factsOf([held(off('6.01'))], { takenBack, uses: [used] }))).toEqual({
      lines: [['fee -15.00, a -3.01', 'pro 30.00, a 3.01']],
      uses: [['a sub_1 1 0.00']],
    });
  });

  it('the discount of a charge that is issued along with it, and nothing of one that is on no invoice', () => {
    const charge = invoiceOf([{ id: 'old', timing: 'advance', start: 1, due: 1, lines: { fee: '30.00' } }]);
    const open = { credit: { chargeId: 'old', lines: undefined } };
    const half = factsOf([held(percent('50'))], { takenBack: open });
    expect(lines([upgrade(), charge], half)).toEqual([
      ['fee -15.00, a -7.50', 'pro 30.00, a 15.00'],
      ['fee 30.00, a 15.00'],
    ]);
    expect(lines([upgrade()], half)).toEqual([['fee -15.00', 'pro 30.00, a 15.00']]);
  });
});

it('a one-off invoice has the discounts that it was asked to have', () => {
  const draft = invoiceOf([]);
  const [one] = invoiceOf([{ id: 'x', lines: { x: '100.00', y: '-30.00' } }]).lines;
  const item = (position: number, text: string): InvoiceLine => ({
    ...(one as InvoiceLine),
    kind: 'item',
    billingPeriodId: null,
    chargeCode: null,
    position,
    amount: amount(text),
  });
  const oneOff = { ...draft, kind: 'one_off' as const, lines: [item(1, '100.00'), item(2, '-30.00')] };
  const facts = factsOf([held(percent('100')), held(off('5'), { id: 'b' })]);
  expect(discounted([oneOff], facts, ['b'])).toEqual({
    lines: [['item 100.00, b 5.00', 'item -30.00']],
    uses: [['b - 5.00']],
  });
  expect(discounted([oneOff], facts, ['a']).lines).toEqual([['item 100.00, a 70.00', 'item -30.00']]);
  expect(discounted([oneOff], facts).lines).toEqual([['item 100.00', 'item -30.00']]);
});
