/** The use case of changing an issued invoice: its state and its metadata, which stand beside what it says. */
import { FailureError } from '#schemas/failures.ts';
import { contentOf } from '#schemas/http/invoice-patch.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Db, Done } from '../route/define-route.ts';
import { found, updated } from '../route/resource-fields.ts';
import { type AskedState, askedState } from './asked-state.ts';
import { invoiceHeadJson } from './invoice-json.ts';
import type { InvoiceStates, IssuedState } from './invoice-states.postgres.ts';

export type ChangeIssuedPorts = {
  readonly invoiceStates: Pick<InvoiceStates, 'lockState' | 'changeState'>;
  /** Without its lines. */
  readonly invoices: { readonly head: (db: Db, id: string) => Promise<IssuedInvoice | undefined> };
};

type IssuedPatch = AskedState & { readonly metadata?: Readonly<Record<string, string>> };

/** What an entry of the audit log is of: the rest of an invoice never changes. */
export const lastingState = ({
  id,
  state,
  amount_credited,
  amount_paid,
  amount_due,
  metadata,
  version,
}: ReturnType<typeof invoiceHeadJson>) => ({
  id,
  state,
  amount_credited,
  amount_paid,
  amount_due,
  metadata,
  version,
});

/** Says what would have to be done instead. */
export const refuseContent = (body: object): void => {
  const names = contentOf(body);
  if (names.length === 0) return;
  const message = 'was issued, and stands for good: correct it by a credit note';
  throw new FailureError(
    'INVOICE_IMMUTABLE',
    `Of an issued invoice state, amount_paid and metadata can be changed, and not ${names.join(', ')}: correct it by a credit note, POST /v1/credit-notes.`,
    names.map((field) => ({ field, code: 'not_allowed', message })),
  );
};

/** `before` is locked, and of the version that the caller knows. */
export const changeIssued = async (
  { invoiceStates, invoices }: ChangeIssuedPorts,
  db: Db,
  id: string,
  before: IssuedState,
  body: IssuedPatch,
  now: Date,
): Promise<Done> => {
  refuseContent(body);
  const asked = { ...askedState(before, body), metadata: body.metadata ?? before.metadata };
  const invoice = found(await invoices.head(db, id), 'INVOICE_NOT_FOUND');
  const state = await invoiceStates.changeState(db, id, asked, now);
  return updated('invoice_state', invoiceHeadJson({ invoice, state: before }), invoiceHeadJson({ invoice, state }), {
    lasting: lastingState,
    action: `invoice_state.${state.state === before.state ? 'updated' : state.state}`,
  });
};
