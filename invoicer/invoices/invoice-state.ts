/**
 * Draft -> issued -> partly_paid -> paid. What is not paid may become uncollectible, and be paid after all; what nobody
 * paid anything of may be voided. Nothing leads out of paid and voided.
 */
import type { InvoiceState } from '#schemas/invoice.ts';

const nextStates = {
  draft: ['issued'],
  issued: ['partly_paid', 'paid', 'uncollectible', 'voided'],
  partly_paid: ['paid', 'uncollectible'],
  paid: [],
  uncollectible: ['paid', 'voided'],
  voided: [],
} as const satisfies Record<InvoiceState, readonly InvoiceState[]>;

export type StateChange =
  | { readonly ok: true; readonly state: InvoiceState }
  | { readonly ok: false; readonly code: 'invoice_state_conflict'; readonly message: string };

/**
 * A change that is not in the table is a rejection for the caller, also the one to the state that already holds; and
 * so is voiding what something was paid of.
 */
export const changeInvoiceState = (from: InvoiceState, to: InvoiceState, isPaidOf = false): StateChange => {
  const allowed: readonly InvoiceState[] = nextStates[from].filter((state) => state !== 'voided' || !isPaidOf);
  if (allowed.includes(to)) return { ok: true, state: to };
  const possible = allowed.length === 0 ? 'it is final' : `it can become ${allowed.join(', ')}`;
  return {
    ok: false,
    code: 'invoice_state_conflict',
    message: `the invoice is ${from} and can't become ${to}; ${possible}`,
  };
};
