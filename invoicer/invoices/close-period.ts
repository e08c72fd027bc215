/**
 * The use case of the invoicer: rated lines of a shard -> issued invoices. The order of effects, all in one transaction
 * of PostgreSQL:
 *
 *   1. lock the organization's series row: its counter and the head of its hash chain; read how far the series of its
 *      document numbers went, which the same lock guards;
 *   2. leave out the billing periods that are billed;
 *   3. draft, tax, number and chain the others;
 *   4. write invoices and lines, their billing periods as billed, the new counters and head, and the shard's new state.
 *
 * So a number is taken only by an invoice that exists, and a process may die anywhere: either all of it happened or
 * none.
 */

import type { OrganizationClock } from '#platform/process/clock.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { newestContentVersion } from '#schemas/invoice/content.ts';
import type { DraftInvoice, InvoicePeriod, IssuedInvoice } from '#schemas/invoice.ts';
import type { NumberFormat } from '#schemas/number-format.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { EngineAnswer, TaxEngine } from '../taxes/tax-engine.ts';
import type { TaxedInvoices, TaxFacts } from '../taxes/tax-facts.ts';
import { askTaxEngine, draftKey } from './ask-tax-engine.ts';
import { draftInvoice, type InvoiceParties, type RatedPeriod } from './draft-invoice.ts';
import type { ChainHead } from './invoice-hash.ts';
import { canonicalInvoice, chainHash } from './invoice-hash.ts';
import { type Numbering, type NumberingSeries, numberingFrom } from './number-documents.ts';
import { dueAtOf } from './payment-terms.ts';
import { taxInvoice } from './tax-invoice.ts';

/** Where the organization's chain and series stand, and which billing periods of the shard are billed already. */
type SeriesState = {
  readonly head: ChainHead;
  readonly numbering: readonly NumberingSeries[];
  readonly alreadyBilled: ReadonlySet<string>;
};

/** Billing periods of one payer that fall due together, in the order in which they are printed. */
export type InvoiceGroup = {
  readonly parties: InvoiceParties;
  readonly periods: readonly Omit<InvoicePeriod, 'watermark'>[];
  /** Of the payer: the calendar that days are counted in until the invoice is due. */
  readonly timeZone: string;
  /** How its number is written, and by the year of which time zone. */
  readonly numbers: { readonly format: NumberFormat; readonly timeZone: string };
};

/** What is written: invoices, and the series that their numbers are of. */
export type Issued = { readonly invoices: readonly IssuedInvoice[]; readonly numbering: readonly NumberingSeries[] };

export type IssuePorts = {
  readonly leaseShard: () => Promise<Shard | undefined>;
  readonly ratedLines: (shard: Shard) => Promise<readonly RatedLine[]>;
  /** The shard's billing periods by invoice, in the order in which invoices are numbered. */
  readonly invoiceGroups: (shard: Shard) => Promise<readonly InvoiceGroup[]>;
  /** Those of the shard that are billed already, as of now. */
  readonly billedPeriods: (shard: Shard) => Promise<ReadonlySet<string>>;
  /** Undefined where the organization has no taxes. */
  readonly taxFacts: (invoices: TaxedInvoices) => Promise<TaxFacts | undefined>;
  /** For organizations that go by it. */
  readonly taxEngine: TaxEngine;
  /**
   * Runs steps 1 to 4; `issue` is called under the lock and decides what is written. Resolves with how many were
   * issued.
   */
  readonly commit: (shard: Shard, issue: (state: SeriesState) => Issued, elapsedMs: () => number) => Promise<number>;
  readonly giveUp: (shard: Shard, error: unknown) => Promise<void>;
  readonly nowMs: OrganizationClock['nowMs'];
  readonly newInvoiceId: () => string;
  readonly stopwatch: () => () => number;
};

const yearOf = (instant: Instant, timeZone: string): number =>
  Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).year;

/** What an invoice has that its draft has not, but for its place in the chain. */
const issuedTerms = (
  { parties: { terms }, timeZone, numbers }: InvoiceGroup,
  numbering: Numbering,
  issuedAt: Instant,
): Pick<IssuedInvoice, 'documentNumber' | 'issuedAt' | 'dueAt' | 'buyerDigest'> => ({
  documentNumber: numbering.next(terms.issuingEntityId, numbers.format, yearOf(issuedAt, numbers.timeZone)),
  issuedAt,
  dueAt: dueAtOf(issuedAt, terms.paymentDays, timeZone),
  buyerDigest: null,
});

