import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CouponValue, HeldDiscount } from '#schemas/coupon.ts';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import { type Amount, amountScale, formatMinorUnits, parseAmount, sumAmounts, zeroAmount } from '#schemas/money.ts';
import { type Percentage, parsePercentage, percentageUnit } from '#schemas/tax-rate.ts';
import {
  type DiscountsByLine,
  discountLines,
  type LineDiscounts,
  lessNegatives,
} from '../../../../invoicer/discounts/discount-lines.ts';

const amount = (text: string): Amount => parseAmount(text) as Amount;
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
const percent = (id: string, percentage: string, more: Partial<HeldDiscount> = {}): HeldDiscount =>
  held(id, { kind: 'percentage', percentage: parsePercentage(percentage) as Percentage }, more);
const off = (id: string, text: string, currency: Currency, more: Partial<HeldDiscount> = {}): HeldDiscount =>
  held(id, { kind: 'amount', amount: amount(text), currency }, more);
const linesOf = (amounts: readonly string[]) =>
  amounts.map((text, index) => ({ position: index + 1, amount: amount(text) }));
const positionsOf = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** On all lines. */
const onAll = (discount: HeldDiscount, count: number): LineDiscounts => ({
  discount,
  groups: [
    { positions: positionsOf(count), ...(discount.value.kind === 'amount' && { amountMax: discount.value.amount }) },
  ],
});
const shown = (byLine: DiscountsByLine, count: number, currency: Currency) =>
  positionsOf(count).map((position) =>
    (byLine.get(position) ?? [])
      .map(({ discountId, amount: taken }) => `${discountId} ${formatMinorUnits(taken, currency)}`)
      .join(', '),
  );
const discounted = (amounts: readonly string[], currency: Currency, ...discounts: readonly HeldDiscount[]) =>
  shown(
    discountLines(
      linesOf(amounts),
      discounts.map((one) => onAll(one, amounts.length)),
      currency,
      'half_up',
    ),
    amounts.length,
    currency,
  );

describe('what discounts take off', () => {
  it('is a percentage of the sum, rounded once, in parts by the largest remainder', () => {
    // 10 % of 0.99 is 0.099; of each line it would be 0.03.
    expect(discounted(['0.33', '0.33', '0.33'], 'USD', percent('a', '10'))).toEqual(['a 0.04', 'a 0.03', 'a 0.03']);
    expect(discounted(['0.05', '0.04', '0.04'], 'USD', percent('a', '10'))).toEqual(['a 0.01', '', '']);
  });

  it('is an amount in proportion to the lines, and no more than there is', () => {
    expect(discounted(['10.00', '20.00', '30.01'], 'USD', off('a', '6.00', 'USD'))).toEqual([
      'a 1.00',
      'a 2.00',
      'a 3.00',
    ]);
    expect(discounted(['10.00', '20.00'], 'USD', off('a', '500.00', 'USD'))).toEqual(['a 10.00', 'a 20.00']);
  });

  it('is of what the ones before left: free units, then percentages, then amounts', () => {
    const free = held('free', { kind: 'free_units', freeUnits: 1n as never });
    const three = [off('c', '5.00', 'USD'), percent('b', '50'), free];
    const worth = new Map([[1, amount('20.00')]]);
    const byLine = discountLines(
      linesOf(['100.00']),
      three.map((one) => ({ ...onAll(one, 1), worth })),
      'USD',
      'half_up',
    );
    expect(shown(byLine, 1, 'USD')).toEqual(['free 20.00, b 40.00, c 5.00']);
  });

  it('is first by subscriptions, and of one kind by the time of the redemption', () => {
    const [late, early] = [percent('late', '50', { startedAt: 2 }), percent('early', '50', { startedAt: 1 })];
    const own = percent('own', '50', { startedAt: 3, subscriptionId: 'sub_1' });
    expect(discounted(['100.00'], 'USD', late, early, own)).toEqual(['own 50.00, early 25.00, late 12.50']);
  });

  it.each([
    ['JPY', '1005', 'a 335'],
    ['KWD', '10.005', 'a 3.335'],
    ['HUF', '1005.01', 'a 335.00'],
  ] as const)('has the minor units of %s', (currency, line, expected) => {
    expect(discounted([line], currency, percent('a', '33.3333'))).toEqual([expected]);
  });

  it('takes nothing off what stands against it', () => {
    const rest = lessNegatives([amount('60.00'), amount('40.00'), amount('-50.00')], 'USD');
    expect(rest.map((one) => formatMinorUnits(one, 'USD'))).toEqual(['30.00', '20.00', '0.00']);
    expect(lessNegatives([amount('60.00'), amount('-80.00')], 'USD')).toEqual([0n, 0n]);
  });
});

const currencies = fc.constantFrom<Currency>('USD', 'JPY', 'KWD', 'HUF');
const discountOf = (currency: Currency, minor: bigint) => (id: string) =>
  fc
    .record({
      subscriptionId: fc.constantFrom(null, 'sub_1'),
      startedAt: fc.nat(3),
      value: fc.oneof(
        fc.bigInt(1n, percentageUnit).map((percentage): CouponValue => {
          return { kind: 'percentage', percentage: percentage as Percentage };
        }),
        fc.bigInt(1n, 50_000n).map((units): CouponValue => {
          return { kind: 'amount', amount: (units * minor) as Amount, currency };
        }),
        fc.constant<CouponValue>({ kind: 'free_units', freeUnits: 1n as never }),
      ),
    })
    .map(({ value, ...more }) => held(id, value, more));

