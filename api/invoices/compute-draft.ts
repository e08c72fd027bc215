/**
 * What a draft comes to as of now: its billing periods are measured up to where usage is stored and checked, and rated
 * by the very rules of the rater. Nothing is written.
 */
import type { DraftInvoice, InvoiceTerms } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { PolicyRounding, RatedLine } from '#schemas/rated-line.ts';
import { type HandCredits, isForSomebody } from '../../invoicer/corrections/hand-credits.ts';
import {
  computedPeriodsMax,
  draftInvoice,
  oneOffInvoice,
  type RatedPeriod,
} from '../../invoicer/invoices/draft-invoice.ts';
import { policyOf, ratePlan } from '../../rater/price/rate.ts';
import { billableReader } from '../../rater/run/billable-periods.ts';
import { periodsToMeasure } from '../../rater/run/measured-periods.ts';
import { pricesToRead } from '../../rater/run/price-spans.ts';
import { type ReduceDraftPorts, reduceDraft } from '../coupons/reduce-drafts.ts';
import type { Db } from '../route/define-route.ts';
import type { UpcomingReader } from '../subscription-views/upcoming.postgres.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { DraftPeriod, InvoiceDraft, InvoiceDraftStore } from './drafts.postgres.ts';

export type ComputeDraftPorts = ReduceDraftPorts & {
  readonly readUsage: ReadUsage;
  readonly readWatermark: ReadWatermark;
  readonly upcoming: Pick<UpcomingReader, 'versions' | 'meters' | 'prices'>;
  readonly organizations: { readonly organization: (db: Db) => Promise<{ readonly rounding: PolicyRounding }> };
  readonly invoiceDrafts: Pick<InvoiceDraftStore, 'periodRows' | 'computedLines' | 'linesBefore'>;
  readonly handCredits: (db: Db, organizationId: string, billingPeriodIds: readonly string[]) => Promise<HandCredits>;
};

export type ComputedDraft = { readonly content: DraftInvoice; readonly asOf: Instant };

/** Undefined where it throws: what can't be rated as things stand is left out, as the run that issues it does. */
const attempt = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {
    return undefined;
  }
};

const distinct = (ids: readonly string[]): readonly string[] => [...new Set(ids)];

/** By billing period; one that can't be rated is not there. */
const ratedNow = async (
  { upcoming, organizations, invoiceDrafts, readUsage }: ComputeDraftPorts,
  db: Db,
  draftId: string,
  watermark: bigint,
): Promise<ReadonlyMap<string, readonly RatedLine[]>> => {
  const policy = { rounding: (await organizations.organization(db)).rounding };
  const { rows, oneTime } = await invoiceDrafts.periodRows(db, draftId);
  const versions = await upcoming.versions(db, distinct(rows.map(({ plan_version_id }) => plan_version_id)));
  const read = billableReader(versions, oneTime);
  const billable = rows.flatMap((row) => attempt(() => read(row)) ?? []);
  if (billable.length === 0) return new Map();
  const meters = await upcoming.meters(db, distinct(billable.map(({ planVersionId }) => planVersionId)));
  const { asked, spansBy } = pricesToRead(billable, meters);
  const prices = await upcoming.prices(db, asked);
  const priced = billable.flatMap((period) => {
    const spans = attempt(() => {
      const own = spansBy(prices, [period]);
      periodsToMeasure([period], meters, own);
      return own;
    });
    return spans ? [{ period, spans }] : [];
  });
  const spans = new Map(priced.flatMap((one) => [...one.spans]));
  const { query, measured } = periodsToMeasure(
    priced.map(({ period }) => period),
    meters,
    spans,
  );
  const quantities =
    query.measures.length > 0
      ? await readUsage.measured({ ...query, tenant: db.organizationId, watermark })
      : new Map();
  return new Map(
    measured(quantities).flatMap((period) => {
      const lines = attempt(() => ratePlan(period, policyOf(period, policy)));
      return lines ? [[period.billingPeriodId, lines] as const] : [];
    }),
  );
};

export const computeDraft = async (
  ports: ComputeDraftPorts,
  db: Db,
  draft: InvoiceDraft,
  periods: readonly DraftPeriod[],
  terms: InvoiceTerms,
  now: Instant,
): Promise<ComputedDraft> => {
  const { id, customerId, currency } = draft;
  const parties = { customerId, currency, terms };
  const discountIds = draft.overrides.discounts ?? [];
  const reduced = (content: DraftInvoice, rated: readonly RatedLine[]) =>
    reduceDraft(ports, db, { draft: content, discountIds, issuedAt: now }, rated);
  if (draft.kind === 'one_off') return { content: await reduced(oneOffInvoice(parties, draft.items), []), asOf: now };
  const isLarge = periods.length > computedPeriodsMax;
  const watermark = isLarge ? (draft.watermark ?? 0n) : await ports.readWatermark(db);
  const lines: ReadonlyMap<string, readonly RatedLine[]> = isLarge
    ? Map.groupBy(await ports.invoiceDrafts.computedLines(db, id), (line) => line.billingPeriodId)
    : await ratedNow(ports, db, id, watermark);
  const before = Map.groupBy(await ports.invoiceDrafts.linesBefore(db, periods), (line) => line.billingPeriodId);
  // A delta that can't be rated as things stand is no difference.
  const shown = periods.filter(({ correction, billingPeriodId: of }) => !correction || lines.has(of));
  const rated = shown.map((period): RatedPeriod => {
    const linesBefore = before.get(period.correction?.before.billingPeriodId ?? '') ?? [];
    return { ...period, watermark, lines: lines.get(period.billingPeriodId) ?? [], linesBefore };
  });
  const all = [...lines.values()].flat();
  const deltas = rated.filter(({ correction }) => correction).map(({ billingPeriodId }) => billingPeriodId);
  const byHand = await ports.handCredits(db, db.organizationId, deltas);
  const unclear = new Set<RatedPeriod>();
  for (const period of rated) {
    const credited = byHand.get(period.billingPeriodId);
    const delta = credited && (await reduced(draftInvoice(parties, [period]), all));
    if (delta && isForSomebody(delta.lines, credited)) unclear.add(period);
  }
  const billed = rated.filter((period) => !unclear.has(period));
  const content = await reduced(draftInvoice(parties, billed), all);
  return { content, asOf: isLarge ? draft.computedAt : now };
};
