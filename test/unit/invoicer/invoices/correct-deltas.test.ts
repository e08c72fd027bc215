/**
 * [I15] A period that is billed, and corrected any number of times: its discounts sum to those that one invoice of all
 * the usage has, and what is taken back has the taxes that it was charged with.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CouponValue, DiscountUse, HeldDiscount } from '#schemas/coupon.ts';
import type { DraftInvoice, InvoiceLine } from '#schemas/invoice.ts';
import { type Amount, formatMinorUnits, parseAmount, sumAmounts, toPrecise } from '#schemas/money.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { type Percentage, parsePercentage, type TaxRate } from '#schemas/tax-rate.ts';
import type { BilledBefore } from '../../../../invoicer/corrections/billed-before.ts';
import type { DiscountFacts } from '../../../../invoicer/discounts/discount-facts.ts';
import { withoutUnchanged } from '../../../../invoicer/invoices/delta-lines.ts';
import { discountInvoices } from '../../../../invoicer/invoices/discount-invoices.ts';
import { draftInvoice, plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import { taxInvoice } from '../../../../invoicer/invoices/tax-invoice.ts';
import type { TaxFacts } from '../../../../invoicer/taxes/tax-facts.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
const percent = (text: string): CouponValue => {
  return { kind: 'percentage', percentage: parsePercentage(text) as Percentage };
};
const off = (text: string): CouponValue => ({ kind: 'amount', amount: amount(text), currency: 'USD' });
const held = (id: string, value: CouponValue, more: Partial<HeldDiscount> = {}): HeldDiscount => ({
  id,
  couponId: `cpn_${id}`,
  name: id,
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

/** What a period comes to: amounts by charge, in the order of the plan. */
type Comes = Readonly<Record<string, string>>;
const codes = ['calls', 'tokens', 'fee', 'spend_cap'];
const linesOf = (comes: Comes, billingPeriodId: string): RatedLine[] =>
  Object.entries(comes).map(([chargeCode, text]) => ({
    billingPeriodId,
    span: { start: 0, end: 1 },
    subscriptionId: 'sub_1',
    customerId: 'cus_1',
    planVersionId: 'plv_1',
    position: codes.indexOf(chargeCode) + 1,
    chargeCode,
    chargeName: chargeCode,
    model: 'per_unit',
    meter: chargeCode === 'fee' || chargeCode === 'spend_cap' ? null : 'calls',
    currency: 'USD',
    rounding: 'half_up',
    quantity: oneQuantity,
    billableQuantity: oneQuantity,
    precise: toPrecise(amount(text)),
    amount: amount(text),
    steps: [],
  }));

const issuedAt = 100;
const parties = { customerId: 'cus_1', currency: 'USD' as const, terms: plainTerms };
const factsOf = (
  discounts: readonly HeldDiscount[],
  uses: readonly DiscountUse[],
  before: BilledBefore | undefined,
): DiscountFacts => ({
  rounding: 'half_up',
  held: discounts,
  uses,
  periods: new Map([
    ['first', { timing: 'arrears', start: 0, dueAt: 1 }],
    ['other', { timing: 'arrears', start: 0, dueAt: 1 }],
    ['delta', { timing: 'delta', start: 0, dueAt: 2 }],
  ]),
  planIds: new Map(),
  priceOf: () => undefined,
  takenBack: new Map(),
  billedBefore: new Map(before ? [['delta', before]] : []),
});

const periodOf = (billingPeriodId: string, lines: readonly RatedLine[]) => ({
  billingPeriodId,
  customerId: 'cus_1',
  subscriptionId: billingPeriodId === 'other' ? 'sub_2' : 'sub_1',
  planVersionId: 'plv_1',
  span: { start: 0, end: 1 },
  watermark: 1n,
  lines: billingPeriodId === 'other' ? lines.map((line) => ({ ...line, subscriptionId: 'sub_2' })) : lines,
});

type Taxing = (draft: DraftInvoice, before: BilledBefore | undefined, step: number) => DraftInvoice;
const untaxed: Taxing = (draft) => draft;

