/** Drafts and previews with the taxes that they would have if they were issued. Nothing is written. */
import { isId } from '#schemas/ids.ts';
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { GivenBack } from '../../invoicer/corrections/credited-charges.ts';
import type { UnwrittenCredit } from '../../invoicer/corrections/unwritten-credits.ts';
import { taxUnissued } from '../../invoicer/invoices/tax-invoice.ts';
import type { TaxedInvoices, TaxFacts } from '../../invoicer/taxes/tax-facts.ts';
import type { Db } from '../route/define-route.ts';

export type TaxDraftPorts = {
  /** Undefined where nothing has taxes. */
  readonly taxFacts: (
    db: Db,
    invoices: TaxedInvoices,
    unwritten?: readonly UnwrittenCredit[],
  ) => Promise<TaxFacts | undefined>;
};

const distinct = (ids: readonly string[]): readonly string[] => [...new Set(ids)];

const taxedInvoices = (organizationId: string, drafts: readonly DraftInvoice[]): TaxedInvoices => ({
  organizationId,
  customerIds: distinct(drafts.map(({ customerId }) => customerId)),
  planVersionIds: distinct(drafts.flatMap(({ periods }) => periods.map(({ planVersionId }) => planVersionId))),
  billingPeriodIds: [],
  // Whichever of them are credits: of what is not written down nothing is found.
  creditIds: distinct(drafts.flatMap(({ periods }) => periods.map(({ billingPeriodId }) => billingPeriodId))),
  oneTimeCharges: drafts.flatMap(({ periods, lines }) => {
    const versions = new Map(periods.map(({ billingPeriodId, planVersionId }) => [billingPeriodId, planVersionId]));
    return lines.flatMap(({ billingPeriodId, chargeCode: id }) => {
      const planVersionId = versions.get(billingPeriodId ?? '');
      return isId('otc', id ?? '') && id !== null && planVersionId !== undefined ? [{ planVersionId, id }] : [];
    });
  }),
});

/** What is read is read once, for all of the drafts; then any of them are taxed, each as if it were issued then. */
export const readTaxes = async (
  { taxFacts }: TaxDraftPorts,
  db: Db,
  drafts: readonly DraftInvoice[],
  unwritten?: { readonly credits: readonly UnwrittenCredit[] },
): Promise<(content: DraftInvoice, issuedAt: Instant, given?: GivenBack) => DraftInvoice> => {
  if (drafts.length === 0) return (content) => content;
  const facts = await taxFacts(db, taxedInvoices(db.organizationId, drafts), unwritten?.credits);
  return (content, issuedAt, given) => taxUnissued(content, facts, issuedAt, given && { given });
};

/** As if it were issued at an instant. */
export const taxDraft = async (
  ports: TaxDraftPorts,
  db: Db,
  content: DraftInvoice,
  issuedAt: Instant,
): Promise<DraftInvoice> => (await readTaxes(ports, db, [content]))(content, issuedAt);
