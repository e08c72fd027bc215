/** Rated lines and issued invoices for tests, made by the product's own rating from readable texts. */

import { newestContentVersion } from '#schemas/invoice/content.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { monthFromText, type Period } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import { type PlanVersion, planVersionFromJson } from '#schemas/plan.ts';
import { defaultRatingPolicy, type RatedLine } from '#schemas/rated-line.ts';
import { draftInvoice, type RatedPeriod } from '../../invoicer/invoices/draft-invoice.ts';
import { canonicalInvoice, chainHash, genesisHash } from '../../invoicer/invoices/invoice-hash.ts';
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

/** A chain of `length` invoices of one tenant with different amounts, hashed one after the other as issuing does it. */
export const issuedChain = (
  length: number,
  tenant = 'ten_1',
  contentVersion = newestContentVersion,
): IssuedInvoice[] => {
  const chain: IssuedInvoice[] = [];
  for (let number = 1; number <= length; number += 1) {
    const rated = ratedLlmPro({ requests: String(20 + number), output_tokens: String(number * 1000) });
    const draft = draftInvoice(parties, [ratedPeriod(rated, BigInt(number * 10))]);
    const content = {
      ...draft,
      contentVersion,
      id: `inv_${number}`,
      tenant,
      number,
      issuedAt: october.end + number,
    };
    const previousHash = chain.at(-1)?.hash ?? genesisHash;
    chain.push({ ...content, previousHash, hash: chainHash(previousHash, canonicalInvoice(content)) });
  }
  return chain;
};
