/**
 * Usage from totals against usage event by event: equal to the last digit, whenever the totals were made, whatever came
 * late, twice, or was amended since, and at every watermark.
 */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { stopwatch } from '#platform/process/clock.ts';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { createKeepTotals, type KeptMeter } from '../../../rater/totals/keep-totals.ts';
import { type AskedUsage, createReadMeterUsage, type UsageRead } from '../../../rater/totals/read-usage.ts';
import { createTotals } from '../../../rater/totals/totals.clickhouse.ts';
import { freshStores } from '../../support/fresh-stores.ts';
import { aFilter, aHistory, customers, someMeters, someWindows } from '../../support/metering-arbitraries.ts';
import { createStoreHistory } from '../../support/metering-store.ts';
import { databasePassword } from '../../support/pipeline.ts';
import { scaled } from '../../support/scale.ts';
import { type ReferenceWanted, referenceUsage, standing } from '../../support/usage-reference.ts';

let clickhouse: ReturnType<typeof connectClickHouse>;
let store: ReturnType<typeof createStoreHistory>;
beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = await freshStores(inject('serverUrls'));
  await migrateAll({ databaseUrl, clickhouseUrl, databasePassword });
  clickhouse = connectClickHouse(clickhouseUrl, { requestTimeoutMs: 120_000, connectionsMax: 4 });
  store = createStoreHistory(clickhouse);
});
afterAll(() => clickhouse?.close());

const keep = async (meters: readonly KeptMeter[], checked: number): Promise<number> => {
  let days = 0;
  const work = createKeepTotals(
    { quietMs: { over: 0, running: 0 }, daysMax: 20, eventsMax: 10 },
    {
      ...createTotals(clickhouse),
      readChecked: async () => BigInt(checked),
      readMeters: async () => meters,
      newBatch: randomUUID,
      report: {
        made: (piece) => {
          days += piece.days;
        },
        waiting: () => {},
      },
      stopwatch,
    },
  );
  while ((await work()) !== false);
  return days;
};

const read = (wanted: AskedUsage): Promise<UsageRead> =>
  createReadMeterUsage({
    read: (statement) => readRows(clickhouse, statement),
    isOfTotals: () => false,
    report: { way: () => {}, fault: () => {} },
  })(wanted);

const written = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

it('[I29] usage from totals is that of the events one by one', async () => {
  const aWanted = fc.record({
    windows: someWindows,
    groupBy: fc.constantFrom<string[]>([], ['customer_id'], ['n'], ['customer_id', 'a.b'], ['odd name', 'customer_id']),
    filter: fc.option(aFilter),
    only: fc.option(fc.constantFrom<string[]>(['c1'], [customers[2]], ['c1', 'c2'])),
    watermarkBehind: fc.nat(20),
  });
  let [fromTotals, days] = [0, 0];
  const property = fc.asyncProperty(
    aHistory,
    someMeters,
    fc.nat(),
    fc.infiniteStream(aWanted),
    async (history, meters, cut, questions) => {
      // Totals are made in the middle of the history, and at its end of what has changed since for half of the meters.
      const until = cut % (history.messages.length + 1);
      const tenant = await store({ ...history, messages: history.messages.slice(0, until) });
      const kept = meters.map(({ meter }) => ({
        tenant,
        meter: { ...meter, groupBy: ['a.b', 'n', 'odd name'], versionId: `${tenant}_${meter.code}` },
      }));
      days += await keep(kept, until);
      await store({ ...history, messages: history.messages.slice(until) }, tenant);
      days += await keep(kept.slice(0, kept.length / 2), history.messages.length);
      for (const [index, one] of meters.entries()) {
        const { windows, groupBy, filter, only, watermarkBehind } = questions.next().value;
        const watermark = Math.max(0, history.messages.length - watermarkBehind);
        const asked: ReferenceWanted = { ...windows, customers: only, groupBy, filter };
        const meter = (kept[index] as KeptMeter).meter;
        const wanted = { ...asked, tenant, watermark: BigInt(watermark), meter, limit: 10_000, after: null };
        const { rows, way } = await read(wanted);
        if (way.from === 'totals' && way.daysOfEvents.length < 3) fromTotals += 1;
        const expected = referenceUsage(one, standing(history.events, history.voids, watermark), asked);
        expect(rows, JSON.stringify({ ...asked, meter, watermark, way }, written)).toEqual(expected);
      }
    },
  );
  await fc.assert(property, { numRuns: scaled(8), endOnFailure: true });
  console.log({ fromTotals, days });
}, 300_000);
