/** When totals are told to be kept: of days that rest, of the running one, and of what others make. */
import { expect, it } from 'vitest';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import {
  createKeepTotals,
  type DaysCount,
  type KeepPorts,
  type TotalsProgress,
} from '../../../../rater/totals/keep-totals.ts';
import type { DuePiece } from '../../../../rater/totals/make-totals.ts';

const of = { tenant: 't', meter: { versionId: 'v', event: 'e' } as MeterVersion };
const quietMs = { over: 30_000, running: 600_000 };

/** A store in which days stand as they are told, and whoever keeps its totals. */
const keeping = (count: DaysCount) => {
  const store = { nowMs: 0, count, due: [] as DuePiece[], counted: 0, told: [] as TotalsProgress[] };
  const ports: KeepPorts = {
    readChecked: async () => 7n,
    readMeters: async () => [of],
    readChanged: async () => ({ nowMs: store.nowMs, tenants: ['t'], events: [] }),
    writeDue: async () => store.due,
    make: async (_of, _batch, { days }) => {
      const { daysMade, daysMissing } = store.count;
      store.count = { ...store.count, daysMade: daysMade + days, daysMissing: Math.max(0, daysMissing - days) };
      store.due = [];
    },
    forget: async () => {},
    countDays: async () => {
      store.counted += 1;
      return store.count;
    },
    isFilled: async () => store.told.some(({ isFilled }) => isFilled),
    writeProgress: async (_of, progress) => {
      store.told.push(progress);
    },
    newBatch: () => 'b',
    report: { made: () => {}, waiting: () => {}, filling: () => {} },
    stopwatch: () => () => 0,
  };
  const work = createKeepTotals({ quietMs, daysMax: 10, eventsMax: 10 }, ports);
  /** Until it would rest; resolves with what was told last. */
  const look = async (nowMs: number): Promise<TotalsProgress | undefined> => {
    store.nowMs = nowMs;
    while ((await work()) !== false);
    return store.told.at(-1);
  };
  return { store, look };
};

const piece = (days: number): DuePiece => ({ piece: 1, days, firstDay: 1, lastDay: days, events: days });

it('days that have not rested yet are not kept, and are counted anew when they were made', async () => {
  const { store, look } = keeping({ days: 5, daysMade: 0, daysMissing: 5 });
  expect(await look(0)).toEqual({ days: 5, daysMade: 0, watermark: 7n, isFilled: false });
  store.due = [piece(3)];
  expect(await look(31_000)).toEqual({ days: 5, daysMade: 3, watermark: 7n, isFilled: false });
  // A day came since.
  store.count = { days: 6, daysMade: 3, daysMissing: 3 };
  store.due = [piece(3)];
  expect(await look(62_000)).toEqual({ days: 6, daysMade: 6, watermark: 7n, isFilled: true });
});

it('the running day is not waited for, and what another process makes is seen', async () => {
  const running = keeping({ days: 2, daysMade: 1, daysMissing: 0 });
  expect(await running.look(0)).toMatchObject({ days: 2, daysMade: 1, isFilled: true });
  const { store, look } = keeping({ days: 2, daysMade: 0, daysMissing: 2 });
  expect(await look(0)).toMatchObject({ isFilled: false });
  store.count = { days: 2, daysMade: 2, daysMissing: 0 };
  expect(await look(15_000)).toMatchObject({ daysMade: 2, isFilled: true });
});

it('nothing is counted at each look while days rest, and nothing at all once it was told', async () => {
  const { store, look } = keeping({ days: 2, daysMade: 0, daysMissing: 2 });
  for (let nowMs = 0; nowMs < 10_000; nowMs += 100) await look(nowMs);
  expect(store.counted).toBe(2);
  store.count = { days: 2, daysMade: 2, daysMissing: 0 };
  await look(20_000);
  expect(store.told.at(-1)).toMatchObject({ isFilled: true });
  const counted = store.counted;
  for (let nowMs = 30_000; nowMs < 90_000; nowMs += 10_000) await look(nowMs);
  expect(store.counted).toBe(counted);
});
