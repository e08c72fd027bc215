import { describe, expect, it } from 'vitest';
import { type FateCounts, type FatesByHour, noFates } from '../../../../api/events/billed-usage.ts';
import { gatherEvidence } from '../../../../api/reconciliation/gather-evidence.ts';
import { type Evidence, reconcile } from '../../../../api/reconciliation/reconcile.ts';
import type { Db } from '../../../../api/route/define-route.ts';

const [nine, ten] = [Date.UTC(2026, 10, 21, 9), Date.UTC(2026, 10, 21, 10)];

const answeredAt = (hourMs: number, accepted: number, more: { repeated?: number; duplicates?: number } = {}) => {
  const { repeated = 0, duplicates = 0 } = more;
  const none = { conflicts: 0n, rejected: 0n, notFinal: 0n };
  const counts = {
    received: BigInt(accepted + duplicates),
    accepted: BigInt(accepted),
    duplicates: BigInt(duplicates),
  };
  return { hourMs, ...counts, repeated: BigInt(repeated), ...none };
};
type Counted = ReadonlyMap<number, number>;
/** All of it checked, unless the number of unchecked events is given. */
const publishedIn = (events: Counted, unchecked = 0) =>
  new Map([...events].map(([hour, count]) => [hour, { events: count, checked: count - unchecked, backfilled: 0 }]));
const distinctIn = (events: Counted, unchecked = 0) =>
  new Map([...events].map(([hour, count]) => [hour, { events: count, checked: count - unchecked }]));
const voidsIn = (hour: number, some: Partial<Record<'twins' | 'conflicts' | 'voided' | 'replaced', number>>) =>
  new Map([[hour, { twins: 0, conflicts: 0, voided: 0, replaced: 0, ...some }]]);
const fatesIn = (hour: number, some: Partial<FateCounts>): FatesByHour => new Map([[hour, { ...noFates, ...some }]]);
/** Every event is billed, where nothing else is said. */
const allBilled = (distinct: Counted): FatesByHour =>
  new Map([...distinct].map(([hour, billed]) => [hour, { ...noFates, billed }]));

const evidence = (some: Partial<Evidence>): Evidence => ({
  answered: [],
  published: new Map(),
  distinct: new Map(),
  voids: new Map(),
  fates: new Map(),
  isSettled: true,
  ...some,
});

describe('[I11] the stages of an hour', () => {
  it.each([
    ['nothing at all', 0, {}, 0, 0, true, { is_balanced: true }],
    [
      'all of it stored',
      5,
      { duplicates: 3 },
      5,
      5,
      true,
      { received: 8, is_balanced: true, missing: 0, twins_removed: 0 },
    ],
    ['an answer that was lost', 5, {}, 7, 7, true, { unanswered: 2, is_balanced: true }],
    [
      'a message that the stream had already',
      10,
      { repeated: 5 },
      5,
      5,
      true,
      { missing: 0, unanswered: 0, is_balanced: true },
    ],
    ['events behind the store', 5, {}, 2, 2, false, { on_the_way: 3, missing: 0, is_balanced: false }],
    ['events that are nowhere', 5, {}, 2, 2, true, { on_the_way: 0, missing: 3, is_balanced: false }],
    ['events that no message brought', 5, {}, 5, 6, true, { twins_removed: 0, is_balanced: false }],
  ] as const)('%s', (_, accepted, more, published, distinct, isSettled, expected) => {
    const { hours } = reconcile(
      evidence({
        answered: [answeredAt(nine, accepted, more)],
        isSettled,
        fates: allBilled(new Map([[nine, distinct]])),
        published: publishedIn(new Map([[nine, published]])),
        distinct: distinctIn(new Map([[nine, distinct]])),
      }),
    );
    expect(hours).toHaveLength(1);
    expect(hours[0]).toMatchObject({ hourMs: nine, published, distinct, ...expected });
  });

  it('an outcome that was not received unbalances its hour', () => {
    const answered = [{ ...answeredAt(nine, 2), received: 3n }];
    const both = new Map([[nine, 2]]);
    const { total } = reconcile(
      evidence({ answered, published: publishedIn(both), distinct: distinctIn(both), fates: allBilled(both) }),
    );
    expect(total).toMatchObject({ is_balanced: false, differences: [{ stage: 'received', difference: 1 }] });
  });

  it('too much in one hour does not make up for what another lacks', () => {
    const stored = new Map([
      [nine, 4],
      [ten, 6],
    ]);
    const { total, hours } = reconcile(
      evidence({
        answered: [answeredAt(ten, 5), answeredAt(nine, 5)],
        fates: allBilled(stored),
        published: publishedIn(stored),
        distinct: distinctIn(stored),
      }),
    );
    expect(hours.map(({ hourMs, is_balanced }) => [hourMs, is_balanced])).toEqual([
      [nine, false],
      [ten, true],
    ]);
    expect(total).toMatchObject({ accepted: 10, published: 10, missing: 1, unanswered: 1, is_balanced: false });
  });
});

