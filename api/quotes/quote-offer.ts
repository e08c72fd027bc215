/** A quote with what it comes to, and as the customer sees it who has the link. */
import { periodIdOf } from '#schemas/billing-period.ts';
import { FailureError } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { DraftInvoice, InvoiceTotals } from '#schemas/invoice.ts';
import { type Amount, formatMinorUnits } from '#schemas/money.ts';
import { formatPeriod, type Instant } from '#schemas/period.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import { type Price, priceFromJson } from '#schemas/price/price.ts';
import { quoteStateAt } from '#schemas/quote-state.ts';
import type { PolicyRounding, RatedLine } from '#schemas/rated-line.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { SupposedDiscounts } from '../../invoicer/discounts/discount-facts.ts';
import { totalsOf } from '../../invoicer/invoices/invoice-totals.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { carryToJson, totalsToJson } from '../route/totals-json.ts';
import {
  type PlanNames,
  type PreviewedLine,
  type PreviewedSubscription,
  previewedLinesJson,
} from '../subscriptions/changed-parts.ts';
import { chargesQuoted, previewQuote, quotedSubscriptionId } from './preview-quote.ts';
import { timeOrNull } from './quote-json.ts';
import { type Asking, decideQuoted, type TermsPorts } from './quote-terms.ts';
import { offeredCoupon, requireRedeemable, supposedDiscount } from './quoted-coupon.ts';
import type { Quote } from './quotes.postgres.ts';

export type OfferPorts = TermsPorts & {
  readonly catalog: Pick<CatalogStore, 'plan' | 'planNames' | 'planById'>;
  readonly organizations: { readonly organization: (db: Db) => Promise<{ readonly rounding: PolicyRounding }> };
  readonly drawUpQuoted: DrawUpQuoted;
};

export type QuotedInvoice = {
  readonly dueAt: Instant;
  readonly content: Pick<DraftInvoice, 'lines' | keyof InvoiceTotals>;
  readonly minimum: Amount | undefined;
  readonly isCarriedOver: boolean;
};

/** The invoices of lines that a subscription is charged, as the invoicer would issue them one after the other. */
type DrawUpQuoted = (
  db: Db,
  quoted: {
    readonly subscription: PreviewedSubscription & { readonly planNames: PlanNames };
    readonly lines: readonly PreviewedLine[];
    /** Whether something falls due after an instant. */
    readonly goesOnAfter: (at: Instant) => boolean;
    readonly supposed: SupposedDiscounts;
    readonly now: Instant;
  },
) => Promise<readonly QuotedInvoice[]>;

/** As it would come to be now; one that was accepted, as it was then. */
const instantOf = (quote: Quote, { hourMs, world }: Asking): { readonly quote: Quote; readonly at: Asking } => {
  const startsAt = quote.startsAt ?? quote.acceptedAt;
  return { quote: { ...quote, startsAt }, at: { hourMs, world } };
};

/** Nothing is made of what is read, so no version has to stay as it is. */
const unlocked = (catalog: OfferPorts['catalog']): OfferPorts['catalog'] => ({
  ...catalog,
  lockPlan: (db, idOrCode) => catalog.plan(db, idOrCode),
});

const quotedPriceOf =
  (prices: Quote['terms']['prices'], planVersionId: string) =>
  (line: RatedLine): Price | undefined => {
    const own =
      line.planVersionId === planVersionId ? prices.find(({ charge }) => charge === line.chargeCode) : undefined;
    const parsed = own && priceFromJson(own.price);
    return parsed?.ok ? parsed.value : undefined;
  };

/** The discounts that there would be, of one that can be accepted; of one that was, as it was then. */
const supposedOf = async (
  ports: OfferPorts,
  db: Db,
  { customerId, acceptedAt, terms: { coupon, prices } }: Quote,
  { planVersionId, currency }: { readonly planVersionId: string; readonly currency: string },
  rounding: PolicyRounding,
  now: Instant,
): Promise<SupposedDiscounts> => {
  if (coupon && acceptedAt === null) await requireRedeemable(ports, db, coupon, { customerId, currency }, now);
  const holder = { customerId, subscriptionId: quotedSubscriptionId };
  const held = coupon ? [await supposedDiscount(ports, db, coupon, holder, now)] : [];
  return { rounding, held, priceOf: quotedPriceOf(prices, planVersionId) };
};

