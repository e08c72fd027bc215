/** What is used of discounts by invoices that are issued one after the other. */
import type { DiscountUse } from '#schemas/coupon.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { type Amount, addAmounts, zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { ChargedLines } from './discount-facts.ts';
import type { CountedPeriod } from './discounted-line.ts';

export const periodKey = (discountId: string, { subscriptionId, start }: CountedPeriod): string =>
  `${discountId} ${subscriptionId} ${start}`;

/** `uses` are those of the invoices before. */
export const createDiscountMemory = (uses: readonly DiscountUse[]) => {
  const usedUp = new Set<string>();
  const taken = new Map<string, Amount>();
  const takenInAll = new Map<string, Amount>();
  const counted = new Map<string, Set<Instant>>();
  const issued = new Map<string, ChargedLines>();
  const startsOf = (discountId: string, subscriptionId: string): Set<Instant> => {
    const key = `${discountId} ${subscriptionId}`;
    const starts = counted.get(key) ?? new Set<Instant>();
    counted.set(key, starts);
    return starts;
  };
  const takenOf = (key: string): Amount => taken.get(key) ?? zeroAmount;
  const use = ({ discountId, period, isOnce, amount }: DiscountUse): void => {
    if (isOnce) usedUp.add(discountId);
    takenInAll.set(discountId, addAmounts(takenInAll.get(discountId) ?? zeroAmount, amount));
    if (!period) return;
    const key = periodKey(discountId, period);
    taken.set(key, addAmounts(takenOf(key), amount));
    startsOf(discountId, period.subscriptionId).add(period.start);
  };
  for (const one of uses) use(one);
  return {
    use,
    isUsedUp: (discountId: string): boolean => usedUp.has(discountId),
    /** What was taken off in a billing period, less what was given back. */
    takenOf,
    /** By all invoices, less what was given back. */
    takenInAll: (discountId: string): Amount => takenInAll.get(discountId) ?? zeroAmount,
    startsOf,
    charge: (lines: readonly InvoiceLine[]): void => {
      for (const [id, own] of Map.groupBy(lines, ({ billingPeriodId }) => billingPeriodId ?? '')) {
        const charged = own.map((line): [string, InvoiceLine] => [line.chargeCode ?? '', line]);
        issued.set(id, new Map(charged));
      }
    },
    /** The lines of a billing period that was charged by one of these invoices. */
    chargedOf: (billingPeriodId: string): ChargedLines | undefined => issued.get(billingPeriodId),
  };
};

export type DiscountMemory = ReturnType<typeof createDiscountMemory>;
