/** Prices in credits, from docs/cost-books.md: what they are in money, and where they are cut. Plain loops. */
import type { Decimal } from 'decimal.js';
import type { PriceSpan } from './brute-prices.ts';
import { Exact, type Json, type Span } from './brute-usage.ts';

/** What a credit of a unit is worth from an instant on: of a currency, or of another unit. */
export type CreditRate = {
  readonly unit: string;
  readonly of: string;
  readonly amount: string;
  readonly fromMs: number;
};

/** Of several at once the one that was made last; before all, the first. */
const rateAt = (rates: readonly CreditRate[], atMs: number): CreditRate | undefined => {
  let [best, first]: (CreditRate | undefined)[] = [];
  for (const one of rates) {
    if (one.fromMs <= atMs && one.fromMs >= (best?.fromMs ?? one.fromMs)) best = one;
    if (one.fromMs <= (first?.fromMs ?? one.fromMs)) first = one;
  }
  return best ?? first;
};

const worthOf = (unit: string, currency: string, rates: readonly CreditRate[], atMs: number): Decimal => {
  if (unit === currency) return new Exact(1);
  const own = rates.filter((one) => one.unit === unit);
  const into = own.filter(({ of }) => of === currency);
  const rate = rateAt(into.length > 0 ? into : own.filter(({ of }) => rates.some((one) => one.unit === of)), atMs);
  if (!rate) throw new Error(`${unit} is worth nothing in ${currency}`);
  return worthOf(rate.of, currency, rates, atMs).mul(rate.amount);
};

const amountNames = ['amount', 'unit_amount', 'flat_amount', 'package_amount', 'minimum_amount', 'maximum_amount'];
const inMoney = (price: Json, worth: Decimal): Json =>
  Object.fromEntries(
    Object.entries(price).map(([name, value]) => {
      if (amountNames.includes(name)) return [name, worth.mul(value as string).toFixed()];
      return [name, name === 'tiers' ? (value as readonly Json[]).map((tier) => inMoney(tier, worth)) : value];
    }),
  );

/** Units are counted on behind a cut; where `isCut` is not said, the worth at the beginning is that of all the time. */
export const creditSpans = (
  price: Json,
  unit: string,
  currency: string,
  { start, end }: Span,
  rates: readonly CreditRate[],
  isCut: boolean,
): PriceSpan[] => {
  const inside = rates.map(({ fromMs }) => fromMs).filter((at) => isCut && start < at && at < end);
  const starts = [start, ...new Set(inside)].toSorted((a, b) => a - b);
  const spans: PriceSpan[] = [];
  for (const [index, from] of starts.entries()) {
    const span = { start: from, end: starts[index + 1] ?? end };
    const money = inMoney(price, worthOf(unit, currency, rates, from));
    const last = spans.at(-1);
    if (last && JSON.stringify(last.price) === JSON.stringify(money))
      spans[spans.length - 1] = { ...last, span: { ...last.span, end: span.end } };
    else spans.push({ price: money, span, tiers: last ? 'continue' : 'restart' });
  }
  return spans;
};
