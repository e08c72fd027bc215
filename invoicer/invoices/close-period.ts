/**
 * The use case of the invoicer: rated lines of a shard -> issued invoices. The order of effects, all in one transaction
 * of PostgreSQL:
 *
 *   1. lock the organization's series row: its counter and the head of its hash chain;
 *   2. leave out the billing periods that are billed;
 *   3. draft, number and chain the others;
 *   4. write invoices and lines, their billing periods as billed, the new counter and head, and the shard's new state.
 *
 * So a number is taken only by an invoice that exists, and a process may die anywhere: either all of it happened or
 * none.
 */

import type { OrganizationClock } from '#platform/process/clock.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { newestContentVersion } from '#schemas/invoice/content.ts';
import type { InvoicePeriod, IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { draftInvoice, type InvoiceParties, type RatedPeriod } from './draft-invoice.ts';
import type { ChainHead } from './invoice-hash.ts';
import { canonicalInvoice, chainHash } from './invoice-hash.ts';

/** Where the organization's chain stands, and which billing periods of the shard are billed already. */
type SeriesState = { readonly head: ChainHead; readonly alreadyBilled: ReadonlySet<string> };

/** Billing periods of one payer that fall due together, in the order in which they are printed. */
export type InvoiceGroup = InvoiceParties & { readonly periods: readonly Omit<InvoicePeriod, 'watermark'>[] };

export type IssuePorts = {
  readonly leaseShard: () => Promise<Shard | undefined>;
  readonly ratedLines: (shard: Shard) => Promise<readonly RatedLine[]>;
  /** The shard's billing periods by invoice, in the order in which invoices are numbered. */
  readonly invoiceGroups: (shard: Shard) => Promise<readonly InvoiceGroup[]>;
  /**
   * Runs steps 1 to 4; `issue` is called under the lock and decides what is written. Resolves with how many were
   * issued.
   */
  readonly commit: (
    shard: Shard,
    issue: (state: SeriesState) => readonly IssuedInvoice[],
    elapsedMs: () => number,
  ) => Promise<number>;
  readonly giveUp: (shard: Shard, error: unknown) => Promise<void>;
  readonly nowMs: OrganizationClock['nowMs'];
  readonly newInvoiceId: () => string;
  readonly stopwatch: () => () => number;
};

/**
 * Numbers and chains the drafts of a shard: each is of billing periods that fall due together. Pure but for the ids.
 */
const issueInvoices = (
  shard: Shard,
  { lines, groups }: { lines: readonly RatedLine[]; groups: readonly InvoiceGroup[] },
  state: SeriesState,
  issuedAt: Instant,
  newInvoiceId: () => string,
): IssuedInvoice[] => {
  const byPeriod = Map.groupBy(lines, (line) => line.billingPeriodId);
  let head = state.head;
  const issued: IssuedInvoice[] = [];
  for (const { periods, ...parties } of groups) {
    // One without a line is billed too: nothing was due for it.
    const rated = periods
      .filter(({ billingPeriodId }) => !state.alreadyBilled.has(billingPeriodId))
      .map((period): RatedPeriod => {
        return { ...period, watermark: shard.watermark, lines: byPeriod.get(period.billingPeriodId) ?? [] };
      });
    if (rated.length === 0) continue;
    const numbered = {
      ...draftInvoice(parties, rated),
      contentVersion: newestContentVersion,
      id: newInvoiceId(),
      tenant: shard.organizationId,
      number: head.number + 1,
      issuedAt,
    };
    const hash = chainHash(head.hash, canonicalInvoice(numbered));
    issued.push({ ...numbered, previousHash: head.hash, hash });
    head = { number: numbered.number, hash };
  }
  return issued;
};

/** Issues the invoices of one shard. Resolves with how many, or `undefined` where there was no shard. */
export const issueOneShard = async (ports: IssuePorts): Promise<number | undefined> => {
  const shard = await ports.leaseShard();
  if (!shard) return undefined;
  const elapsedMs = ports.stopwatch();
  try {
    const lines = await ports.ratedLines(shard);
    const groups = await ports.invoiceGroups(shard);
    return await ports.commit(
      shard,
      (state) =>
        issueInvoices(
          shard,
          { lines, groups },
          state,
          shard.clockNow ?? ports.nowMs(shard.organizationId),
          ports.newInvoiceId,
        ),
      elapsedMs,
    );
  } catch (error) {
    await ports.giveUp(shard, error);
    throw error;
  }
};
