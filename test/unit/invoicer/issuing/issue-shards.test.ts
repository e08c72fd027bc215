/** Shards one after the other: what is closed ahead holds only as far as what was foreseen came. */

import { describe, expect, it } from 'vitest';
import type { Shard } from '#schemas/billing-run.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { nothingCredited } from '../../../../invoicer/corrections/credited-charges.ts';
import { plainTerms } from '../../../../invoicer/invoices/draft-invoice.ts';
import type { ClosedShard, InvoiceGroup, IssuePorts, SeriesState } from '../../../../invoicer/issuing/close-period.ts';
import { nothingCorrected } from '../../../../invoicer/issuing/credit-deltas.ts';
import { createShardIssuer } from '../../../../invoicer/issuing/issue-shards.ts';

const shardOf = (shardNumber: number): Shard => ({
  runId: 'run_1',
  shardNumber,
  organizationId: 'org_1',
  kind: 'billing',
  watermark: 9n,
  billingPeriodIds: [`bpd_${shardNumber}`],
  draftIds: [],
  makesDrafts: false,
  requestId: undefined,
  clockNow: undefined,
  attempt: 1,
});

const groupOf = (shardNumber: number, creditIds: readonly string[] = []): InvoiceGroup => ({
  parties: { customerId: 'cus_1', currency: 'USD', terms: plainTerms },
  periods: [
    {
      billingPeriodId: `bpd_${shardNumber}`,
      customerId: 'cus_1',
      subscriptionId: 'sub_1',
      planVersionId: 'plv_1',
      span: { start: 0, end: 1 },
    },
  ],
  creditIds,
  timeZone: 'UTC',
  buyerDigest: null,
  numbers: { format: defaultNumberFormat, timeZone: 'UTC' },
});

/** An organization with so many rated shards, in memory; `told` is what happened, in order. */
const organization = (count: number, more: Partial<IssuePorts> = {}) => {
  const told: string[] = [];
  const waiting = Array.from({ length: count }, (_, index) => shardOf(index));
  const state: SeriesState = {
    head: { number: 0, hash: '0'.repeat(64) },
    numbering: [],
    alreadyBilled: new Set(),
    byHand: new Map(),
    corrected: nothingCorrected,
    creditedCharges: nothingCredited,
    draftIds: new Set(),
    draftMinutes: 0,
    discounts: undefined,
  };
  const committed: ClosedShard[] = [];
  const counter = () => {
    let last = 0;
    return () => {
      last += 1;
      return last;
    };
  };
  const [id, hour] = [counter(), counter()];
  const place = { state };
  const ports: IssuePorts = {
    leaseShard: async () => waiting.shift(),
    leaseNext: async () => waiting.shift(),
    putBack: async (shard) => void waiting.unshift(shard),
    linesBefore: async () => [],
    correctedPeriods: async () => nothingCorrected,
    creditedCharges: async () => nothingCredited,
    handCredits: async () => new Map(),
    ratedLines: async () => [],
    invoiceGroups: async ({ shardNumber }) => {
      told.push(`read ${shardNumber}`);
      return [groupOf(shardNumber)];
    },
    billedPeriods: async () => new Set(),
    taxFacts: async ({ billingPeriodIds }) => {
      told.push(`taxes ${billingPeriodIds}`);
      return undefined;
    },
    taxEngine: async () => new Map(),
    discountFacts: async () => undefined,
    commit: async ({ shardNumber }, issue) => {
      const closed = issue(place.state);
      // What is prepared meanwhile is prepared by now.
      await new Promise((resolve) => setTimeout(resolve, 5));
      committed.push(closed);
      told.push(`commit ${shardNumber}`);
      const last = closed.invoices.at(-1);
      if (last) {
        place.state = { ...state, head: { number: last.number, hash: last.hash }, numbering: closed.numbering };
      }
      return { issued: closed.invoices.length, drafted: 0, carried: 0 };
    },
    giveUp: async ({ shardNumber }) => void told.push(`give up ${shardNumber}`),
    nowMs: hour,
    newInvoiceId: () => `inv_${id()}`,
    stopwatch: () => () => 0,
    ...more,
  };
  return { ports, told, committed, place, waiting };
};

