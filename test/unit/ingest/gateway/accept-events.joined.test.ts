/** What holds of several messages and of several requests that are taken together. */
import { describe, expect, it } from 'vitest';
import { claimBytes } from '../../../../ingest/parse/event-block.ts';
import { fromMessage } from '../../../../schemas/usage-event.ts';
import { event, leaseSeconds, setUpGateway, startMs, unstamped } from '../../../support/memory-gateway.ts';

const keysOf = (body: Buffer) => fromMessage(body).map(({ idempotencyKey }) => idempotencyKey);
/** Two events a message. */
const byTwo = { limits: { messageEventsMax: 2 } };

describe('requests that are taken together', () => {
  it('go in one message, and each has the outcomes of its own events', async () => {
    const { acceptJoined, send, stream } = setUpGateway();
    await send([event('known')]);
    const taken = await acceptJoined([
      [event('a'), event('b')],
      [event('c', { event: 5 }), event('known')],
      [],
      [event('d')],
    ]);
    expect(taken.map(({ statuses }) => statuses)).toEqual([
      ['accepted', 'accepted'],
      ['invalid', 'duplicate'],
      [],
      ['accepted'],
    ]);
    expect(taken.map(({ faults }) => faults.map((found) => found.length))).toEqual([[0, 0], [1, 0], [], [0]]);
    expect(stream.calls.map(({ body }) => keysOf(body))).toEqual([['known'], ['a', 'b', 'd']]);
  });

  it('twins over two of them are told apart: the first request has the event, the other a duplicate or a conflict', async () => {
    const { acceptJoined, stream } = setUpGateway();
    const taken = await acceptJoined([
      [event('a')],
      [event('b'), event('a')],
      [event('a', { event: 'x' })],
      [event('a')],
    ]);
    expect(taken.map(({ statuses }) => statuses)).toEqual([
      ['accepted'],
      ['accepted', 'duplicate'],
      ['conflict'],
      ['duplicate'],
    ]);
    expect(stream.events().map(({ idempotencyKey }) => idempotencyKey)).toEqual(['a', 'b']);
  });

  it('are all unavailable where their message is refused, and free to come again by themselves', async () => {
    const { acceptJoined, send, stream } = setUpGateway();
    stream.faults.push('refused');
    const taken = await acceptJoined([[event('a')], [event('b'), event('a')]]);
    await Promise.all(taken.map(({ confirmed }) => confirmed));
    expect(taken.map(({ statuses }) => statuses)).toEqual([['unavailable'], ['unavailable', 'unavailable']]);
    expect(await send([event('b'), event('a')])).toEqual(['accepted', 'accepted']);
  });

  it('have one time of receipt, and with it the time of all events that have none', async () => {
    const { acceptJoined, stream } = setUpGateway();
    await acceptJoined([[unstamped('a'), event('b')], [unstamped('c')]]);
    expect(stream.events().map(({ receivedAtMs }) => receivedAtMs)).toEqual([startMs, startMs, startMs]);
    expect(stream.events().map(({ occurredAtMs }) => occurredAtMs)).toEqual([
      startMs,
      Date.UTC(2026, 10, 20, 11),
      startMs,
    ]);
  });

  it('[I2] an event that was taken over keeps its first time also beside events of others that have none', async () => {
    const { acceptJoined, send, stream, clock } = setUpGateway();
    stream.faults.push('answer lost');
    await send([event('x'), unstamped('a')]);
    clock.advance((leaseSeconds + 1) * 1000);
    stream.forgetIds();
    const taken = await acceptJoined([[unstamped('b')], [unstamped('a'), unstamped('c')]]);
    expect(taken.map(({ statuses }) => statuses)).toEqual([['accepted'], ['accepted', 'accepted']]);
    const times = new Map(stream.events().map(({ idempotencyKey, occurredAtMs }) => [idempotencyKey, occurredAtMs]));
    expect(times.get('a')).toBe(startMs);
    expect(times.get('b')).toBe(clock.nowMs());
    expect(times.get('c')).toBe(clock.nowMs());
    const [first, again] = stream.events().filter(({ idempotencyKey }) => idempotencyKey === 'a');
    expect({ ...again, receivedAtMs: 0 }).toEqual({ ...first, receivedAtMs: 0 });
  });

  it('[I2] and keeps it as well where it is the caller who gave it', async () => {
    const { acceptJoined, send, stream, clock } = setUpGateway();
    stream.faults.push('lost');
    await send([event('a')]);
    clock.advance((leaseSeconds + 1) * 1000);
    await acceptJoined([[unstamped('b')], [event('a')]]);
    expect(stream.events().at(-1)).toMatchObject({ idempotencyKey: 'a', occurredAtMs: Date.UTC(2026, 10, 20, 11) });
  });

  it('do not free what was taken over from another try, nor what stands beside it, when the stream refuses them', async () => {
    const { acceptJoined, send, stream, clock } = setUpGateway();
    stream.faults.push('answer lost', 'refused');
    await send([event('a')]);
    clock.advance((leaseSeconds + 1) * 1000);
    const taken = await acceptJoined([[event('b')], [event('a')]]);
    await Promise.all(taken.map(({ confirmed }) => confirmed));
    expect(await send([event('a', { event: 'x' }), event('b')])).toEqual(['in_flight', 'in_flight']);
    clock.advance((leaseSeconds + 1) * 1000);
    expect(await send([event('a'), event('b')])).toEqual(['accepted', 'accepted']);
  });
});

