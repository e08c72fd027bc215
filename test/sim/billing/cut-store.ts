/** A step of a run in memory, as billing-runs.postgres.ts and what it calls write it: one transaction. */

import { deltaIdOf } from '#schemas/billing-period.ts';
import type { BilledPart } from '#schemas/due-parts.ts';
import { lateUsageIn } from '#schemas/late-usage.ts';
import { monthNameOf } from '#schemas/period.ts';
import { schedulesIn } from '../../../rater/run/billable-periods.ts';
import { type CutState, dueOfAll, dueTime, type FreshPeriod } from '../../../rater/run/due-time.ts';
import type { LateUsage } from '../../../rater/run/look-for-late-usage.ts';
import { placeCarried } from '../../../rater/run/place-carried.ts';
import { placeDeltas } from '../../../rater/run/place-deltas.ts';
import type { Customer, PeriodRecord, Run, Subscription, Tables } from './tables.ts';
import type { World } from './world.ts';

const customerOf = (tables: Tables, id: string): Customer => tables.customers.get(id) as Customer;
const subscriptionOf = (tables: Tables, id: string): Subscription => tables.subscriptions.get(id) as Subscription;
export const periodsIn = (tables: Tables): PeriodRecord[] => [...tables.periods.values()];

const isInScope = (tables: Tables, run: Run, { subscriptionId, customerId }: PeriodRecord): boolean =>
  customerOf(tables, customerId).clockId === run.clockId &&
  (run.subscriptionId === null || run.subscriptionId === subscriptionId);

/** Those first who wait the longest; with a subscription of a consolidated customer all that are due come with it. */
const whoIsDue = (tables: Tables, run: Run): Subscription[] => {
  const due = [...tables.subscriptions.values()]
    .filter(
      ({ id, customerId, nextDueAt }) =>
        nextDueAt !== undefined &&
        nextDueAt <= run.dueUntil &&
        customerOf(tables, customerId).clockId === run.clockId &&
        (run.subscriptionId === null || run.subscriptionId === id),
    )
    .toSorted((a, b) => (a.nextDueAt as number) - (b.nextDueAt as number) || (a.customerId < b.customerId ? -1 : 1));
  const last = run.subscriptionsMax === null ? undefined : due[run.subscriptionsMax - 1];
  const first = last
    ? due.filter(
        ({ nextDueAt, customerId }) =>
          (nextDueAt as number) < (last.nextDueAt as number) ||
          (nextDueAt === last.nextDueAt && customerId <= last.customerId),
      )
    : due;
  const together = new Set(
    first.map(({ customerId }) => customerId).filter((id) => customerOf(tables, id).isConsolidated),
  );
  return due
    .filter((one) => first.includes(one) || together.has(one.customerId))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
};

const writtenOf = (tables: Tables, { id, cutUntil, terms }: Subscription): BilledPart[] =>
  periodsIn(tables)
    .filter(({ subscriptionId, timing, part }) => {
      const after = cutUntil ?? terms.startedAt - 1;
      return subscriptionId === id && timing !== 'delta' && part.billing.end > after;
    })
    .map(({ part }) => part);

const writePeriod = (tables: Tables, period: FreshPeriod): void => {
  if (tables.periods.has(period.id)) return;
  const { id, subscriptionId, customerId, currency: _c, timeZone: _z, segment: _s, month, dueAt, ...part } = period;
  const charged = periodsIn(tables).find(
    (one) =>
      part.timing === 'credit' &&
      one.timing === 'advance' &&
      one.subscriptionId === subscriptionId &&
      one.part.billing.end === part.billing.end &&
      one.part.span.start === part.pricedAt,
  );
  tables.periods.set(id, {
    id,
    subscriptionId,
    customerId,
    month,
    dueAt,
    part,
    timing: part.timing,
    state: 'open',
    correction: 0,
    isConsolidated: charged?.isConsolidated ?? customerOf(tables, customerId).isConsolidated,
    correctsId: undefined,
    lateUsage: 'bill_next',
    isCarried: false,
    isLast: false,
    invoiceId: undefined,
    watermark: undefined,
  });
};

const openPeriods = (tables: Tables, run: Run): { freshIds: string[]; isLast: boolean } => {
  const subscribed = whoIsDue(tables, run).map((one) => ({ ...one, currency: 'USD' }));
  const schedulesOf = schedulesIn([...tables.plans.values()].map((plan) => ({ ...plan, plan_id: plan.planId })));
  const known = {
    schedulesOf,
    written: new Map(subscribed.map((one) => [one.id, writtenOf(tables, one)])),
    payers: tables.customers,
  };
  const asked = { ...run, customerIds: null, testClockId: run.clockId };
  const { periods, states } = dueTime(dueOfAll(subscribed, known, run.dueUntil), asked, schedulesOf);
  for (const period of periods) writePeriod(tables, period);
  for (const { subscriptionId, cutUntil, nextDueAt } of states as readonly CutState[])
    Object.assign(subscriptionOf(tables, subscriptionId), { cutUntil, nextDueAt });
  const isLast = run.subscriptionsMax === null || states.length < run.subscriptionsMax;
  return { freshIds: periods.map(({ id }) => id), isLast };
};

