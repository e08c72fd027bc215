/**
 * Drafts and previews as they would be issued: with their discounts, and then with the taxes of what these leave. The
 * one place where amounts that are shown ahead come to be. Nothing is written or used up.
 */
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import type { DraftToDiscount } from '../../invoicer/invoices/discount-invoices.ts';
import type { Db } from '../route/define-route.ts';
import { type TaxDraftPorts, taxDrafts } from '../taxes/tax-drafts.ts';
import { type DiscountDraftPorts, discountDrafts } from './discount-drafts.ts';

export type ReduceDraftPorts = DiscountDraftPorts & TaxDraftPorts;

/**
 * Drafts of one set are issued one after the other, so what one uses up of a discount is missing in the next; sets know
 * nothing of each other. `lines` are those that the drafts were drafted of.
 */
export const reduceDrafts = async (
  ports: ReduceDraftPorts,
  db: Db,
  sets: readonly (readonly DraftToDiscount[])[],
  lines: readonly RatedLine[],
  unwritten?: UnwrittenPeriods,
): Promise<readonly DraftInvoice[]> => {
  const discounted = await discountDrafts(ports, db, sets, lines, unwritten);
  const issued = sets.flat();
  return taxDrafts(
    ports,
    db,
    discounted.map((content, index) => ({ content, issuedAt: (issued[index] as DraftToDiscount).issuedAt })),
    unwritten,
  );
};

/** One by itself. */
export const reduceDraft = async (
  ports: ReduceDraftPorts,
  db: Db,
  draft: DraftToDiscount,
  lines: readonly RatedLine[],
): Promise<DraftInvoice> => {
  const [reduced] = await reduceDrafts(ports, db, [[draft]], lines);
  return reduced ?? draft.draft;
};
