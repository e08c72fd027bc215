/** The ports of the rater over the tables in memory: each a statement or a transaction of PostgreSQL, or a query. */
import assert from 'node:assert/strict';
import { isPassing } from '#platform/stores/retry.ts';
import { fateOf } from '#platform/work/lease-rules.ts';
import type { Shard } from '#schemas/billing-run.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';
import { ratedLineFromJson } from '#schemas/rated-line.ts';
import type { Quantities, QuantityQuery } from '../../../rater/aggregate/quantity-query.ts';
import { billablePeriods, type PeriodRow } from '../../../rater/run/billable-periods.ts';
import type { Arrivals, Look } from '../../../rater/run/look-for-late-usage.ts';
import type { QueuedRun, RatePorts } from '../../../rater/run/rate-period.ts';
import { type RatedShard, rateShard } from '../../../rater/run/rated-rows.ts';
import type { Process } from '../scheduler.ts';
import { cutRun, periodsIn } from './cut-store.ts';
import {
  organizationId,
  type PeriodRecord,
  type Run,
  ratedKey,
  type ShardRecord,
  type Tables,
  usageAt,
} from './tables.ts';
import { ask, isFree, leaseMs, type World } from './world.ts';

const lease = <Row extends ShardRecord | Run>(row: Row, now: number): Row =>
  Object.assign(row, { attempts: row.attempts + 1, leasedUntil: now + leaseMs });

export const toShard = ({ runs }: Tables, row: ShardRecord): Shard => {
  const run = runs.get(row.runId) as Run;
  return {
    runId: row.runId,
    shardNumber: row.number,
    organizationId,
    kind: 'billing',
    watermark: run.watermark as bigint,
    billingPeriodIds: row.billingPeriodIds,
    draftIds: [],
    makesDrafts: false,
    requestId: undefined,
    clockNow: run.clockId === null ? undefined : run.dueUntil,
    attempt: row.attempts,
  };
};

export const shardRow = ({ shards }: Tables, { runId, shardNumber }: Shard): ShardRecord =>
  shards.find((row) => row.runId === runId && row.number === shardNumber) as ShardRecord;

/** Those that are free, the ones that nobody tried yet first. */
export const firstFree = <Row extends Run | ShardRecord>(rows: readonly Row[], now: number): Row | undefined =>
  rows.filter((row) => isFree(row, now)).toSorted((a, b) => (a.leasedUntil ?? -1) - (b.leasedUntil ?? -1))[0];

/** Gives a row back after a fault; one that is no fault that passes is a bug, and is told. */
export const giveBack = (world: World, row: Run | ShardRecord, attempt: number, error: unknown): void => {
  if (!isPassing(error)) world.broken.push(error);
  if (row.attempts !== attempt) return;
  const { attempts, pauseSeconds } = fateOf(attempt, true);
  Object.assign(row, { attempts, leasedUntil: world.clock.nowMs() + 1_000 * pauseSeconds });
};

const isToCut = ({ isCut, state }: Run): boolean => !isCut && (state === 'queued' || state === 'running');

const toQueued = ({ id, watermark, attempts }: Run): QueuedRun => ({
  runId: id,
  organizationId,
  kind: 'billing',
  requestId: undefined,
  watermark,
  attempt: attempts,
});

