/**
 * What of subscriptions lies ahead and was rated, as invoices: by the rules of the invoicer, with the terms, the
 * discounts and the taxes of who pays. Nothing is written.
 */
import { periodIdOf } from '#schemas/billing-period.ts';
import { creditedBefore, printedOf } from '#schemas/credited-line.ts';
import type { DuePart } from '#schemas/due-parts.ts';
import type { DraftInvoice, InvoiceTerms } from '#schemas/invoice.ts';
import { type Amount, zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { creditedLineKey } from '../../invoicer/corrections/credited-charges.ts';
import type { UnwrittenCredit } from '../../invoicer/corrections/unwritten-credits.ts';
import type { SupposedDiscounts, UnwrittenPeriods } from '../../invoicer/discounts/discount-facts.ts';
import type { DraftToDiscount } from '../../invoicer/invoices/discount-invoices.ts';
import { draftInvoice, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { type ReduceDraftPorts, readReductions } from '../coupons/reduce-drafts.ts';
import type { Db } from '../route/define-route.ts';
import {
  type AheadGroup,
  carryAhead,
  type DrawnGroup,
  groupsAhead,
  type MinimumOf,
  partsOfSet,
} from './carry-ahead.ts';
import { type DueTogether, dueTogether } from './due-together.ts';
import { partIdOf, type RatedPart, type UpcomingPart } from './rate-upcoming.ts';
import type { UpcomingSubscription } from './upcoming-parts.ts';

export type DrawUpPorts = ReduceDraftPorts & {
  readonly billedWith: {
    /** By customer. */
    readonly payersOf: (db: Db, customerIds: readonly string[]) => Promise<ReadonlyMap<string, Payer>>;
  };
  /** By customer: what its invoices say beside their lines, as of now. */
  readonly payerTerms: (db: Db, customerIds: readonly string[]) => Promise<Terms>;
  readonly minimumAmounts: (db: Db, customerIds: readonly string[]) => Promise<MinimumOf>;
};

export type InvoiceAhead = {
  readonly dueAt: Instant;
  /** In the order of their lines. */
  readonly parts: readonly RatedPart[];
  readonly content: DraftInvoice;
  /** Of its payer, in its currency; undefined where there is none. */
  readonly minimum: Amount | undefined;
  /** Whether it would not be issued, as it comes to less: a later one has its parts, too. */
  readonly isCarriedOver: boolean;
  readonly failures: readonly { readonly subscriptionId: string; readonly message: string }[];
};

type Terms = ReadonlyMap<string, InvoiceTerms>;

const draftOf = (group: AheadGroup, parts: readonly RatedPart[], terms: Terms, watermark: bigint): DraftInvoice => {
  const { customerId, currency } = group.parties;
  const rated = new Map(parts.map((part): [string, RatedPart] => [partIdOf(part), part]));
  const periods = group.periods.map((period): RatedPeriod => {
    const { known = [], ofUsage = [] } = rated.get(period.billingPeriodId) ?? {};
    return { ...period, watermark, lines: [...known, ...ofUsage] };
  });
  return draftInvoice({ customerId, currency, terms: terms.get(customerId) as InvoiceTerms }, periods);
};

/** With the lines of what is issued: credits of what credit notes gave back before come to less. */
const printedParts = (parts: readonly RatedPart[], content: DraftInvoice): readonly RatedPart[] => {
  const credited = new Map(content.lines.map((line) => [creditedLineKey(line), creditedBefore(line)]));
  const printed = (line: RatedLine): RatedLine => printedOf(line, credited.get(creditedLineKey(line)) ?? zeroAmount);
  return parts.map((part) => ({ ...part, known: part.known.map(printed) }));
};

const invoiceAhead = (parts: readonly RatedPart[], { group, content, isCarriedOver }: DrawnGroup): InvoiceAhead => ({
  dueAt: group.due.dueAt,
  parts: printedParts(parts, content),
  content,
  minimum: group.minimum,
  isCarriedOver,
  failures: parts.flatMap(({ subscription, failure }) =>
    failure === undefined ? [] : [{ subscriptionId: subscription.id, message: failure }],
  ),
});

type UnwrittenPart = {
  readonly id: string;
  readonly subscriptionId: string;
  readonly part: DuePart;
  readonly isWritten: boolean;
};

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
    if (timing !== 'credit' || pricedAt === undefined || one.isWritten) return [];
    const { id, subscriptionId } = one;
    const chargeId = charges.get(chargeKey(one, pricedAt));
    return [{ id, subscriptionId, billingEnd: billing.end, pricedAt, item, interval, isCounted, chargeId }];
  });
};

