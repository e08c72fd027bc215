/** The ports of the invoicer over the tables in memory: each a statement or a transaction of PostgreSQL. */
import assert from 'node:assert/strict';
import type { Shard } from '#schemas/billing-run.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { zeroAmount } from '#schemas/money.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import type { HandCredited, HandCredits } from '../../../invoicer/corrections/hand-credits.ts';
import { issueCredit } from '../../../invoicer/credits/issue-credit.ts';
import { plainTerms } from '../../../invoicer/invoices/draft-invoice.ts';
import type { GroupedPeriod } from '../../../invoicer/invoices/grouped-periods.ts';
import type {
  ClosedCount,
  ClosedShard,
  InvoiceGroup,
  IssuePorts,
  SeriesState,
} from '../../../invoicer/issuing/close-period.ts';
import type { CorrectedPeriods } from '../../../invoicer/issuing/credit-deltas.ts';
import type { Process } from '../scheduler.ts';
import { chargesOf, creditedChargesOf } from './charges-ahead.ts';
import { creditedOf, creditsIn, lockedOf } from './credit-ports.ts';
import { billedWith, periodsIn } from './cut-store.ts';
import { deltasBefore, discountFactsOf, taxFactsOf } from './facts.ts';
import { firstFree, giveBack, ratedLinesAt, shardRow, toShard } from './rater-ports.ts';
import { organizationId, type PeriodRecord, type Run, ratedKey, type ShardRecord, type Tables } from './tables.ts';
import { ask, begin, commit, isFree, type Locks, leaseMs, underLock, type World } from './world.ts';

const timings = ['arrears', 'credit', 'advance', 'once', 'delta'];

const byPlace = (a: PeriodRecord, b: PeriodRecord): number => {
  const key = ({ customerId, subscriptionId, timing, part, id }: PeriodRecord) =>
    `${customerId} ${subscriptionId} ${timings.indexOf(timing)} ${String(part.span.start).padStart(15, '0')} ${id}`;
  return key(a) < key(b) ? -1 : 1;
};

/** As `ratedBefore` says it. */
export const ratedBefore = ({ bug, tables }: World, { correctsId }: PeriodRecord): PeriodRecord => {
  const isRated = ({ id, watermark = 0n }: PeriodRecord): boolean => tables.ratedLines.has(ratedKey(id, watermark));
  const settled = periodsIn(tables).filter(
    (one) => one.state !== 'open' && (one.id === correctsId || (one.correctsId === correctsId && !bug.forgetsDeltas)),
  );
  return settled.toSorted(
    (a, b) => Number(isRated(b)) - Number(isRated(a)) || Number((b.watermark ?? 0n) - (a.watermark ?? 0n)),
  )[0] as PeriodRecord;
};

/** Of the invoices that billed something of what a delta corrects. */
const correctedInvoices = (tables: Tables, delta: PeriodRecord): string[] =>
  periodsIn(tables)
    .filter(({ id, correctsId }) => id === delta.correctsId || correctsId === delta.correctsId)
    .flatMap(({ invoiceId }) => invoiceId ?? []);

const correctedPeriodsOf = (tables: Tables, ids: readonly string[]): CorrectedPeriods => {
  const deltas = deltasOf(tables, ids).filter(({ lateUsage }) => lateUsage === 'credit_note');
  const before = deltasBefore(
    tables,
    deltas.map(({ id }) => id),
  );
  const invoiceIds = new Set(deltas.flatMap((delta) => correctedInvoices(tables, delta)));
  return {
    billed: new Map([...before].map(([id, { lines }]) => [id, lines])),
    invoices: new Map([...invoiceIds].map((id) => [id, lockedOf(tables, id)])),
  };
};

