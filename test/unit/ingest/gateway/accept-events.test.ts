import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PublishError } from '../../../../ingest/gateway/accept-events.ts';
import { countInMessage, fromMessage } from '../../../../schemas/usage-event.ts';
import {
  acceptLimits,
  event,
  leaseSeconds,
  setUpGateway,
  startMs,
  unstamped,
} from '../../../support/memory-gateway.ts';
import { scaled } from '../../../support/scale.ts';

const defer = <T>() => {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

describe('each event of a request gets one outcome', () => {
  it('in the order of the request', async () => {
    const { accept, send } = setUpGateway();
    await send([event('known'), event('other')]);
    const { statuses } = await accept([
      event('new'),
      event('known'),
      event('other', { customer_id: 'cus_2' }),
      event('', {}),
      event('old', { timestamp: '2026-10-01T00:00:00Z' }),
      event('future', { timestamp: '2026-11-20T12:05:01Z' }),
      'no event',
      event('new'),
    ]);
    expect(statuses).toEqual([
      'accepted',
      'duplicate',
      'conflict',
      'invalid',
      'too_old',
      'in_future',
      'invalid',
      'duplicate',
    ]);
  });

  it('and what is not taken says why, by field and code', async () => {
    const { accept, send, stream } = setUpGateway();
    await send([event('other')]);
    stream.faults.push('refused');
    const { faults } = await accept([event('other', { event: 'x' }), event('bad', { event: 5 }), event('new')]);
    expect(faults.map((found) => found.map(({ field, code }) => `${field}: ${code}`))).toEqual([
      ['idempotency_key: idempotency_conflict'],
      ['event: wrong_type'],
      ['nats: unavailable'],
    ]);
  });

  it('[I5] while the stream is away all of it waits, what was accepted before too, and nothing is published', async () => {
    const { accept, send, stream } = setUpGateway();
    await send([event('known')]);
    const calls = stream.calls.length;
    const claim = () => Promise.reject(new PublishError(false, new Error('away')));
    const never = async () => expect.fail('claimed nothing');
    const { statuses, faults } = await accept(
      [event('known'), event(''), unstamped('new'), event('twin'), event('twin')],
      {
        claims: { claim, confirm: never, release: never },
      },
    );
    expect(statuses).toEqual(['unavailable', 'invalid', 'unavailable', 'unavailable', 'unavailable']);
    for (const index of [0, 2, 3, 4]) expect(faults[index]).toMatchObject([{ field: 'nats', code: 'unavailable' }]);
    expect(stream.calls).toHaveLength(calls);
  });

  it('a request without events does not touch a port', async () => {
    const { accept, stream } = setUpGateway();
    const claim = async () => expect.fail('claimed');
    const { statuses } = await accept([], { claims: { claim, confirm: claim, release: claim } });
    expect(statuses).toEqual([]);
    expect(stream.calls).toEqual([]);
  });

  it('a request of invalid events does not touch a port', async () => {
    const { accept, stream } = setUpGateway();
    const claim = async () => expect.fail('claimed');
    await accept([event(''), 5], { claims: { claim, confirm: claim, release: claim } });
    expect(stream.calls).toEqual([]);
  });

  it('[I27] 10,000 events full of faults do not become a list of faults of their size', async () => {
    const { accept } = setUpGateway();
    const full = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`field${index}`, 1]));
    const { faults } = await accept(Array.from({ length: 10_000 }, () => full));
    expect(faults.every((found) => found.length > 0)).toBe(true);
    expect(faults.reduce((sum, found) => sum + found.length, 0)).toBeLessThanOrEqual(20_000);
  });

  it('an accepted event is in the stream as it was sent', async () => {
    const { send, stream } = setUpGateway();
    await send([event('a', { properties: { cost: 0.1, model: { name: 'gpt' } } })]);
    expect(stream.events()).toEqual([
      {
        tenant: 'org_1',
        idempotencyKey: 'a',
        event: 'llm.request',
        customer: 'cus_1',
        occurredAtMs: Date.UTC(2026, 10, 20, 11),
        receivedAtMs: startMs,
        properties: [
          ['cost', '0.1'],
          ['model.name', 'gpt'],
        ],
      },
    ]);
  });
});

