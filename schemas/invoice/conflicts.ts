/** What is refused of invoices and of their drafts alone, with 409. */
export const invoiceConflicts = {
  INVOICE_NOT_DRAFT: {
    status: 409,
    title: 'The invoice is issued',
    cause: 'Only a draft can be finalized, and this one was issued.',
    cure: 'Read it with GET /v1/invoices/{id}. What is wrong with it is put right by another invoice.',
  },
  INVOICE_NOT_ISSUED: {
    status: 409,
    title: 'The invoice is a draft',
    cause:
      'Pages of lines, a verification and credit notes are of what was issued; a draft is computed anew as a whole.',
    cure: 'Read the draft with GET /v1/invoices/{id}, change it with PATCH, or have it issued with POST /v1/invoices/{id}/finalize.',
  },
  INVOICE_IMMUTABLE: {
    status: 409,
    title: 'An issued invoice never changes',
    cause:
      'What an invoice says is hashed when it is issued, and stands for good: it is neither changed nor deleted. `state`, `amount_paid` and `metadata` stand beside it, and can be changed.',
    cure: 'Correct it by a credit note, POST /v1/credit-notes. What is not issued yet is a draft, which can be changed: docs/invoice-drafts.md.',
  },
  INVOICE_STATE_CONFLICT: {
    status: 409,
    title: 'The invoice is in a state from which no way leads there',
    cause: 'What can become of an invoice depends on its state; the detail says what is possible.',
    cure: 'Read the invoice. Nothing leads out of paid and voided: credit what is wrong with it, POST /v1/credit-notes.',
  },
  INVOICE_FULLY_CREDITED: {
    status: 409,
    title: 'Nothing of the invoice is left to credit',
    cause: 'Its credit notes, and what later invoices give back of it, come to its total already.',
    cure: 'Read them with GET /v1/invoices/{id}/credit-notes. What is to be charged after all is another invoice, POST /v1/invoices.',
  },
  INVOICE_NOT_CREDITABLE: {
    status: 409,
    title: 'The invoice comes to nothing that could be credited',
    cause: 'Its total is zero or less: nobody owes anything by it.',
    cure: 'One of zero can be voided, POST /v1/invoices/{id}/void. One below zero is balanced by another invoice, POST /v1/invoices.',
  },
  INVOICE_CORRECTED: {
    status: 409,
    title: 'Something of the invoice was taken back already',
    cause:
      'Usage was amended after the invoice was issued, and a later invoice takes back what that makes less: a credit note could give the same back twice.',
    cure: 'Read what was taken back with GET /v1/late-usage. What is to be credited beyond that is a line below zero of an invoice, POST /v1/invoices.',
  },
  INVOICE_NOT_VOIDABLE: {
    status: 409,
    title: 'The invoice can not be voided',
    cause:
      'Something of it was paid or given back by a later invoice, it is voided already, or its total is below zero; the detail says which.',
    cure: 'Credit what was paid with POST /v1/credit-notes and a `settlement`. A total below zero is balanced by another invoice, POST /v1/invoices.',
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
