/** What a draft says of its own beside its lines, in place of what its customer has. Pure. */
import type { CustomField, InvoiceTerms } from '#schemas/invoice.ts';

/** As it is stored; what is left out is as the customer has it when the invoice is issued. */
export type DraftOverrides = {
  readonly memo?: string | null;
  readonly purchase_order?: string | null;
  readonly custom_fields?: readonly CustomField[];
  /** Of a one-off invoice: the ids of those that it has. */
  readonly discounts?: readonly string[];
};

export const withOverrides = (terms: InvoiceTerms, overrides: DraftOverrides): InvoiceTerms => ({
  ...terms,
  ...(overrides.memo === undefined ? {} : { memo: overrides.memo }),
  ...(overrides.purchase_order === undefined ? {} : { purchaseOrder: overrides.purchase_order }),
  ...(overrides.custom_fields === undefined ? {} : { customFields: overrides.custom_fields }),
});
