/**
 * The taxes of the drafts of a shard as an engine outside says them. It is asked before the transaction of the shard,
 * so that no lock waits for it; under a key that is the same however often a shard is tried, so that an engine that
 * counts what it is asked counts each invoice once.
 */
import { createHash } from 'node:crypto';
import type { DraftInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { EngineAnswer, EngineRequest, TaxEngine } from '../taxes/tax-engine.ts';
import type { TaxFacts } from '../taxes/tax-facts.ts';
import { customerOf, sellerOf, taxableLines } from './tax-invoice.ts';

/** Invoices that an engine is asked about at a time, by one lane. */
const requestsMax = 8;

/** What a draft bills, by which it is told from every other: up to which sequence, and what. */
const contentOf = ({ periods, lines, currency }: DraftInvoice): string =>
  JSON.stringify([
    currency,
    periods.map(({ billingPeriodId, watermark }) => [billingPeriodId, watermark.toString()]),
    lines.map(({ position, amount, discounts }) => [
      position,
      amount.toString(),
      ...discounts.map((discount) => discount.amount.toString()),
    ]),
  ]);

export const draftKey = (draft: DraftInvoice): string =>
  createHash('sha256').update(contentOf(draft), 'utf8').digest('hex');

const requestOf = (organizationId: string, draft: DraftInvoice, facts: TaxFacts, issuedAt: Instant): EngineRequest => ({
  idempotencyKey: draftKey(draft),
  organizationId,
  customerId: draft.customerId,
  customer: customerOf(draft, facts),
  seller: sellerOf(draft),
  currency: draft.currency,
  issuedAt,
  lines: taxableLines(draft, facts),
});

/** By the key of their draft. Throws what the engine throws. */
export const askTaxEngine = async (
  engine: TaxEngine,
  organizationId: string,
  drafts: readonly DraftInvoice[],
  facts: TaxFacts,
  issuedAt: Instant,
): Promise<ReadonlyMap<string, EngineAnswer>> => {
  const answers = new Map<string, EngineAnswer>();
  const waiting = drafts.filter(({ lines }) => lines.length > 0).values();
  const ask = async (): Promise<void> => {
    for (const draft of waiting)
      answers.set(draftKey(draft), await engine(requestOf(organizationId, draft, facts, issuedAt)));
  };
  await Promise.all(Array.from({ length: requestsMax }, ask));
  return answers;
};
