import { describe, expect, it } from 'vitest';
import { statuses } from '../../../../ingest/gateway/accept-events.ts';
import type { Counts } from '../../../../ingest/gateway/answer.ts';
import { createConservation, hourMs } from '../../../../ingest/gateway/conservation.ts';
import { type DetectedLoss, startReport } from '../../../../ingest/gateway/report-counts.ts';
import { BlockWriter } from '../../../../ingest/parse/event-block.ts';
import { seedsOf } from '../../../../ingest/parse/key-hash.ts';
import { newMessage } from '../../../../schemas/usage-event.ts';
import { createSetClock } from '../../../support/ingest-fakes.ts';
import { blockOf, event } from '../../../support/memory-gateway.ts';
import { until } from '../../../support/pipeline.ts';

const hour = Date.UTC(2026, 10, 21, 9);
const countsOf = (some: Partial<Counts>): Counts => ({
  ...(Object.fromEntries(statuses.map((one) => [one, 0])) as Counts),
  ...some,
});
const none = { received: 0, accepted: 0, repeated: 0, duplicates: 0, conflicts: 0, rejected: 0, notFinal: 0 };
const emptyOf = (tenant: string) =>
  new BlockWriter({ tenant, seeds: seedsOf('a secret', tenant), receivedAtMs: hour }, 0).done();
const messageOf = (tenant: string, keys: readonly string[], receivedAtMs: number): Buffer => {
  const block = blockOf(
    keys.map((key) => event(key)),
    receivedAtMs,
    tenant,
  );
  const { message, rowsAt } = newMessage(block.ends.map((end, row) => end - (block.ends[row - 1] ?? 0)));
  block.rows.copy(message, rowsAt);
  return message;
};

describe('[I11] what a gateway counts', () => {
  it('every event of an answer is received once, under one outcome', () => {
    const conservation = createConservation();
    const counts = {
      accepted: 1,
      duplicate: 2,
      conflict: 3,
      invalid: 4,
      too_old: 5,
      in_future: 6,
      unavailable: 7,
      in_flight: 8,
    };
    conservation.count(blockOf([event('a')], hour), hour, counts);
    const total = { received: 36, accepted: 1, repeated: 0, duplicates: 2, conflicts: 3, rejected: 15, notFinal: 15 };
    expect(conservation.changed(10)).toEqual([{ organizationId: 'org_1', hourMs: hour, ...total }]);
  });

  it('totals rise, and are kept apart by organization and by hour of receipt', () => {
    const conservation = createConservation();
    for (const at of [hour, hour + hourMs - 1, hour + hourMs])
      conservation.count(blockOf([event('a')], at), at, countsOf({ accepted: 1 }));
    conservation.count(blockOf([event('a')], hour, 'org_2'), hour, countsOf({ accepted: 1 }));
    expect(conservation.changed(10)).toEqual([
      { ...none, organizationId: 'org_1', hourMs: hour, received: 2, accepted: 2 },
      { ...none, organizationId: 'org_1', hourMs: hour + hourMs, received: 1, accepted: 1 },
      { ...none, organizationId: 'org_2', hourMs: hour, received: 1, accepted: 1 },
    ]);
  });

  it('a request counts in the hour that its rows bear, also where it arrived just before', () => {
    const conservation = createConservation();
    conservation.count(blockOf([event('a')], hour), hour - 1, countsOf({ accepted: 1 }));
    conservation.count(emptyOf('org_1'), hour - 1, countsOf({ invalid: 1 }));
    expect(conservation.changed(10).map(({ hourMs: at, accepted, rejected }) => [at, accepted, rejected])).toEqual([
      [hour, 1, 0],
      [hour - hourMs, 0, 1],
    ]);
  });

  it('a message that the stream had already counts as repeated, whose it is and when it was received', () => {
    const conservation = createConservation();
    conservation.countRepeated(messageOf('org_2', ['a', 'b', 'c'], hour + 5));
    expect(conservation.changed(10)).toEqual([{ ...none, organizationId: 'org_2', hourMs: hour, repeated: 3 }]);
  });

  it('[I10] what is written is due no more, what comes while it is written is, and after two hours it is forgotten', () => {
    const conservation = createConservation();
    const block = blockOf([event('a')], hour);
    conservation.count(block, hour, countsOf({ accepted: 1 }));
    const first = conservation.changed(10);
    conservation.count(block, hour, countsOf({ accepted: 1 }));
    conservation.written(first, hour);
    const second = conservation.changed(10);
    expect(second.map(({ accepted }) => accepted)).toEqual([2]);
    conservation.written(second, hour + 2 * hourMs);
    expect(conservation.changed(10)).toEqual([]);
    conservation.count(block, hour, countsOf({ accepted: 1 }));
    expect(conservation.changed(10).map(({ accepted }) => accepted)).toEqual([3]);
    conservation.written(conservation.changed(10), hour + 2 * hourMs + 1);
    conservation.count(block, hour, countsOf({ accepted: 1 }));
    expect(conservation.changed(10).map(({ accepted }) => accepted)).toEqual([1]);
  });

  it('[I10] hours that could not be written are kept up to a bound', () => {
    const conservation = createConservation();
    for (let index = 0; index < 50_010; index += 1)
      conservation.count(emptyOf(`org_${index}`), hour, countsOf({ invalid: 1 }));
    expect(conservation.changed(100_000)).toHaveLength(50_000);
  });
});