/** The first invoice of a period and its deltas; `other` is on the first invoice beside it. */
const bill = (
  history: readonly Comes[],
  heldAt: (step: number) => readonly HeldDiscount[],
  { other, tax = untaxed, earlier = [] }: { other?: Comes; tax?: Taxing; earlier?: readonly DiscountUse[] } = {},
): readonly DraftInvoice[] => {
  const uses: DiscountUse[] = [...earlier];
  const invoices: DraftInvoice[] = [];
  let before: BilledBefore | undefined;
  for (const [step, comes] of history.entries()) {
    const id = step === 0 ? 'first' : 'delta';
    const lines = linesOf(comes, id);
    const beside = step === 0 && other ? [periodOf('other', linesOf(other, 'other'))] : [];
    const last = history[step - 1];
    const corrects = {
      correctsId: 'first',
      linesBefore: last ? linesOf(last, 'first') : [],
      correction: {
        billingPeriodId: 'first',
        invoiceId: 'inv_1',
        before: { billingPeriodId: 'first', watermark: 1n },
        lateUsage: 'bill_next' as const,
      },
    };
    const period = { ...periodOf(id, lines), ...(step > 0 && corrects) };
    const { draft } = withoutUnchanged(draftInvoice(parties, [period, ...beside]), false);
    if (!draft) continue;
    const all = [period, ...beside].flatMap((one) => one.lines);
    const [done] = discountInvoices(
      [{ draft, discountIds: [], issuedAt: issuedAt + step }],
      all,
      factsOf(heldAt(step), uses, before),
    );
    if (!done) continue;
    const issued = tax(done.draft, before, step);
    invoices.push(issued);
    uses.push(...done.uses);
    const billed = issued.lines
      .filter(({ billingPeriodId }) => billingPeriodId === id)
      .map((line) => ({ ...line, chargeCode: line.chargeCode ?? '', correction: step, printed: undefined }));
    const onceIds = new Set(uses.flatMap(({ isOnce, discountId }) => (isOnce ? [discountId] : [])));
    before = { issuedAt, onceIds: before?.onceIds ?? onceIds, lines: [...(before?.lines ?? []), ...billed] };
  }
  return invoices;
};

const own = ({ billingPeriodId }: InvoiceLine): boolean => billingPeriodId !== 'other';
/** "<charge> <discount> <amount>", summed over invoices; what sums to nothing is left out. */
const discountsOf = (invoices: readonly DraftInvoice[]): string[] => {
  const all = invoices.flatMap(({ lines }) =>
    lines
      .filter(own)
      .flatMap(({ chargeCode, discounts }) =>
        discounts.map(({ discountId, amount: taken }) => ({ key: `${chargeCode} ${discountId}`, taken })),
      ),
  );
  return [...Map.groupBy(all, ({ key }) => key)]
    .map(([key, same]) => [key, sumAmounts(same.map(({ taken }) => taken))] as const)
    .filter(([, sum]) => sum !== 0n)
    .map(([key, sum]) => `${key} ${formatMinorUnits(sum, 'USD')}`)
    .sort();
};
const printed = ({ lines }: DraftInvoice): string[] =>
  lines.map(({ chargeCode, amount: of, discounts, taxes }) =>
    [
      `${chargeCode} ${formatMinorUnits(of, 'USD')}`,
      ...discounts.map((one) => `${one.discountId} ${formatMinorUnits(one.amount, 'USD')}`),
      ...taxes.map((one) => `${one.code} ${formatMinorUnits(one.amount, 'USD')}`),
    ].join(', '),
  );

const cents = (max: number) => fc.nat(max).map((count) => (count / 100).toFixed(2));
const comes = fc
  .record({ calls: cents(40), tokens: cents(40), fee: cents(40) }, { requiredKeys: ['calls'] })
  .chain((charges) => {
    const sum = Object.values(charges).reduce((total, text) => total + Math.round(Number(text) * 100), 0);
    return fc.option(fc.nat(sum), { nil: undefined }).map((cap): Comes => {
      return cap ? { ...charges, spend_cap: (-cap / 100).toFixed(2) } : charges;
    });
  });