/** What credit notes by hand gave back of what a delta corrects; undefined where there are none. */
const handCreditedOf = (tables: Tables, delta: PeriodRecord): HandCredited | undefined => {
  const chain = periodsIn(tables).filter(({ id, correctsId }) => [id, correctsId].includes(delta.correctsId as string));
  const ids = new Set(chain.flatMap(({ invoiceId }) => invoiceId ?? []));
  const byHand = tables.creditNotes.filter(({ id, invoice }) => ids.has(invoice.id) && !tables.creditedDeltas.has(id));
  if (byHand.length === 0) return undefined;
  const isSpent = (id: string): boolean => {
    const { total } = tables.invoices.find((one) => one.id === id) as IssuedInvoice;
    return byHand.some(({ invoice }) => invoice.id === id) && (tables.states.get(id)?.amountCredited ?? 0n) >= total;
  };
  const isLeft = new Map<string, boolean>();
  for (const { invoice, lines } of byHand)
    for (const { billingPeriodId, chargeCode, invoiceLine } of lines) {
      if (!chain.some(({ id }) => id === billingPeriodId)) continue;
      const line = tables.invoices.find(({ id }) => id === invoice.id)?.lines[invoiceLine - 1];
      const left = creditedOf(tables, invoice.id).get(invoiceLine)?.amount !== line?.amount;
      isLeft.set(chargeCode ?? '', left && isLeft.get(chargeCode ?? '') !== false);
    }
  return { isGivenUp: chain.some(({ state }) => state === 'reported') || [...ids].some(isSpent), isLeft };
};

const handCreditsOf = (tables: Tables, ids: readonly string[]): HandCredits =>
  new Map(
    deltasOf(tables, ids).flatMap((delta) => {
      const credited = handCreditedOf(tables, delta);
      return credited ? [[delta.id, credited] as const] : [];
    }),
  );

const deltasOf = (tables: Tables, ids: readonly string[]): PeriodRecord[] =>
  ids.flatMap((id) => tables.periods.get(id) ?? []).filter(({ timing }) => timing === 'delta');

const toGrouped = (world: World, period: PeriodRecord): GroupedPeriod => {
  const { id, customerId, subscriptionId, part, correctsId } = period;
  const grouped = {
    billingPeriodId: id,
    customerId,
    subscriptionId,
    planVersionId: part.planVersionId,
    span: part.span,
  };
  if (correctsId === undefined) return grouped;
  const before = ratedBefore(world, period);
  const first = world.tables.periods.get(correctsId) as PeriodRecord;
  return {
    ...grouped,
    correctsId,
    correction: {
      billingPeriodId: correctsId,
      invoiceId: first.invoiceId as string,
      before: { billingPeriodId: before.id, watermark: before.watermark as bigint },
      lateUsage: period.lateUsage,
    },
  };
};

const groupsOf = (world: World, { billingPeriodIds }: Shard): InvoiceGroup[] => {
  const { tables } = world;
  const due = billingPeriodIds.map((id) => tables.periods.get(id) as PeriodRecord);
  const groups = Map.groupBy(due, (one) => `${billedWith(one)} ${one.dueAt}`);
  return [...groups.values()].map((periods): InvoiceGroup => {
    const customerId = (periods[0] as PeriodRecord).customerId;
    const goesOn = periods.some(
      ({ subscriptionId }) => tables.subscriptions.get(subscriptionId)?.nextDueAt !== undefined,
    );
    return {
      parties: { customerId, currency: 'USD', terms: plainTerms },
      mayWait: goesOn && periods.every(({ timing, isLast }) => timing === 'delta' && !isLast),
      periods: periods.toSorted(byPlace).map((period) => toGrouped(world, period)),
      creditIds: periods.filter(({ timing }) => timing === 'credit' || timing === 'delta').map(({ id }) => id),
      timeZone: tables.customers.get(customerId)?.timeZone ?? 'UTC',
      buyerDigest: null,
      numbers: { format: defaultNumberFormat, timeZone: 'UTC' },
    };
  });
};

/** The organization with it, so that nobody else issues invoices of it. */
const leaseOf = ({ tables, clock }: World, row: ShardRecord | undefined): Shard | undefined => {
  if (!row) return undefined;
  Object.assign(row, { attempts: row.attempts + 1, leasedUntil: clock.nowMs() + leaseMs });
  tables.series.leasedUntil = row.leasedUntil;
  return toShard(tables, row);
};

