import { describe, expect, it } from 'vitest';
import type { ClaimAnswer } from '../../../../ingest/gateway/accept-events.ts';
import { fromMessage } from '../../../../schemas/usage-event.ts';
import {
  blockOf,
  event,
  leaseSeconds,
  setUpGateway,
  startMs,
  unstamped,
  windowSeconds,
} from '../../../support/memory-gateway.ts';

describe('twins within a request', () => {
  it.each([
    ['the same event again', event('a'), 'duplicate'],
    [
      'the same event with its properties in another order',
      event('a', { properties: { b: 1, a: [{ y: 1, x: 2 }] } }),
      'duplicate',
    ],
    ['another customer', event('a', { customer_id: 'cus_2' }), 'conflict'],
    ['another name', event('a', { event: 'llm.response' }), 'conflict'],
    ['another time', event('a', { timestamp: '2026-11-20T11:00:00.001Z' }), 'conflict'],
    ['no time', unstamped('a'), 'conflict'],
    ['another property', event('a', { properties: { tokens: 13 } }), 'conflict'],
  ])('[I4] the first wins; %s is a %s', async (_what, twin, status) => {
    const { send, stream } = setUpGateway();
    const first = status === 'duplicate' ? { ...twin, properties: reordered(twin.properties) } : event('a');
    expect(await send([first, twin, twin])).toEqual(['accepted', status, status]);
    expect(stream.events()).toHaveLength(1);
    expect(stream.events()[0]?.customer).toBe('cus_1');
  });

  it('a time written in another zone is the same time', async () => {
    const { send } = setUpGateway();
    expect(await send([event('a'), event('a', { timestamp: '2026-11-20T13:00:00.000+02:00' })])).toEqual([
      'accepted',
      'duplicate',
    ]);
  });

  it('a twin has no better fate than its first: unavailable and in flight', async () => {
    const { send, stream } = setUpGateway();
    stream.faults.push('lost');
    expect(await send([event('a'), event('a')])).toEqual(['unavailable', 'unavailable']);
    expect(await send([event('a'), event('a')])).toEqual(['in_flight', 'in_flight']);
  });

  it('of a stored event are duplicates both, and of a conflict conflicts both', async () => {
    const { send } = setUpGateway();
    await send([event('a')]);
    expect(await send([event('a'), event('a')])).toEqual(['duplicate', 'duplicate']);
    const other = event('a', { customer_id: 'cus_2' });
    expect(await send([other, other])).toEqual(['conflict', 'conflict']);
  });

  it('an invalid event does not take the key from a valid one behind it', async () => {
    const { send } = setUpGateway();
    expect(
      await send([event('a', { event: '' }), event('a'), event('a', { timestamp: '2020-01-01T00:00:00Z' })]),
    ).toEqual(['invalid', 'accepted', 'too_old']);
  });
});

const reordered = (properties: unknown): unknown => {
  if (Array.isArray(properties)) return properties.map(reordered);
  if (typeof properties !== 'object' || properties === null) return properties;
  return Object.fromEntries(
    Object.entries(properties)
      .reverse()
      .map(([name, value]) => [name, reordered(value)]),
  );
};