const runsPorts = (world: World, process: Process): RatePorts['runs'] => {
  const { tables, clock } = world;
  const runOf = (id: string): Run => tables.runs.get(id) as Run;
  const call = <T>(what: string, apply: () => T): Promise<T> => ask(world, process, what, apply);
  return {
    leaseRun: () =>
      call('lease a run', () => {
        const open = [...tables.runs.values()].filter(isToCut).toSorted((a, b) => a.updatedAt - b.updatedAt);
        const run = firstFree(open, clock.nowMs());
        return run && toQueued(lease(run, clock.nowMs()));
      }),
    takeWatermark: ({ runId }, watermark) =>
      call(`watermark ${watermark}`, () => {
        const run = runOf(runId);
        run.watermark ??= watermark;
        return run.watermark;
      }),
    putBackRun: ({ runId, attempt }) =>
      call('put the run back', () => {
        const run = runOf(runId);
        if (run.attempts === attempt && isToCut(run))
          Object.assign(run, { attempts: attempt - 1, leasedUntil: null, updatedAt: clock.nowMs() });
      }),
    giveUpRun: ({ runId, attempt }, error) =>
      call('give the run up', () => {
        giveBack(world, runOf(runId), attempt, error);
        return false;
      }),
    failRun: (_run, failure) => assert.fail(`a run failed: ${failure}`),
    cutRun: ({ runId }, size, late) => call(`cut ${runId}`, () => cutRun(world, runId, size, late)),
    leaseShard: () =>
      call('lease a shard', () => {
        const row = firstFree(
          tables.shards.filter(({ state }) => state === 'queued'),
          clock.nowMs(),
        );
        return row && toShard(tables, lease(row, clock.nowMs()));
      }),
    holdShard: (shard) => {
      const hold = { process, shard };
      world.held.add(hold);
      return () => void world.held.delete(hold);
    },
    saveRated: (shard, rated) => call(`save ${shard.runId} ${shard.shardNumber}`, () => saveRated(world, shard, rated)),
    giveUp: (shard, error) =>
      call('give the shard up', () => {
        giveBack(world, shardRow(tables, shard), shard.attempt, error);
        return undefined;
      }),
  };
};

/** In one transaction; who lost the shard meanwhile changes nothing. */
const saveRated = ({ tables, bug }: World, shard: Shard, { rows, failures }: RatedShard): void => {
  const row = shardRow(tables, shard);
  assert.deepEqual(failures, [], 'a billing period could not be rated');
  const isHeld = row.state === 'queued' && row.attempts === shard.attempt;
  if (!isHeld && !bug.savesUnheld) return;
  for (const [index, json] of rows.lines.entries()) {
    const key = ratedKey(rows.billingPeriodIds[index] ?? '', shard.watermark);
    const lines = tables.ratedLines.get(key) ?? new Map();
    tables.ratedLines.set(key, lines);
    const charge = rows.chargeCodes[index] ?? '';
    const rated = { json, input: rows.inputHashes[index] ?? '', output: rows.outputHashes[index] ?? '' };
    const known = lines.get(charge);
    if (known) assert.deepEqual(rated, known, '[I12] a period was rated otherwise at the same watermark');
    else lines.set(charge, rated);
  }
  if (isHeld) Object.assign(row, { state: 'rated', attempts: 0, leasedUntil: null });
};

const linesOf = ({ ratedLines }: Tables, periodId: string, watermark: bigint) =>
  [...(ratedLines.get(ratedKey(periodId, watermark))?.values() ?? [])].map(({ json }) => JSON.parse(json));

/** Of a period as it was rated at a watermark. */
export const ratedLinesAt = (tables: Tables, { id, part }: PeriodRecord, watermark: bigint) =>
  linesOf(tables, id, watermark).map((json) => ratedLineFromJson(json, { billingPeriodId: id, span: part.span }));

const toRow = (tables: Tables, period: PeriodRecord): PeriodRow => {
  const { part, timing, correctsId } = period;
  const customer = tables.customers.get(period.customerId);
  const corrected = correctsId === undefined ? undefined : (tables.periods.get(correctsId) as PeriodRecord);
  return {
    id: period.id,
    item: part.item,
    subscription_id: period.subscriptionId,
    customer_id: period.customerId,
    external_ids: [customer?.externalId ?? ''],
    plan_version_id: part.planVersionId,
    currency: 'USD',
    span_start: new Date(part.span.start),
    span_end: new Date(part.span.end),
    billing_start: new Date(part.billing.start),
    billing_end: new Date(part.billing.end),
    time_zone: tables.subscriptions.get(period.subscriptionId)?.terms.cycle.timeZone ?? 'UTC',
    timing: timing === 'delta' ? 'arrears' : timing,
    interval_unit: part.interval?.unit ?? null,
    interval_count: part.interval?.count ?? null,
    counted: part.isCounted ?? null,
    quantities: part.quantities ? [...part.quantities] : null,
    priced_at: part.pricedAt === undefined ? null : new Date(part.pricedAt),
    usage_waived: part.usageWaived === true,
    corrected_rounding: corrected ? linesOf(tables, corrected.id, corrected.watermark ?? 0n)[0]?.rounding : null,
  };
};