describe('several messages of one request', () => {
  it('twins over two of them are told apart', async () => {
    const { accept, stream } = setUpGateway();
    const { statuses } = await accept(
      [event('a'), event('b'), event('c'), event('a'), event('b', { event: 'x' }), event('a')],
      byTwo,
    );
    expect(statuses).toEqual(['accepted', 'accepted', 'accepted', 'duplicate', 'conflict', 'duplicate']);
    expect(stream.calls.map(({ body }) => keysOf(body))).toEqual([['a', 'b'], ['c']]);
  });

  it('[I4] another payload under a key of another message is a conflict, and waits where that could not be published', async () => {
    const { accept, stream } = setUpGateway();
    stream.faults.push('refused');
    const other = event('a', { event: 'x' });
    const { statuses, faults } = await accept(
      [event('a'), event('b'), other, event('c'), event('c', { event: 'x' }), other],
      byTwo,
    );
    expect(statuses).toEqual(['unavailable', 'unavailable', 'in_flight', 'accepted', 'conflict', 'in_flight']);
    expect(faults.map(([fault]) => fault?.code)).toEqual([
      ...['unavailable', 'unavailable', 'in_flight', undefined, 'idempotency_conflict', 'in_flight'],
    ]);
    expect(stream.events()).toHaveLength(1);
  });

  it('a twin of what another message of the request could not publish is as unavailable as that', async () => {
    const { accept, stream } = setUpGateway();
    stream.faults.push('lost');
    const { statuses } = await accept([event('a'), event('b'), event('c'), event('a')], byTwo);
    expect(statuses).toEqual(['unavailable', 'unavailable', 'accepted', 'unavailable']);
  });

  it('[I2] never have the same id, whatever of them is won: else the stream would take one for a repetition of another, and lose it', async () => {
    const events = ['a', 'b', 'c', 'd', 'e'].map((key) => event(key));
    // Which of the events are stored already decides what is left of the request, which is then sent whole.
    for (let known = 0; known < 2 ** events.length - 1; known += 1) {
      const { send, stream } = setUpGateway();
      const before = events.filter((_, index) => (known >> index) % 2 === 1);
      if (before.length > 0) await send(before);
      const after = await send(events);
      expect(after).toEqual(events.map((_, index) => ((known >> index) % 2 === 1 ? 'duplicate' : 'accepted')));
      const keys = stream.events().map(({ idempotencyKey }) => idempotencyKey);
      expect(keys.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
    }
  });

  it('[I2] the rest of a request whose first part is stored goes under another id than the whole of it', async () => {
    const { send, stream, claimsStore } = setUpGateway();
    await send([event('a'), event('b')]);
    claimsStore.empty();
    await send([event('b')]);
    claimsStore.empty();
    await send([event('a'), event('b')]);
    await send([event('c'), event('b')]);
    expect(stream.calls.map(({ body }) => keysOf(body))).toEqual([['a', 'b'], ['b'], ['a', 'b'], ['c']]);
    expect(new Set(stream.calls.map(({ id }) => id)).size).toBe(3);
  });

  it('Redis may go in the middle: what was claimed is told apart by claims, the rest by the store', async () => {
    const { accept, ports, stream, send } = setUpGateway();
    let calls = 0;
    const claims = {
      ...ports.claims,
      claim: async (records: Buffer, assignedMs: number) => {
        calls += 1;
        return calls === 2 ? undefined : ports.claims.claim(records, assignedMs);
      },
    };
    const events = [event('a'), unstamped('b'), event('c'), unstamped('d'), event('e'), unstamped('f')];
    const { statuses, unclaimed, confirmed } = await accept(events, { ...byTwo, claims });
    await confirmed;
    expect(statuses).toEqual(['accepted', 'accepted', 'accepted', 'unavailable', 'accepted', 'accepted']);
    expect(unclaimed).toBe(true);
    // All of it again: what was claimed is a duplicate, and what was not is the same event once more.
    expect(await send(events)).toEqual(['duplicate', 'duplicate', 'accepted', 'accepted', 'duplicate', 'duplicate']);
    const twins = stream.events().filter(({ idempotencyKey }) => idempotencyKey === 'c');
    expect(new Set(twins.map((twin) => JSON.stringify({ ...twin, receivedAtMs: 0 }))).size).toBe(1);
  });

  it('claims are asked for message by message, as many bytes as it has events', async () => {
    const { accept, ports } = setUpGateway();
    const asked: number[] = [];
    const claim = async (records: Buffer, assignedMs: number) => {
      asked.push(records.length / claimBytes);
      return ports.claims.claim(records, assignedMs);
    };
    await accept([event('a'), event('b'), event('c')], { ...byTwo, claims: { ...ports.claims, claim } });
    expect(asked).toEqual([2, 1]);
  });
});

describe('a loss of the stream', () => {
  it('[I5] makes what it held acceptable again: the same event, with the time of its first try', async () => {
    const { send, stream, claimsStore, clock } = setUpGateway();
    await claimsStore.knowledge.voidBehind({ lastSequence: 0, streamId: 'one' }, undefined);
    await send([unstamped('kept')]);
    await send([unstamped('lost')]);
    stream.forgetIds();
    clock.advance(60_000);
    expect(await claimsStore.knowledge.voidBehind({ lastSequence: 1, streamId: 'one' }, undefined)).toEqual({
      from: 2,
      to: 2,
    });
    expect(await send([unstamped('kept'), unstamped('lost')])).toEqual(['duplicate', 'accepted']);
    expect(stream.events().at(-1)).toMatchObject({ idempotencyKey: 'lost', occurredAtMs: startMs });
    expect(await send([unstamped('kept'), unstamped('lost')])).toEqual(['duplicate', 'duplicate']);
  });
});