describe('the order of effects', () => {
  it('[I1] an answer comes only after the stream has acknowledged', async () => {
    const { accept } = setUpGateway();
    const acknowledged = defer<number>();
    const order: string[] = [];
    const answered = accept([event('a')], {
      publish: async () => {
        order.push('published');
        const sequence = await acknowledged.promise;
        order.push('acknowledged');
        return sequence;
      },
    }).then(({ statuses }) => order.push(`answered ${statuses[0]}`));
    setTimeout(() => acknowledged.resolve(1), 5);
    await answered;
    expect(order).toEqual(['published', 'acknowledged', 'answered accepted']);
  });

  it('a key is claimed before its event is published, and confirmed after, with the sequence', async () => {
    const { accept, ports } = setUpGateway();
    const order: string[] = [];
    const { confirmed } = await accept([event('a')], {
      claims: {
        claim: async (records, assignedMs) => {
          order.push('claim');
          return ports.claims.claim(records, assignedMs);
        },
        confirm: async (_batch, sequence) => void order.push(`confirm ${sequence}`),
        release: async () => void order.push('release'),
      },
      publish: async () => {
        order.push('publish');
        return 7;
      },
    });
    await confirmed;
    expect(order).toEqual(['claim', 'publish', 'confirm 7']);
  });

  it('the answer does not wait for the confirmation, but a process that drains can', async () => {
    const { accept, ports } = setUpGateway();
    const written = defer<void>();
    let drained = false;
    const { statuses, confirmed } = await accept([event('a')], {
      claims: { ...ports.claims, confirm: () => written.promise },
    });
    void confirmed.then(() => {
      drained = true;
    });
    expect(statuses).toEqual(['accepted']);
    await Promise.resolve();
    expect(drained).toBe(false);
    written.resolve();
    await confirmed;
    expect(drained).toBe(true);
  });

  it('[I2] a confirmation that is lost costs nothing: after the lease the event is published again as the same event', async () => {
    const { accept, ports, clock, send, stream } = setUpGateway();
    const { statuses } = await accept([unstamped('a')], { claims: { ...ports.claims, confirm: async () => {} } });
    expect(statuses).toEqual(['accepted']);
    clock.advance((leaseSeconds + 1) * 1000);
    stream.forgetIds();
    expect(await send([unstamped('a')])).toEqual(['accepted']);
    const [first, again] = stream.events();
    expect({ ...again, receivedAtMs: 0 }).toEqual({ ...first, receivedAtMs: 0 });
    expect(await send([unstamped('a')])).toEqual(['duplicate']);
  });

  it('a fault that is none of the stream is not an outcome, but an exception', async () => {
    const { accept } = setUpGateway();
    const publish = async () => {
      throw new TypeError('a bug');
    };
    await expect(accept([event('a')], { publish })).rejects.toThrow('a bug');
  });
});