const invoices = currencies.chain((currency) => {
  const minor = 10n ** BigInt(amountScale - minorUnitsOf(currency));
  const lines = fc
    .array(fc.bigInt(0n, 100_000n), { minLength: 1, maxLength: 8 })
    .map((units) => units.map((unit, index) => ({ position: index + 1, amount: (unit * minor) as Amount })));
  return lines.chain((own) => {
    const some = fc.subarray(own.map(({ position }) => position));
    const worth = fc.array(fc.bigInt(0n, 100_000n), { minLength: own.length, maxLength: own.length });
    const one = (id: string) =>
      fc.record({ discount: discountOf(currency, minor)(id), positions: some, worth }).map(
        (of): LineDiscounts => ({
          discount: of.discount,
          groups: [
            {
              positions: of.positions,
              ...(of.discount.value.kind === 'amount' && { amountMax: of.discount.value.amount }),
            },
          ],
          worth: new Map(of.worth.map((units, index) => [index + 1, (units * minor) as Amount])),
        }),
      );
    const discounts = fc
      .integer({ min: 0, max: 4 })
      .chain((count) => fc.tuple(...positionsOf(count).map((id) => one(`d${id}`))));
    return fc.record({ currency: fc.constant(currency), lines: fc.constant(own), discounts });
  });
});

const rounding = fc.constantFrom('half_up', 'half_even') as fc.Arbitrary<'half_up' | 'half_even'>;

describe('whatever is discounted', () => {
  it('[I19] lines have no more taken off than there is, and an amount takes off no more than it is', () => {
    fc.assert(
      fc.property(invoices, rounding, ({ currency, lines, discounts }, mode) => {
        const byLine = discountLines(lines, discounts, currency, mode);
        const takenOf = (position: number) => sumAmounts((byLine.get(position) ?? []).map((one) => one.amount));
        for (const { position, amount: whole } of lines) {
          expect(takenOf(position) <= whole).toBe(true);
          for (const one of byLine.get(position) ?? []) expect(one.amount > 0n).toBe(true);
        }
        for (const { discount, groups } of discounts) {
          const taken = sumAmounts(
            [...byLine.values()].flat().flatMap((one) => (one.discountId === discount.id ? [one.amount] : [])),
          );
          if (discount.value.kind !== 'amount') continue;
          const most = sumAmounts(
            lines.flatMap((line) => (groups[0]?.positions.includes(line.position) ? [line.amount] : [])),
          );
          expect(taken <= discount.value.amount && taken <= most).toBe(true);
        }
      }),
    );
  });

  it('a percentage alone is to the minor unit that of the sum of its lines', () => {
    fc.assert(
      fc.property(invoices, fc.bigInt(1n, percentageUnit), ({ currency, lines }, percentage) => {
        const discount = held('a', { kind: 'percentage', percentage: percentage as Percentage });
        const byLine = discountLines(lines, [onAll(discount, lines.length)], currency, 'half_up');
        const sum = sumAmounts(lines.map((line) => line.amount));
        const taken = sumAmounts([...byLine.values()].flat().map((one) => one.amount));
        const minor = 10n ** BigInt(amountScale - minorUnitsOf(currency));
        const twice = 2n * (taken * percentageUnit - sum * percentage);
        expect(twice <= minor * percentageUnit && twice >= -minor * percentageUnit).toBe(true);
      }),
    );
  });

  it('[I12] comes out the same, in whatever order lines and discounts come', () => {
    const shuffled = invoices.chain((invoice) =>
      fc.record({
        invoice: fc.constant(invoice),
        lines: fc.shuffledSubarray([...invoice.lines], { minLength: invoice.lines.length }),
        discounts: fc.shuffledSubarray([...invoice.discounts], { minLength: invoice.discounts.length }),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ invoice, lines, discounts }) => {
        const [one, other] = [invoice, { lines, discounts }].map((of) =>
          discountLines(of.lines, of.discounts, invoice.currency, 'half_up'),
        );
        const sorted = (byLine: DiscountsByLine | undefined) => [...(byLine ?? [])].toSorted(([a], [b]) => a - b);
        expect(sorted(other)).toEqual(sorted(one));
      }),
    );
  });

  it('what stands against lines takes as much from them as there is', () => {
    fc.assert(
      fc.property(currencies, fc.array(fc.bigInt(-1_000n, 1_000n), { maxLength: 8 }), (currency, units) => {
        const minor = 10n ** BigInt(amountScale - minorUnitsOf(currency));
        const amounts = units.map((unit) => (unit * minor) as Amount);
        const rest = lessNegatives(amounts, currency);
        const whole = sumAmounts(amounts);
        const positive = sumAmounts(amounts.filter((one) => one > 0n));
        expect(sumAmounts(rest)).toBe(whole > 0n ? whole : zeroAmount);
        for (const [index, one] of rest.entries()) {
          expect(one >= 0n).toBe(true);
          expect(one <= ((amounts[index] as bigint) > 0n ? (amounts[index] as bigint) : 0n) || positive === 0n).toBe(
            true,
          );
        }
      }),
    );
  });
});