/** What lines come to on the invoices that they are on; of one that was carried over, on the later one. */
const totalsOn = (invoices: readonly QuotedInvoice[], lines: readonly PreviewedLine[]): InvoiceTotals => {
  const key = (billingPeriodId: string | null, chargeCode: string | null) =>
    JSON.stringify([billingPeriodId, chargeCode]);
  const wanted = new Set(lines.map(({ part, line }) => key(periodIdOf(quotedSubscriptionId, part), line.chargeCode)));
  const found = new Map(
    invoices.flatMap(({ content }) =>
      content.lines.map((line) => [key(line.billingPeriodId, line.chargeCode), line] as const),
    ),
  );
  return totalsOf([...found].flatMap(([name, line]) => (wanted.has(name) ? [line] : [])));
};

export const quotePreview = async (ports: OfferPorts, db: Db, given: Quote, asking: Asking) => {
  const { customers, catalog } = ports;
  const { quote, at } = instantOf(given, asking);
  const { subscription } = await decideQuoted({ customers, catalog: unlocked(catalog) }, db, quote, at);
  const addOns = subscription.changes.flatMap((change) => (change.kind === 'add_on' ? [change.planVersionId] : []));
  const ids = [subscription.planVersionId, ...addOns];
  const { rounding } = await ports.organizations.organization(db);
  const planNames = await ports.catalog.planNames(db, ids);
  const preview = previewQuote(subscription, quote.terms.prices, {
    versions: await ports.catalog.versionTerms(db, ids),
    planNames,
    policy: { rounding },
  });
  const now = quote.acceptedAt ?? hourOf(quote, asking.hourMs);
  const supposed = await supposedOf(ports, db, quote, subscription, rounding, now);
  const { currency, charged: lines, dueAt, period, ofPeriod, goesOnAfter } = preview;
  const made = { ...subscription, id: quotedSubscriptionId, planNames };
  const invoices = await ports.drawUpQuoted(db, { subscription: made, lines, goesOnAfter, supposed, now });
  const first = invoices.find((invoice) => invoice.dueAt === dueAt);
  const linesJson = (some: readonly PreviewedLine[]) => previewedLinesJson(some, planNames, currency).lines;
  const sumsJson = (totals: InvoiceTotals) => ({
    subtotal: formatMinorUnits(totals.subtotal, currency),
    ...totalsToJson(totals, currency),
  });
  return {
    currency,
    first_invoice: first
      ? {
          due_at: formatInstant(first.dueAt),
          lines: linesJson(lines.filter(({ part }) => part.dueAt === dueAt)),
          ...sumsJson(first.content),
          ...carryToJson(first, currency),
        }
      : null,
    full_period: {
      period: formatPeriod(period),
      lines: linesJson(ofPeriod),
      ...sumsJson(totalsOn(invoices, ofPeriod)),
    },
  };
};

/** None where what it stands on has changed, so that it could not be accepted. */
const previewOrNone = async (...asked: Parameters<typeof quotePreview>) => {
  try {
    return await quotePreview(...asked);
  } catch (error) {
    if (error instanceof FailureError) return null;
    throw error;
  }
};

const offeredCharges = (version: PlanTermsJson, currency: string, prices: Quote['terms']['prices']) =>
  chargesQuoted(version, currency, prices).map(({ code, name, price }) => ({ code, name, price }));

/** Of one that was sent. */
export const quoteOffer = async (ports: OfferPorts, db: Db, quote: Quote, at: Asking) => {
  const { terms, currency, planVersionId } = quote;
  const versions = await ports.catalog.versionTerms(db, [
    planVersionId as string,
    ...terms.add_ons.map((one) => one.plan_version_id as string),
  ]);
  const nameOf = async (id: string): Promise<string> =>
    found(await ports.catalog.planById(db, id), 'PLAN_NOT_FOUND').name;
  const chargesOf = (id: string | null, prices: Quote['terms']['prices']) =>
    offeredCharges(versions.get(id ?? '') as PlanTermsJson, currency as string, prices);
  const addOns = [];
  for (const one of terms.add_ons)
    addOns.push({
      name: await nameOf(one.plan_id),
      quantity: one.quantity,
      charges: chargesOf(one.plan_version_id, []),
    });
  return {
    state: quoteStateAt(quote, hourOf(quote, at.hourMs)),
    plan_name: await nameOf(quote.planId),
    currency,
    charges: chargesOf(planVersionId, terms.prices),
    seats: terms.seats,
    add_ons: addOns,
    starts_at: timeOrNull(quote.startsAt),
    trial: terms.trial,
    term: terms.term,
    discount: terms.discount,
    coupon: terms.coupon ? await offeredCoupon(ports, db, terms.coupon) : null,
    memo: terms.memo,
    valid_until: formatInstant(quote.validUntil),
    content_hash: quote.contentHash,
    sent_at: timeOrNull(quote.sentAt),
    accepted_at: timeOrNull(quote.acceptedAt),
    declined_at: timeOrNull(quote.declinedAt),
    subscription_id: quote.subscriptionId,
    preview: await previewOrNone(ports, db, quote, at),
  };
};
