/** What is refused of invoices and of their drafts alone, with 409. */
export const invoiceConflicts = {
  INVOICE_NOT_DRAFT: {
    status: 409,
    title: 'The invoice is issued',
    cause: 'Only a draft can be changed, deleted or finalized, and this one was issued.',
    cure: 'Read it with GET /v1/invoices/{id}. What is wrong with it is put right by another invoice.',
  },
  INVOICE_FINALIZING: {
    status: 409,
    title: 'The draft is being finalized',
    cause: 'A billing run finalizes the draft at this moment, and what it says stands still meanwhile.',
    cure: 'Wait for the invoice with GET /v1/invoices/{id}?wait_seconds=25.',
  },
  INVOICE_DRAFT_BILLS_PERIODS: {
    status: 409,
    title: 'The draft bills billing periods',
    cause: 'What was closed is billed some day: a draft of billing periods can not be deleted.',
    cure: 'Let it wait with PATCH and finalize_at, or take its charges back with the next invoice. Only the draft of a one-off invoice can be deleted.',
  },
} as const;
