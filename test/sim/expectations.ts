/** What clients want, and what must hold of what they are told and of what is stored. */
import assert from 'node:assert/strict';
import type { UsageEvent } from '#schemas/usage-event.ts';
import type { Status } from '../../ingest/gateway/accept-events.ts';
import { event } from '../support/memory-gateway.ts';
import type { Random } from './scheduler.ts';
import type { SimStore, SimStream } from './usage-line.ts';

/** An event that somebody wants to have billed once. Two of one key are two payloads under it. */
export type Wish = {
  readonly name: string;
  readonly key: string;
  readonly variant: number;
  readonly isTimed: boolean;
  readonly body: Record<string, unknown>;
  /** Its client may send it, and then never again. */
  readonly abandoned: boolean;
  /** How often it was sent. */
  sent: number;
  /** What it ended as, in an answer of which all is final. */
  settled: 'taken' | 'conflict' | undefined;
  /** Whether any answer called it accepted or a duplicate. */
  promised: boolean;
};

export type Asked = readonly Wish[];

export const wishesOf = (random: Random, withConflicts: boolean): Wish[] =>
  Array.from({ length: 6 + random.below(8) }, (_, index) => {
    const key = `k${index}`;
    const isTimed = random.chance(0.6);
    return Array.from({ length: withConflicts && random.chance(0.25) ? 2 : 1 }, (_, variant): Wish => {
      const properties = { tokens: 12, variant };
      return {
        name: variant === 0 ? key : `${key}*`,
        key,
        variant,
        isTimed,
        abandoned: random.chance(0.1),
        body: event(key, { properties, ...(isTimed ? {} : { timestamp: undefined }) }),
        sent: 0,
        settled: undefined,
        promised: false,
      };
    });
  }).flat();

const variantOf = ({ properties }: UsageEvent): string | undefined =>
  properties.find(([path]) => path === 'variant')?.[1];
const isOf = (wish: Wish, found: UsageEvent): boolean => variantOf(found) === String(wish.variant);

/** When a client is answered. */
export const checkAnswer = (asked: Asked, statuses: readonly Status[], stream: SimStream): void => {
  const isFinal = !statuses.some((status) => status === 'unavailable' || status === 'in_flight');
  for (const [index, wish] of asked.entries()) {
    const status = statuses[index] as Status;
    const streamed = stream.eventsOf(wish.key);
    if (status === 'accepted')
      assert.ok(
        streamed.some((found) => isOf(wish, found)),
        `[I1] ${wish.name} was accepted and is not in the stream`,
      );
    if (status === 'duplicate')
      assert.ok(
        streamed.some((found) => isOf(wish, found)),
        `[I5] ${wish.name} was called a duplicate and is not in the stream`,
      );
    assert.ok(
      ['accepted', 'duplicate', 'conflict', 'unavailable', 'in_flight'].includes(status),
      `${wish.name} is ${status}`,
    );
    if (status === 'accepted' || status === 'duplicate') wish.promised = true;
    if (isFinal) wish.settled = status === 'conflict' ? 'conflict' : 'taken';
  }
};

/** When all have what they wanted. `isStrict`: claims were there all the time, so they tell payloads apart. */
export const checkEnd = (wishes: readonly Wish[], stream: SimStream, store: SimStore, isStrict: boolean): void => {
  for (const [key, own] of Map.groupBy(wishes, (wish) => wish.key)) {
    const stored = store.eventsOf(key);
    const streamed = stream.eventsOf(key);
    const promised = own.filter((wish) => wish.promised);
    assert.ok(stored.length <= 1, `[I2] ${key} is stored ${stored.length} times`);
    assert.equal(
      stored.length,
      streamed.length > 0 ? 1 : 0,
      `[I2] ${key} is in the stream ${streamed.length} times and stored ${stored.length} times`,
    );
    if (own.every(({ sent }) => sent === 0)) assert.equal(stored.length, 0, `[I3] ${key} was never sent and is stored`);
    assert.ok(promised.length <= 1, `[I4] ${key} was promised with ${promised.length} payloads`);
    for (const wish of promised)
      assert.ok(stored[0] && isOf(wish, stored[0]), `[I2] [I4] ${wish.name} was promised and is not what is stored`);
    if (isStrict)
      assert.ok(
        new Set(streamed.map(({ occurredAtMs }) => occurredAtMs)).size <= 1,
        `[I2] ${key} is in the stream with more than one time`,
      );
    if (isStrict)
      assert.ok(new Set(streamed.map(variantOf)).size <= 1, `[I4] ${key} is in the stream with more than one payload`);
  }
  const before = store.billed();
  stream.replay(store);
  assert.equal(store.billed(), before, '[I8] a replay of the stream changed what is billed');
};
