/**
 * What invoices of a customer, or of a subscription, would be, as of now: what falls due next, or until an instant, by
 * the rules and over the prices and the usage of the rater. Nothing is written.
 */
import { periodIdOf } from '#schemas/billing-period.ts';
import type { Currency } from '#schemas/currency.ts';
import { dueParts, type PartTiming, rememberedPeriods } from '#schemas/due-parts.ts';
import { FailureError } from '#schemas/failures.ts';
import type { DraftInvoice, InvoiceTerms } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import { draftInvoice, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import { schedulesIn } from '../../rater/run/billable-periods.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { type DiscountDraftPorts, discountDrafts } from '../coupons/discount-drafts.ts';
import type { Db } from '../route/define-route.ts';
import {
  type RatedPart,
  type RateUpcomingPorts,
  rateUpcoming,
  type UpcomingPart,
} from '../subscription-views/rate-upcoming.ts';
import type { UpcomingReader } from '../subscription-views/upcoming.postgres.ts';
import { cutAfter, nextDueParts } from '../subscription-views/upcoming-parts.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import { type TaxDraftPorts, taxDrafts } from '../taxes/tax-drafts.ts';
import type { ReadUsage } from '../usage/usage.clickhouse.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { BilledWith } from './billed-with.postgres.ts';
import type { PayerTerms } from './payer-terms.postgres.ts';

export type PreviewPorts = RateUpcomingPorts &
  DiscountDraftPorts &
  TaxDraftPorts & {
    readonly upcoming: UpcomingReader;
    readonly readUsage: ReadUsage;
    readonly readWatermark: ReadWatermark;
    readonly billedWith: BilledWith;
    readonly payerTerms: PayerTerms;
  };

export type PreviewedInvoice = {
  readonly dueAt: Instant;
  readonly content: DraftInvoice;
  readonly failures: readonly { readonly subscriptionId: string; readonly message: string }[];
};

/** More are rated by a run, and not while somebody waits. */
export const previewedPartsMax = 2_000;

const timings: readonly PartTiming[] = ['arrears', 'credit', 'advance', 'once'];

/** The order of lines of an invoice: docs/invoices.md. */
const inOrderOf =
  (payerId: string) =>
  (a: RatedPart, b: RatedPart): number => {
    const keys = ({ subscription, part }: RatedPart) => [
      Number(subscription.customerId !== payerId),
      subscription.customerId,
      subscription.id,
      timings.indexOf(part.timing),
      Number(part.item !== 'plan'),
      part.item,
      part.span.start,
      Number(part.timing === 'once' && part.isCounted),
    ];
    const [own, other] = [keys(a), keys(b)];
    const at = own.findIndex((key, index) => key !== other[index]);
    return at < 0 ? 0 : (own[at] as string | number) < (other[at] as string | number) ? -1 : 1;
  };

const invoiceOf = (
  rated: readonly RatedPart[],
  payerId: string,
  terms: InvoiceTerms,
  currency: Currency,
  watermark: bigint,
) => {
  const ordered = rated.toSorted(inOrderOf(payerId));
  const periods = ordered
    .filter(({ failure }) => failure === undefined)
    .map(
      ({ subscription, part, known, ofUsage }): RatedPeriod => ({
        billingPeriodId: periodIdOf(subscription.id, part),
        customerId: subscription.customerId,
        subscriptionId: subscription.id,
        planVersionId: part.planVersionId,
        span: part.span,
        watermark,
        lines: [...known, ...ofUsage],
      }),
    );
  return {
    dueAt: (rated[0] as RatedPart).part.dueAt,
    content: draftInvoice({ customerId: payerId, currency, terms }, periods),
    failures: ordered.flatMap(({ subscription, failure }) =>
      failure === undefined ? [] : [{ subscriptionId: subscription.id, message: failure }],
    ),
  };
};

/** As they would be written down. */
const unwrittenPeriods = (rated: readonly RatedPart[]): UnwrittenPeriods => {
  const parts = rated.map(({ subscription: { id: subscriptionId }, part }) => ({
    id: periodIdOf(subscriptionId, part),
    subscriptionId,
    part,
  }));
  return {
    periods: new Map(
      parts.map(({ id, part: { timing, billing, dueAt } }) => [id, { timing, start: billing.start, dueAt }]),
    ),
    credits: parts.flatMap(({ id, subscriptionId, part: { timing, billing, pricedAt, item, interval, isCounted } }) =>
      timing === 'credit' && pricedAt !== undefined
        ? [{ id, subscriptionId, billingEnd: billing.end, pricedAt, item, interval, isCounted }]
        : [],
    ),
  };
};

/** What of the subscriptions is not written down: what falls due first, or all until `at`. */
const partsAhead = async (
  { upcoming }: PreviewPorts,
  db: Db,
  subscriptions: readonly Subscription[],
  at: Instant | undefined,
) => {
  const versions = await upcoming.versions(db, [...new Set(subscriptions.flatMap((one) => [...one.planNames.keys()]))]);
  const cuts = await upcoming.cutTimes(db, subscriptions);
  const schedulesOf = schedulesIn(versions);
  const periodsIn = rememberedPeriods();
  const ahead = subscriptions.flatMap((subscription): UpcomingPart[] => {
    const cut = cuts.get(subscription.id);
    if (!cut) return [];
    const { externalId, oneTimeRows, oneTimeCharges, written } = cut;
    const from = cutAfter(subscription, cut.cutUntil);
    const parts =
      at === undefined
        ? (nextDueParts(subscription, schedulesOf, cut) ?? [])
        : at <= from
          ? []
          : dueParts({ ...subscription, oneTimeCharges }, schedulesOf, written, { start: from, end: at }, periodsIn);
    return parts.map((part) => ({ subscription, externalId, part, oneTimeRows }));
  });
  const first = Math.min(...ahead.map(({ part }) => part.dueAt));
  return { versions, ahead: at === undefined ? ahead.filter(({ part }) => part.dueAt === first) : ahead };
};

/** In the order in which they fall due. */
export const previewInvoices = async (
  ports: PreviewPorts,
  db: Db,
  subscriptions: readonly Subscription[],
  at: Instant | undefined,
  now: Instant,
): Promise<{ readonly watermark: bigint; readonly invoices: readonly PreviewedInvoice[] }> => {
  const watermark = await ports.readWatermark(db);
  const { versions, ahead } = await partsAhead(ports, db, subscriptions, at);
  if (ahead.length > previewedPartsMax)
    throw new FailureError('VALIDATION_FAILED', undefined, [
      {
        field: at === undefined ? 'customer_id' : 'at',
        code: 'out_of_range',
        message: `would bill ${ahead.length} billing periods, and at most ${previewedPartsMax} are previewed: name one subscription, or an earlier instant`,
      },
    ]);
  const rated = await rateUpcoming(ports, db, ahead, versions, (query) =>
    ports.readUsage.measured({ ...query, tenant: db.organizationId, watermark }),
  );
  const customerIds = new Set(rated.map(({ subscription }) => subscription.customerId));
  const payers = await ports.billedWith.payersOf(db, [...customerIds]);
  const payerOf = ({ subscription: { customerId } }: RatedPart): Payer =>
    payers.get(customerId) ?? { id: customerId, isConsolidated: false };
  const groups = Map.groupBy(rated, (one) => {
    const { id, isConsolidated } = payerOf(one);
    const { id: subscriptionId, currency } = one.subscription;
    return `${one.part.dueAt} ${isConsolidated ? id : subscriptionId} ${currency}`;
  });
  const termsOf = await ports.payerTerms(
    db,
    rated.map((one) => payerOf(one).id),
  );
  const invoices = [...groups.values()].map((group) => {
    const [first] = group as [RatedPart];
    const { id } = payerOf(first);
    const { currency } = first.subscription;
    return invoiceOf(group, id, termsOf.get(id) as InvoiceTerms, currency as Currency, watermark);
  });
  // What falls due later has the discounts and taxes of then.
  const issuedAt = invoices.map(({ dueAt }) => Math.max(dueAt, now));
  const discounted = await discountDrafts(
    ports,
    db,
    invoices.map(({ content }, index) => ({ draft: content, discountIds: [], issuedAt: issuedAt[index] ?? now })),
    rated.flatMap(({ known, ofUsage }) => [...known, ...ofUsage]),
    unwrittenPeriods(rated),
  );
  const contents = await taxDrafts(
    ports,
    db,
    discounted.map((content, index) => ({ content, issuedAt: issuedAt[index] ?? now })),
  );
  const taxed = invoices.map((invoice, index) => ({ ...invoice, content: contents[index] ?? invoice.content }));
  return { watermark, invoices: taxed.toSorted((a, b) => a.dueAt - b.dueAt) };
};
