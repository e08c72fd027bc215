/** Drafts and previews with the discounts that they would have if they were issued. Nothing is written or used up. */
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import {
  type DiscountedInvoices,
  type DiscountFacts,
  priceOverridesOf,
  type UnwrittenPeriods,
} from '../../invoicer/discounts/discount-facts.ts';
import { type DraftToDiscount, discountInvoices } from '../../invoicer/invoices/discount-invoices.ts';
import type { GivenBackDrafts } from '../../invoicer/invoices/give-back-once.ts';
import type { Db } from '../route/define-route.ts';

export type DiscountDraftPorts = {
  /** Undefined where nothing has discounts. */
  readonly discountFacts: (
    db: Db,
    invoices: DiscountedInvoices,
    unwritten?: UnwrittenPeriods,
  ) => Promise<DiscountFacts | undefined>;
};

const distinct = (ids: readonly string[]): readonly string[] => [...new Set(ids)];

const discountedInvoices = (
  organizationId: string,
  drafts: readonly DraftToDiscount[],
  lines: readonly RatedLine[],
): DiscountedInvoices => {
  const periods = drafts.flatMap(({ draft }) => draft.periods);
  const payers = drafts.map(({ draft }) => draft.customerId);
  const billingPeriodIds = periods.map(({ billingPeriodId }) => billingPeriodId);
  return {
    organizationId,
    customerIds: distinct([...payers, ...periods.map(({ customerId }) => customerId)]),
    planVersionIds: distinct(periods.map(({ planVersionId }) => planVersionId)),
    billingPeriodIds,
    // Whichever of them are credits: of what is not written down nothing is found.
    creditIds: billingPeriodIds,
    priceOverrideIds: priceOverridesOf(lines),
  };
};

/** What is read is read once, for all of the drafts; then any of them are discounted, one after the other. */
export const readDiscounts = async (
  { discountFacts }: DiscountDraftPorts,
  db: Db,
  drafts: readonly DraftToDiscount[],
  lines: readonly RatedLine[],
  unwritten?: UnwrittenPeriods,
): Promise<(set: GivenBackDrafts<DraftToDiscount>) => readonly DraftInvoice[]> => {
  if (drafts.length === 0) return () => [];
  const facts = await discountFacts(db, discountedInvoices(db.organizationId, drafts, lines), unwritten);
  return (set) => discountInvoices(set.drafts, lines, facts, set.given).map(({ draft }) => draft);
};
