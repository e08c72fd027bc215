/** The draft of an invoice without taxes -> the same with those that its lines have when it is issued. Pure. */
import assert from 'node:assert/strict';
import type { DraftInvoice, InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, subtractAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { formatPercentage, type TaxEntry } from '#schemas/tax-rate.ts';
import { creditedLineKey, type GivenBack, nothingGivenBack } from '../corrections/credited-charges.ts';
import { joinTaxes, type TakenBack, takeBack } from '../corrections/take-back.ts';
import { resolveTaxes, type TaxedCustomer, type TaxedSeller } from '../taxes/resolve-taxes.ts';
import type { EngineAnswer, EngineLine } from '../taxes/tax-engine.ts';
import { chargeKey, type TaxFacts } from '../taxes/tax-facts.ts';
import { taxLines } from '../taxes/tax-lines.ts';
import { withLines } from './invoice-totals.ts';

export const customerOf = ({ customerId }: DraftInvoice, { customers }: TaxFacts): TaxedCustomer => {
  const customer = customers.get(customerId);
  assert(customer, 'who is billed is known');
  return customer;
};

export const sellerOf = ({ seller }: DraftInvoice): TaxedSeller => ({ country: seller?.address?.country ?? null });

/** The tax category of a line: its own, or that of its charge. */
export const categoryOf = (
  { periods }: Pick<DraftInvoice, 'periods'>,
  categories: TaxFacts['categories'],
): ((line: InvoiceLine) => string | null) => {
  const versions = new Map(periods.map(({ billingPeriodId, planVersionId }) => [billingPeriodId, planVersionId]));
  return ({ taxCategory, billingPeriodId, chargeCode }) =>
    taxCategory ?? categories.get(chargeKey(versions.get(billingPeriodId ?? '') ?? '', chargeCode ?? '')) ?? null;
};

/** With their amounts less discounts, and their tax categories. */
export const taxableLines = (draft: DraftInvoice, { categories }: TaxFacts): EngineLine[] => {
  const taxCategoryOf = categoryOf(draft, categories);
  return draft.lines.map((line) => ({
    position: line.position,
    description: line.description,
    chargeCode: line.chargeCode,
    taxCategory: taxCategoryOf(line),
    amount: subtractAmounts(line.amount, sumAmounts(line.discounts.map((discount) => discount.amount))),
  }));
};

const toInvoiceTax = ({ inclusive, percentage, ...entry }: TaxEntry): InvoiceTax => ({
  taxRateId: entry.taxRateId,
  code: entry.code,
  name: entry.name,
  percentage: formatPercentage(percentage),
  isInclusive: inclusive,
  treatment: entry.treatment,
  taxableAmount: entry.taxableAmount,
  amount: entry.amount,
});

const withTaxes = (draft: DraftInvoice, taxesOf: (line: InvoiceLine) => readonly InvoiceTax[]): DraftInvoice =>
  withLines(
    draft,
    draft.lines.map((line) => ({ ...line, taxes: taxesOf(line) })),
  );

/** Of the lines of deltas, by their positions: what of them is taken back, with its taxes. */
const takenBackOf = (draft: DraftInvoice, { billedBefore }: TaxFacts, amountOf: (position: number) => Amount) =>
  new Map(
    draft.lines.flatMap(({ kind, position, billingPeriodId, chargeCode }): [number, TakenBack][] => {
      if (kind !== 'delta') return [];
      const billed = billedBefore.get(billingPeriodId ?? '')?.lines.filter((line) => line.chargeCode === chargeCode);
      return [[position, takeBack(billed ?? [], amountOf(position), draft.currency)]];
    }),
  );

/**
 * By the rates of the organization. What a credit takes back was charged with the taxes of its time, and is given back
 * with the same, whatever became of customers and rates. So is what a delta takes back; what it charges more has the
 * taxes of now.
 */
const taxByRates = (draft: DraftInvoice, facts: TaxFacts, issuedAt: Instant, given: GivenBack): DraftInvoice => {
  const taxesOf = resolveTaxes(facts.rates, customerOf(draft, facts), sellerOf(draft), issuedAt);
  const taxable = taxableLines(draft, facts);
  const amounts = new Map(taxable.map(({ position, amount }) => [position, amount]));
  const takenBack = takenBackOf(draft, facts, (position) => amounts.get(position) ?? zeroAmount);
  const chargedTaxes = ({ billingPeriodId, chargeCode }: InvoiceLine) => {
    const charged = facts.takenBack.get(billingPeriodId ?? '');
    return charged && (charged.get(chargeCode ?? '') ?? []);
  };
  const givenOf = (line: InvoiceLine) => given.get(creditedLineKey(line))?.taxes;
  const lines = taxable.flatMap(({ position, amount, taxCategory }, index) => {
    const back = takenBack.get(position);
    if (givenOf(draft.lines[index] as InvoiceLine)) return [];
    // All of it is taken back, with what it was charged with.
    if (back && back.rest === zeroAmount && amount !== zeroAmount) return [];
    const taxes = chargedTaxes(draft.lines[index] as InvoiceLine) ?? taxesOf(taxCategory);
    return [{ position, amount: back?.rest ?? amount, taxes }];
  });
  const taxed = taxLines(lines, draft.currency, facts.policy);
  return withTaxes(draft, (line) => {
    const { position } = line;
    const ofCredit = givenOf(line);
    if (ofCredit) return ofCredit;
    const own = (taxed.lines.get(position) ?? []).map(toInvoiceTax);
    const back = takenBack.get(position)?.taxes ?? [];
    return back.length > 0 ? joinTaxes([...back, ...own]) : own;
  });
};

/** As an engine answered about the very lines. */
const taxByAnswer = (draft: DraftInvoice, answer: EngineAnswer | undefined): DraftInvoice => {
  assert(answer || draft.lines.length === 0, 'the tax engine was asked about what is issued');
  return withTaxes(draft, ({ position }) => (answer?.get(position) ?? []).map(toInvoiceTax));
};

/** What an engine answered, and what credits give back of taxes where that follows from what is left of them. */
export type TaxedBy = { readonly answer?: EngineAnswer | undefined; readonly given?: GivenBack };

/** `facts` are those of the organization; undefined where nothing has taxes. */
export const taxInvoice = (
  draft: DraftInvoice,
  facts: TaxFacts | undefined,
  issuedAt: Instant,
  { answer, given = nothingGivenBack }: TaxedBy = {},
): DraftInvoice => {
  if (facts === undefined) return draft;
  return facts.calculation === 'engine' ? taxByAnswer(draft, answer) : taxByRates(draft, facts, issuedAt, given);
};

/** Before it is issued: an engine is asked then, and not for what may change. */
export const taxUnissued = (
  draft: DraftInvoice,
  facts: TaxFacts | undefined,
  now: Instant,
  by?: TaxedBy,
): DraftInvoice => (facts?.calculation === 'engine' ? draft : taxInvoice(draft, facts, now, by));
