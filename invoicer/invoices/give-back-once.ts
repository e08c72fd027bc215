/**
 * Drafts whose credits take back what was charged in advance -> the same, with no more taken back than credit notes
 * left of it. Pure.
 *
 * A credit is rated as if no credit note was there. Its discounts and taxes follow those of the line that it takes
 * back as those of a credit note do (`../corrections/credit-lines.ts`), so whatever gives back the rest of a line, in
 * however many parts, gives back the rest of its discounts and taxes to the last minor unit. What is not issued yet,
 * and what has neither and no credit note, is left to others: of that, credits take back no more than all anyway
 * (rater/price/prorate.ts).
 */
import { withCreditedBefore } from '#schemas/credited-line.ts';
import type { Currency } from '#schemas/currency.ts';
import type { DraftInvoice, InvoiceLine } from '#schemas/invoice.ts';
import { negateAmount, subtractAmounts, zeroAmount } from '#schemas/money.ts';
import { type CreditedParts, creditLine, joinCredited, leftOfLine } from '../corrections/credit-lines.ts';
import {
  type CreditedCharges,
  creditedLineKey,
  type GivenBack,
  type NamedParts,
  nothingGivenBack,
  takenBackOf,
} from '../corrections/credited-charges.ts';
import { withLines } from './invoice-totals.ts';

/** Each as it came, with another draft. */
export type GivenBackDrafts<D> = { readonly drafts: readonly D[]; readonly given: GivenBack };

/** They are issued one after the other: each has what those before it leave. */
export const giveBackOnce = <D extends { readonly draft: DraftInvoice }>(
  drafts: readonly D[],
  charges: CreditedCharges,
): GivenBackDrafts<D> => {
  if (charges.size === 0) return { drafts, given: nothingGivenBack };
  const before = new Map<string, CreditedParts>();
  const given = new Map<string, Pick<NamedParts, 'discounts' | 'taxes'>>();
  const giveBack = (line: InvoiceLine, currency: Currency): InvoiceLine => {
    const charge = charges.get(line.billingPeriodId ?? '')?.get(line.chargeCode ?? '');
    if (!charge || line.amount >= zeroAmount) return line;
    const { key, line: charged } = charge;
    const was = before.get(key) ?? charge.before;
    const left = leftOfLine(charged, was, currency);
    const asked = negateAmount(line.amount);
    const parts = asked < left.amount ? creditLine(charged, was, { kind: 'amount', amount: asked }, currency) : left;
    before.set(key, joinCredited(was, parts));
    given.set(creditedLineKey(line), takenBackOf(charged, parts));
    return withCreditedBefore(line, subtractAmounts(asked, parts.amount));
  };
  const changed = drafts.map((one): D => {
    const { periods, lines, currency } = one.draft;
    if (!periods.some(({ billingPeriodId }) => charges.has(billingPeriodId))) return one;
    const back = lines.map((line) => giveBack(line, currency));
    return { ...one, draft: withLines(one.draft, back) };
  });
  return { drafts: changed, given };
};
