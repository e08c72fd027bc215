/**
 * What of subscriptions lies ahead and was rated, as invoices: by the rules of the invoicer, with the terms, the
 * discounts and the taxes of who pays. Nothing is written.
 */
import assert from 'node:assert/strict';
import { periodIdOf } from '#schemas/billing-period.ts';
import { creditedBefore, printedOf } from '#schemas/credited-line.ts';
import type { Currency } from '#schemas/currency.ts';
import type { DuePart } from '#schemas/due-parts.ts';
import type { DraftInvoice, InvoiceTerms } from '#schemas/invoice.ts';
import { zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { creditedLineKey } from '../../invoicer/corrections/credited-charges.ts';
import type { UnwrittenCredit } from '../../invoicer/corrections/unwritten-credits.ts';
import type { SupposedDiscounts, UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import { draftInvoice, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import { timingOrder } from '../../invoicer/invoices/invoice-rows.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { type ReduceDraftPorts, reduceDrafts } from '../coupons/reduce-drafts.ts';
import type { Db } from '../route/define-route.ts';
import type { RatedPart } from './rate-upcoming.ts';
import type { UpcomingSubscription } from './upcoming-parts.ts';

export type DrawUpPorts = ReduceDraftPorts & {
  readonly billedWith: {
    /** By customer. */
    readonly payersOf: (db: Db, customerIds: readonly string[]) => Promise<ReadonlyMap<string, Payer>>;
  };
  /** By customer: what its invoices say beside their lines, as of now. */
  readonly payerTerms: (db: Db, customerIds: readonly string[]) => Promise<ReadonlyMap<string, InvoiceTerms>>;
};

/** What is one invoice: parts of one payer and currency, that fall due together. */
export type DueTogether = { readonly payerId: string; readonly parts: readonly RatedPart[] };

export type InvoiceAhead = {
  readonly dueAt: Instant;
  /** In the order of their lines. */
  readonly parts: readonly RatedPart[];
  readonly content: DraftInvoice;
  readonly failures: readonly { readonly subscriptionId: string; readonly message: string }[];
};

/** The order of lines of an invoice, as `periodOrder` has it. */
const inOrderOf =
  (payerId: string) =>
  (a: RatedPart, b: RatedPart): number => {
    const keys = ({ subscription, part }: RatedPart) => [
      Number(subscription.customerId !== payerId),
      subscription.customerId,
      subscription.id,
      timingOrder.indexOf(part.timing),
      Number(part.item !== 'plan'),
      part.item,
      part.span.start,
      Number(part.timing === 'once' && part.isCounted),
      periodIdOf(subscription.id, part),
    ];
    const [own, other] = [keys(a), keys(b)];
    const at = own.findIndex((key, index) => key !== other[index]);
    return at < 0 ? 0 : (own[at] as string | number) < (other[at] as string | number) ? -1 : 1;
  };

const invoiceOf = ({ payerId, parts }: DueTogether, terms: InvoiceTerms, watermark: bigint): InvoiceAhead => {
  const [first] = parts as [RatedPart];
  const ordered = parts.toSorted(inOrderOf(payerId));
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
    dueAt: first.part.dueAt,
    parts: ordered,
    content: draftInvoice({ customerId: payerId, currency: first.subscription.currency as Currency, terms }, periods),
    failures: ordered.flatMap(({ subscription, failure }) =>
      failure === undefined ? [] : [{ subscriptionId: subscription.id, message: failure }],
    ),
  };
};

type UnwrittenPart = { readonly id: string; readonly subscriptionId: string; readonly part: DuePart };

/** Alike of what is charged in advance, whose time begins then, and of the credit that takes some of it back. */
const chargeKey = ({ subscriptionId, part }: UnwrittenPart, pricedAt: Instant): string => {
  const { billing, item, interval, isCounted } = part;
  return JSON.stringify([subscriptionId, billing.end, pricedAt, item, interval.unit, interval.count, isCounted]);
};

const unwrittenCredits = (parts: readonly UnwrittenPart[]): UnwrittenCredit[] => {
  const advances = parts.filter(({ part: { timing } }) => timing === 'advance');
  const charges = new Map(advances.map((one) => [chargeKey(one, one.part.span.start), one.id]));
  return parts.flatMap((one) => {
    const { timing, billing, pricedAt, item, interval, isCounted } = one.part;
    if (timing !== 'credit' || pricedAt === undefined) return [];
    const { id, subscriptionId } = one;
    const chargeId = charges.get(chargeKey(one, pricedAt));
    return [{ id, subscriptionId, billingEnd: billing.end, pricedAt, item, interval, isCounted, chargeId }];
  });
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
    credits: unwrittenCredits(parts),
  };
};

type DrawnAt = {
  readonly watermark: bigint;
  readonly now: Instant;
  readonly supposed?: SupposedDiscounts | undefined;
};

/** Who pays for each part. */
export const payersOf = async (
  { billedWith }: Pick<DrawUpPorts, 'billedWith'>,
  db: Db,
  parts: readonly RatedPart[],
): Promise<(part: RatedPart) => Payer> => {
  const customerIds = new Set(parts.map(({ subscription }) => subscription.customerId));
  const payers = await billedWith.payersOf(db, [...customerIds]);
  return ({ subscription: { customerId } }) => payers.get(customerId) ?? { id: customerId, isConsolidated: false };
};

/** Its parts have the lines of what is issued: credits of what credit notes gave back before come to less. */
const drawnWith = (one: InvoiceAhead, content: DraftInvoice): InvoiceAhead => {
  const credited = new Map(content.lines.map((line) => [creditedLineKey(line), creditedBefore(line)]));
  const printed = (line: RatedLine): RatedLine => printedOf(line, credited.get(creditedLineKey(line)) ?? zeroAmount);
  return { ...one, content, parts: one.parts.map((part) => ({ ...part, known: part.known.map(printed) })) };
};

/**
 * In the order of the sets. Invoices of one set are issued one after the other, as they fall due; sets know nothing of
 * each other, and may have the same parts.
 */
export const drawUpInvoices = async (
  ports: DrawUpPorts,
  db: Db,
  sets: readonly (readonly DueTogether[])[],
  { watermark, now, supposed }: DrawnAt,
): Promise<readonly (readonly InvoiceAhead[])[]> => {
  const due = sets.flat();
  const termsOf = await ports.payerTerms(
    db,
    due.map(({ payerId }) => payerId),
  );
  const drawn = sets.map((set) =>
    set.map((one) => invoiceOf(one, termsOf.get(one.payerId) as InvoiceTerms, watermark)),
  );
  // What falls due later has the discounts and taxes of then.
  const drafts = drawn.map((set) =>
    set.map(({ content, dueAt }) => ({ draft: content, discountIds: [], issuedAt: Math.max(dueAt, now) })),
  );
  const parts = due.flatMap((one) => one.parts);
  const lines = parts.flatMap(({ known, ofUsage }) => [...known, ...ofUsage]);
  const unwritten = { ...unwrittenPeriods(parts), supposed };
  const contents = (await reduceDrafts(ports, db, drafts, lines, unwritten)).values();
  return drawn.map((set) => set.map((one) => drawnWith(one, contents.next().value ?? one.content)));
};

/** In their own order, with the lines that the invoices have of them. */
export const partsAsDrawn = (
  parts: readonly RatedPart[],
  invoices: readonly Pick<InvoiceAhead, 'parts'>[],
): readonly RatedPart[] => {
  const drawn = new Map(invoices.flatMap((invoice) => invoice.parts).map((one) => [one.part, one]));
  return parts.map((one) => drawn.get(one.part) ?? one);
};

/** Of lines that a subscription is charged first which is not there yet. */
export const drawUpFirst = async (
  ports: DrawUpPorts,
  db: Db,
  {
    subscription,
    lines,
    ...at
  }: {
    readonly subscription: UpcomingSubscription;
    readonly lines: readonly { readonly part: DuePart; readonly line: RatedLine }[];
    readonly supposed: SupposedDiscounts;
    readonly now: Instant;
  },
): Promise<DraftInvoice> => {
  const parts = [...Map.groupBy(lines, ({ part }) => part)].map(([part, own]): RatedPart => {
    const known = own.map(({ line }) => line);
    return { subscription, externalId: '', oneTimeRows: new Map(), part, known, ofUsage: [], failure: undefined };
  });
  const { id: payerId } = (await payersOf(ports, db, parts))(parts[0] as RatedPart);
  const [drawn] = (await drawUpInvoices(ports, db, [[{ payerId, parts }]], { watermark: 0n, ...at })).flat();
  assert(drawn, 'there are lines');
  return drawn.content;
};