describe('a retry', () => {
  it('[I5] of an accepted event is a duplicate, and is not published', async () => {
    const { send, stream, clock } = setUpGateway();
    await send([event('a'), unstamped('b')]);
    clock.advance(3_600_000);
    expect(await send([event('a'), unstamped('b')])).toEqual(['duplicate', 'duplicate']);
    expect(stream.calls).toHaveLength(1);
  });

  it('[I2] after a publish that the stream refused is accepted at once', async () => {
    const { send, stream } = setUpGateway();
    stream.faults.push('refused', 'refused');
    expect(await send([event('a'), unstamped('b')])).toEqual(['unavailable', 'unavailable']);
    expect(await send([event('a'), unstamped('b')])).toEqual(['unavailable', 'unavailable']);
    expect(await send([event('a'), unstamped('b')])).toEqual(['accepted', 'accepted']);
    expect(stream.events().map(({ idempotencyKey }) => idempotencyKey)).toEqual(['a', 'b']);
  });

  it.each([
    ['and was stored', 'answer lost'],
    ['and was not stored', 'lost'],
  ] as const)(
    '[I2] of a publish whose fate is unknown %s waits for the lease, and is then published under the same id with the same time',
    async (_what, fault) => {
      const { send, stream, clock } = setUpGateway();
      stream.faults.push(fault);
      expect(await send([unstamped('a'), event('b')])).toEqual(['unavailable', 'unavailable']);
      clock.advance((leaseSeconds - 1) * 1000);
      expect(await send([unstamped('a'), event('b')])).toEqual(['in_flight', 'in_flight']);
      expect(stream.calls).toHaveLength(1);
      clock.advance(2_000);
      expect(await send([unstamped('a'), event('b')])).toEqual(['accepted', 'accepted']);
      expect(new Set(stream.calls.map(({ id }) => id)).size).toBe(1);
      for (const { body } of stream.calls) expect(fromMessage(body)[0]?.occurredAtMs).toBe(startMs);
      expect(stream.stored).toHaveLength(1);
      expect(await send([unstamped('a'), event('b')])).toEqual(['duplicate', 'duplicate']);
    },
  );

  it('[I4] keeps its key when the stream refuses it after a first try that may be stored: no other payload slips in beside that', async () => {
    const { send, stream, clock } = setUpGateway();
    stream.faults.push('answer lost', 'refused');
    expect(await send([event('a')])).toEqual(['unavailable']);
    clock.advance((leaseSeconds + 1) * 1000);
    expect(await send([event('a')])).toEqual(['unavailable']);
    expect(await send([event('a', { properties: { tokens: 999 } })])).toEqual(['in_flight']);
    clock.advance((leaseSeconds + 1) * 1000);
    expect(await send([event('a')])).toEqual(['accepted']);
    expect(stream.events().map(({ properties }) => properties)).toEqual([[['tokens', '12']]]);
  });

  it('[I2] keeps the time that we gave it, also over a try that the stream refused in between', async () => {
    const { send, stream, clock } = setUpGateway();
    stream.faults.push('answer lost', 'refused');
    await send([unstamped('a')]);
    clock.advance((leaseSeconds + 1) * 1000);
    expect(await send([unstamped('a')])).toEqual(['unavailable']);
    stream.forgetIds();
    clock.advance(86_400_000 / 2);
    expect(await send([unstamped('a')])).toEqual(['accepted']);
    expect(stream.events().map(({ occurredAtMs }) => occurredAtMs)).toEqual([startMs, startMs]);
  });

  it('[I7] with a new timestamp under the same key is a conflict within the window, never a second event', async () => {
    const { send, stream, clock } = setUpGateway();
    await send([event('a')]);
    clock.advance((windowSeconds - 1) * 1000);
    expect(await send([event('a', { timestamp: '2026-11-21T11:00:00Z' })])).toEqual(['conflict']);
    expect(stream.events()).toHaveLength(1);
  });

  it('[I6] after Redis was emptied is published again as the same event, which the store knows by key and time', async () => {
    const { send, stream, claimsStore, clock } = setUpGateway();
    await send([event('a')]);
    claimsStore.empty();
    clock.advance(600_000);
    stream.forgetIds();
    expect(await send([event('a')])).toEqual(['accepted']);
    const [first, again] = stream.events();
    expect({ ...again, receivedAtMs: 0 }).toEqual({ ...first, receivedAtMs: 0 });
  });

  it('of a request is stored once where its answer was lost with the claims: the same events give the same message id', async () => {
    const { send, stream, claimsStore } = setUpGateway();
    await send([event('a'), event('b')]);
    claimsStore.empty();
    expect(await send([event('a'), event('b')])).toEqual(['accepted', 'accepted']);
    expect(stream.stored).toHaveLength(1);
  });

  it('of another organization under the same key is another event', async () => {
    const { send, stream } = setUpGateway();
    expect(await send([event('a')], 'org_1')).toEqual(['accepted']);
    expect(await send([event('a')], 'org_2')).toEqual(['accepted']);
    expect(new Set(stream.calls.map(({ id }) => id)).size).toBe(2);
    expect(stream.events().map(({ tenant }) => tenant)).toEqual(['org_1', 'org_2']);
  });

  it('of another tenant whose id and key read the same when put together is another event', async () => {
    const { send } = setUpGateway();
    expect(await send([event('bc')], 'a')).toEqual(['accepted']);
    expect(await send([event('c')], 'ab')).toEqual(['accepted']);
  });
});

describe('[I4] the same key with another payload', () => {
  it('is a conflict, is never published and changes nothing that is stored', async () => {
    const { send, stream } = setUpGateway();
    await send([event('a')]);
    for (const other of [{ customer_id: 'cus_2' }, { event: 'x' }, { properties: {} }, { timestamp: undefined }]) {
      expect(await send([event('a', other)])).toEqual(['conflict']);
    }
    expect(stream.calls).toHaveLength(1);
    expect(await send([event('a')])).toEqual(['duplicate']);
  });

  it('waits while the first is in flight, since nothing stands yet; after its lease it is a conflict', async () => {
    const { send, stream, clock } = setUpGateway();
    stream.faults.push('answer lost');
    await send([event('a')]);
    expect(await send([event('a', { customer_id: 'cus_2' })])).toEqual(['in_flight']);
    clock.advance(60_000);
    expect(await send([event('a', { customer_id: 'cus_2' })])).toEqual(['conflict']);
    expect(stream.events().map(({ customer }) => customer)).toEqual(['cus_1']);
  });

  it('is accepted where the first turns out not to be in the stream: a client that waits loses nothing', async () => {
    const { ports, send } = setUpGateway();
    const other = event('a', { timestamp: '2026-11-20T11:30:00Z' });
    const { batch } = (await ports.claims.claim(blockOf([event('a')], startMs).claims, startMs)) as ClaimAnswer;
    expect(await send([other])).toEqual(['in_flight']);
    await ports.claims.release(batch);
    expect(await send([other])).toEqual(['accepted']);
  });

  it('does not keep the other events of its request from being accepted', async () => {
    const { send, stream } = setUpGateway();
    await send([event('a')]);
    expect(await send([event('b'), event('a', { customer_id: 'cus_2' }), event('c')])).toEqual([
      'accepted',
      'conflict',
      'accepted',
    ]);
    expect(stream.events().map(({ idempotencyKey }) => idempotencyKey)).toEqual(['a', 'b', 'c']);
  });

  it('is told from fields that run into each other', async () => {
    const { send } = setUpGateway();
    expect(
      await send([event('a', { event: 'ab', customer_id: 'c' }), event('a', { event: 'a', customer_id: 'bc' })]),
    ).toEqual(['accepted', 'conflict']);
  });
});
