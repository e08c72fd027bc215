import { describe, expect, it } from 'vitest';
import type { Db } from '../../../api/define-route.ts';
import { gatherEvidence } from '../../../api/gather-evidence.ts';
import { type Evidence, reconcile } from '../../../api/reconcile.ts';

const [nine, ten] = [Date.UTC(2026, 10, 21, 9), Date.UTC(2026, 10, 21, 10)];

const answeredAt = (hourMs: number, accepted: number, more: { repeated?: number; duplicates?: number } = {}) => {
  const { repeated = 0, duplicates = 0 } = more;
  const none = { conflicts: 0n, rejected: 0n, not_final: 0n };
  const counts = { received: BigInt(accepted + duplicates), accepted: BigInt(accepted), duplicates: BigInt(duplicates) };
  return { hour: new Date(hourMs), ...counts, repeated: BigInt(repeated), ...none };
};
const evidence = (some: Partial<Evidence>): Evidence => ({
  answered: [],
  published: new Map(),
  distinct: new Map(),
  isSettled: true,
  ...some,
});

describe('[I11] the stages of an hour', () => {
  it.each([
    ['nothing at all', 0, {}, 0, 0, true, { is_balanced: true }],
    ['all of it stored', 5, { duplicates: 3 }, 5, 5, true, { received: 8, is_balanced: true, missing: 0, twins_removed: 0 }],
    ['twins that the store removed', 5, {}, 5, 3, true, { twins_removed: 2, is_balanced: true }],
    ['an answer that was lost', 5, {}, 7, 7, true, { unanswered: 2, is_balanced: true }],
    ['a message that the stream had already', 10, { repeated: 5 }, 5, 5, true, { missing: 0, unanswered: 0, is_balanced: true }],
    ['events behind the store', 5, {}, 2, 2, false, { on_the_way: 3, missing: 0, is_balanced: false }],
    ['events that are nowhere', 5, {}, 2, 2, true, { on_the_way: 0, missing: 3, is_balanced: false }],
    ['events that no message brought', 5, {}, 5, 6, true, { twins_removed: 0, is_balanced: false }],
  ] as const)('%s', (_, accepted, more, published, distinct, isSettled, expected) => {
    const { hours } = reconcile({
      answered: [answeredAt(nine, accepted, more)],
      published: new Map([[nine, published]]),
      distinct: new Map([[nine, distinct]]),
      isSettled,
    });
    expect(hours).toHaveLength(1);
    expect(hours[0]).toMatchObject({ hourMs: nine, published, distinct, ...expected });
  });

  it('an outcome that was not received unbalances its hour', () => {
    const answered = [{ ...answeredAt(nine, 2), received: 3n }];
    const both = new Map([[nine, 2]]);
    expect(reconcile(evidence({ answered, published: both, distinct: both })).total.is_balanced).toBe(false);
  });

  it('too much in one hour does not make up for what another lacks', () => {
    const stored = new Map([
      [nine, 4],
      [ten, 6],
    ]);
    const { total, hours } = reconcile(
      evidence({ answered: [answeredAt(ten, 5), answeredAt(nine, 5)], published: stored, distinct: stored }),
    );
    expect(hours.map(({ hourMs, is_balanced }) => [hourMs, is_balanced])).toEqual([
      [nine, false],
      [ten, true],
    ]);
    expect(total).toMatchObject({ accepted: 10, published: 10, missing: 1, unanswered: 1, is_balanced: false });
  });
});

describe('[I11] the evidence of a store that goes on changing', () => {
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
        storedUsage: {
          distinct: async () => new Map([[nine, next('events', [5])]]),
          published: async () => new Map([[nine, next('messages', published)]]),
        },
      },
      { organizationId: 'org_1' } as Db,
      { from: new Date(nine), to: new Date(ten) },
    );
    return { steps, ...reconcile(found).total, isSettled: found.isSettled };
  };

  it('is read in an order that makes a difference mean something', async () => {
    expect(await gather([5], [true])).toMatchObject({ steps: ['counts', 'stream', 'events', 'messages'], is_balanced: true });
  });

  it('events whose message was about to be written are no surplus', async () => {
    const found = await gather([3, 5], [true, true]);
    expect(found).toMatchObject({ is_balanced: true, isSettled: true, published: 5 });
    expect(found.steps).toEqual(['counts', 'stream', 'events', 'messages', 'stream', 'messages']);
  });

  it('events that have no message once the store has followed are one', async () => {
    expect(await gather([3, 3], [true, true])).toMatchObject({ is_balanced: false, isSettled: true });
    expect(await gather([3, 3], [true, false])).toMatchObject({ is_balanced: false, isSettled: false });
  });
});