const value = fc.oneof(
  fc.constantFrom('33.3333', '10', '50', '100', '7.5').map(percent),
  cents(60)
    .filter((text) => text !== '0.00')
    .map(off),
);
const scope = fc.constantFrom<readonly string[]>([], ['calls'], ['calls', 'tokens'], ['fee', 'spend_cap']);
const discount = fc
  .record({ value, chargeCodes: scope, duration: fc.constantFrom('once', 'forever') })
  .map(({ value: of, chargeCodes, duration }) => ({ of, chargeCodes, duration }) as const);
const discounts = fc
  .array(discount, { maxLength: 4 })
  .map((all) =>
    all.map(({ of, chargeCodes, duration }, index) =>
      held(`d${index}`, of, { duration, startedAt: index, appliesTo: { chargeCodes, planIds: [], chargeKinds: [] } }),
    ),
  );

describe('discounts of a corrected period', () => {
  it('are worked out again in the order of the plan, whose first charge has the cent that is left', () => {
    const once = held('d0', percent('100'), {
      duration: 'once',
      appliesTo: { chargeCodes: ['calls', 'tokens'], planIds: [], chargeKinds: [] },
    });
    const history: Comes[] = [
      { calls: '0.00', tokens: '0.09', fee: '0.11', spend_cap: '-0.10' },
      { calls: '0.00' },
      { calls: '0.01', fee: '0.00' },
    ];
    const invoices = bill(history, () => [once]);
    expect(discountsOf(invoices)).toEqual(['calls d0 0.01']);
  });

  it('sum to those of one invoice of all the usage, whatever was ended or came since', () => {
    fc.assert(
      fc.property(fc.array(comes, { minLength: 2, maxLength: 6 }), discounts, (history, standing) => {
        // What is used once is for what was on its invoice: where the first has none, no delta has.
        const invoices = bill(history, (step) =>
          step === 0
            ? standing
            : [...standing.map((one) => ({ ...one, endedAt: 101 })), held('new', percent('50'), { startedAt: 101 })],
        );
        const usedOnce = new Set(
          (bill([history[0] as Comes], () => standing)[0] as DraftInvoice).discounts.map(
            ({ discountId }) => discountId,
          ),
        );
        const counted = standing.filter(({ id, duration }) => duration !== 'once' || usedOnce.has(id));
        const whole = bill([history.at(-1) as Comes], () => counted);
        expect(discountsOf(invoices)).toEqual(discountsOf(whole));
      }),
      { numRuns: 200 },
    );
  });

  it('never take more off than is due, where another period shares them', () => {
    fc.assert(
      fc.property(fc.array(comes, { minLength: 2, maxLength: 6 }), comes, discounts, (history, other, standing) => {
        const invoices = bill(history, () => standing, { other });
        const byCode = Map.groupBy(
          invoices.flatMap(({ lines }) => lines.filter(own)),
          ({ chargeCode }) => chargeCode,
        );
        for (const lines of byCode.values()) {
          const due = sumAmounts(lines.map((line) => line.amount));
          const taken = sumAmounts(lines.flatMap((line) => line.discounts.map((one) => one.amount)));
          expect(taken >= 0n && (taken <= due || taken === 0n)).toBe(true);
        }
        // Of an amount no more is used in all than it has.
        for (const { id, value: of } of standing) {
          const taken = invoices.flatMap((one) => one.discounts.filter(({ discountId }) => discountId === id));
          if (of.kind === 'amount') expect(sumAmounts(taken.map((one) => one.amount)) <= 2n * of.amount).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('are those of a first line of nothing, too', () => {
    expect(bill([{ calls: '0.00' }, { calls: '10.00' }], () => [held('a', percent('20'))]).map(printed)).toEqual([
      ['calls 0.00'],
      ['calls 10.00, a 2.00'],
    ]);
  });

  it('move from a charge that comes to less to one that comes to the same', () => {
    const history = [
      { calls: '10.00', tokens: '10.00' },
      { calls: '2.00', tokens: '10.00' },
    ];
    expect(bill(history, () => [held('a', off('6.00'))]).map(printed)).toEqual([
      ['calls 10.00, a 3.00', 'tokens 10.00, a 3.00'],
      ['calls -8.00, a -2.00', 'tokens 0.00, a 2.00'],
    ]);
  });

  it('follow a cap that is reached', () => {
    const history = [{ calls: '40.00' }, { calls: '60.00', spend_cap: '-10.00' }];
    expect(bill(history, () => [held('a', percent('10'))]).map(printed)).toEqual([
      ['calls 40.00, a 4.00'],
      ['calls 20.00, a 1.00', 'spend_cap -10.00'],
    ]);
  });

  it('are no more than an amount has left in its billing period', () => {
    const earlier: DiscountUse = {
      discountId: 'a',
      isOnce: false,
      period: { subscriptionId: 'sub_1', start: 0 },
      amount: amount('4.00'),
    };
    const history = [{ calls: '3.00' }, { calls: '20.00' }, { calls: '1.00' }];
    expect(bill(history, () => [held('a', off('10.00'))], { earlier: [earlier] }).map(printed)).toEqual([
      ['calls 3.00, a 3.00'],
      ['calls 17.00, a 3.00'],
      ['calls -19.00, a -5.00'],
    ]);
  });
});

describe('taxes of a corrected period', () => {
  const rate = (code: string, text: string): TaxRate => ({
    id: `txr_${code}`,
    code,
    name: code,
    percentage: parsePercentage(text) as Percentage,
    inclusive: false,
    country: null,
    state: null,
    taxCategory: null,
    validFrom: null,
    validUntil: null,
  });
  const customer = {
    country: null,
    state: null,
    taxIdCountries: [],
    treatment: 'taxable' as const,
    exemptionReason: null,
    taxRateIds: ['old', 'new', 'newest', 'r0', 'r1', 'r2'].map((code) => `txr_${code}`),
  };
  const taxed =
    (ratesAt: (step: number) => readonly TaxRate[]): Taxing =>
    (draft, before, step) => {
      const facts: TaxFacts = {
        calculation: 'rates',
        rates: ratesAt(step),
        policy: { rounding: 'half_up', taxRounding: 'line' },
        customers: new Map([['cus_1', customer]]),
        categories: new Map(),
        takenBack: new Map(),
        billedBefore: new Map(before ? [['delta', before]] : []),
      };
      return taxInvoice(draft, facts, issuedAt + step);
    };

  it('are taken back with the charge that was latest, and with an older one for what is more', () => {
    const rates = [rate('old', '10'), rate('new', '20'), rate('newest', '50')];
    const history = [{ calls: '10.00' }, { calls: '15.00' }, { calls: '12.00' }, { calls: '4.00' }, { calls: '5.00' }];
    const at = (step: number) => [rates[Math.min(step, 2)] as TaxRate];
    expect(bill(history, () => [], { tax: taxed(at) }).map(printed)).toEqual([
      ['calls 10.00, old 1.00'],
      ['calls 5.00, new 1.00'],
      ['calls -3.00, new -0.60'],
      ['calls -8.00, new -0.40, old -0.60'],
      ['calls 1.00, newest 0.50'],
    ]);
  });

  it('sum to nothing where all is taken back, in whatever parts', () => {
    fc.assert(
      fc.property(fc.array(comes, { minLength: 1, maxLength: 6 }), discounts, (history, standing) => {
        const at = (step: number) => [rate(`r${step % 3}`, ['19', '7.7', '8.875'][step % 3] as string)];
        const nothing = { calls: '0.00', tokens: '0.00', fee: '0.00' };
        const invoices = bill([...history, nothing], () => standing, { tax: taxed(at) });
        const sums = Map.groupBy(
          invoices.flatMap(({ taxes }) => taxes),
          ({ code }) => code,
        );
        for (const same of sums.values()) {
          expect(sumAmounts(same.map((tax) => tax.amount))).toBe(0n);
          expect(sumAmounts(same.map((tax) => tax.taxableAmount))).toBe(0n);
        }
        expect(sumAmounts(invoices.map(({ total }) => total))).toBe(0n);
      }),
      { numRuns: 100 },
    );
  });

  it('of what was charged without any are none', () => {
    const at = (step: number) => (step === 0 ? [] : [rate('new', '20')]);
    expect(bill([{ calls: '10.00' }, { calls: '4.00' }], () => [], { tax: taxed(at) }).map(printed)).toEqual([
      ['calls 10.00'],
      ['calls -6.00'],
    ]);
  });
});