const isHeld = (tables: Tables, shard: Shard): boolean => {
  const { state, attempts } = shardRow(tables, shard);
  return state === 'rated' && attempts === shard.attempt;
};

const billedPeriods = ({ periods }: Tables, { billingPeriodIds }: Shard): ReadonlySet<string> =>
  new Set(billingPeriodIds.filter((id) => periods.get(id)?.state !== 'open' || periods.get(id)?.isCarried));

/** All of step 4 of close-period.ts; a billing period that is not open any more ends it. */
const write = (world: World, shard: Shard, closed: ClosedShard, holdsOn: () => boolean): void => {
  const { tables, clock } = world;
  const billed = closed.invoices.flatMap(({ id, periods }) => periods.map((period) => ({ ...period, invoiceId: id })));
  if (!world.bug.billsTwice)
    for (const { billingPeriodId } of [...billed, ...closed.settled])
      assert.equal(tables.periods.get(billingPeriodId)?.state, 'open', 'a billing period is billed already');
  for (const { billingPeriodId, invoiceId, watermark } of billed)
    Object.assign(tables.periods.get(billingPeriodId) as PeriodRecord, { state: 'billed', invoiceId, watermark });
  for (const { billingPeriodId, state } of closed.settled)
    Object.assign(tables.periods.get(billingPeriodId) as PeriodRecord, { state, watermark: shard.watermark });
  for (const invoice of closed.invoices) {
    tables.invoices.push(invoice);
    const amountPaid = zeroAmount;
    tables.states.set(invoice.id, { state: 'issued', amountCredited: zeroAmount, amountPaid });
  }
  tables.uses.push(...closed.uses);
  for (const id of closed.waiting) Object.assign(tables.periods.get(id) as PeriodRecord, { isCarried: true });
  const stems = new Set(closed.numbering.map(({ stem }) => stem));
  tables.series.numbering = [...tables.series.numbering.filter(({ stem }) => !stems.has(stem)), ...closed.numbering];
  const row = shardRow(tables, shard);
  if (row.state === 'rated') Object.assign(row, { state: 'issued', attempts: 0, leasedUntil: null });
  const run = tables.runs.get(shard.runId) as Run;
  const isLast = !tables.shards.some(
    ({ runId, state }) => runId === run.id && (state === 'rated' || state === 'queued'),
  );
  if (run.state === 'running' && run.isCut && isLast)
    Object.assign(run, { state: 'completed', updatedAt: clock.nowMs() });
  const last = closed.invoices.at(-1) as IssuedInvoice | undefined;
  if (last) Object.assign(tables.series, { lastNumber: last.number, headHash: last.hash });
  tables.series.leasedUntil = holdsOn() ? clock.nowMs() + leaseMs : null;
};