describe('[I11] what is stored and what is billed', () => {
  const hourOf = (some: Partial<Evidence>, stored: { published: number; distinct: number; unchecked?: number }) =>
    reconcile(
      evidence({
        published: publishedIn(new Map([[nine, stored.published]]), stored.unchecked),
        distinct: distinctIn(new Map([[nine, stored.distinct]]), stored.unchecked),
        ...some,
      }),
    ).hours[0];

  it('balance where every event is billed or has a reason why not', () => {
    const fates = fatesIn(nine, { billed: 3, no_customer: 1, late: 1, period_open: 2 });
    const found = hourOf({ fates }, { published: 7, distinct: 7 });
    expect(found).toMatchObject({ billed: 3, differences: [], is_balanced: true });
    expect(found?.unbilled).toEqual({
      unchecked: 0,
      voided: 0,
      replaced: 0,
      no_customer: 1,
      no_subscription: 0,
      trial: 0,
      paused: 0,
      no_charge: 0,
      unmeasured: 0,
      no_amount: 0,
      waived: 0,
      period_open: 2,
      late: 1,
    });
  });

  it('differ by the number of events that have no fate, and by the number that have two', () => {
    const events = { published: 7, distinct: 7 };
    const differenceAt = (billed: number) => hourOf({ fates: fatesIn(nine, { billed, late: 2 }) }, events);
    expect(differenceAt(4)).toMatchObject({ differences: [{ stage: 'billed', difference: 1 }], is_balanced: false });
    expect(differenceAt(5)).toMatchObject({ differences: [], is_balanced: true });
    expect(differenceAt(8)).toMatchObject({ differences: [{ stage: 'billed', difference: -3 }], is_balanced: false });
  });

  it('count a replacement like an event of the hour in which its amendment came, beside what it replaced', () => {
    const voids = voidsIn(nine, { voided: 1, replaced: 2 });
    const found = hourOf(
      { voids, fates: fatesIn(nine, { billed: 2, voided: 1, replaced: 2, period_open: 2 }) },
      { published: 5, distinct: 5 },
    );
    expect(found).toMatchObject({ voided: 1, replaced: 2, is_balanced: true });
    expect(hourOf({ voids, fates: fatesIn(nine, { billed: 5 }) }, { published: 5, distinct: 5 })).toMatchObject({
      differences: [{ stage: 'billed', difference: 2 }],
    });
  });

  it('balance with the later events of a key where the identity check found each of them, and differ by what it did not', () => {
    const fates = allBilled(new Map([[nine, 3]]));
    const found = (twins: number) =>
      hourOf({ voids: voidsIn(nine, { twins, conflicts: 1 }), fates }, { published: 5, distinct: 3 });
    expect(found(1)).toMatchObject({ twins: 1, stored_conflicts: 1, twins_removed: 2, is_balanced: true });
    expect(found(0)).toMatchObject({ differences: [{ stage: 'distinct', difference: 1 }], is_balanced: false });
  });

  it('leave open what the identity check has not come to, which may hold twins', () => {
    const found = hourOf({ fates: allBilled(new Map([[nine, 3]])) }, { published: 10, distinct: 10, unchecked: 7 });
    expect(found).toMatchObject({ billed: 3, unbilled: { unchecked: 7 }, is_balanced: true });
  });

  it('say nothing of bills where there were too many customers to look at', () => {
    expect(hourOf({ fates: undefined }, { published: 3, distinct: 3 })).toMatchObject({
      billed: null,
      unbilled: null,
      is_balanced: true,
    });
    const both = new Map([
      [nine, 3],
      [ten, 3],
    ]);
    const { total } = reconcile(
      evidence({ published: publishedIn(both), distinct: distinctIn(both), fates: undefined }),
    );
    expect(total).toMatchObject({ distinct: 6, billed: null, unbilled: null });
  });

  it('add up over hours, but for differences, of which none makes up for another', () => {
    const both = new Map([
      [nine, 5],
      [ten, 5],
    ]);
    const fates = new Map([...fatesIn(nine, { billed: 4 }), ...fatesIn(ten, { billed: 5, late: 1 })]);
    const { total } = reconcile(evidence({ published: publishedIn(both), distinct: distinctIn(both), fates }));
    expect(total).toMatchObject({
      billed: 9,
      unbilled: { late: 1 },
      differences: [{ stage: 'billed', difference: 2 }],
      is_balanced: false,
    });
  });
});