type Arrived = LateUsage['arrivals'][number];

/** Whether what arrived is behind what the period was rated by last, and no open delta will count it. */
const isLateFor = (tables: Tables, period: PeriodRecord, { customer, firstAt, lastAt, sequence }: Arrived): boolean => {
  const { id, externalId } = customerOf(tables, period.customerId);
  const { span, billing } = period.part;
  if (customer !== id && customer !== externalId) return false;
  if (period.state !== 'billed' || period.timing !== 'arrears' || period.part.usageWaived) return false;
  if (billing.end <= firstAt || span.end <= firstAt || span.start > lastAt) return false;
  const deltas = periodsIn(tables).filter(({ correctsId }) => correctsId === period.id);
  const counted = deltas.length > 0 ? deltas.map(({ watermark }) => watermark ?? 0n) : [period.watermark ?? 0n];
  const last = counted.toSorted((a, b) => Number(a - b)).at(-1) as bigint;
  return sequence > last && !deltas.some(({ state }) => state === 'open');
};

/** Whether something was billed since the look began. */
const isOutdated = (tables: Tables, { after, billedUntil }: LateUsage): boolean => {
  const billed = periodsIn(tables).filter(({ state, timing }) => state === 'billed' && timing === 'arrears');
  return billed.some(
    ({ part, watermark }) => part.span.end > billedUntil || (tables.looked === undefined && (watermark ?? 0n) < after),
  );
};

const addLatePeriods = ({ tables, bug }: World, run: Run, late: LateUsage): void => {
  const { after, upTo, arrivals } = late;
  const amended = tables.messages.flatMap(({ isAmendment, isNumbered, before, usage }, index): Arrived[] => {
    const own = BigInt(index + 1);
    if (!isAmendment || (isNumbered && (own <= after || own > upTo))) return [];
    return [before, usage].flatMap((one) =>
      one ? [{ customer: one.customer, firstAt: one.atMs, lastAt: one.atMs, sequence: isNumbered ? own : upTo }] : [],
    );
  });
  for (const period of periodsIn(tables))
    if ([...arrivals, ...amended].some((one) => isLateFor(tables, period, one))) tables.latePeriods.add(period.id);
  const others = [...tables.runs.values()].filter(
    ({ id, state, watermark, attempts }) =>
      id !== run.id && (state === 'queued' || state === 'running') && (watermark !== undefined || attempts > 0),
  );
  if (!bug.looksPastOthers && others.some(({ watermark }) => watermark === undefined)) return;
  if (isOutdated(tables, late)) return;
  const marks = bug.looksPastOthers ? [] : others.map(({ watermark }) => watermark as bigint);
  const to = [upTo, ...marks].toSorted((a, b) => Number(a - b))[0] as bigint;
  if (tables.looked === undefined || to > tables.looked) tables.looked = to;
};

const nextOf = (tables: Tables, { customerId, subscriptionId }: PeriodRecord, isConsolidated: boolean): boolean =>
  [...tables.subscriptions.values()].some(
    (one) =>
      (one.id === subscriptionId || (isConsolidated && one.customerId === customerId)) && one.nextDueAt !== undefined,
  );

const dueWith = (tables: Tables, run: Run, freshIds: readonly string[] | undefined) =>
  periodsIn(tables)
    .filter(
      (one) =>
        one.state === 'open' &&
        one.timing !== 'delta' &&
        (freshIds ? freshIds.includes(one.id) : one.dueAt <= run.dueUntil && isInScope(tables, run, one)),
    )
    .map((one) => ({ ...one, payerId: one.customerId, currency: 'USD' }));

const cutDeltas = (tables: Tables, run: Run, freshIds: readonly string[] | undefined): string[] => {
  const deltasOf = (id: string) => periodsIn(tables).filter(({ correctsId }) => correctsId === id);
  const late = [...tables.latePeriods]
    .map((id) => tables.periods.get(id) as PeriodRecord)
    .filter((period) => isInScope(tables, run, period) && !deltasOf(period.id).some(({ state }) => state === 'open'))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((period) => {
      const { isConsolidated } = customerOf(tables, period.customerId);
      return {
        ...period,
        payerId: period.customerId,
        currency: 'USD',
        isConsolidated,
        lateUsage: lateUsageIn(tables.plans.get(period.part.planVersionId)?.terms ?? null),
        corrections: deltasOf(period.id).length,
        hasNext: nextOf(tables, period, isConsolidated),
      };
    });
  const due = dueWith(tables, run, freshIds);
  const time = { dueAt: run.dueUntil, month: monthNameOf(run.dueUntil) };
  return placeDeltas(late, due, time).map(({ period, correction, dueAt, month }) => {
    const id = deltaIdOf(period.id, correction);
    const corrected = tables.periods.get(period.id) as PeriodRecord;
    tables.periods.set(id, {
      ...corrected,
      id,
      correction,
      dueAt,
      month,
      timing: 'delta',
      state: 'open',
      correctsId: period.id,
      isConsolidated: period.isConsolidated,
      lateUsage: period.lateUsage,
      isCarried: false,
      isLast: false,
      invoiceId: undefined,
      watermark: undefined,
    });
    tables.latePeriods.delete(period.id);
    return id;
  });
};

