/** The use case of voiding an invoice: a credit note of all that is left; and of a draft that takes its place. */
import type { Static } from 'typebox';
import type { CreditReason } from '#schemas/credit-note.ts';
import { FailureError } from '#schemas/failures.ts';
import type { InvoiceVoiding } from '#schemas/http/credit-notes.ts';
import type { DraftOverrides } from '#schemas/invoice/draft-overrides.ts';
import { oneOffLinesMax } from '#schemas/invoice/one-off.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { drawUpCredit } from '../../invoicer/credits/draw-up-credit.ts';
import type { LockedInvoice } from '../../invoicer/credits/issue-credit.ts';
import { oneOffInvoice, plainTerms } from '../../invoicer/invoices/draft-invoice.ts';
import { categoryOf } from '../../invoicer/invoices/tax-invoice.ts';
import type { TaxedInvoices, TaxFacts } from '../../invoicer/taxes/tax-facts.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import { draftEntry, lastingDraft } from '../invoices/draft-json.ts';
import type { InvoiceDraftStore } from '../invoices/drafts.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found, refuseFaults } from '../route/resource-fields.ts';
import { type TaxDraftPorts, taxDraft } from '../taxes/tax-drafts.ts';
import { type CreditPorts, invoiceToCredit, issueDrawn } from './credit-invoice.ts';
import { itemOfLine } from './reissue-lines.ts';

export type VoidPorts = CreditPorts &
  TaxDraftPorts & {
    readonly customers: Pick<CustomerStore, 'payer'>;
    /** Of charges, by the versions of their plans. */
    readonly chargeCategories: (
      db: Db,
      invoices: Pick<TaxedInvoices, 'organizationId' | 'planVersionIds' | 'billingPeriodIds'>,
    ) => Promise<TaxFacts['categories']>;
    readonly invoiceDrafts: Pick<InvoiceDraftStore, 'draft' | 'addOneOff'>;
  };

const refuseVoid = (detail: string): never => {
  throw new FailureError('INVOICE_NOT_VOIDABLE', detail);
};

const refuseUnvoidable = ({
  invoice: { total, currency },
  state: { state, amountPaid },
  isTakenBack,
  givenBack,
}: LockedInvoice): void => {
  if (state === 'voided') refuseVoid('It is voided already.');
  if (amountPaid > 0n || state === 'paid')
    refuseVoid(
      `${formatMinorUnits(amountPaid, currency)} of it was paid: POST /v1/credit-notes with a settlement credits that, and what is left of it.`,
    );
  if (isTakenBack) refuseVoid('A later invoice takes back some of it, as its usage was amended: GET /v1/late-usage.');
  if ([...givenBack.values()].some(({ amount }) => amount > 0n))
    refuseVoid('A later invoice gives back some of it: POST /v1/credit-notes credits what is left of it.');
  if (total < 0n) refuseVoid('Its total is below zero: POST /v1/invoices charges what it credited.');
};

/** What the invoice says beside its lines, the draft says too. */
const overridesOf = ({ memo, purchaseOrder, customFields }: IssuedInvoice): DraftOverrides => ({
  memo,
  purchase_order: purchaseOrder,
  custom_fields: customFields,
});

/** Of each line; an invoice that is credited is read without its billing periods, by which charges have theirs. */
const taxCategories = async ({ invoices, chargeCategories }: VoidPorts, db: Db, id: string) => {
  const head = found(await invoices.head(db, id), 'INVOICE_NOT_FOUND');
  const categories = await chargeCategories(db, {
    organizationId: db.organizationId,
    planVersionIds: [...new Set(head.periods.map(({ planVersionId }) => planVersionId))],
    billingPeriodIds: head.periods.map(({ billingPeriodId }) => billingPeriodId),
  });
  return categoryOf(head, categories);
};

const reissue = async (ports: VoidPorts, db: Db, invoice: IssuedInvoice, now: Instant) => {
  const { customerId, currency } = invoice;
  const payer = found(await ports.customers.payer(db, customerId, 'lock'), 'CUSTOMER_NOT_FOUND');
  if (payer.isArchived) throw new FailureError('CUSTOMER_ARCHIVED');
  if (invoice.lines.length > oneOffLinesMax)
    refuseFaults([{ field: 'reissue', code: 'out_of_range', message: `must be of at most ${oneOffLinesMax} lines` }]);
  const taxCategoryOf = await taxCategories(ports, db, invoice.id);
  const items = invoice.lines.map((line) => itemOfLine(line, taxCategoryOf(line)));
  const content = oneOffInvoice({ customerId, currency, terms: plainTerms }, items);
  const { taxes } = await taxDraft(ports, db, content, payer.clock?.now ?? now);
  const made = await ports.invoiceDrafts.addOneOff(
    db,
    {
      customerId,
      currency,
      finalizeAt: null,
      overrides: overridesOf(invoice),
      items,
      discounts: [],
      taxes,
      metadata: {},
      testClockId: payer.clock?.id ?? null,
      reissueOf: invoice.id,
    },
    new Date(now),
  );
  return { id: made.id, entry: draftEntry('created', made.id, { after: lastingDraft(made) }) };
};

export const voidInvoice = async (
  ports: VoidPorts,
  db: Db,
  id: string,
  { reason = 'other', memo = null, reissue: isReissued = false }: Static<typeof InvoiceVoiding>,
  now: Instant,
) => {
  const locked = await invoiceToCredit(ports, db, id);
  refuseUnvoidable(locked);
  const terms = { reason: reason as CreditReason, memo, settlement: null };
  const drawn = drawUpCredit(locked.invoice, locked.credited, locked.state, { kind: 'rest' }, terms);
  const { body, invoice, changes } = await issueDrawn(ports, db, locked, drawn, {}, now);
  const draft = isReissued ? await reissue(ports, db, locked.invoice, now) : undefined;
  return {
    body: { ...invoice, credit_note_id: body.id, reissued_invoice_id: draft?.id ?? null },
    changes: draft ? [...changes, draft.entry] : changes,
  };
};
