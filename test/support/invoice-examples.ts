/** Rated lines and issued invoices for tests, made by the product's own rating from readable texts. */

import { newestContentVersion } from '#schemas/invoice/content.ts';
import type { ContentVersion, DraftInvoice, InvoiceTax, InvoiceTerms, IssuedInvoice } from '#schemas/invoice.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';
import { monthFromText, type Period } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import { type PlanVersion, planVersionFromJson } from '#schemas/plan.ts';
import { defaultRatingPolicy, type RatedLine } from '#schemas/rated-line.ts';
import { draftInvoice, plainTerms, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import { canonicalInvoice, chainHash, genesisHash } from '../../invoicer/invoices/invoice-hash.ts';
import { withLines } from '../../invoicer/invoices/invoice-totals.ts';
import { ratePlan } from '../../rater/price/rate.ts';
import type { PeriodToRate } from '../../rater/price/rating-task.ts';
import { llmProPlan } from './llm-pro.ts';

const parsed = planVersionFromJson(llmProPlan);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
export const llmPro: PlanVersion = parsed.value;

export const october = monthFromText('2026-10') as Period;

/** The billing period of the examples, and whose it is. */
export const parties = {
  billingPeriodId: 'bpd_1',
  span: october,
  subscriptionId: 'sub_1',
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  currency: llmPro.currency,
  terms: plainTerms,
} as const;

/** Usage of charges by the quantities of their meters. */
export const usageByMeter = (
  charges: readonly Charge[],
  quantities: Readonly<Record<string, string>>,
): PeriodToRate['usage'] =>
  Object.fromEntries(
    charges.flatMap(({ code, meter }) =>
      meter !== null && Object.hasOwn(quantities, meter) ? [[code, { quantity: quantities[meter] ?? '' }]] : [],
    ),
  );

export const ratedLlmPro = (quantities: Record<string, string>): RatedLine[] =>
  ratePlan(
    { ...parties, charges: llmPro.charges, usage: usageByMeter(llmPro.charges, quantities) },
    defaultRatingPolicy,
  );

/** The examples' period with some rated lines, as an invoice bills it at a watermark. */
export const ratedPeriod = (lines: readonly RatedLine[], watermark = 10n): RatedPeriod => ({
  billingPeriodId: parties.billingPeriodId,
  customerId: parties.customerId,
  subscriptionId: parties.subscriptionId,
  planVersionId: parties.planVersionId,
  span: parties.span,
  watermark,
  lines,
});

/** With all that an invoice may say beside its lines. */
export const wholeTerms: InvoiceTerms = {
  issuingEntityId: 'ent_1',
  seller: {
    legalName: 'Millrace Example GmbH',
    address: { line1: 'Hauptstr. 1', city: 'Berlin', country: 'DE' },
    taxIds: [{ type: 'eu_vat', value: 'DE136695976' }],
  },
  paymentDays: 14,
  purchaseOrder: 'PO-7',
  memo: 'Thank you',
  customFields: [{ name: 'Cost center', value: '42' }],
};

export const amountOf = (text: string): Amount => parseAmount(text) as Amount;

export const vat = (taxableAmount: string, amount: string): InvoiceTax => ({
  taxRateId: 'txr_1',
  code: 'vat',
  name: 'VAT',
  percentage: '19',
  isInclusive: false,
  treatment: 'taxed',
  taxableAmount: amountOf(taxableAmount),
  amount: amountOf(amount),
});

/** With a discount and a tax on its first line, which is one of 20.00. */
export const reduced = (draft: DraftInvoice): DraftInvoice =>
  withLines(
    draft,
    draft.lines.map((line, index) =>
      index === 0
        ? {
            ...line,
            discounts: [{ discountId: 'dsc_1', couponId: 'cpn_1', name: 'Ten off', amount: amountOf('2') }],
            taxes: [vat('18', '3.42')],
          }
        : line,
    ),
  );

/** With what only some periods and lines have: carried over since October began, of a tax category. */
const withLater = (contentVersion: ContentVersion, { lines, periods, ...draft }: DraftInvoice): DraftInvoice => ({
  ...draft,
  periods: periods.map((period) => ({ ...period, carriedFrom: october.start })),
  lines: lines.map((line) => (contentVersion < 5 ? line : { ...line, taxCategory: 'books' })),
});

/** What an invoice of that version has beside its draft. */
export const issuedWith = (contentVersion: ContentVersion, number: number, issuedAt: number) =>
  contentVersion < 4
    ? ({ contentVersion, documentNumber: null, dueAt: null, buyerDigest: null, number, issuedAt } as const)
    : ({
        contentVersion,
        documentNumber: `INV-2026-00000${number}`,
        dueAt: issuedAt + 14 * 86_400_000,
        buyerDigest: 'b'.repeat(64),
        number,
        issuedAt,
      } as const);

/** A chain of `length` invoices of one tenant with different amounts, hashed one after the other as issuing does it. */
export const issuedChain = (
  length: number,
  tenant = 'ten_1',
  contentVersion = newestContentVersion,
): IssuedInvoice[] => {
  const chain: IssuedInvoice[] = [];
  for (let number = 1; number <= length; number += 1) {
    const rated = ratedLlmPro({ requests: String(20 + number), output_tokens: String(number * 1000) });
    const periods = [ratedPeriod(rated, BigInt(number * 10))];
    const draft =
      contentVersion < 4
        ? draftInvoice(parties, periods)
        : withLater(contentVersion, reduced(draftInvoice({ ...parties, terms: wholeTerms }, periods)));
    const content = {
      ...draft,
      ...issuedWith(contentVersion, number, october.end + number),
      id: `inv_${number}`,
      tenant,
    };
    const previousHash = chain.at(-1)?.hash ?? genesisHash;
    chain.push({ ...content, previousHash, hash: chainHash(previousHash, canonicalInvoice(content)) });
  }
  return chain;
};
