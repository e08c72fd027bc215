/**
 * Drafts of invoices without discounts -> the same with those that they have when they are issued one after the other,
 * in the order in which they fall due, and what they use up. Pure.
 *
 * A discount holds by the instant of issue: from when it was redeemed, until it is ended or its coupon expires. One
 * that is used once is for the first invoice that it takes something off. One that repeats is for so many billing
 * periods of each subscription, from the first that is on an invoice while it holds, whether or not there is anything
 * to take off. An amount is for each billing period, and what an invoice leaves of it is there for the next one over
 * the same period.
 */
import type { DiscountUse, HeldDiscount } from '#schemas/coupon.ts';
import { creditedBefore } from '#schemas/credited-line.ts';
import type { DraftInvoice, InvoiceDiscount, InvoiceLine } from '#schemas/invoice.ts';
import {
  type Amount,
  addAmounts,
  negateAmount,
  type RoundingMode,
  roundSharesTogether,
  subtractAmounts,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { creditedLineKey, type GivenBack, nothingGivenBack } from '../corrections/credited-charges.ts';
import type { ChargedLine, DiscountFacts } from '../discounts/discount-facts.ts';
import {
  type DiscountableLine,
  type DiscountedGroup,
  type DiscountsByLine,
  discountLines,
  type LineDiscounts,
  lessNegatives,
} from '../discounts/discount-lines.ts';
import { createDiscountMemory, type DiscountMemory, periodKey } from '../discounts/discount-memory.ts';
import {
  type CountedPeriod,
  countedPeriod,
  type DiscountedLine,
  discountedLines,
  isCredit,
  isFor,
  isIts,
} from '../discounts/discounted-line.ts';
import { worthOfFreeUnits } from '../discounts/free-units.ts';
import { correctDeltas } from './correct-deltas.ts';
import { withLines } from './invoice-totals.ts';

export type DraftToDiscount = {
  readonly draft: DraftInvoice;
  /** Of a one-off invoice: the discounts that it was asked to have. */
  readonly discountIds: readonly string[];
  /** By which it is judged whether a discount holds. */
  readonly issuedAt: Instant;
};

export type DiscountedDraft = { readonly draft: DraftInvoice; readonly uses: readonly DiscountUse[] };

/** What one draft is discounted with. */
type Discounting = {
  readonly facts: DiscountFacts;
  readonly memory: DiscountMemory;
  readonly draft: DraftInvoice;
  /** By billing period. */
  readonly rated: ReadonlyMap<string, readonly RatedLine[]>;
  /** Of credits of what was charged with discounts or taxes, or of which credit notes gave back some. */
  readonly given: GivenBack;
};

/** What there is to take off: less what stands against it in the same billing period, or among items. */
const discountable = (lines: readonly DiscountedLine[], { currency }: DraftInvoice): readonly DiscountableLine[] =>
  [...Map.groupBy(lines, ({ line }) => line.billingPeriodId).values()].flatMap((together) => {
    const amounts = together.map(({ line }) => line.amount);
    const rest = lessNegatives(amounts, currency);
    return together.map(({ line: { position } }, index) => ({ position, amount: rest[index] as Amount }));
  });

/** The part of a discount that an amount has of what it was given on. */
const partOf = (
  given: Amount,
  amount: Amount,
  charged: ChargedLine,
  { currency }: DraftInvoice,
  rounding: RoundingMode,
) => roundSharesTogether([given * amount], charged.amount, currency, rounding)[0] ?? zeroAmount;

/**
 * What a credit gives back of the discounts of the line that it takes back some of, `printed` where that is worked out
 * already. Whatever credit notes gave back of it before, as much of a discount is there again for what is charged in
 * its place.
 */
const givenBack = (
  line: InvoiceLine,
  charged: ChargedLine,
  draft: DraftInvoice,
  printed: readonly InvoiceDiscount[] | undefined,
): readonly InvoiceDiscount[] => {
  const before = negateAmount(creditedBefore(line));
  return charged.discounts.map((discount) => {
    const shareOf = (amount: Amount) => partOf(discount.amount, amount, charged, draft, line.rounding);
    const isSame = ({ discountId }: InvoiceDiscount) => discountId === discount.discountId;
    const own = printed ? (printed.find(isSame)?.amount ?? zeroAmount) : shareOf(line.amount);
    return { ...discount, amount: addAmounts(own, shareOf(before)) };
  });
};

const giveBack = ({ facts, memory, draft, given }: Discounting, lines: readonly DiscountedLine[]): DiscountsByLine =>
  new Map(
    lines.filter(isCredit).flatMap(({ line }): [number, readonly InvoiceDiscount[]][] => {
      const back = facts.takenBack.get(line.billingPeriodId ?? '');
      const charged = (back?.lines ?? memory.chargedOf(back?.chargeId ?? ''))?.get(line.chargeCode ?? '');
      if (!charged || charged.amount <= zeroAmount) return [];
      const all = givenBack(line, charged, draft, given.get(creditedLineKey(line))?.discounts);
      return [[line.position, all.filter(({ amount }) => amount !== zeroAmount)]];
    }),
  );

/** Of a draft those that a discount counts; where it repeats, the periods that begin first before all others. */
const countPeriods = ({ facts, memory, draft }: Discounting, discount: HeldDiscount): readonly CountedPeriod[] => {
  const periods = draft.periods.flatMap((period) => {
    const billed = facts.periods.get(period.billingPeriodId);
    return billed && billed.timing !== 'credit' && billed.timing !== 'delta' && isIts(discount, draft, period)
      ? [countedPeriod(period, billed)]
      : [];
  });
  const { id, durationPeriods } = discount;
  if (durationPeriods === null) return periods;
  for (const { subscriptionId, start } of periods.toSorted((a, b) => a.start - b.start)) {
    const starts = memory.startsOf(id, subscriptionId);
    if (starts.size < durationPeriods) starts.add(start);
  }
  return periods.filter(({ subscriptionId, start }) => memory.startsOf(id, subscriptionId).has(start));
};

/** Lines that are discounted together: of an amount those of one billing period, with what is left of it there. */
const groupsOf = (
  { memory }: Discounting,
  { id, value, duration }: HeldDiscount,
  lines: readonly DiscountedLine[],
): readonly DiscountedGroup[] => {
  const positionsOf = (some: readonly DiscountedLine[]) => some.map(({ line }) => line.position);
  if (value.kind !== 'amount') return [{ positions: positionsOf(lines) }];
  const keyOf = ({ counted }: DiscountedLine) => (duration === 'once' || !counted ? '' : periodKey(id, counted));
  return [...Map.groupBy(lines, keyOf)].map(([key, some]) => {
    const left = subtractAmounts(value.amount, memory.takenOf(key));
    return { positions: positionsOf(some), amountMax: left > 0n ? left : zeroAmount };
  });
};

/** `counts` are the billing periods that it counts. */
const lineDiscounts = (
  discounting: Discounting,
  discount: HeldDiscount,
  lines: readonly DiscountedLine[],
  counts: readonly CountedPeriod[],
): LineDiscounts => {
  const { facts, draft, rated } = discounting;
  const { id, value, durationPeriods } = discount;
  const keys = new Set(counts.map((period) => periodKey(id, period)));
  const isCounted = ({ counted }: DiscountedLine) =>
    durationPeriods === null || counted === undefined || keys.has(periodKey(id, counted));
  const own = lines.filter((one) => isFor(discount, draft, one, facts) && isCounted(one));
  const groups = groupsOf(discounting, discount, own);
  if (value.kind !== 'free_units') return { discount, groups };
  const worth = own.flatMap(({ line }): [number, Amount][] => {
    const of = rated.get(line.billingPeriodId ?? '')?.find(({ chargeCode }) => chargeCode === line.chargeCode);
    return of ? [[line.position, worthOfFreeUnits(of, value.freeUnits, facts.priceOf)]] : [];
  });
  return { discount, groups, worth: new Map(worth) };
};

/** One entry a discount and billing period. */
const summedUses = (uses: readonly DiscountUse[]): readonly DiscountUse[] =>
  [
    ...Map.groupBy(uses, ({ discountId, period }) => (period ? periodKey(discountId, period) : discountId)).values(),
  ].map((same) => ({ ...(same[0] as DiscountUse), amount: sumAmounts(same.map(({ amount }) => amount)) }));

const usesOfLines = (
  lines: readonly DiscountedLine[],
  byLine: DiscountsByLine,
  isOnce: (discountId: string) => boolean,
): DiscountUse[] =>
  lines.flatMap(({ line, counted = null }) =>
    (byLine.get(line.position) ?? []).map(({ discountId, amount }): DiscountUse => {
      return isOnce(discountId)
        ? { discountId, isOnce: true, period: null, amount }
        : { discountId, isOnce: false, period: counted, amount };
    }),
  );

const isInForce = (
  { memory, draft: { currency } }: Discounting,
  { id, value, endedAt, expiresAt, duration }: HeldDiscount,
  issuedAt: Instant,
): boolean =>
  endedAt === null &&
  (expiresAt === null || issuedAt < expiresAt) &&
  (value.kind !== 'amount' || value.currency === currency) &&
  !(duration === 'once' && memory.isUsedUp(id));

const discountDraft = (before: Discounting, held: readonly HeldDiscount[], issuedAt: Instant): DiscountedDraft => {
  const { facts, memory } = before;
  const corrected = correctDeltas(before.draft, before.rated, facts, memory);
  const discounting = { ...before, draft: corrected.draft };
  const { draft } = discounting;
  const lines = discountedLines(draft, facts);
  // What is given back is there to be taken off what is charged in its place.
  const back = giveBack(discounting, lines);
  const given = usesOfLines(lines, back, () => false);
  for (const use of given) memory.use(use);
  const returned = [...corrected.uses, ...given];

  const inForce = held.filter((discount) => isInForce(discounting, discount, issuedAt));
  const counts = new Map(inForce.map((discount) => [discount, countPeriods(discounting, discount)]));
  const open = lines.filter((one) => !isCredit(one) && (one.line.kind === 'charge' || one.line.kind === 'item'));
  const charged = open.filter(({ line }) => line.amount > 0n);
  const asked = inForce.map((discount) => lineDiscounts(discounting, discount, charged, counts.get(discount) ?? []));
  const off = discountLines(discountable(open, draft), asked, draft.currency, facts.rounding);

  const once = new Set(inForce.filter(({ duration }) => duration === 'once').map(({ id }) => id));
  const counted = [...counts].flatMap(([{ id: discountId, durationPeriods }, periods]) =>
    durationPeriods === null
      ? []
      : periods.map((period): DiscountUse => ({ discountId, isOnce: false, period, amount: zeroAmount })),
  );
  const used = [...counted, ...usesOfLines(charged, off, (id) => once.has(id))];
  for (const use of used) memory.use(use);
  const ofCredits = lines.flatMap(({ line }) => {
    const own = discounting.given.get(creditedLineKey(line));
    return own ? [[line.position, own.discounts] as const] : [];
  });
  const byLine = new Map([...back, ...off, ...ofCredits]);
  const discounted = draft.lines.map((line) => ({ ...line, discounts: byLine.get(line.position) ?? line.discounts }));
  memory.charge(discounted);
  return { draft: withLines(draft, discounted), uses: summedUses([...returned, ...used]) };
};

/** `lines` are those that the drafts are of; `facts` are undefined where nothing has discounts. */
export const discountInvoices = (
  drafts: readonly DraftToDiscount[],
  lines: readonly RatedLine[],
  facts: DiscountFacts | undefined,
  given: GivenBack = nothingGivenBack,
): readonly DiscountedDraft[] => {
  if (facts === undefined) return drafts.map(({ draft }) => ({ draft, uses: [] }));
  const memory = createDiscountMemory(facts.uses);
  const rated = Map.groupBy(lines, ({ billingPeriodId }) => billingPeriodId);
  const dueAt = ({ draft: { periods }, issuedAt }: DraftToDiscount): Instant =>
    Math.min(...periods.map(({ billingPeriodId }) => facts.periods.get(billingPeriodId)?.dueAt ?? issuedAt));
  const discounted = new Map(
    drafts
      .map((one, index) => ({ ...one, index, dueAt: dueAt(one) }))
      .toSorted((a, b) => (a.dueAt === b.dueAt ? a.index - b.index : a.dueAt - b.dueAt))
      .map(({ draft, discountIds, issuedAt, index }): [number, DiscountedDraft] => {
        const held = facts.held.filter(({ id }) => draft.kind === 'period' || discountIds.includes(id));
        return [index, discountDraft({ facts, memory, draft, rated, given }, held, issuedAt)];
      }),
  );
  return drafts.map((_, index) => discounted.get(index) as DiscountedDraft);
};