const issueAll = async (issuer: ReturnType<typeof createShardIssuer>): Promise<void> => {
  while ((await issuer.issueNext()) !== undefined);
};

describe('shards of an organization', () => {
  it('are read and closed while the one before is written, and chain', async () => {
    const { ports, told, committed } = organization(3);
    await issueAll(createShardIssuer(ports));
    expect(told.filter((what) => !what.startsWith('taxes'))).toEqual([
      ...['read 0', 'read 1', 'commit 0', 'read 2', 'commit 1', 'commit 2'],
    ]);
    const invoices = committed.flatMap((closed) => closed.invoices);
    expect(invoices.map(({ id, number, documentNumber }) => [id, number, documentNumber])).toEqual([
      ['inv_1', 1, 'INV-1970-000001'],
      ['inv_2', 2, 'INV-1970-000002'],
      ['inv_3', 3, 'INV-1970-000003'],
    ]);
    expect(invoices.map(({ previousHash }) => previousHash)).toEqual([
      '0'.repeat(64),
      ...invoices.slice(0, 2).map(({ hash }) => hash),
    ]);
  });

  it('[I18] are closed anew where the chain stands elsewhere than foreseen', async () => {
    const { ports, committed, place } = organization(2);
    const issuer = createShardIssuer(ports);
    await issuer.issueNext();
    const elsewhere = { number: 7, hash: '7'.repeat(64) };
    place.state = { ...place.state, head: elsewhere };
    await issuer.issueNext();
    expect(committed[1]?.invoices).toMatchObject([{ id: 'inv_3', number: 8, previousHash: elsewhere.hash }]);
  });

  it('[I16] leave out what was billed meanwhile', async () => {
    const { ports, committed, place } = organization(2);
    const issuer = createShardIssuer(ports);
    await issuer.issueNext();
    place.state = { ...place.state, alreadyBilled: new Set(['bpd_1']) };
    await issuer.issueNext();
    expect(committed[1]?.invoices).toEqual([]);
  });

  it('take their turn though the one before failed, by what stands then', async () => {
    let failures = 1;
    const { ports, told, committed } = organization(2);
    const issuer = createShardIssuer({
      ...ports,
      commit: async (...call) => {
        if (failures === 0) return ports.commit(...call);
        failures -= 1;
        call[1](organization(0).place.state);
        throw new Error('the store is gone');
      },
    });
    await expect(issuer.issueNext()).rejects.toThrow('the store is gone');
    await issueAll(issuer);
    expect(told).toContain('give up 0');
    expect(committed.flatMap(({ invoices }) => invoices)).toMatchObject([{ number: 1, previousHash: '0'.repeat(64) }]);
  });

  it('that take back what was charged read what that was once it is committed', async () => {
    const { ports, told } = organization(2);
    const invoiceGroups: IssuePorts['invoiceGroups'] = async ({ shardNumber }) => [groupOf(shardNumber, ['bpd_x'])];
    await issueAll(createShardIssuer({ ...ports, invoiceGroups }));
    expect(told).toEqual(['taxes bpd_0', 'commit 0', 'taxes bpd_1', 'commit 1']);
  });

  it('that can’t be read are given up, and no other is', async () => {
    const { ports, told } = organization(3);
    const invoiceGroups: IssuePorts['invoiceGroups'] = async (shard) => {
      if (shard.shardNumber === 1) throw new Error('unreadable');
      return ports.invoiceGroups(shard);
    };
    const issuer = createShardIssuer({ ...ports, invoiceGroups });
    await issuer.issueNext();
    await expect(issuer.issueNext()).rejects.toThrow('unreadable');
    await issueAll(issuer);
    expect(told.filter((what) => what.startsWith('commit') || what.startsWith('give'))).toEqual([
      ...['give up 1', 'commit 0', 'commit 2'],
    ]);
  });

  it('that are leased ahead are given back at the end', async () => {
    const { ports, waiting } = organization(3);
    const issuer = createShardIssuer(ports);
    await issuer.issueNext();
    await issuer.close();
    expect(waiting.map(({ shardNumber }) => shardNumber)).toEqual([1, 2]);
  });
});
