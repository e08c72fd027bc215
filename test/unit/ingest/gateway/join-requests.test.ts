import { describe, expect, it } from 'vitest';
import type { Accepted, Status } from '../../../../ingest/gateway/accept-events.ts';
import { type Joined, type JoinOptions, joinRequests } from '../../../../ingest/gateway/join-requests.ts';
import { blockOf, event, startMs } from '../../../support/memory-gateway.ts';

type Group = { readonly names: string[]; readonly answer: (fault?: Error) => void };

/** What goes together, and how a test answers it: each event with its place in the group. */
const setUp = (limits: Partial<JoinOptions<string>> = {}) => {
  const groups: Group[] = [];
  const accept = (joined: readonly Joined<string>[]): Promise<Accepted> => {
    const { promise, resolve, reject } = Promise.withResolvers<Accepted>();
    const outcomes = joined.map(({ block }) => ({
      statuses: new Array<Status>(block.total).fill('accepted'),
      faults: new Map(),
    }));
    groups.push({
      names: joined.map(({ request }) => request),
      answer: (fault) =>
        fault ? reject(fault) : resolve({ outcomes, confirmed: Promise.resolve(), unclaimed: false }),
    });
    return promise;
  };
  const take = joinRequests<string>({ accept, rowsMax: 5, groupsMax: 2, groupRowsMax: 8, ...limits });
  const hand = (name: string, events = 1, tenant = 'org_1', isBackfill = false) => {
    const body = Array.from({ length: events }, (_, index) => event(`${name}-${index}`));
    return take({ block: blockOf(body, startMs, tenant), receivedAtMs: startMs, isBackfill, request: name });
  };
  return { groups, hand, named: () => groups.map(({ names }) => names.join(' ')) };
};

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('requests that come together', () => {
  it('go at once while fewer groups are under way than may be, and each by itself', async () => {
    const { hand, named } = setUp();
    void hand('a');
    void hand('b');
    expect(named()).toEqual(['a', 'b']);
  });

  it('wait while as many groups are under way as may be, and then go together, in the order in which they came', async () => {
    const { groups, hand, named } = setUp();
    for (const name of ['a', 'b', 'c', 'd', 'e']) void hand(name);
    expect(named()).toEqual(['a', 'b']);
    groups[0]?.answer();
    await settled();
    expect(named()).toEqual(['a', 'b', 'c d e']);
  });

  it('are cut into groups of no more rows than the limit; a request is never divided', async () => {
    const { groups, hand, named } = setUp({ groupsMax: 1 });
    const all = [hand('first'), hand('a', 3), hand('b', 5), hand('c', 1), hand('d', 4), hand('e', 4)];
    for (let group = 0; group < 4; group += 1) {
      groups[group]?.answer();
      await settled();
    }
    expect(named()).toEqual(['first', 'a b', 'c d', 'e']);
    await Promise.all(all);
  });

  it('of a few rows only: a large one goes by itself, whatever is under way', async () => {
    const { hand, named } = setUp({ groupsMax: 1 });
    void hand('a');
    void hand('b');
    void hand('large', 6);
    expect(named()).toEqual(['a', 'large']);
  });

  it('of two organizations are never together, and do not wait for each other', async () => {
    const { groups, hand, named } = setUp({ groupsMax: 1 });
    for (const [name, tenant] of [
      ['a', 'org_1'],
      ['b', 'org_1'],
      ['x', 'org_2'],
      ['c', 'org_1'],
      ['y', 'org_2'],
    ] as const)
      void hand(name, 1, tenant);
    expect(named()).toEqual(['a', 'x']);
    groups[0]?.answer();
    await settled();
    expect(named()).toEqual(['a', 'x', 'b c']);
    groups[1]?.answer();
    await settled();
    expect(named()).toEqual(['a', 'x', 'b c', 'y']);
  });

  it('that are a backfill go with backfills alone', async () => {
    const { groups, hand, named } = setUp({ groupsMax: 1 });
    for (const [name, isBackfill] of [
      ['a', false],
      ['old-1', true],
      ['b', false],
      ['old-2', true],
      ['c', false],
      ['old-3', true],
    ] as const)
      void hand(name, 1, 'org_1', isBackfill);
    expect(named()).toEqual(['a', 'old-1']);
    groups[1]?.answer();
    groups[0]?.answer();
    await settled();
    expect(named()).toEqual(['a', 'old-1', 'old-2 old-3', 'b c']);
  });

  it('each get their own outcomes', async () => {
    const { groups, hand } = setUp({ groupsMax: 1 });
    const [first, two, three] = [hand('first'), hand('two', 2), hand('three', 3)];
    groups[0]?.answer();
    await first;
    await settled();
    groups[1]?.answer();
    expect((await two).outcomes.statuses).toHaveLength(2);
    expect((await three).outcomes.statuses).toHaveLength(3);
  });

  it('all learn of an error of their group, and those behind it go on', async () => {
    const { groups, hand, named } = setUp({ groupsMax: 1 });
    const first = hand('first');
    const together = [hand('a'), hand('b')];
    groups[0]?.answer();
    await first;
    await settled();
    const behind = [hand('c'), hand('d')];
    groups[1]?.answer(new TypeError('a bug'));
    for (const { status, reason } of await Promise.allSettled(together).then((all) =>
      all.map((one) => ({ reason: undefined, ...one })),
    )) {
      expect(status).toBe('rejected');
      expect(reason).toBeInstanceOf(TypeError);
    }
    expect(named()).toEqual(['first', 'a b', 'c d']);
    groups[2]?.answer();
    expect((await Promise.all(behind)).map(({ outcomes }) => outcomes.statuses)).toEqual([['accepted'], ['accepted']]);
  });

  it('a large one that fails concerns nobody else', async () => {
    const { groups, hand } = setUp({ groupsMax: 1 });
    const [large, small] = [hand('large', 6), hand('small')];
    groups[0]?.answer(new TypeError('a bug'));
    groups[1]?.answer();
    await expect(large).rejects.toThrow('a bug');
    expect((await small).outcomes.statuses).toEqual(['accepted']);
  });

  it('nobody is left waiting, in whatever order groups are answered and requests come', async () => {
    const { groups, hand } = setUp();
    const answers: Promise<unknown>[] = [];
    let random = 7;
    const draw = (below: number) => {
      random = (random * 48_271) % 2_147_483_647;
      return random % below;
    };
    const open = () => groups.filter((group) => !done.has(group));
    const done = new Set<Group>();
    for (let step = 0; step < 3_000; step += 1) {
      const group = draw(3) === 0 ? open()[draw(Math.max(open().length, 1))] : undefined;
      if (group) {
        done.add(group);
        group.answer(draw(10) === 0 ? new Error('unlucky') : undefined);
        await settled();
      } else answers.push(hand(`r${step}`, 1 + draw(6), `org_${draw(3)}`).catch(() => 'failed'));
    }
    while (open().length > 0) {
      for (const group of open()) {
        done.add(group);
        group.answer();
      }
      await settled();
    }
    expect(await Promise.all(answers)).toHaveLength(answers.length);
    expect(groups.flatMap(({ names }) => names)).toHaveLength(answers.length);
  });
});