/** Sums and counts, in hundredths: loops over all that stands at the watermark. */
const measure = (tables: Tables, { spans, measures, watermark }: QuantityQuery): Quantities => {
  // What is not stored yet is not there, whatever the stream holds.
  const standing = usageAt(tables, watermark < tables.checked ? watermark : tables.checked);
  const found = spans.flatMap(
    ({ spanId, customers, period }): [string, Map<string, { quantity: string; unmeasuredEvents: bigint }>][] => {
      const own = standing.filter(
        ({ customer, atMs }) => customers.includes(customer) && period.start <= atMs && atMs < period.end,
      );
      const quantityOf = (aggregation: string): bigint =>
        aggregation === 'count'
          ? BigInt(own.length) * 100n
          : own.reduce((sum, { hundredths }) => sum + BigInt(hundredths), 0n);
      const measured = measures.map(
        ({ measureId, meter }): [string, { quantity: string; unmeasuredEvents: bigint }] => {
          const quantity = formatQuantity((quantityOf(meter.aggregation) * 10n ** 10n) as Quantity);
          return [measureId, { quantity, unmeasuredEvents: 0n }];
        },
      );
      return own.length === 0 ? [] : [[spanId, new Map(measured)]];
    },
  );
  return new Map(found);
};

export const nextLook = ({ tables }: World, upTo: bigint): Look | undefined => {
  const billed = periodsIn(tables).filter(({ state, timing }) => state === 'billed' && timing === 'arrears');
  const marks = billed.map(({ watermark }) => watermark as bigint);
  if (billed.length === 0) return undefined;
  const after = tables.looked ?? (marks.toSorted((a, b) => Number(a - b))[0] as bigint);
  if (after >= upTo) return undefined;
  return { after, upTo, billedUntil: Math.max(...billed.map(({ part }) => part.span.end)) };
};

const arrivalsOf = (tables: Tables, { after, upTo, billedUntil }: Look): Arrivals[] => {
  const found = tables.messages.flatMap(({ usage, isAmendment }, index) => {
    const sequence = BigInt(index + 1);
    const isStored = sequence <= tables.checked && sequence > after && sequence <= upTo;
    const isNew = usage && !isAmendment && isStored && usage.atMs < billedUntil;
    return isNew ? [{ ...usage, sequence }] : [];
  });
  return [...Map.groupBy(found, ({ customer }) => customer)].map(([customer, own]) => ({
    customer,
    firstAt: Math.min(...own.map(({ atMs }) => atMs)),
    lastAt: Math.max(...own.map(({ atMs }) => atMs)),
    sequence: (own.at(-1) as { sequence: bigint }).sequence,
  }));
};

export const raterPorts = (world: World, process: Process): RatePorts => {
  const { tables } = world;
  const call = <T>(what: string, apply: () => T): Promise<T> => ask(world, process, what, apply);
  const ports: RatePorts = {
    runs: runsPorts(world, process),
    catalog: {
      ratingPolicy: () => call('the policy', () => ({ rounding: 'half_up' as const })),
      billingPeriods: (_of, ids) =>
        call('billing periods', () => {
          const rows = ids.map((id) => toRow(tables, tables.periods.get(id) as PeriodRecord));
          const versions = [...tables.plans.values()].map(({ id, planId, charges, terms }) => {
            return { id, plan_id: planId, plan_currency: 'USD', charges: [...charges], terms };
          });
          return billablePeriods(rows, versions);
        }),
      meters: (_of, ids) =>
        call('meters', () => ids.flatMap((planVersionId) => tables.meters.map((meter) => ({ planVersionId, meter })))),
      priceSpans: async () => new Map(),
    },
    late: {
      nextLook: (_of, upTo) => call('the next look', () => nextLook(world, upTo)),
      arrivals: (_of, look) => call('what arrived', () => arrivalsOf(tables, look)),
    },
    lastSequence: () => call('the end of the stream', () => BigInt(tables.messages.length)),
    isChecked: (sequence) => call(`is ${sequence} checked`, () => tables.checked >= sequence),
    highestStored: () => call('the highest stored', () => tables.checked),
    readQuantities: (query) => call('quantities', () => measure(tables, query)),
    rate: async (shard) => rateShard(shard),
    stopwatch: () => () => 0,
  };
  return world.bug.rater?.(ports, world) ?? ports;
};
