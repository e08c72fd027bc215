/**
 * Drafts and previews as they would be issued: their credits take back what credit notes left, then they have their
 * discounts, and then the taxes of what these leave. The one place where amounts that are shown ahead come to be.
 * Nothing is written or used up.
 */
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { AskedCredits, CreditedCharges } from '../../invoicer/corrections/credited-charges.ts';
import type { UnwrittenCredit } from '../../invoicer/corrections/unwritten-credits.ts';
import type { UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import type { DraftToDiscount } from '../../invoicer/invoices/discount-invoices.ts';
import { giveBackOnce } from '../../invoicer/invoices/give-back-once.ts';
import type { Db } from '../route/define-route.ts';
import { type TaxDraftPorts, taxDrafts } from '../taxes/tax-drafts.ts';
import { type DiscountDraftPorts, discountDrafts } from './discount-drafts.ts';

export type ReduceDraftPorts = DiscountDraftPorts &
  TaxDraftPorts & {
    readonly creditedCharges: (
      db: Db,
      asked: AskedCredits,
      unwritten?: readonly UnwrittenCredit[],
    ) => Promise<CreditedCharges>;
  };

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
  const periods = sets.flat().flatMap(({ draft }) => draft.periods);
  const asked = {
    organizationId: db.organizationId,
    // Whichever of them are credits: of what is not written down nothing is found.
    creditIds: [...new Set(periods.map(({ billingPeriodId }) => billingPeriodId))],
  };
  const charges = await ports.creditedCharges(db, asked, unwritten?.credits);
  const back = sets.map((set) => giveBackOnce(set, charges));
  const discounted = (await discountDrafts(ports, db, back, lines, unwritten)).values();
  const issued = back.flatMap(({ drafts, given }) =>
    drafts.map(({ draft, issuedAt }) => ({ content: discounted.next().value ?? draft, issuedAt, given })),
  );
  return taxDrafts(ports, db, issued, unwritten);
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
