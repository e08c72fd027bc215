/** The use case of crediting an issued invoice as it is asked for. What is done in which order: issue-credit.ts. */
import type { Static } from 'typebox';
import type { CreditReason } from '#schemas/credit-note.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewCreditNote } from '#schemas/http/credit-notes.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { joinCredits } from '../../invoicer/corrections/credit-delta.ts';
import { type Creditable, creditableTotal, readAskedCredit } from '../../invoicer/credits/asked-credit.ts';
import { amountDue, type DrawnCreditNote, drawUpCredit } from '../../invoicer/credits/draw-up-credit.ts';
import {
  askedWith,
  type IssueCreditPorts,
  issueCredit,
  type LockedInvoice,
  stateAction,
} from '../../invoicer/credits/issue-credit.ts';
import { lastingState } from '../invoices/change-issued.ts';
import type { InvoiceDraftStore } from '../invoices/drafts.postgres.ts';
import { invoiceHeadJson } from '../invoices/invoice-json.ts';
import type { InvoiceStates } from '../invoices/invoice-states.postgres.ts';
import type { InvoiceReader } from '../invoices/invoices.postgres.ts';
import type { Db, ObjectChange } from '../route/define-route.ts';
import { found, refuseFaults } from '../route/resource-fields.ts';
import { creditNoteJson } from './credit-note-json.ts';

export type CreditPorts = {
  readonly creditIssuing: IssueCreditPorts;
  readonly invoices: Pick<InvoiceReader, 'head'>;
  readonly invoiceStates: Pick<InvoiceStates, 'statesOf'>;
  readonly invoiceDrafts: Pick<InvoiceDraftStore, 'draft'>;
};

/** The issued invoice; its state is locked until the transaction ends, but where somebody only looks. */
export const invoiceToCredit = async (
  { creditIssuing, invoiceDrafts }: CreditPorts,
  db: Db,
  id: string,
  how: 'lock' | 'look' = 'lock',
): Promise<LockedInvoice> => {
  const locked = await (how === 'look' ? creditIssuing.lookAtInvoice(db, id) : creditIssuing.lockInvoice(db, id));
  if (locked) return locked;
  const draft = await invoiceDrafts.draft(db, id);
  if (draft?.state === 'draft') throw new FailureError('INVOICE_NOT_ISSUED');
  throw new FailureError('INVOICE_NOT_FOUND');
};

const creditableOf = ({ invoice, credited, givenBack }: LockedInvoice): Creditable => ({
  currency: invoice.currency,
  total: invoice.total,
  lines: invoice.lines,
  credited: joinCredits(credited, givenBack),
});

/** Of what was paid somebody has to say what becomes of it. */
const settlementFault = (
  { invoice: { currency, total }, state }: LockedInvoice,
  drawn: DrawnCreditNote | undefined,
): Fault | undefined => {
  const paid = drawn?.postPaymentAmount;
  // Whatever is credited of it.
  const isPaid = state.amountPaid > 0n && amountDue(total, state) === 0n;
  if (paid === undefined ? !isPaid : paid === 0n) return undefined;
  const what = paid === undefined ? 'what is credited' : formatMinorUnits(paid, currency);
  return {
    field: 'settlement',
    code: 'missing',
    message: `must be there, refund or balance, as ${what} was paid already`,
  };
};

type Request = Static<typeof NewCreditNote>;

/** Throws all that is wrong with the request. */
export const drawUpRequest = (locked: LockedInvoice, request: Request): DrawnCreditNote => {
  const { invoice, state } = locked;
  const creditable = creditableOf(locked);
  if (locked.isTakenBack) throw new FailureError('INVOICE_CORRECTED');
  if (invoice.total <= 0n) throw new FailureError('INVOICE_NOT_CREDITABLE');
  if (creditableTotal(creditable) <= 0n) throw new FailureError('INVOICE_FULLY_CREDITED');
  const lines = request.lines?.map(({ invoice_line: invoiceLine, amount }) => ({ invoiceLine, amount }));
  const faults: Fault[] = [];
  const asked = readAskedCredit({ amount: request.amount, lines }, creditable, faults);
  const { memo = null, settlement = null } = request;
  const terms = { reason: request.reason as CreditReason, memo, settlement };
  const drawn = asked && drawUpCredit(invoice, creditable.credited, state, asked, terms);
  const unsettled = settlement === null ? settlementFault(locked, drawn) : undefined;
  refuseFaults(unsettled ? [...faults, unsettled] : faults);
  return drawn as DrawnCreditNote;
};

const stateEntry = (before: ReturnType<typeof invoiceHeadJson>, after: typeof before): ObjectChange => ({
  action: stateAction(before.state, after.state),
  objectType: 'invoice_state',
  objectId: after.id,
  before: lastingState(before),
  after: lastingState(after),
});

/** Issues what was drawn up of a locked invoice; with the entries of the audit log that are due for it. */
export const issueDrawn = async (
  ports: CreditPorts,
  db: Db,
  locked: LockedInvoice,
  drawn: DrawnCreditNote,
  metadata: Readonly<Record<string, string>>,
  nowMs: Instant,
) => {
  const { id } = locked.invoice;
  const invoice = found(await ports.invoices.head(db, id), 'INVOICE_NOT_FOUND');
  const shown = async () => {
    const state = found((await ports.invoiceStates.statesOf(db, [id])).get(id), 'INVOICE_NOT_FOUND');
    return invoiceHeadJson({ invoice, state });
  };
  const before = await shown();
  const { note } = await issueCredit(ports.creditIssuing, db, locked, drawn, askedWith(metadata), nowMs);
  const after = await shown();
  const body = creditNoteJson({ note, ...askedWith(metadata) });
  const issued = { action: 'credit_note.issued', objectType: 'credit_note', objectId: note.id, after: body };
  return { body, invoice: after, changes: [issued, stateEntry(before, after)] };
};
