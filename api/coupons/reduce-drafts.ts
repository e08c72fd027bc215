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
import { readTaxes, type TaxDraftPorts } from '../taxes/tax-drafts.ts';
import { type DiscountDraftPorts, readDiscounts } from './discount-drafts.ts';

export type ReduceDraftPorts = DiscountDraftPorts &
  TaxDraftPorts & {
    readonly creditedCharges: (
      db: Db,
      asked: AskedCredits,
      unwritten?: readonly UnwrittenCredit[],
    ) => Promise<CreditedCharges>;
  };

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
  const contents = drafts.map(({ draft }) => draft);
  const periods = contents.flatMap((content) => content.periods);
  const asked = {
    organizationId: db.organizationId,
    // Whichever of them are credits: of what is not written down nothing is found.
    creditIds: [...new Set(periods.map(({ billingPeriodId }) => billingPeriodId))],
  };
  const [charges, discounted, taxed] = await Promise.all([
    ports.creditedCharges(db, asked, unwritten?.credits),
    readDiscounts(ports, db, drafts, lines, unwritten),
    readTaxes(ports, db, contents, unwritten),
  ]);
  return (set) => {
    const back = giveBackOnce(set, charges);
    return discounted(back).map((content, index) =>
      taxed(content, (set[index] as DraftToDiscount).issuedAt, back.given),
    );
  };
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
