/** The use cases of what becomes of a draft: who may change it, and handing it to a run that issues it. */
import { FailureError } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { NewRun } from '../runs/runs.postgres.ts';
import type { InvoiceDraft, InvoiceDraftStore } from './drafts.postgres.ts';
import type { InvoiceStates, IssuedState } from './invoice-states.postgres.ts';

export type FinalizePorts = {
  readonly invoiceDrafts: Pick<InvoiceDraftStore, 'draft' | 'handToRun'>;
  readonly addRun: (db: Db, run: NewRun, now: Date) => Promise<string>;
  readonly invoiceStates: Pick<InvoiceStates, 'lockState'>;
  readonly invoices: { readonly isIssued: (db: Db, id: string) => Promise<boolean> };
};

const refuseFinalizing = ({ id, finalizingRunId }: InvoiceDraft): void => {
  if (finalizingRunId !== null)
    throw new FailureError(
      'INVOICE_FINALIZING',
      `The billing run ${finalizingRunId} finalizes it: GET /v1/invoices/${id}?wait_seconds=25 waits for the invoice.`,
    );
};

export type ToChange = { readonly draft: InvoiceDraft } | { readonly issued: IssuedState };

/** A draft that nobody finalizes, or the state of an issued invoice; locked. */
export const invoiceToChange = async (
  { invoiceDrafts, invoiceStates }: Pick<FinalizePorts, 'invoiceDrafts' | 'invoiceStates'>,
  db: Db,
  id: string,
): Promise<ToChange> => {
  // Whoever waits for the lock while it is issued finds it issued.
  const draft = await invoiceDrafts.draft(db, id, 'lock');
  if (draft?.state !== 'draft') return { issued: found(await invoiceStates.lockState(db, id), 'INVOICE_NOT_FOUND') };
  refuseFinalizing(draft);
  return { draft };
};

/** Locked, and nobody finalizes it; refused otherwise. */
export const openDraft = async (
  { invoiceDrafts, invoices }: Pick<FinalizePorts, 'invoiceDrafts' | 'invoices'>,
  db: Db,
  id: string,
): Promise<InvoiceDraft> => {
  const draft = await invoiceDrafts.draft(db, id, 'lock');
  if (draft?.state === 'issued' || (!draft && (await invoices.isIssued(db, id))))
    throw new FailureError('INVOICE_NOT_DRAFT');
  const open = found(draft?.state === 'draft' ? draft : undefined, 'INVOICE_NOT_FOUND');
  refuseFinalizing(open);
  return open;
};

type Asker = { readonly requestId: string; readonly apiKeyId: string };

/** Of a draft that is locked. Resolves with it, and with the run. */
export const finalizeDraft = async (
  { invoiceDrafts, addRun }: FinalizePorts,
  db: Db,
  { id, testClockId }: Pick<InvoiceDraft, 'id' | 'testClockId'>,
  asker: Asker,
  hour: Instant,
  now: Date,
): Promise<{ readonly draft: InvoiceDraft; readonly runId: string }> => {
  const of = { until: hour, arrearsUntil: hour };
  const run: NewRun = { kind: 'billing', of, customerId: null, subscriptionId: null, watermark: null, ...asker };
  const runId = await addRun(db, { ...run, draft: { id, testClockId } }, now);
  return { draft: await invoiceDrafts.handToRun(db, id, runId, now), runId };
};

const finalizeMsMax = 44_640 * 60_000;

/** Why a draft can not be finalized at an instant; undefined where it can. */
export const finalizeAtFault = (at: Instant, hour: Instant): string | undefined => {
  if (at < hour)
    return `must not be before now, ${formatInstant(hour)}: POST /v1/invoices/{id}/finalize does it at once`;
  return at > hour + finalizeMsMax ? 'must be at most 31 days ahead' : undefined;
};