/** As they would be written down. */
const unwrittenPeriods = (rated: readonly RatedPart[]): UnwrittenPeriods => {
  const parts = rated.map(({ subscription: { id: subscriptionId }, part, waits, written }) => ({
    id: periodIdOf(subscriptionId, part),
    subscriptionId,
    part,
    isWritten: (waits ?? written) !== undefined,
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
  parts: readonly UpcomingPart[],
): Promise<(part: UpcomingPart) => Payer> => {
  const customerIds = new Set(parts.map(({ subscription }) => subscription.customerId));
  const payers = await billedWith.payersOf(db, [...customerIds]);
  return ({ subscription: { customerId }, waits, written }) =>
    (waits ?? written)?.payer ?? payers.get(customerId) ?? { id: customerId, isConsolidated: false };
};

/**
 * In the order of the sets, and of what falls due together in each. Invoices of one set are issued one after the other,
 * as they fall due, and what one carries over a later one has; sets know nothing of each other, and may have the same
 * parts.
 */
export const drawUpInvoices = async (
  ports: DrawUpPorts,
  db: Db,
  sets: readonly (readonly DueTogether[])[],
  { watermark, now, supposed }: DrawnAt,
): Promise<readonly (readonly InvoiceAhead[])[]> => {
  const due = sets.flat();
  const payerIds = due.map(({ payerId }) => payerId);
  const [termsOf, minimumOf] = await Promise.all([ports.payerTerms(db, payerIds), ports.minimumAmounts(db, payerIds)]);
  const drawn = sets.map((set) => {
    const partsOf = partsOfSet(set);
    // What falls due later has the discounts and taxes of then.
    const toDraft = (group: AheadGroup): DraftToDiscount => {
      const draft = draftOf(group, partsOf(group), termsOf, watermark);
      return { draft, discountIds: [], issuedAt: Math.max(group.due.issuedAt, now) };
    };
    return { groups: groupsAhead(set, minimumOf), partsOf, toDraft };
  });
  const drafts = drawn.flatMap(({ groups, toDraft }) => groups.map(toDraft));
  const parts = due.flatMap((one) => one.parts);
  const lines = parts.flatMap(({ known, ofUsage }) => [...known, ...ofUsage]);
  const reduce = await readReductions(ports, db, drafts, lines, { ...unwrittenPeriods(parts), supposed });
  return drawn.map(({ groups, partsOf, toDraft }) =>
    carryAhead(groups, (some) => reduce(some.map(toDraft))).map((one) => invoiceAhead(partsOf(one.group), one)),
  );
};

/** In their own order, with the lines that the invoices have of them. */
export const partsAsDrawn = (
  parts: readonly RatedPart[],
  invoices: readonly Pick<InvoiceAhead, 'parts'>[],
): readonly RatedPart[] => {
  const drawn = new Map(invoices.flatMap((invoice) => invoice.parts).map((one) => [partIdOf(one), one.known]));
  return parts.map((one) => ({ ...one, known: drawn.get(partIdOf(one)) ?? one.known }));
};

/** Of lines that a subscription is charged which is not there yet; in the order in which they fall due. */
export const drawUpQuoted = async (
  ports: DrawUpPorts,
  db: Db,
  {
    subscription,
    lines,
    goesOnAfter,
    ...at
  }: {
    readonly subscription: UpcomingSubscription;
    readonly lines: readonly { readonly part: DuePart; readonly line: RatedLine }[];
    /** Whether something falls due after an instant. */
    readonly goesOnAfter: (at: Instant) => boolean;
    readonly supposed: SupposedDiscounts;
    readonly now: Instant;
  },
): Promise<readonly InvoiceAhead[]> => {
  const rows = { externalIds: [], oneTimeRows: new Map(), ofUsage: [], failure: undefined };
  const parts = [...Map.groupBy(lines, ({ part }) => part)].map(([part, own]): RatedPart => {
    const goesOn = goesOnAfter(part.dueAt);
    return { ...rows, subscription, part, goesOn, known: own.map(({ line }) => line) };
  });
  const due = dueTogether(parts, await payersOf(ports, db, parts));
  return (await drawUpInvoices(ports, db, [due], { watermark: 0n, ...at })).flat();
};
