/** Drafts as callers see them: invoices without what only an issued one has. Pure. */

import { formatInstant } from '#schemas/instant.ts';
import { withOverrides } from '#schemas/invoice/draft-overrides.ts';
import { itemToJson } from '#schemas/invoice/one-off.ts';
import type { DraftInvoice, InvoiceTerms, IssuedInvoice } from '#schemas/invoice.ts';
import { type Amount, addAmounts, subtractAmounts, sumAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { addedTaxes, totalsOf } from '../../invoicer/invoices/invoice-totals.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { DraftPeriod, InvoiceDraft } from './drafts.postgres.ts';
import { contentJson } from './invoice-json.ts';

const discountTotalOf = ({ discounts }: InvoiceDraft): Amount => sumAmounts(discounts.map(({ amount }) => amount));

/** As it was computed last, without its lines. */
export const storedContent = (
  draft: InvoiceDraft,
  periods: readonly DraftPeriod[],
  terms: InvoiceTerms,
): DraftInvoice => ({
  ...terms,
  customerId: draft.customerId,
  currency: draft.currency,
  kind: draft.kind,
  periods: periods.map((period) => ({ ...period, watermark: draft.watermark ?? 0n })),
  lines: [],
  ...totalsOf([]),
  subtotal: draft.subtotal,
  discounts: draft.discounts,
  discountTotal: discountTotalOf(draft),
  taxes: draft.taxes,
  taxTotal: addedTaxes(draft.taxes),
  total: addAmounts(subtractAmounts(draft.subtotal, discountTotalOf(draft)), addedTaxes(draft.taxes)),
});

const instantOrNull = (instant: Instant | null): string | null => (instant === null ? null : formatInstant(instant));

export const draftJson = (draft: InvoiceDraft, tenant: string, content: DraftInvoice, asOf: Instant) => {
  const shown: IssuedInvoice = {
    ...content,
    contentVersion: 3,
    id: draft.id,
    tenant,
    number: 0,
    documentNumber: null,
    issuedAt: 0,
    dueAt: null,
    buyerDigest: null,
    previousHash: '',
    hash: '',
  };
  return {
    ...contentJson(shown),
    content_version: null,
    number: null,
    issued_at: null,
    previous_hash: null,
    hash: null,
    state: draft.state,
    amount_credited: null,
    amount_paid: null,
    amount_due: null,
    finalize_at: instantOrNull(draft.finalizeAt),
    finalizing_run_id: draft.finalizingRunId,
    failure: draft.failure,
    as_of: formatInstant(asOf),
    reissue_of: draft.reissueOf,
    ...headToJson(draft),
  };
};

/** With the amounts of its last computation, for lists and answers to changes; `terms` are those of its customer. */
export const draftHeadJson = (
  draft: InvoiceDraft,
  tenant: string,
  periods: readonly DraftPeriod[],
  terms: InvoiceTerms,
) => {
  const content = storedContent(draft, periods, withOverrides(terms, draft.overrides));
  const { lines: _lines, ...head } = draftJson(draft, tenant, content, draft.computedAt);
  return head;
};

/**
 * Of an entry: what changes with the version alone. Of billing periods the amounts, and what its customer has, move by
 * themselves.
 */
export const lastingDraft = ({ id, state, finalizeAt, overrides, items, metadata, version }: InvoiceDraft) => ({
  id,
  state,
  finalizeAt,
  overrides,
  items: items.map(itemToJson),
  metadata,
  version,
});

export const draftEntry = (
  how: 'created' | 'updated' | 'finalizing' | 'deleted',
  objectId: string,
  about: { readonly before?: object; readonly after?: object },
) => ({ action: `invoice_draft.${how}`, objectType: 'invoice_draft', objectId, ...about });
