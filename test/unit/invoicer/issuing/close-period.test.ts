import { expect, it } from 'vitest';
import type { Shard } from '#schemas/billing-run.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { nothingCredited } from '../../../../invoicer/corrections/credited-charges.ts';
import { plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import type { ClosedShard, InvoiceGroup } from '../../../../invoicer/issuing/close-period.ts';
import { nothingCorrected } from '../../../../invoicer/issuing/credit-deltas.ts';
import { createShardIssuer } from '../../../../invoicer/issuing/issue-shards.ts';

const shard: Shard = {
  runId: 'run_1',
  shardNumber: 0,
  organizationId: 'org_1',
  kind: 'billing',
  watermark: 9n,
  billingPeriodIds: ['bpd_1'],
  draftIds: [],
  makesDrafts: false,
  requestId: undefined,
  clockNow: undefined,
  attempt: 1,
};
const group: InvoiceGroup = {
  parties: { customerId: 'cus_1', currency: 'USD', terms: plainTerms },
  periods: [
    {
      billingPeriodId: 'bpd_1',
      customerId: 'cus_1',
      subscriptionId: 'sub_1',
      planVersionId: 'plv_1',
      span: { start: 0, end: 1 },
    },
  ],
  creditIds: [],
  timeZone: 'UTC',
  buyerDigest: null,
  numbers: { format: defaultNumberFormat, timeZone: 'UTC' },
};

const now = 1_000_000;
const closed = async (makesDrafts: boolean, draftMinutes: number): Promise<ClosedShard | undefined> => {
  let result: ClosedShard | undefined;
  const issuer = createShardIssuer({
    leaseShard: async () => ({ ...shard, makesDrafts }),
    leaseNext: async () => undefined,
    putBack: async () => {},
    ratedLines: async () => [],
    linesBefore: async () => [],
    invoiceGroups: async () => [group],
    billedPeriods: async () => new Set(),
    taxFacts: async () => undefined,
    taxEngine: async () => new Map(),
    discountFacts: async () => undefined,
    correctedPeriods: async () => nothingCorrected,
    creditedCharges: async () => nothingCredited,
    handCredits: async () => new Map(),
    commit: async (_shard, issue) => {
      const head = { number: 0, hash: '0'.repeat(64) };
      result = issue({
        head,
        numbering: [],
        alreadyBilled: new Set(),
        byHand: new Map(),
        corrected: nothingCorrected,
        creditedCharges: nothingCredited,
        draftIds: new Set(),
        draftMinutes,
        discounts: undefined,
      });
      return { issued: result.invoices.length, drafted: result.drafts.length, carried: result.carried.length };
    },
    giveUp: async () => {},
    nowMs: () => now,
    newInvoiceId: () => 'inv_1',
    stopwatch: () => () => 0,
  });
  await issuer.issueNext();
  return result;
};

it.each([60, 0])(
  'a shard that was cut to make drafts makes them, with draft time of %i minutes by then',
  async (minutes) => {
    const { drafts, invoices } = (await closed(true, minutes)) ?? {};
    expect(drafts).toMatchObject([{ id: 'inv_1', finalizeAt: now + minutes * 60_000 }]);
    expect(invoices).toEqual([]);
  },
);

it('a shard that was cut to issue issues, though drafts wait by then', async () => {
  const { drafts, invoices } = (await closed(false, 60)) ?? {};
  expect(drafts).toEqual([]);
  expect(invoices).toMatchObject([{ id: 'inv_1', number: 1 }]);
});
