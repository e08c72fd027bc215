/** Rated lines and issued invoices for tests, made by the product's own rating from readable texts. */
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { monthFromText, type Period } from '#schemas/period.ts';
import { type PlanVersion, planVersionFromJson } from '#schemas/plan.ts';
import { defaultRatingPolicy, type RatedLine } from '#schemas/rated-line.ts';
import { draftInvoice } from '../../invoicer/draft-invoice.ts';
import { canonicalInvoice, chainHash, genesisHash } from '../../invoicer/invoice-hash.ts';
import { ratePlan } from '../../rater/rate.ts';

/** The plan of the public trace: flat, package, graduated and per unit in one. */
export const llmProJson = {
  code: 'llm-pro',
  name: 'LLM Pro',
  currency: 'USD',
  charges: [
    { code: 'base', name: 'Base fee', meter: null, price: { model: 'flat', amount: '20.00' } },
    {
      code: 'requests',
      name: 'Requests',
      meter: 'requests',
      price: { model: 'package', package_amount: '0.50', package_size: '25', free_units: '20' },
    },
    {
      code: 'input',
      name: 'Input tokens',
      meter: 'input_tokens',
      price: {
        model: 'graduated',
        tiers: [
          { up_to: '100000', unit_amount: '0' },
          { up_to: '200000', unit_amount: '0.000003' },
          { up_to: null, unit_amount: '0.0000024' },
        ],
      },
    },
    { code: 'output', name: 'Output tokens', meter: 'output_tokens', price: { model: 'per_unit', unit_amount: '0.000015' } },
  ],
};

const parsed = planVersionFromJson(llmProJson);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
export const llmPro: PlanVersion = parsed.value;

export const october = monthFromText('2026-10') as Period;

export const parties = { subscriptionId: 'sub_1', customerId: 'cus_1', planVersionId: 'plv_1', currency: llmPro.currency } as const;

export const ratedLlmPro = (quantities: Record<string, string>): RatedLine[] =>
  ratePlan({ ...parties, charges: llmPro.charges, quantities }, defaultRatingPolicy);

/** A chain of `length` invoices of one tenant with different amounts, hashed one after the other as issuing does it. */
export const issuedChain = (length: number, tenant = 'ten_1'): IssuedInvoice[] => {
  const chain: IssuedInvoice[] = [];
  for (let number = 1; number <= length; number += 1) {
    const draft = draftInvoice(parties, october, ratedLlmPro({ requests: String(20 + number), output_tokens: String(number * 1000) }));
    const content = { ...draft, id: `inv_${number}`, tenant, number, watermark: BigInt(number * 10), issuedAt: october.end + number };
    const previousHash = chain.at(-1)?.hash ?? genesisHash;
    chain.push({ ...content, previousHash, hash: chainHash(previousHash, canonicalInvoice(content)) });
  }
  return chain;
};
