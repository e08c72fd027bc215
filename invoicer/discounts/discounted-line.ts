/** A line of an invoice as discounts look at it, and which discount is for which line. Pure. */
import type { ChargeKind, DiscountUse, HeldDiscount } from '#schemas/coupon.ts';
import { isId } from '#schemas/ids.ts';
import type { DraftInvoice, InvoiceLine, InvoicePeriod } from '#schemas/invoice.ts';
import { isPeriodBound } from '#schemas/period-bound.ts';
import type { DiscountedPeriod, DiscountFacts } from './discount-facts.ts';

export type CountedPeriod = NonNullable<DiscountUse['period']>;

/** All but the line is undefined of an item, which is of no billing period. */
export type DiscountedLine = {
  readonly line: InvoiceLine;
  readonly period: InvoicePeriod | undefined;
  readonly billed: DiscountedPeriod | undefined;
  readonly counted: CountedPeriod | undefined;
};

export const countedPeriod = ({ subscriptionId }: InvoicePeriod, { start }: DiscountedPeriod): CountedPeriod => ({
  subscriptionId,
  start,
});

export const discountedLines = (draft: DraftInvoice, facts: DiscountFacts): readonly DiscountedLine[] => {
  const periods = new Map(draft.periods.map((period) => [period.billingPeriodId, period]));
  return draft.lines.map((line) => {
    const period = periods.get(line.billingPeriodId ?? '');
    const billed = period && facts.periods.get(period.billingPeriodId);
    return { line, period, billed, counted: period && billed && countedPeriod(period, billed) };
  });
};

export const isCredit = ({ billed }: DiscountedLine): boolean => billed?.timing === 'credit';

/** What a discount goes by to be for a line. */
export type DiscountedCharge = {
  /** Null of an item. */
  readonly chargeCode: string | null;
  readonly meter: string | null;
  readonly period: InvoicePeriod | undefined;
  readonly timing: DiscountedPeriod['timing'] | undefined;
};

/** What holds over all charges of a billing period is of no kind. */
const kindOf = ({ chargeCode, meter, timing }: DiscountedCharge): ChargeKind | undefined => {
  if (chargeCode === null || timing === 'once' || isId('otc', chargeCode)) return 'one_time';
  if (meter !== null) return 'usage';
  return isPeriodBound(chargeCode) ? undefined : 'recurring';
};

/** That of a customer is for all that it pays, and for its own where another pays. */
export const isIts = (
  { customerId, subscriptionId }: HeldDiscount,
  draft: DraftInvoice,
  period: InvoicePeriod | undefined,
): boolean =>
  subscriptionId === null
    ? customerId === draft.customerId || customerId === period?.customerId
    : subscriptionId === period?.subscriptionId;

/** An empty list fits all. */
const fits = <T>(list: readonly T[], one: T | undefined): boolean =>
  list.length === 0 || (one !== undefined && list.includes(one));

export const isForCharge = (
  discount: HeldDiscount,
  draft: DraftInvoice,
  charge: DiscountedCharge,
  { planIds }: Pick<DiscountFacts, 'planIds'>,
): boolean => {
  const { appliesTo } = discount;
  return (
    isIts(discount, draft, charge.period) &&
    fits(appliesTo.chargeCodes, charge.chargeCode ?? undefined) &&
    fits(appliesTo.planIds, charge.period && planIds.get(charge.period.planVersionId)) &&
    fits(appliesTo.chargeKinds, kindOf(charge))
  );
};

export const isFor = (
  discount: HeldDiscount,
  draft: DraftInvoice,
  { line: { chargeCode, meter }, period, billed }: DiscountedLine,
  facts: Pick<DiscountFacts, 'planIds'>,
): boolean => isForCharge(discount, draft, { chargeCode, meter, period, timing: billed?.timing }, facts);
