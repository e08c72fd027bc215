/** The draft of an invoice without taxes -> the same with those that its lines have when it is issued. Pure. */
import assert from 'node:assert/strict';
import type { DraftInvoice, InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { subtractAmounts, sumAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { type AppliedTax, formatPercentage, type TaxEntry } from '#schemas/tax-rate.ts';
import { resolveTaxes } from '../taxes/resolve-taxes.ts';
import { chargeKey, type TaxFacts } from '../taxes/tax-facts.ts';
import { taxLines } from '../taxes/tax-lines.ts';
import { withLines } from './invoice-totals.ts';

const categoriesOf = ({ periods }: DraftInvoice, { categories }: TaxFacts) => {
  const versions = new Map(periods.map(({ billingPeriodId, planVersionId }) => [billingPeriodId, planVersionId]));
  return ({ billingPeriodId, chargeCode }: InvoiceLine): string | null => {
    const version = versions.get(billingPeriodId ?? '');
    return version === undefined || chargeCode === null
      ? null
      : (categories.get(chargeKey(version, chargeCode)) ?? null);
  };
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

/**
 * `facts` are those of the organization; undefined where nothing has taxes. What a credit takes back was charged with
 * the taxes of its time, and is given back with the same, whatever became of customers and rates.
 */
export const taxInvoice = (draft: DraftInvoice, facts: TaxFacts | undefined, issuedAt: Instant): DraftInvoice => {
  if (facts === undefined) return draft;
  const customer = facts.customers.get(draft.customerId);
  assert(customer, 'who is billed is known');
  const taxesOf = resolveTaxes(facts.rates, customer, { country: draft.seller?.address?.country ?? null }, issuedAt);
  const categoryOf = categoriesOf(draft, facts);
  const chargedTaxes = ({ billingPeriodId, chargeCode }: InvoiceLine): readonly AppliedTax[] | undefined => {
    const charged = facts.takenBack.get(billingPeriodId ?? '');
    return charged && (charged.get(chargeCode ?? '') ?? []);
  };
  const taxed = taxLines(
    draft.lines.map((line) => ({
      position: line.position,
      amount: subtractAmounts(line.amount, sumAmounts(line.discounts.map(({ amount }) => amount))),
      taxes: chargedTaxes(line) ?? taxesOf(categoryOf(line)),
    })),
    draft.currency,
    facts.policy,
  );
  return withLines(
    draft,
    draft.lines.map((line) => ({ ...line, taxes: (taxed.lines.get(line.position) ?? []).map(toInvoiceTax) })),
  );
};
