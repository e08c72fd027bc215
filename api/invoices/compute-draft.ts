/**
 * What a draft comes to as of now: its billing periods are measured up to where usage is stored and checked, and rated
 * by the very rules of the rater. Nothing is written.
 */
import type { DraftInvoice, InvoiceTerms } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import { failureMessage } from '#schemas/rating-failure.ts';
import { draftInvoice, oneOffInvoice, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import { ratePlan } from '../../rater/price/rate.ts';
import { createCatalog } from '../../rater/run/catalog.postgres.ts';
import { measureShard } from '../../rater/run/rate-period.ts';
import type { Db } from '../route/define-route.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { DraftPeriod, InvoiceDraft, InvoiceDraftStore } from './drafts.postgres.ts';

export type ComputeDraftPorts = {
  readonly readUsage: ReadUsage;
  readonly readWatermark: ReadWatermark;
  readonly invoiceDrafts: Pick<InvoiceDraftStore, 'ratedLines'>;
};

export type ComputedDraft = {
  readonly content: DraftInvoice;
  readonly asOf: Instant;
  /** Billing periods that can't be rated as things stand. */
  readonly failures: readonly { readonly billingPeriodId: string; readonly message: string }[];
};

const partiesOf = ({ customerId, currency }: InvoiceDraft, terms: InvoiceTerms) => ({ customerId, currency, terms });

/** A draft of more billing periods is shown as it was computed last: rating so many is the work of raters. */
const computedPeriodsMax = 1_000;

/** By the lines that were rated then. */
const lastComputed = async (
  { invoiceDrafts }: Pick<ComputeDraftPorts, 'invoiceDrafts'>,
  db: Db,
  draft: InvoiceDraft,
  periods: readonly DraftPeriod[],
  terms: InvoiceTerms,
): Promise<ComputedDraft> => {
  const watermark = draft.watermark ?? 0n;
  const lines = Map.groupBy(await invoiceDrafts.ratedLines(db, draft.id, watermark), (line) => line.billingPeriodId);
  const rated = periods.map((period): RatedPeriod => {
    return { ...period, watermark, lines: lines.get(period.billingPeriodId) ?? [] };
  });
  return { content: draftInvoice(partiesOf(draft, terms), rated), asOf: draft.computedAt, failures: [] };
};

export const computeDraft = async (
  ports: ComputeDraftPorts,
  db: Db,
  draft: InvoiceDraft,
  periods: readonly DraftPeriod[],
  terms: InvoiceTerms,
  now: Instant,
): Promise<ComputedDraft> => {
  const { readUsage, readWatermark } = ports;
  if (draft.kind === 'one_off')
    return { content: oneOffInvoice(partiesOf(draft, terms), draft.items), asOf: now, failures: [] };
  if (periods.length > computedPeriodsMax) return lastComputed(ports, db, draft, periods, terms);
  const watermark = await readWatermark(db);
  const { organizationId } = db;
  const measured = await measureShard(
    { catalog: createCatalog(db), readQuantities: readUsage.measured },
    { organizationId, watermark, billingPeriodIds: periods.map(({ billingPeriodId }) => billingPeriodId) },
  );
  const byId = new Map(measured.periods.map((period) => [period.billingPeriodId, period]));
  const failures: { billingPeriodId: string; message: string }[] = [];
  const rated = periods.flatMap((period): RatedPeriod[] => {
    const of = byId.get(period.billingPeriodId);
    try {
      return [{ ...period, watermark, lines: of ? ratePlan(of, measured.policy) : [] }];
    } catch (error) {
      failures.push({ billingPeriodId: period.billingPeriodId, message: failureMessage(error) });
      return [];
    }
  });
  return { content: draftInvoice(partiesOf(draft, terms), rated), asOf: now, failures };
};
