/** Invoices as callers see them. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import { issuedInvoiceToJson } from '#schemas/invoice/content.ts';
import { linesToJson, periodsToJson } from '#schemas/invoice/content-3.ts';
import { laterMembersToJson } from '#schemas/invoice/content-4.ts';
import { lineToJson } from '#schemas/invoice/content-5.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { IssuedState } from './invoice-states.postgres.ts';

/** An invoice with the state that it is in. */
export type StatedInvoice = { readonly invoice: IssuedInvoice; readonly state: IssuedState };

/**
 * What was hashed, and beside it what other content versions have: its billing periods as a list with whose they are,
 * and of the only one what callers know from version 1.
 */
export const contentJson = (invoice: IssuedInvoice) => {
  const periods = periodsToJson(invoice);
  const [only] = periods.length === 1 ? periods : [];
  return {
    subscription_id: only?.subscription_id ?? null,
    plan_version_id: only?.plan_version_id ?? null,
    period: only ? { start: only.start, end: only.end } : null,
    watermark: only?.watermark ?? null,
    ...laterMembersToJson(invoice),
    ...issuedInvoiceToJson(invoice),
    periods,
    lines: linesToJson(
      invoice,
      invoice.lines.map((line) => lineToJson(line, invoice)),
    ),
  };
};

const stateToJson = ({ state, currency, amountCredited, amountPaid, amountDue }: IssuedState) => ({
  state,
  amount_credited: formatMinorUnits(amountCredited, currency),
  amount_paid: formatMinorUnits(amountPaid, currency),
  amount_due: formatMinorUnits(amountDue, currency),
});

export const invoiceJson = ({ invoice, state }: StatedInvoice) => ({
  ...contentJson(invoice),
  ...stateToJson(state),
  finalize_at: null,
  finalizing_run_id: null,
  failure: null,
  as_of: null,
  reissue_of: state.reissueOf,
  metadata: state.metadata,
  version: state.version,
  created_at: formatInstant(invoice.issuedAt),
  updated_at: formatInstant(state.updatedAt),
});

/** Without its lines, for lists. */
export const invoiceHeadJson = (stated: StatedInvoice) => {
  const { lines: _lines, ...head } = invoiceJson(stated);
  return head;
};