/** What waits falls due with the next invoice, or by itself where there will be none. */
const cutCarried = (tables: Tables, run: Run, freshIds: readonly string[] | undefined): string[] => {
  const carried = periodsIn(tables)
    .filter((one) => one.isCarried && isInScope(tables, run, one))
    .map((one) => ({
      ...one,
      payerId: one.customerId,
      currency: 'USD',
      carriedFrom: one.dueAt,
      isAdvance: false,
      isOver: false,
      goesOn: tables.subscriptions.get(one.subscriptionId)?.nextDueAt !== undefined,
    }));
  const due = dueWith(tables, run, freshIds).map((one) => ({ ...one, creditedIds: new Set<string>() }));
  const time = { dueAt: run.dueUntil, month: monthNameOf(run.dueUntil) };
  return placeCarried(carried, due, time).map(({ id, dueAt, month, isLast }) => {
    Object.assign(tables.periods.get(id) as PeriodRecord, { isCarried: false, dueAt, month, isLast });
    return id;
  });
};

/** What is one invoice is of one shard, however much it is. */
const addShards = (tables: Tables, run: Run, due: readonly PeriodRecord[], size: number): void => {
  const placed = due.toSorted((a, b) => {
    const key = (one: PeriodRecord) => `${one.customerId} ${billedWith(one)} ${one.dueAt} ${one.id}`;
    return key(a) < key(b) ? -1 : 1;
  });
  const first = tables.shards.filter(({ runId }) => runId === run.id).length;
  const firsts = new Map<string, number>();
  for (const [place, one] of placed.entries()) {
    const key = `${billedWith(one)} ${one.dueAt}`;
    firsts.set(key, firsts.get(key) ?? place);
  }
  const shards = Map.groupBy(placed, (one) =>
    Math.floor((firsts.get(`${billedWith(one)} ${one.dueAt}`) as number) / size),
  );
  for (const [index, periods] of [...shards.values()].entries())
    tables.shards.push({
      runId: run.id,
      number: first + index,
      state: 'queued',
      attempts: 0,
      leasedUntil: null,
      billingPeriodIds: periods.map(({ id }) => id),
    });
};

export const billedWith = ({ isConsolidated, customerId, subscriptionId }: PeriodRecord): string =>
  isConsolidated ? customerId : subscriptionId;

const cutShards = (tables: Tables, run: Run, ownIds: readonly string[], size: number): void => {
  const isFirst = run.state === 'queued';
  const open = periodsIn(tables).filter(
    (one) =>
      one.state === 'open' &&
      !one.isCarried &&
      (isFirst ? one.dueAt <= run.dueUntil && isInScope(tables, run, one) : ownIds.includes(one.id)),
  );
  const isReport = ({ lateUsage }: PeriodRecord): boolean => lateUsage === 'report_only';
  addShards(
    tables,
    run,
    open.filter((one) => !isReport(one)),
    size,
  );
  if (isFirst) addShards(tables, run, open.filter(isReport), size);
};

/** As `cutRun`: undefined where the run was prepared meanwhile. */
export const cutRun = (world: World, runId: string, size: number, late: LateUsage | undefined): number | undefined => {
  const { tables, clock } = world;
  const run = tables.runs.get(runId);
  if (!run || run.isCut || run.state === 'completed' || run.state === 'failed') return undefined;
  const { freshIds, isLast } = openPeriods(tables, run);
  if (late) addLatePeriods(world, run, late);
  const deltaIds = cutDeltas(tables, run, run.state === 'running' ? freshIds : undefined);
  const carriedIds = cutCarried(tables, run, run.state === 'running' ? freshIds : undefined);
  const before = tables.shards.length;
  cutShards(tables, run, [...freshIds, ...deltaIds, ...carriedIds], size);
  const isOpen = tables.shards.some((shard) => shard.runId === runId && shard.state !== 'issued');
  run.state = isOpen ? 'running' : isLast ? 'completed' : run.state;
  Object.assign(run, { isCut: isLast, attempts: 0, leasedUntil: null, updatedAt: clock.nowMs() });
  return tables.shards.length - before;
};
