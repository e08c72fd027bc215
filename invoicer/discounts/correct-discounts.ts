/**
 * The discounts of a period that was billed before, as they are once its usage is whole: those that held when its first
 * invoice was issued, on what the period comes to now, less what was given of them so far. Pure.
 *
 * They are worked out anew for all lines of the period, in stacking order, as on its first invoice
 * (`discount-lines.ts`). Where the first invoice shared a discount with other periods, their shares stay what they are:
 * a percentage differs from what it was by what its rounded sum over the lines of the period differs by, and an amount
 * is no more than what the others left of it. So first invoice and deltas sum to what one invoice of all the usage
 * would have taken off the period, however many deltas there are.
 */
import type { HeldDiscount } from '#schemas/coupon.ts';
import type { Currency } from '#schemas/currency.ts';
import type { DraftInvoice, InvoiceDiscount, InvoicePeriod } from '#schemas/invoice.ts';
import {
  type Amount,
  addAmounts,
  allocate,
  negateAmount,
  type RoundingMode,
  roundSharesTogether,
  subtractAmounts,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { percentageUnit } from '#schemas/tax-rate.ts';
import type { BilledBefore, BilledLine } from '../corrections/billed-before.ts';
import type { DiscountFacts } from './discount-facts.ts';
import { inStackingOrder, lessNegatives } from './discount-lines.ts';
import { type DiscountMemory, periodKey } from './discount-memory.ts';
import { type CountedPeriod, type DiscountedCharge, isForCharge } from './discounted-line.ts';
import { worthOfFreeUnits } from './free-units.ts';

export type CorrectedPeriod = {
  readonly draft: DraftInvoice;
  readonly period: InvoicePeriod;
  readonly counted: CountedPeriod;
  readonly before: BilledBefore;
  /** As it is rated now, whole. */
  readonly rated: readonly RatedLine[];
};

/** By the code of the charge: what its discounts differ by; a charge of which none differs is missing. */
export type DiscountChanges = ReadonlyMap<string, readonly InvoiceDiscount[]>;

/** A charge of the period, as it is discounted. */
type Charge = {
  readonly charge: DiscountedCharge;
  readonly rated: RatedLine | undefined;
  readonly billed: readonly BilledLine[];
  /** What is left to take off: of what is due now, and of what the first invoice billed. */
  left: Amount;
  leftAtFirst: Amount;
};

const least = (a: Amount, b: Amount): Amount => (a < b ? a : b);
const most = (a: Amount, b: Amount): Amount => (a > b ? a : b);

/**
 * Both have some of the charges of a plan, in its order. Who comes first of equal shares has the cent that is left, so
 * that the first invoice is worked out again as it was.
 */
const inOneOrder = (first: readonly string[], rated: readonly string[]): readonly string[] => {
  const codes = new Set<string>();
  let next = 0;
  for (const code of rated) {
    const at = first.indexOf(code);
    for (; next <= at; next += 1) codes.add(first[next] as string);
    codes.add(code);
  }
  return [...codes, ...first.slice(next).filter((code) => !codes.has(code))];
};

const chargesOf = ({ draft: { currency }, period, before, rated }: CorrectedPeriod): readonly Charge[] => {
  const billedOf = Map.groupBy(before.lines, ({ chargeCode }) => chargeCode);
  const ratedOf = new Map(rated.map((line) => [line.chargeCode, line]));
  const first = before.lines.filter(({ correction }) => correction === 0).map(({ chargeCode }) => chargeCode);
  // Those of deltas alone come to nothing, now as at first.
  const codes = [...new Set([...inOneOrder([...new Set(first)], [...ratedOf.keys()]), ...billedOf.keys()])];
  const charges = codes.map((code) => {
    const [own, billed = []] = [ratedOf.get(code), billedOf.get(code)];
    const meter = own ? own.meter : (billed[0]?.meter ?? null);
    const charge: DiscountedCharge = { chargeCode: code, meter, period, timing: 'delta' };
    const atFirst = billed.find(({ correction }) => correction === 0)?.amount ?? zeroAmount;
    return { charge, rated: own, billed, now: own?.amount ?? zeroAmount, first: atFirst };
  });
  const [left, leftAtFirst] = (['now', 'first'] as const).map((key) =>
    lessNegatives(
      charges.map((one) => one[key]),
      currency,
    ),
  );
  return charges.map(({ charge, rated: own, billed }, index) => ({
    charge,
    rated: own,
    billed,
    left: left?.[index] ?? zeroAmount,
    leftAtFirst: leftAtFirst?.[index] ?? zeroAmount,
  }));
};

/** What was given of a discount on a charge: by all invoices so far, or by the first one. */
const givenOn = ({ billed }: Charge, discountId: string, isFirst = false): Amount =>
  sumAmounts(
    billed
      .filter(({ correction }) => !isFirst || correction === 0)
      .flatMap(({ discounts }) => discounts.filter((one) => one.discountId === discountId))
      .map(({ amount }) => amount),
  );

const wasGiven = ({ before }: CorrectedPeriod, discountId: string): boolean =>
  before.lines.some(({ discounts }) => discounts.some((one) => one.discountId === discountId));

/** Whether it held for the period when its first invoice was issued: one that was given did. */
const heldFor = (corrected: CorrectedPeriod, discount: HeldDiscount, memory: DiscountMemory): boolean => {
  const { before, draft, counted } = corrected;
  const { id, startedAt, endedAt, expiresAt, value, duration } = discount;
  if (wasGiven(corrected, id)) return true;
  if (startedAt > before.issuedAt || (endedAt !== null && endedAt <= before.issuedAt)) return false;
  if (expiresAt !== null && expiresAt <= before.issuedAt) return false;
  if (value.kind === 'amount' && value.currency !== draft.currency) return false;
  if (duration === 'once') return before.onceIds.has(id);
  return duration === 'forever' || memory.startsOf(id, counted.subscriptionId).has(counted.start);
};

/** What others left of an amount, on other lines of the same invoice or of the same billing period. */
const roomOf = (
  { id, duration }: HeldDiscount,
  whole: Amount,
  given: Amount,
  counted: CountedPeriod,
  memory: DiscountMemory,
): Amount => {
  const taken = duration === 'once' ? memory.takenInAll(id) : memory.takenOf(periodKey(id, counted));
  return most(zeroAmount, subtractAmounts(whole, subtractAmounts(taken, given)));
};

/** Shares that sum to `total`: what they lack goes where there is room for it, and what is too much comes off them. */
const withTotal = (
  shares: readonly Amount[],
  total: Amount,
  rooms: readonly Amount[],
  currency: Currency,
): readonly Amount[] => {
  const lacking = subtractAmounts(total, sumAmounts(shares));
  if (lacking === zeroAmount) return shares;
  const more = lacking > 0n;
  const weights = more ? shares.map((share, index) => subtractAmounts(rooms[index] ?? zeroAmount, share)) : shares;
  const parts = allocate(more ? lacking : negateAmount(lacking), weights, currency);
  return shares.map((share, index) => (more ? addAmounts : subtractAmounts)(share, parts[index] ?? zeroAmount));
};

/** Of the charges that it is for, in their order. */
const partsOf = (
  corrected: CorrectedPeriod,
  discount: HeldDiscount,
  charges: readonly Charge[],
  facts: DiscountFacts,
  memory: DiscountMemory,
  rounding: RoundingMode,
): readonly Amount[] => {
  const { id, value } = discount;
  const { currency } = corrected.draft;
  const lefts = charges.map(({ left }) => left);
  if (value.kind === 'free_units')
    return charges.map(({ left, rated }) =>
      rated ? least(left, worthOfFreeUnits(rated, value.freeUnits, facts.priceOf)) : zeroAmount,
    );
  if (value.kind === 'amount') {
    const given = sumAmounts(charges.map((charge) => givenOn(charge, id)));
    const room = roomOf(discount, value.amount, given, corrected.counted, memory);
    return allocate(least(room, sumAmounts(lefts)), lefts, currency);
  }
  const shareOf = (amounts: readonly Amount[]): readonly Amount[] =>
    roundSharesTogether(
      amounts.map((amount) => amount * value.percentage),
      percentageUnit,
      currency,
      rounding,
    );
  const shares = shareOf(lefts);
  const atFirst = sumAmounts(charges.map((charge) => givenOn(charge, id, true)));
  const alone = sumAmounts(shareOf(charges.map(({ leftAtFirst }) => leftAtFirst)));
  const total = addAmounts(sumAmounts(shares), subtractAmounts(atFirst, alone));
  const whole = most(zeroAmount, least(total, sumAmounts(lefts)));
  return withTotal(shares, whole, lefts, currency);
};

const changeOf = ({ id, couponId, name }: HeldDiscount, amount: Amount): InvoiceDiscount => ({
  discountId: id,
  couponId,
  name,
  amount,
});

/** `memory` is of what was used before. */
export const correctDiscounts = (
  corrected: CorrectedPeriod,
  facts: DiscountFacts,
  memory: DiscountMemory,
): DiscountChanges => {
  const rounding = corrected.rated[0]?.rounding ?? facts.rounding;
  const charges = chargesOf(corrected);
  const changes = new Map<string, InvoiceDiscount[]>();
  const held = facts.held.filter((discount) => heldFor(corrected, discount, memory)).toSorted(inStackingOrder);
  for (const discount of held) {
    const own = charges.filter(({ charge }) => isForCharge(discount, corrected.draft, charge, facts));
    const parts = partsOf(corrected, discount, own, facts, memory, rounding);
    for (const [index, one] of own.entries()) {
      const part = parts[index] ?? zeroAmount;
      const change = subtractAmounts(part, givenOn(one, discount.id));
      const code = one.charge.chargeCode ?? '';
      if (change !== zeroAmount) changes.set(code, [...(changes.get(code) ?? []), changeOf(discount, change)]);
      one.left = subtractAmounts(one.left, part);
      one.leftAtFirst = subtractAmounts(one.leftAtFirst, givenOn(one, discount.id, true));
    }
  }
  return changes;
};
