/**
 * The use case of the invoicer: rated lines of a shard -> issued invoices (`issue-shards.ts` does one after the other).
 * The order of effects, all in one transaction of PostgreSQL:
 *
 *   1. lock the organization's series row: its counter and the head of its hash chain; read how far the series of its
 *      document numbers went, which the same lock guards;
 *   2. leave out the billing periods that are billed, or in a draft; lock the drafts that the shard finalizes; lock the
 *      states of the invoices that its deltas correct and its credits take back, which nobody credits meanwhile; read
 *      which discounts hold and what is used of them, which the lock of step 1 guards, too;
 *   3. draw up credit notes of the deltas that are given back; draft, discount and tax the others, and carry over what
 *      lies below the minimum of its payer, or is no invoice of its own; number and chain what is left; of a shard that
 *      makes drafts, leave it at the taxed drafts;
 *   4. write invoices and lines, their billing periods as billed, deltas that are on no invoice as settled, what is
 *      carried over as that, what the invoices used of discounts, the new counters and head, and the shard's new state;
 *      drafts that were made, and what became of those that were finalized; the states that the invoices begin with;
 *      the credit notes, under the lock of their series (`../credits/issue-credit.ts`).
 *
 * So a number is taken only by an invoice that exists, and a process may die anywhere: either all of it happened or
 * none.
 */