export const invoicerPorts = (world: World, process: Process, locks: Locks): IssuePorts => {
  const { tables, clock } = world;
  const call = <T>(what: string, apply: () => T): Promise<T> => ask(world, process, what, apply);
  const free = (shard: Shard): void => {
    if (isHeld(tables, shard)) tables.series.leasedUntil = null;
  };
  const rated = (): ShardRecord[] => tables.shards.filter(({ state }) => state === 'rated');
  const ports: IssuePorts = {
    leaseShard: () =>
      call('lease a shard to issue', () => {
        if (!isFree(tables.series, clock.nowMs())) return undefined;
        return leaseOf(world, firstFree(rated(), clock.nowMs()));
      }),
    leaseNext: ({ runId }) =>
      call('lease the next shard', () => {
        const row = firstFree(
          rated().filter((one) => one.runId === runId),
          clock.nowMs(),
        );
        if (!row) return undefined;
        Object.assign(row, { attempts: row.attempts + 1, leasedUntil: clock.nowMs() + leaseMs });
        return toShard(tables, row);
      }),
    putBack: (shard) =>
      call('put a shard back', () => {
        free(shard);
        const row = shardRow(tables, shard);
        if (row.attempts === shard.attempt) Object.assign(row, { attempts: shard.attempt - 1, leasedUntil: null });
      }),
    ratedLines: (shard, periods) =>
      call('rated lines', () =>
        periods.flatMap(({ billingPeriodId }) =>
          ratedLinesAt(tables, tables.periods.get(billingPeriodId) as PeriodRecord, shard.watermark),
        ),
      ),
    linesBefore: (periods) =>
      call('lines before', () =>
        periods.flatMap(({ correction }) => {
          if (!correction) return [];
          const { billingPeriodId, watermark } = correction.before;
          return ratedLinesAt(tables, tables.periods.get(billingPeriodId) as PeriodRecord, watermark);
        }),
      ),
    invoiceGroups: (shard) => call('what is an invoice', () => groupsOf(world, shard)),
    billedPeriods: (shard) => call('what is billed', () => billedPeriods(tables, shard)),
    taxFacts: (invoices) => call('taxes', () => taxFactsOf(tables, invoices)),
    taxEngine: () => assert.fail('no engine is asked'),
    correctedPeriods: ({ creditIds }) => call('what is corrected', () => correctedPeriodsOf(tables, creditIds)),
    handCredits: ({ creditIds }) => call('what is credited by hand', () => handCreditsOf(tables, creditIds)),
    creditedCharges: ({ creditIds }) => call('what is credited', () => creditedChargesOf(tables, creditIds)),
    discountFacts: (invoices) => call('discounts', () => discountFactsOf(tables, invoices)),
    commit: async (shard, issue, hour, _elapsedMs, holdsOn, discounted): Promise<ClosedCount> => {
      const transaction = begin(process);
      const what = `issue ${shard.runId} ${shard.shardNumber}`;
      await underLock(world, locks, transaction, 'series', what, () => {});
      const deltas = deltasOf(tables, discounted.creditIds);
      const charged = chargesOf(tables, discounted.creditIds).flatMap(([, { invoiceId }]) => invoiceId ?? []);
      const corrected = new Set([...deltas.flatMap((delta) => correctedInvoices(tables, delta)), ...charged]);
      for (const id of [...corrected].toSorted())
        await underLock(world, locks, transaction, `state ${id}`, `lock ${id}`, () => {});
      const closed = await underLock(world, locks, transaction, 'series', what, () => {
        const state: SeriesState = {
          head: { number: tables.series.lastNumber, hash: tables.series.headHash },
          numbering: tables.series.numbering,
          alreadyBilled: world.bug.billsTwice ? new Set() : billedPeriods(tables, shard),
          draftIds: new Set(),
          draftMinutes: 0,
          byHand: handCreditsOf(tables, discounted.creditIds),
          corrected: correctedPeriodsOf(tables, discounted.creditIds),
          creditedCharges: creditedChargesOf(tables, discounted.creditIds),
          discounts: discountFactsOf(tables, discounted),
        };
        return issue(state);
      });
      const creditPorts = creditsIn(world, transaction, locks);
      const db = { organizationId, query: () => assert.fail('no statement is asked') };
      for (const { deltaId, locked, drawn } of closed.credits) {
        const never = () => assert.fail('the states are locked already');
        const ports = { ...creditPorts, lockInvoice: never, lookAtInvoice: never };
        await issueCredit(ports, db, locked, drawn, { metadata: {}, deltaId }, hour());
      }
      transaction.writes.push(() => write(world, shard, closed, holdsOn));
      await commit(world, transaction, what);
      return { issued: closed.invoices.length, drafted: 0, carried: closed.carried.length };
    },
    giveUp: (shard, error) =>
      call('give up issuing', () => {
        free(shard);
        giveBack(world, shardRow(tables, shard), shard.attempt, error);
      }),
    nowMs: () => clock.nowMs(),
    newInvoiceId: () => world.nextId('inv'),
    stopwatch: () => () => 0,
  };
  return world.bug.invoicer?.(ports, world) ?? ports;
};
