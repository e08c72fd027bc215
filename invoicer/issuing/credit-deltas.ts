/**
 * Deltas of plan versions by which late usage is credited: which of a shard are given back by credit notes, and which
 * wait for the next invoice. Pure.
 *
 * One that comes to less is given back at once, by a credit note of each invoice that billed some of it, and is on no
 * invoice. One that comes to more is on the next invoice; so is one that can't be given back (`credit-delta.ts`). So it
 * is where drafts are made; a draft that somebody sees keeps the deltas that are in it.
 */
import type { DiscountUse } from '#schemas/coupon.ts';
import { CreditReason, CreditSettlement } from '#schemas/credit-note.ts';
import type { DraftInvoice } from '#schemas/invoice.ts';
import { subtractAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { BilledLine } from '../corrections/billed-before.ts';
import { type CreditsOfDelta, creditsOfDelta, joinCredits } from '../corrections/credit-delta.ts';
import { type HandCredits, isForSomebody } from '../corrections/hand-credits.ts';
import { type DrawnCreditNote, drawUpParts, stateAfterCredit } from '../credits/draw-up-credit.ts';
import type { LockedInvoice } from '../credits/issue-credit.ts';
import type { DiscountFacts, InvoiceUse } from '../discounts/discount-facts.ts';
import { discountInvoices } from '../invoices/discount-invoices.ts';
import type { GroupedPeriod } from '../invoices/grouped-periods.ts';
import type { InvoiceGroup } from '../invoices/invoice-group.ts';

/** What the deltas of a shard correct that may be credited; nobody credits any of it meanwhile. */
export type CorrectedPeriods = {
  /** What was billed of the period so far, by the billing period of the delta. */
  readonly billed: ReadonlyMap<string, readonly BilledLine[]>;
  /** The invoices that billed it, by id. */
  readonly invoices: ReadonlyMap<string, LockedInvoice>;
};

export const nothingCorrected: CorrectedPeriods = { billed: new Map(), invoices: new Map() };

/** A credit note of a delta, before it has its number: of an invoice as the credit notes before it leave that. */
export type CreditOfDelta = {
  readonly deltaId: string;
  readonly locked: LockedInvoice;
  readonly drawn: DrawnCreditNote;
};

export type CreditedDeltas = {
  /** In the order in which they are issued. */
  readonly credits: readonly CreditOfDelta[];
  /** What they change of discounts: of the invoice that billed the period first. */
  readonly uses: readonly InvoiceUse[];
};

const isOfCredits = ({ correction }: GroupedPeriod): boolean => correction?.lateUsage === 'credit_note';

/** What was paid already is kept for the customer: nobody is there who could say something else. */
const terms = { reason: CreditReason.lateUsage, memo: null, settlement: CreditSettlement.balance } as const;

type Facts = { readonly corrected: CorrectedPeriods; readonly discounts: DiscountFacts | undefined };

/** A delta by itself, as an invoice of it would be. */
export type DraftOfDelta = (group: InvoiceGroup, period: GroupedPeriod) => DraftInvoice | undefined;

type Discounted = { readonly draft: DraftInvoice; readonly uses: readonly DiscountUse[] };

const discountedBy = (
  draft: DraftInvoice,
  rated: readonly RatedLine[],
  discounts: DiscountFacts | undefined,
  issuedAt: Instant,
): Discounted => discountInvoices([{ draft, discountIds: [], issuedAt }], rated, discounts)[0] as Discounted;

/**
 * `draftOf` is undefined of a delta that is billed already, or only reported. Of two that correct one invoice, the
 * later one has what the earlier one leaves of it.
 */
export const creditDeltas = (
  groups: readonly InvoiceGroup[],
  rated: readonly RatedLine[],
  { corrected, discounts }: Facts,
  draftOf: DraftOfDelta,
  now: Instant,
): CreditedDeltas => {
  const invoices = new Map(corrected.invoices);
  const credits: CreditOfDelta[] = [];
  const uses: InvoiceUse[] = [];
  const creditedBy = (draft: DraftInvoice, deltaId: string): CreditsOfDelta | undefined =>
    creditsOfDelta({
      currency: draft.currency,
      lines: draft.lines,
      billed: corrected.billed.get(deltaId) ?? [],
      invoices: new Map(
        [...invoices].map(([id, { invoice, credited, state }]) => [
          id,
          { lines: invoice.lines, credited, left: subtractAmounts(invoice.total, state.amountCredited) },
        ]),
      ),
    });
  const issue = (deltaId: string, of: CreditsOfDelta): void => {
    for (const [id, parts] of of) {
      const locked = invoices.get(id) as LockedInvoice;
      const { invoice, state, credited } = locked;
      const drawn = drawUpParts(invoice, parts, state, terms);
      credits.push({ deltaId, locked, drawn });
      const after = stateAfterCredit(invoice.total, state, drawn.total);
      invoices.set(id, { ...locked, state: after, credited: joinCredits(credited, parts) });
    }
  };
  for (const group of groups) {
    if (group.draft !== undefined) continue;
    for (const period of group.periods.filter(isOfCredits)) {
      const { billingPeriodId: deltaId, correction } = period;
      const draft = draftOf(group, period);
      if (!draft || !correction) continue;
      const used = discounts && { ...discounts, uses: [...discounts.uses, ...uses] };
      const discounted = discountedBy(draft, rated, used, now);
      const of = creditedBy(discounted.draft, deltaId);
      if (!of) continue;
      issue(deltaId, of);
      uses.push(...discounted.uses.map((use) => ({ ...use, invoiceId: correction.invoiceId, deltaId })));
    }
  }
  return { credits, uses };
};

/** Deltas of what somebody credited that are only reported, each judged by itself. */
export const unclearDeltas = (
  groups: readonly InvoiceGroup[],
  rated: readonly RatedLine[],
  { byHand, discounts }: { readonly byHand: HandCredits; readonly discounts: DiscountFacts | undefined },
  draftOf: DraftOfDelta,
  now: Instant,
): ReadonlySet<string> => {
  const unclear = new Set<string>();
  if (byHand.size === 0) return unclear;
  for (const group of groups)
    for (const period of group.periods) {
      const credited = byHand.get(period.billingPeriodId);
      const draft = credited && draftOf(group, period);
      if (draft && isForSomebody(discountedBy(draft, rated, discounts, now).draft.lines, credited))
        unclear.add(period.billingPeriodId);
    }
  return unclear;
};

/**
 * Whether what is left of a group is no invoice of its own: deltas alone, while there will be an invoice that they can
 * be on. `left` are those that are neither billed, credited nor only reported.
 */
export const waitsForNext = (group: InvoiceGroup, left: readonly GroupedPeriod[]): boolean =>
  group.draft === undefined && group.mayWait === true && left.length > 0 && left.every(isOfCredits);