import type { OrganizationClock } from '#platform/process/clock.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { newestContentVersion } from '#schemas/invoice/content.ts';
import type { DraftInvoice, IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { CreditedCharges, GivenBack } from '../corrections/credited-charges.ts';
import type { HandCredits } from '../corrections/hand-credits.ts';
import {
  type DiscountedInvoices,
  type DiscountFacts,
  type InvoiceUse,
  priceOverridesOf,
} from '../discounts/discount-facts.ts';
import { askTaxEngine, draftKey } from '../invoices/ask-tax-engine.ts';
import { type CarriedInvoice, carryOn, type Weighed } from '../invoices/carry-over.ts';
import { withoutUnchanged } from '../invoices/delta-lines.ts';
import { type DiscountedDraft, type DraftToDiscount, discountInvoices } from '../invoices/discount-invoices.ts';
import { draftInvoice, oneOffInvoice, type RatedPeriod } from '../invoices/draft-invoice.ts';
import { giveBackOnce } from '../invoices/give-back-once.ts';
import type { GroupedPeriod } from '../invoices/grouped-periods.ts';
import type { InvoiceGroup } from '../invoices/invoice-group.ts';
import type { ChainHead } from '../invoices/invoice-hash.ts';
import { canonicalInvoice, chainHash } from '../invoices/invoice-hash.ts';
import { issuedTerms, yearsOf } from '../invoices/issued-terms.ts';
import { type NumberingSeries, numberingFrom } from '../invoices/number-documents.ts';
import { taxInvoice, taxUnissued } from '../invoices/tax-invoice.ts';
import type { EngineAnswer, TaxEngine } from '../taxes/tax-engine.ts';
import type { TaxedInvoices, TaxFacts } from '../taxes/tax-facts.ts';
import {
  type CorrectedPeriods,
  type CreditedDeltas,
  type CreditOfDelta,
  creditDeltas,
  unclearDeltas,
  waitsForNext,
} from './credit-deltas.ts';

export type { InvoiceGroup };

/** Where the organization's chain and series stand, and which billing periods of the shard are billed already. */
export type SeriesState = {
  readonly head: ChainHead;
  readonly numbering: readonly NumberingSeries[];
  /** Or in a draft, where the shard finalizes none; or carried over. */
  readonly alreadyBilled: ReadonlySet<string>;
  /** The drafts that are still to be finalized by it. */
  readonly draftIds: ReadonlySet<string>;
  /** How long a draft waits; 0, as draft time was turned off meanwhile: the next run issues it. */
  readonly draftMinutes: number;
  /** What somebody credited of what its deltas correct. */
  readonly byHand: HandCredits;
  /** What the deltas correct that may be given back by credit notes. */
  readonly corrected: CorrectedPeriods;
  /** What its credits take back, where credit notes gave back some of it. */
  readonly creditedCharges: CreditedCharges;
  /** Undefined where nothing has discounts. */
  readonly discounts: DiscountFacts | undefined;
};

/** A draft as it is made of billing periods, under the id that its invoice will have. */
export type MadeDraft = { readonly id: string; readonly draft: DraftInvoice; readonly finalizeAt: Instant };

/** A delta that is on no invoice: nothing is due for it, it is only reported, or credit notes give it back. */
export type SettledDelta = { readonly billingPeriodId: string; readonly state: 'unchanged' | 'reported' | 'credited' };

/** What comes of a shard: invoices, the series that their numbers are of, and drafts. */
export type ClosedShard = {
  readonly invoices: readonly IssuedInvoice[];
  readonly numbering: readonly NumberingSeries[];
  readonly drafts: readonly MadeDraft[];
  readonly settled: readonly SettledDelta[];
  /** What is not issued, as it would come to too little. */
  readonly carried: readonly CarriedInvoice[];
  /** Credit notes of deltas. */
  readonly credits: readonly CreditOfDelta[];
  /** Deltas that wait for the next invoice of their payer, as they would be one by themselves. */
  readonly waiting: readonly string[];
  /** What the invoices used of discounts, and what deltas that are credited change of that. */
  readonly uses: readonly InvoiceUse[];
  /** The ids of drafts that were to be finalized, and of which no billing period could be rated. */
  readonly unrated: readonly string[];
};

export type ClosedCount = { readonly issued: number; readonly drafted: number; readonly carried: number };

export type IssuePorts = {
  readonly leaseShard: () => Promise<Shard | undefined>;
  /** The next shard of the same run, while its organization is held for the one before. */
  readonly leaseNext: (before: Shard) => Promise<Shard | undefined>;
  /** Gives back what was leased and not worked on. */
  readonly putBack: (shard: Shard) => Promise<void>;
  readonly ratedLines: (shard: Shard, periods: readonly GroupedPeriod[]) => Promise<readonly RatedLine[]>;
  /** What was rated before of the periods that deltas correct. */
  readonly linesBefore: (periods: readonly GroupedPeriod[]) => Promise<readonly RatedLine[]>;
  /** The shard's billing periods by invoice, or its drafts, in the order in which invoices are numbered. */
  readonly invoiceGroups: (shard: Shard) => Promise<readonly InvoiceGroup[]>;
  /** Those of the shard that are billed already, as of now. */
  readonly billedPeriods: (shard: Shard) => Promise<ReadonlySet<string>>;
  /** Undefined where nothing has taxes. */
  readonly taxFacts: (invoices: TaxedInvoices) => Promise<TaxFacts | undefined>;
  /** For organizations that go by it. */
  readonly taxEngine: TaxEngine;
  /** As of now; undefined where nothing has discounts. */
  readonly discountFacts: (invoices: DiscountedInvoices) => Promise<DiscountFacts | undefined>;
  /** As of now, and without a lock. */
  readonly correctedPeriods: (invoices: DiscountedInvoices) => Promise<CorrectedPeriods>;
  /** The same. */
  readonly handCredits: (invoices: DiscountedInvoices) => Promise<HandCredits>;
  /** The same. */
  readonly creditedCharges: (invoices: DiscountedInvoices) => Promise<CreditedCharges>;
  /**
   * Runs steps 1 to 4; `issue` is called under the lock and decides what is written. Resolves with how many came of
   * it. `hour` is that of the organization, or of its test clock. `holdsOn` says at the end whether the next shard is
   * leased by then, for which the organization stays held.
   */
  readonly commit: (
    shard: Shard,
    issue: (state: SeriesState) => ClosedShard,
    hour: () => Instant,
    elapsedMs: () => number,
    holdsOn: () => boolean,
    discounted: DiscountedInvoices,
  ) => Promise<ClosedCount>;
  readonly giveUp: (shard: Shard, error: unknown) => Promise<void>;
  readonly nowMs: OrganizationClock['nowMs'];
  readonly newInvoiceId: () => string;
  readonly stopwatch: () => () => number;
};

const minuteMs = 60_000;

/** What of a shard was written before it was cut: it can be read while others are still issued. */
export type ShardRead = {
  readonly groups: readonly InvoiceGroup[];
  readonly lines: readonly RatedLine[];
  readonly linesBefore: readonly RatedLine[];
};

/** What of a shard is read before its transaction. */
export type ShardContent = ShardRead & {
  readonly taxes: TaxFacts | undefined;
  /** Of a tax engine, by the key of their draft. */
  readonly answers: ReadonlyMap<string, EngineAnswer>;
};

/** By billing period: as it was rated now, and as it was before. */
type LinesByPeriod = { readonly now: LinesOfPeriods; readonly before: LinesOfPeriods };
type LinesOfPeriods = ReadonlyMap<string, readonly RatedLine[]>;

const linesByPeriod = ({ lines, linesBefore }: Pick<ShardContent, 'lines' | 'linesBefore'>): LinesByPeriod => ({
  now: Map.groupBy(lines, (line) => line.billingPeriodId),
  before: Map.groupBy(linesBefore, (line) => line.billingPeriodId),
});

/** What of a shard the others, or whoever credits, leave to be billed. */
type Standing = Pick<SeriesState, 'alreadyBilled'> & {
  /** Deltas of what somebody credited, and of which nobody can tell what is right: they are only reported. */
  readonly unclear: ReadonlySet<string>;
  /** Deltas that credit notes give back. */
  readonly credited: ReadonlySet<string>;
};

const isReported = ({ correction, billingPeriodId }: GroupedPeriod, { unclear }: Standing): boolean =>
  correction?.lateUsage === 'report_only' || unclear.has(billingPeriodId);

/** Whether it is for an invoice: neither billed, nor given back, nor only reported. */
const isLeft = (period: GroupedPeriod, standing: Standing): boolean =>
  !standing.alreadyBilled.has(period.billingPeriodId) &&
  !standing.credited.has(period.billingPeriodId) &&
  !isReported(period, standing);

/** What of a group is not billed yet: of billing periods, or of items. Undefined where that is nothing. */
const draftOf = (
  shard: Shard,
  { parties, periods, draft }: InvoiceGroup,
  byPeriod: LinesByPeriod,
  standing: Standing,
): DraftInvoice | undefined => {
  if (draft && draft.items.length > 0) return oneOffInvoice(parties, draft.items);
  // One without a line is billed too: nothing was due for it.
  const rated = periods
    .filter((period) => isLeft(period, standing))
    .map((period): RatedPeriod => {
      const linesBefore = byPeriod.before.get(period.correction?.before.billingPeriodId ?? '') ?? [];
      const lines = byPeriod.now.get(period.billingPeriodId) ?? [];
      return { ...period, watermark: shard.watermark, lines, linesBefore };
    });
  return rated.length === 0 ? undefined : draftInvoice(parties, rated);
};

const settledAs =
  (state: SettledDelta['state']) =>
  ({ billingPeriodId }: GroupedPeriod): SettledDelta => ({ billingPeriodId, state });

/** What is billed of a group, and its deltas that are on no invoice: only reported, or of no difference. */
type ClosedGroup = { readonly draft: DraftInvoice | undefined; readonly settled: readonly SettledDelta[] };

const closedGroup = (shard: Shard, group: InvoiceGroup, byPeriod: LinesByPeriod, standing: Standing): ClosedGroup => {
  const whole = draftOf(shard, group, byPeriod, standing);
  const isOpen = ({ billingPeriodId }: GroupedPeriod) => !standing.alreadyBilled.has(billingPeriodId);
  const reported = group.periods
    .filter((period) => isReported(period, standing) && isOpen(period))
    .map(settledAs('reported'));
  const { draft, unchanged } = withoutUnchanged(whole, group.draft !== undefined);
  return { draft, settled: [...reported, ...unchanged.map(settledAs('unchanged'))] };
};

type ShardDrafts = {
  readonly drafts: ReadonlyMap<InvoiceGroup, DiscountedDraft>;
  /** What their credits give back beside the amounts of their lines. */
  readonly given: GivenBack;
  readonly settled: readonly SettledDelta[];
  /** The ids of drafts that were to be finalized, and of which there is nothing to issue. */
  readonly unrated: readonly string[];
};

/** What of the groups is not billed yet, each with its discounts. */
const draftGroups = (
  shard: Shard,
  { groups, ...lines }: ShardRead,
  { discounts, creditedCharges, ...standing }: Standing & Pick<SeriesState, 'creditedCharges' | 'discounts'>,
  now: Instant,
): ShardDrafts => {
  const byPeriod = linesByPeriod(lines);
  const made = groups.map((group) => ({ group, ...closedGroup(shard, group, byPeriod, standing) }));
  const due = made.flatMap(({ group, draft }): (DraftToDiscount & { readonly group: InvoiceGroup })[] =>
    draft ? [{ group, draft, discountIds: group.draft?.discountIds ?? [], issuedAt: now }] : [],
  );
  const back = giveBackOnce(due, creditedCharges);
  const discounted = discountInvoices(back.drafts, lines.lines, discounts, back.given);
  return {
    given: back.given,
    drafts: new Map(due.map(({ group }, index) => [group, discounted[index] as DiscountedDraft])),
    settled: made.flatMap(({ settled }) => settled),
    unrated: made.flatMap(({ group, draft }) => (draft || !group.draft ? [] : [group.draft.id])),
  };
};

export const discountedInvoices = ({ organizationId }: Shard, { groups, lines }: ShardRead): DiscountedInvoices => {
  const periods = groups.flatMap((group) => group.periods);
  const payers = groups.map(({ parties }) => parties.customerId);
  return {
    organizationId,
    customerIds: [...new Set([...payers, ...periods.map(({ customerId }) => customerId)])],
    planVersionIds: [...new Set(periods.map(({ planVersionId }) => planVersionId))],
    billingPeriodIds: periods.map(({ billingPeriodId }) => billingPeriodId),
    creditIds: groups.flatMap(({ creditIds }) => creditIds),
    priceOverrideIds: priceOverridesOf(lines),
  };
};

/** What of groups would be issued, with taxes. */
const taxGroups = (
  { makesDrafts }: Shard,
  { drafts, given }: Pick<ShardDrafts, 'drafts' | 'given'>,
  { taxes, answers }: Pick<ShardContent, 'taxes' | 'answers'>,
  now: Instant,
): ShardDrafts['drafts'] =>
  new Map(
    [...drafts].map(([group, { draft, uses }]): [InvoiceGroup, DiscountedDraft] => {
      const answer = answers.size > 0 ? answers.get(draftKey(draft)) : undefined;
      const how = { answer, given };
      return [
        group,
        { draft: makesDrafts ? taxUnissued(draft, taxes, now, how) : taxInvoice(draft, taxes, now, how), uses },
      ];
    }),
  );

const weighed = (drafts: ShardDrafts['drafts']): ReadonlyMap<InvoiceGroup, Weighed> =>
  new Map(
    [...drafts].map(([group, { draft }]) => {
      const billingPeriodIds = draft.periods.map(({ billingPeriodId }) => billingPeriodId);
      return [group, { total: draft.total, billingPeriodIds }];
    }),
  );

/** What may be given back of a shard, and what that goes by. */
type Correctable = Pick<SeriesState, 'alreadyBilled' | 'byHand' | 'corrected' | 'creditedCharges' | 'discounts'>;

type StandingShard = {
  readonly given: CreditedDeltas;
  readonly standing: Standing & Pick<SeriesState, 'creditedCharges' | 'discounts'>;
};

/** What credit notes give back, and what stands then for the invoices. */
const creditShard = (
  shard: Shard,
  { groups, ...lines }: ShardRead,
  { alreadyBilled, byHand, corrected, creditedCharges, discounts }: Correctable,
  now: Instant,
): StandingShard => {
  const byPeriod = linesByPeriod(lines);
  const open = { alreadyBilled, creditedCharges, credited: new Set<string>(), unclear: new Set<string>() };
  const deltaBy = (standing: Standing) => (group: InvoiceGroup, period: GroupedPeriod) =>
    draftOf(shard, { ...group, periods: [period] }, byPeriod, standing);
  const unclear = unclearDeltas(groups, lines.lines, { byHand, discounts }, deltaBy(open), now);
  const before = { ...open, unclear };
  const nothing = { given: { credits: [], uses: [] }, standing: { ...before, discounts } };
  if (corrected.billed.size === 0) return nothing;
  const given = creditDeltas(groups, lines.lines, { corrected, discounts }, deltaBy(before), now);
  const credited = new Set(given.credits.map(({ deltaId }) => deltaId));
  return {
    given,
    standing: {
      ...before,
      credited,
      discounts: discounts && { ...discounts, uses: [...discounts.uses, ...given.uses] },
    },
  };
};

type WaitingDeltas = Pick<ClosedShard, 'settled' | 'waiting'> & { readonly groups: readonly InvoiceGroup[] };

/** Deltas that wait, and the groups that do not. */
const waitingDeltas = (shard: Shard, { groups, ...lines }: ShardRead, standing: Standing): WaitingDeltas => {
  const byPeriod = linesByPeriod(lines);
  const waits = groups.filter((group) =>
    waitsForNext(
      group,
      group.periods.filter((period) => isLeft(period, standing)),
    ),
  );
  const closed = waits.map((group) => closedGroup(shard, group, byPeriod, standing));
  return {
    groups: groups.filter((group) => !waits.includes(group)),
    settled: closed.flatMap(({ settled }) => settled),
    waiting: closed.flatMap(({ draft }) => draft?.periods.map(({ billingPeriodId }) => billingPeriodId) ?? []),
  };
};

type ShardInvoices = Omit<ShardDrafts, 'given'> & Pick<ClosedShard, 'carried' | 'credits' | 'uses' | 'waiting'>;

/**
 * What of groups is issued, with discounts and taxes, and what is given back or carried over. A discount that is used
 * once is used by what is issued: where something is carried over, the others are drafted anew.
 */
const invoicesOf = (shard: Shard, content: ShardContent, state: SeriesState, now: Instant): ShardInvoices => {
  const { given, standing } = creditShard(shard, content, state, now);
  const { waiting: ids, ...left } = waitingDeltas(shard, content, standing);
  const credited = [...standing.credited].map(
    (billingPeriodId): SettledDelta => ({ billingPeriodId, state: 'credited' }),
  );
  const carried: CarriedInvoice[] = [];
  const waiting: InvoiceGroup[] = [];
  for (let { groups } = left; ; ) {
    const { settled, unrated, ...drafted } = draftGroups(shard, { ...content, groups }, standing, now);
    const taxed = taxGroups(shard, drafted, content, now);
    const carriedOn = carryOn(groups, weighed(taxed));
    if (!carriedOn) {
      const ofWaiting = draftGroups(shard, { ...content, groups: waiting }, standing, now).settled;
      const all = [...credited, ...left.settled, ...settled, ...ofWaiting];
      return { drafts: taxed, settled: all, unrated, carried, waiting: ids, ...given };
    }
    carried.push(...carriedOn.carried);
    waiting.push(...carriedOn.waiting);
    groups = carriedOn.groups;
  }
};

/** What the tax engine says, where the organization goes by it. */
const askedAnswers = async (
  { taxEngine, billedPeriods, discountFacts, correctedPeriods, handCredits, creditedCharges }: IssuePorts,
  shard: Shard,
  { groups, taxes, ...lines }: Omit<ShardContent, 'answers'>,
  now: Instant,
): Promise<ShardContent['answers']> => {
  if (taxes?.calculation !== 'engine' || shard.makesDrafts) return new Map();
  // Nobody else issues of the organization while its lane holds it. A discount that comes or ends until the invoice is
  // issued makes it another one, about which the engine is asked when the shard is tried again; and so does a credit
  // note of what it corrects.
  const asked = discountedInvoices(shard, { ...lines, groups });
  const state = {
    alreadyBilled: await billedPeriods(shard),
    byHand: await handCredits(asked),
    discounts: await discountFacts(asked),
    corrected: await correctedPeriods(asked),
    creditedCharges: await creditedCharges(asked),
  };
  const { standing } = creditShard(shard, { ...lines, groups }, state, now);
  const answers = new Map<string, EngineAnswer>();
  // What is carried over makes another invoice, about which it is asked, too.
  for (
    let left: readonly InvoiceGroup[] | undefined = waitingDeltas(shard, { ...lines, groups }, standing).groups;
    left;
  ) {
    const drafted = draftGroups(shard, { ...lines, groups: left }, standing, now);
    const unasked = [...drafted.drafts.values()]
      .map(({ draft }) => draft)
      .filter((draft) => !answers.has(draftKey(draft)));
    const found = await askTaxEngine(taxEngine, shard.organizationId, unasked, taxes, now);
    for (const [key, answer] of found) answers.set(key, answer);
    const taxed = taxGroups(shard, drafted, { taxes, answers }, now);
    left = carryOn(left, weighed(taxed))?.groups;
  }
  return answers;
};

const taxedInvoices = (
  { organizationId }: Shard,
  groups: readonly InvoiceGroup[],
  billingPeriodIds: readonly string[],
): TaxedInvoices => ({
  organizationId,
  customerIds: [...new Set(groups.map(({ parties }) => parties.customerId))],
  planVersionIds: [...new Set(groups.flatMap(({ periods }) => periods.map(({ planVersionId }) => planVersionId)))],
  billingPeriodIds,
  creditIds: groups.flatMap(({ creditIds }) => creditIds),
});

/**
 * Numbers and chains the drafts of a shard: each is of billing periods that fall due together. Those of a shard
 * that makes drafts are left as drafts. Pure but for the ids.
 */
export const closeGroups = (
  shard: Shard,
  content: ShardContent,
  state: SeriesState,
  now: Instant,
  newInvoiceId: () => string,
): ClosedShard => {
  const groups = content.groups.filter(({ draft }) => !draft || state.draftIds.has(draft.id));
  const { drafts: closed, uses: given, ...rest } = invoicesOf(shard, { ...content, groups }, state, now);
  const numbering = numberingFrom(state.numbering);
  const yearIn = yearsOf(now);
  let head = state.head;
  const invoices: IssuedInvoice[] = [];
  const drafts: MadeDraft[] = [];
  const used: InvoiceUse[] = [...given];
  for (const [group, { draft, uses }] of closed) {
    if (shard.makesDrafts) {
      const finalizeAt = now + state.draftMinutes * minuteMs;
      drafts.push({ id: newInvoiceId(), draft, finalizeAt });
      continue;
    }
    const numbered = {
      ...draft,
      ...issuedTerms(group, numbering, now, yearIn),
      contentVersion: newestContentVersion,
      id: group.draft?.id ?? newInvoiceId(),
      tenant: shard.organizationId,
      number: head.number + 1,
    };
    const hash = chainHash(head.hash, canonicalInvoice(numbered));
    invoices.push({ ...numbered, previousHash: head.hash, hash });
    used.push(...uses.map((use) => ({ ...use, invoiceId: numbered.id })));
    head = { number: numbered.number, hash };
  }
  return { ...rest, invoices, numbering: numbering.moved(), drafts, uses: used };
};

export const hourOfShard = ({ nowMs }: Pick<IssuePorts, 'nowMs'>, { clockNow, organizationId }: Shard): Instant =>
  clockNow ?? nowMs(organizationId);

export const readShard = async (ports: IssuePorts, shard: Shard): Promise<ShardRead> => {
  const groups = await ports.invoiceGroups(shard);
  const periods = groups.flatMap((group) => group.periods);
  const lines = await ports.ratedLines(shard, periods);
  return { groups, lines, linesBefore: await ports.linesBefore(periods) };
};

/**
 * Whether what a shard comes to depends on what was issued before it: drafts may be finalized, a credit takes back
 * what was charged, and a delta corrects it.
 */
export const looksBack = ({ draftIds, makesDrafts }: Shard, { groups }: ShardRead): boolean =>
  makesDrafts || draftIds.length > 0 || groups.some(({ creditIds }) => creditIds.length > 0);

export const readTaxes = async (ports: IssuePorts, shard: Shard, read: ShardRead): Promise<ShardContent> => {
  const ids = read.groups.flatMap(({ periods }) => periods.map(({ billingPeriodId }) => billingPeriodId));
  const taxes = await ports.taxFacts(taxedInvoices(shard, read.groups, ids));
  const answers = await askedAnswers(ports, shard, { ...read, taxes }, hourOfShard(ports, shard));
  return { ...read, taxes, answers };
};
