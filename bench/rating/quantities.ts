/**
 * What the store takes for the quantities of a stored month, shard by shard as a run reads them: from events and from
 * totals, by turns. Both have to give the same.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import type pg from 'pg';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { Period } from '#schemas/period.ts';
import type { MeasuredSpan } from '../../rater/aggregate/covered-spans.ts';
import { type Quantities, type QuantityQuery, wholeOf } from '../../rater/aggregate/quantity-query.ts';
import {
  createReadFromEvents,
  createReadQuantities,
  type ReadQuantities,
} from '../../rater/quantities/quantities.clickhouse.ts';
import { type QuantitiesWay, totalsAnyway } from '../../rater/quantities/read-quantities.ts';
import { createReadMeters } from '../../rater/totals/kept-meters.postgres.ts';
import { daysStatement } from '../../rater/totals/total-days.ts';
import { pause } from '../line/line-under-test.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';

type Month = {
  readonly clickhouse: ClickHouseClient;
  readonly owner: pg.Client;
  readonly clickhousePid: number;
  readonly organizationId: string;
  readonly period: Period;
};

const watermark = 10n ** 18n;
/** As a rater with two workers reads. */
const lanes = 2;
const keptMsMax = 1_800_000;

/** What a run asks for, in its shards. */
const shardsOf = async (month: Month, shardSize: number): Promise<QuantityQuery[]> => {
  const { rows } = await month.owner.query<{ id: string; external_id: string }>(
    'SELECT id, external_id FROM customers ORDER BY external_id COLLATE "C"',
  );
  const kept = await createReadMeters(month.owner)([month.organizationId]);
  const measures = kept.map(({ meter }) => wholeOf(meter));
  const spans = rows.map(
    (row): MeasuredSpan => ({ spanId: row.id, customers: [row.id, row.external_id], period: month.period }),
  );
  return Array.from({ length: Math.ceil(spans.length / shardSize) }, (_, index) => ({
    tenant: month.organizationId,
    watermark,
    spans: spans.slice(index * shardSize, (index + 1) * shardSize),
    measures,
  }));
};

/** Resolves with the seconds of CPU that the store took meanwhile, all that keeping totals costs it. */
const untilKept = async (month: Month, [shard]: readonly QuantityQuery[]): Promise<number> => {
  const before = cpuSecondsOf(month.clickhousePid);
  const startMs = performance.now();
  for (const { meter } of shard?.measures ?? [])
    for (;;) {
      const days = await readRows(
        month.clickhouse,
        daysStatement({
          tenant: month.organizationId,
          watermark,
          meter,
          customers: null,
          period: month.period,
          windowStarts: null,
          groupBy: [],
          filter: null,
          after: null,
          limit: 1,
        }),
      );
      if (days.length === 0) break;
      if (performance.now() - startMs > keptMsMax) throw new Error('the totals are not kept after half an hour');
      await pause(2_000);
    }
  return cpuSecondsOf(month.clickhousePid) - before;
};

const textOf = (quantities: Quantities): string =>
  JSON.stringify(
    [...quantities]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([spanId, byMeasure]) => [spanId, ...[...byMeasure].toSorted(([a], [b]) => (a < b ? -1 : 1))]),
    (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
  );

const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

export const measureQuantities = async (
  month: Month,
  rounds: number,
  shardSize = 500,
): Promise<Readonly<Record<string, number>>> => {
  const shards = await shardsOf(month, shardSize);
  const keeping = await untilKept(month, shards);
  const ways = new Map<QuantitiesWay, number>();
  const report = {
    way: (way: QuantitiesWay) => ways.set(way, (ways.get(way) ?? 0) + 1),
    fault: (error: unknown) => {
      throw error;
    },
  };
  const totals = createReadQuantities(month.clickhouse, report, totalsAnyway);
  const chosen = createReadQuantities(month.clickhouse, report);
  const readers: Readonly<Record<string, ReadQuantities>> = {
    events: createReadFromEvents(month.clickhouse),
    totals,
    chosen,
  };
  const found = new Map(
    Object.keys(readers).map((name) => [name, { seconds: [] as number[], cpu: [] as number[], texts: [] as string[] }]),
  );
  for (let round = 0; round < rounds; round += 1)
    for (const [name, read] of Object.entries(readers)) {
      const of = found.get(name);
      if (!of) continue;
      const before = cpuSecondsOf(month.clickhousePid);
      const startMs = performance.now();
      const answers: string[] = [];
      const waiting = [...shards.entries()];
      const lane = async (): Promise<void> => {
        for (let next = waiting.shift(); next; next = waiting.shift()) answers[next[0]] = textOf(await read(next[1]));
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      of.seconds.push((performance.now() - startMs) / 1_000);
      of.cpu.push(cpuSecondsOf(month.clickhousePid) - before);
      of.texts.push(answers.join('\n'));
    }
  const texts = new Set([...found.values()].flatMap((of) => of.texts));
  if (texts.size !== 1) throw new Error('quantities from totals are others than those from events');
  return {
    shards: shards.length,
    keeping_cpu_clickhouse_seconds: keeping,
    ...Object.fromEntries(
      [...found].flatMap(([name, of]) => [
        [`${name}_seconds`, medianOf(of.seconds)],
        [`${name}_cpu_clickhouse_seconds`, medianOf(of.cpu)],
      ]),
    ),
    ...Object.fromEntries([...ways].map(([way, statements]) => [`statements_${way}`, statements])),
  };
};
