/**
 * The discounts of an invoice: lines, and the discounts that hold for them -> what each takes off each line. Pure.
 *
 * They stand one upon the other, each of what those before it left: first free units, then percentages, then amounts;
 * of one kind those of subscriptions before those of customers, then the one that was redeemed first. A percentage is
 * of the sum of its lines, rounded once; it and an amount are given to the lines by the largest remainder, in whole
 * minor units. So the lines sum to the invoice, and nothing is taken below zero.
 */
import assert from 'node:assert/strict';
import type { CouponKind, HeldDiscount } from '#schemas/coupon.ts';
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceDiscount } from '#schemas/invoice.ts';
import {
  type Amount,
  allocate,
  type RoundingMode,
  roundSharesTogether,
  subtractAmounts,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import { percentageUnit } from '#schemas/tax-rate.ts';

export type DiscountableLine = {
  /** Its place on the invoice, by which one of two equal remainders gets the minor unit. */
  readonly position: number;
  /** What there is to take off, in whole minor units; not below zero. */
  readonly amount: Amount;
};

/** Lines that are discounted together. */
export type DiscountedGroup = {
  readonly positions: readonly number[];
  /** What is left to be taken off, of an amount. */
  readonly amountMax?: Amount;
};

export type LineDiscounts = {
  readonly discount: HeldDiscount;
  readonly groups: readonly DiscountedGroup[];
  /** Of free units: what they come to, by position. */
  readonly worth?: ReadonlyMap<number, Amount>;
};

/** By position, in the order in which they were taken off; a line that none takes anything off is missing. */
export type DiscountsByLine = ReadonlyMap<number, readonly InvoiceDiscount[]>;

const kindOrder: Readonly<Record<CouponKind, number>> = { free_units: 0, percentage: 1, amount: 2 };

const stackingKey = ({ value, subscriptionId, startedAt, id }: HeldDiscount) =>
  [kindOrder[value.kind], Number(subscriptionId === null), startedAt, id] as const;

/** The order in which discounts are taken off. */
export const inStackingOrder = (a: HeldDiscount, b: HeldDiscount): number => {
  const [own, other] = [stackingKey(a), stackingKey(b)];
  const at = own.findIndex((key, index) => key !== other[index]);
  return at < 0 ? 0 : (own[at] as string | number) < (other[at] as string | number) ? -1 : 1;
};

const least = (a: Amount, b: Amount): Amount => (a < b ? a : b);

/** What a discount takes off the lines of a group, of which so much is left, in their order. */
const takenOff = (
  { discount: { value }, worth }: LineDiscounts,
  { positions, amountMax = zeroAmount }: DiscountedGroup,
  left: readonly Amount[],
  currency: Currency,
  rounding: RoundingMode,
): readonly Amount[] => {
  if (value.kind === 'free_units')
    return left.map((amount, index) => least(amount, worth?.get(positions[index] as number) ?? zeroAmount));
  if (value.kind === 'amount') return allocate(least(amountMax, sumAmounts(left)), left, currency);
  const shares = left.map((amount) => amount * value.percentage);
  return roundSharesTogether(shares, percentageUnit, currency, rounding);
};

/** In whatever order lines and discounts come, what comes out is the same. */
export const discountLines = (
  lines: readonly DiscountableLine[],
  discounts: readonly LineDiscounts[],
  currency: Currency,
  rounding: RoundingMode,
): DiscountsByLine => {
  assert(
    lines.every(({ amount }) => amount >= 0n),
    'nothing is taken off what is below zero',
  );
  const left = new Map(lines.map(({ position, amount }) => [position, amount]));
  assert.equal(left.size, lines.length, 'a line appears twice');
  const taken = new Map<number, InvoiceDiscount[]>();
  for (const one of discounts.toSorted((a, b) => inStackingOrder(a.discount, b.discount))) {
    const { id: discountId, couponId, name } = one.discount;
    for (const group of one.groups) {
      const positions = group.positions.toSorted((a, b) => a - b);
      const before = positions.map((position) => left.get(position) ?? zeroAmount);
      const amounts = takenOff(one, { ...group, positions }, before, currency, rounding);
      for (const [index, position] of positions.entries()) {
        const amount = amounts[index] as Amount;
        assert(amount >= 0n && amount <= (before[index] as Amount), 'no more is taken off than is left');
        if (amount === 0n) continue;
        left.set(position, subtractAmounts(before[index] as Amount, amount));
        taken.set(position, [...(taken.get(position) ?? []), { discountId, couponId, name, amount }]);
      }
    }
  }
  return taken;
};

/** What is left to take off positive amounts after what stands against them: given to them by the largest remainder. */
export const lessNegatives = (amounts: readonly Amount[], currency: Currency): readonly Amount[] => {
  const positive = amounts.map((amount) => (amount > 0n ? amount : zeroAmount));
  const against = sumAmounts(amounts.flatMap((amount) => (amount < 0n ? [-amount as Amount] : [])));
  const whole = least(against, sumAmounts(positive));
  const parts = allocate(whole, positive, currency);
  return positive.map((amount, index) => subtractAmounts(amount, parts[index] as Amount));
};