describe('while Redis is down', () => {
  it('events with a timestamp are published; those whose time is ours to give are unavailable, and named so', async () => {
    const { accept, claimsStore, stream } = setUpGateway();
    claimsStore.setDown(true);
    const { statuses, faults, unclaimed } = await accept([event('a'), unstamped('b'), event('c')]);
    expect(statuses).toEqual(['accepted', 'unavailable', 'accepted']);
    expect(faults[1]).toMatchObject([{ field: 'redis', code: 'unavailable' }]);
    expect(unclaimed).toBe(true);
    expect(stream.events().map(({ idempotencyKey }) => idempotencyKey)).toEqual(['a', 'c']);
  });

  it('twins within a request are still told apart', async () => {
    const { send, claimsStore, stream } = setUpGateway();
    claimsStore.setDown(true);
    expect(await send([event('a'), event('a'), event('a', { event: 'x' })])).toEqual([
      'accepted',
      'duplicate',
      'conflict',
    ]);
    expect(stream.events()).toHaveLength(1);
  });

  it('a twin of an event whose time is ours to give is unavailable for the same reason', async () => {
    const { accept, claimsStore } = setUpGateway();
    claimsStore.setDown(true);
    const { statuses, faults } = await accept([unstamped('a'), unstamped('a'), unstamped('a', { event: 'x' })]);
    expect(statuses).toEqual(['unavailable', 'unavailable', 'conflict']);
    expect(faults[1]).toEqual(faults[0]);
    expect(faults[1]).toMatchObject([{ field: 'redis' }]);
  });

  it('nothing is confirmed or released: there is no claim to speak of', async () => {
    const { accept, stream } = setUpGateway();
    stream.faults.push('refused');
    const never = async () => expect.fail('called');
    const down = { claim: async () => undefined, confirm: never, release: never };
    const refused = await accept([event('a')], { claims: down });
    const taken = await accept([event('a')], { claims: down });
    await Promise.all([refused.confirmed, taken.confirmed]);
    expect([refused, taken].map(({ statuses }) => statuses[0])).toEqual(['unavailable', 'accepted']);
  });

  it('a request that has claims is not reported as one without', async () => {
    const { accept } = setUpGateway();
    expect((await accept([event('a')])).unclaimed).toBe(false);
  });
});

describe('messages', () => {
  const keysOf = (body: Buffer) => fromMessage(body).map(({ idempotencyKey }) => idempotencyKey);

  it('hold the events of a request in its order, each once, and stay within their bytes', async () => {
    const sizes = fc.array(fc.nat({ max: 9_000 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(sizes, async (bytes) => {
        const { send, stream } = setUpGateway();
        const events = bytes.map((length, index) =>
          event(`key-${index}`, { properties: { text: 'x'.repeat(length) } }),
        );
        expect(new Set(await send(events))).toEqual(new Set(['accepted']));
        expect(stream.calls.flatMap(({ body }) => keysOf(body))).toEqual(events.map(({ idempotency_key: key }) => key));
        for (const { body } of stream.calls) {
          expect(body.length).toBeLessThanOrEqual(acceptLimits.messageBytesMax);
          expect(keysOf(body)).toHaveLength(countInMessage(body));
        }
        // Packed, not one by one: two neighbours would not fit into one message.
        const pairs = stream.calls
          .slice(1)
          .map(({ body }, index) => body.length + (stream.calls[index]?.body.length ?? 0));
        expect(pairs.every((sum) => sum > acceptLimits.messageBytesMax - 16)).toBe(true);
      }),
      { numRuns: scaled(100) },
    );
  });

  it('hold an event alone that is larger than a message is meant to be', async () => {
    const { send, stream } = setUpGateway();
    expect(await send([event('a'), event('big', { properties: { text: 'x'.repeat(60_000) } }), event('c')])).toEqual([
      'accepted',
      'accepted',
      'accepted',
    ]);
    expect(stream.calls.map(({ body }) => keysOf(body))).toEqual([['a'], ['big'], ['c']]);
  });

  it('have fates of their own: of several, the refused one is released and the others stay accepted', async () => {
    const { send, stream } = setUpGateway();
    const events = ['a', 'b', 'c'].map((key) => event(key, { properties: { text: 'x'.repeat(12_000) } }));
    stream.faults.push(...(['lost', 'refused'] as const));
    expect(await send(events)).toEqual(['unavailable', 'unavailable', 'accepted']);
    expect(await send(events)).toEqual(['in_flight', 'accepted', 'duplicate']);
    expect(stream.events().map(({ idempotencyKey }) => idempotencyKey)).toEqual(['c', 'b']);
  });

  it('have another id for another payload, another order and another selection', async () => {
    const { send, stream, claimsStore } = setUpGateway();
    for (const events of [
      [event('a'), event('b')],
      [event('b'), event('a')],
      [event('a')],
      [event('a', { event: 'x' })],
    ]) {
      await send(events);
      claimsStore.empty();
    }
    expect(new Set(stream.calls.map(({ id }) => id)).size).toBe(4);
  });
});