describe('[I11] the evidence of a store that goes on changing', () => {
  const nobody = {
    knownNames: async () => new Set<string>(),
    subscriptionsOf: async () => [],
    chargedMeters: async () => [],
  };
  const gather = async (published: readonly number[], settled: readonly boolean[]) => {
    const steps: string[] = [];
    const next = <T>(step: string, values: readonly T[]): T => {
      steps.push(step);
      return values[steps.filter((one) => one === step).length - 1] as T;
    };
    const found = await gatherEvidence(
      {
        ingestCounts: { answeredHours: async () => next('counts', [[]]) },
        streamSays: async () => ({ isSettled: next('stream', settled), deadLetters: 0 }),
        readWatermark: async () => next('watermark', [0n]),
        storedUsage: {
          distinct: async () => distinctIn(new Map([[nine, next('events', [5])]]), 5),
          published: async () => publishedIn(new Map([[nine, next('messages', published)]])),
          voids: async () => next('voids', [new Map()]),
          customerNames: async () => next('customers', [[]]),
          fates: async () => [],
        },
        billedUsage: nobody,
        isCallerThere: () => true,
      },
      { organizationId: 'org_1' } as Db,
      { from: new Date(nine), to: new Date(ten) },
    );
    return { steps, ...reconcile(found).total, isSettled: found.isSettled };
  };

  it('is read in an order that makes a difference mean something', async () => {
    expect(await gather([5], [true])).toMatchObject({
      steps: ['counts', 'stream', 'watermark', 'events', 'messages', 'voids', 'customers'],
      is_balanced: true,
    });
  });

  it('events whose message was about to be written are no surplus', async () => {
    const found = await gather([3, 5], [true, true]);
    expect(found).toMatchObject({ is_balanced: true, isSettled: true, published: 5 });
    expect(found.steps.slice(3)).toEqual(['events', 'messages', 'stream', 'messages', 'voids', 'customers']);
  });

  it('events that have no message once the store has followed are one', async () => {
    expect(await gather([3, 3], [true, true])).toMatchObject({ is_balanced: false, isSettled: true });
    expect(await gather([3, 3], [true, false])).toMatchObject({ is_balanced: false, isSettled: false });
  });
});