/** What of a shard is read before its transaction. */
type ShardContent = {
  readonly lines: readonly RatedLine[];
  readonly groups: readonly InvoiceGroup[];
  readonly taxes: TaxFacts | undefined;
  /** Of a tax engine, by the key of their draft. */
  readonly answers: ReadonlyMap<string, EngineAnswer>;
};

/** What of a group is not billed yet. Undefined where that is nothing. */
const draftOf = (
  shard: Shard,
  { parties, periods }: InvoiceGroup,
  byPeriod: ReadonlyMap<string, readonly RatedLine[]>,
  alreadyBilled: ReadonlySet<string>,
): DraftInvoice | undefined => {
  // One without a line is billed too: nothing was due for it.
  const rated = periods
    .filter(({ billingPeriodId }) => !alreadyBilled.has(billingPeriodId))
    .map((period): RatedPeriod => {
      return { ...period, watermark: shard.watermark, lines: byPeriod.get(period.billingPeriodId) ?? [] };
    });
  return rated.length === 0 ? undefined : draftInvoice(parties, rated);
};

const linesByPeriod = (lines: readonly RatedLine[]): ReadonlyMap<string, readonly RatedLine[]> =>
  Map.groupBy(lines, (line) => line.billingPeriodId);

/** What the tax engine says, where the organization goes by it. */
const askedAnswers = async (
  { taxEngine, billedPeriods }: IssuePorts,
  shard: Shard,
  { lines, groups, taxes }: Omit<ShardContent, 'answers'>,
  now: Instant,
): Promise<ShardContent['answers']> => {
  if (taxes?.calculation !== 'engine') return new Map();
  const byPeriod = linesByPeriod(lines);
  // Nobody else issues of the organization while its lane holds it.
  const billed = await billedPeriods(shard);
  const drafts = groups.flatMap((group) => draftOf(shard, group, byPeriod, billed) ?? []);
  return askTaxEngine(taxEngine, shard.organizationId, drafts, taxes, now);
};

const taxedInvoices = (
  { organizationId, billingPeriodIds }: Shard,
  groups: readonly InvoiceGroup[],
): TaxedInvoices => ({
  organizationId,
  customerIds: [...new Set(groups.map(({ parties }) => parties.customerId))],
  planVersionIds: [...new Set(groups.flatMap(({ periods }) => periods.map(({ planVersionId }) => planVersionId)))],
  billingPeriodIds,
});

/**
 * Numbers and chains the drafts of a shard: each is of billing periods that fall due together. Pure but for the ids.
 */
const issueInvoices = (
  shard: Shard,
  { lines, groups, taxes, answers }: ShardContent,
  state: SeriesState,
  issuedAt: Instant,
  newInvoiceId: () => string,
): Issued => {
  const byPeriod = linesByPeriod(lines);
  const numbering = numberingFrom(state.numbering);
  let head = state.head;
  const invoices: IssuedInvoice[] = [];
  for (const group of groups) {
    const draft = draftOf(shard, group, byPeriod, state.alreadyBilled);
    if (!draft) continue;
    const numbered = {
      ...taxInvoice(draft, taxes, issuedAt, answers.size > 0 ? answers.get(draftKey(draft)) : undefined),
      ...issuedTerms(group, numbering, issuedAt),
      contentVersion: newestContentVersion,
      id: newInvoiceId(),
      tenant: shard.organizationId,
      number: head.number + 1,
    };
    const hash = chainHash(head.hash, canonicalInvoice(numbered));
    invoices.push({ ...numbered, previousHash: head.hash, hash });
    head = { number: numbered.number, hash };
  }
  return { invoices, numbering: numbering.moved() };
};

/** Issues the invoices of one shard. Resolves with how many, or `undefined` where there was no shard. */
export const issueOneShard = async (ports: IssuePorts): Promise<number | undefined> => {
  const shard = await ports.leaseShard();
  if (!shard) return undefined;
  const elapsedMs = ports.stopwatch();
  try {
    const lines = await ports.ratedLines(shard);
    const groups = await ports.invoiceGroups(shard);
    const taxes = await ports.taxFacts(taxedInvoices(shard, groups));
    const instant = (): Instant => shard.clockNow ?? ports.nowMs(shard.organizationId);
    const answers = await askedAnswers(ports, shard, { lines, groups, taxes }, instant());
    return await ports.commit(
      shard,
      (state) => issueInvoices(shard, { lines, groups, taxes, answers }, state, instant(), ports.newInvoiceId),
      elapsedMs,
    );
  } catch (error) {
    await ports.giveUp(shard, error);
    throw error;
  }
};
