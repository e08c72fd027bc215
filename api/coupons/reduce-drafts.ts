/**
 * Drafts and previews as they would be issued: with their discounts, and then with the taxes of what these leave. The
 * one place where amounts that are shown ahead come to be. Nothing is written or used up.
 */
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import type { DraftToDiscount } from '../../invoicer/invoices/discount-invoices.ts';
import type { Db } from '../route/define-route.ts';
import { readTaxes, type TaxDraftPorts } from '../taxes/tax-drafts.ts';
import { type DiscountDraftPorts, readDiscounts } from './discount-drafts.ts';

export type ReduceDraftPorts = DiscountDraftPorts & TaxDraftPorts;

/** Of drafts that are issued one after the other. */
export type ReduceSet = (set: readonly DraftToDiscount[]) => readonly DraftInvoice[];

/**
 * What is read is read once, for all of the drafts, of which sets are issued: what one of a set uses up of a discount
 * is missing in the next, and sets know nothing of each other. `lines` are those that the drafts were drafted of.
 */
export const readReductions = async (
  ports: ReduceDraftPorts,
  db: Db,
  drafts: readonly DraftToDiscount[],
  lines: readonly RatedLine[],
  unwritten?: UnwrittenPeriods,
): Promise<ReduceSet> => {
  const discounted = await readDiscounts(ports, db, drafts, lines, unwritten);
  const taxed = await readTaxes(
    ports,
    db,
    drafts.map(({ draft }) => draft),
    unwritten,
  );
  return (set) => discounted(set).map((content, index) => taxed(content, (set[index] as DraftToDiscount).issuedAt));
};

/** One by itself. */
export const reduceDraft = async (
  ports: ReduceDraftPorts,
  db: Db,
  draft: DraftToDiscount,
  lines: readonly RatedLine[],
): Promise<DraftInvoice> => {
  const [reduced] = (await readReductions(ports, db, [draft], lines))([draft]);
  return reduced ?? draft.draft;
};