type Written = {
  readonly accepted: readonly number[];
  readonly losses: readonly DetectedLoss[];
  readonly hasEnded: boolean;
};

describe('[I11] what a gateway writes down', () => {
  const setUp = () => {
    const conservation = createConservation();
    const written: Written[] = [];
    const faults: unknown[] = [];
    const state = { away: false };
    const report = startReport({
      conservation,
      write: async (counts, losses, hasEnded) => {
        if (state.away) throw new Error('PostgreSQL is away');
        written.push({ accepted: counts.map(({ accepted }) => accepted), losses: [...losses], hasEnded });
      },
      clock: createSetClock(hour),
      onFault: (error) => faults.push(error),
    });
    return { conservation, written, faults, state, report };
  };

  it('its first word comes at once, and its last one says that it ended', async () => {
    const { conservation, written, report } = setUp();
    await until(
      async () => written.length,
      (length) => length === 1,
    );
    conservation.count(blockOf([event('a')], hour), hour, countsOf({ accepted: 1 }));
    await report.stop();
    expect(written).toEqual([
      { accepted: [], losses: [], hasEnded: false },
      { accepted: [1], losses: [], hasEnded: true },
    ]);
  });

  it('what PostgreSQL does not take is written later, a loss of the stream too', async () => {
    const { conservation, written, faults, state, report } = setUp();
    state.away = true;
    conservation.count(blockOf([event('a')], hour), hour, countsOf({ accepted: 1 }));
    report.addLoss({ from: 7, to: 9, detectedAtMs: hour });
    await until(
      async () => faults.length,
      (length) => length >= 1,
    );
    expect(written.filter(({ accepted }) => accepted.length > 0)).toEqual([]);
    state.away = false;
    await report.stop();
    expect(written.at(-1)).toEqual({ accepted: [1], losses: [{ from: 7, to: 9, detectedAtMs: hour }], hasEnded: true });
  });

  it('a process that can never write ends all the same, and does not say that it ended', async () => {
    const { conservation, written, faults, state, report } = setUp();
    state.away = true;
    conservation.count(blockOf([event('a')], hour), hour, countsOf({ accepted: 1 }));
    await report.stop();
    expect(faults.length).toBeGreaterThan(0);
    expect(written.filter(({ hasEnded }) => hasEnded)).toEqual([]);
  });
});
