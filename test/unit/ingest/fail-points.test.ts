import { describe, expect, it } from 'vitest';
import { createFailPoint, type FailPointName } from '#platform/process/fail-point.ts';
import type { RelayPorts } from '../../../ingest/amendments/relay.ts';
import { failAtAccept, failAtCheck, failAtRelay, failAtStore } from '../../../ingest/fail-points.ts';
import type { AcceptPorts } from '../../../ingest/gateway/accept-events.ts';
import type { CheckPorts } from '../../../ingest/identity/check-identity.ts';
import type { SinkPorts } from '../../../ingest/sink/sink.ts';
import type { StreamMessage } from '../../../ingest/stream/usage-stream.nats.ts';

/**
 * Ports that note what was called and what was answered, and a fail point that notes where the process would have
 * ended.
 */
const scene = (name: FailPointName, passes = 1) => {
  const happened: string[] = [];
  const failPoint = createFailPoint(`${name}:${passes}`, () => happened.push('the end'));
  const call =
    (what: string, ms = 0) =>
    async (): Promise<void> => {
      happened.push(what);
      await new Promise((resolve) => setTimeout(resolve, ms));
      happened.push(`${what} answered`);
    };
  return { happened, failPoint, call };
};

/** Calls without their arguments, which fail points never look at. */
type Bare = (...words: unknown[]) => Promise<unknown>;

const accept = (name: FailPointName, passes?: number) => {
  const { happened, failPoint, call } = scene(name, passes);
  const claims = { claim: call('claim'), confirm: call('confirm'), release: call('release') };
  const ports = failAtAccept({ claims, publish: call('publish', 20) } as unknown as AcceptPorts, failPoint);
  return {
    happened,
    claim: ports.claims.claim as Bare,
    confirm: ports.claims.confirm as Bare,
    publish: ports.publish as Bare,
  };
};

const store = (name: FailPointName) => {
  const { happened, failPoint, call } = scene(name);
  const message = { sequence: 1, ack: () => happened.push('ack') } as unknown as StreamMessage;
  const messages = (async function* () {
    happened.push('pulled');
    yield message;
  })();
  const ports = {
    insert: call('insert', 40),
    subscribe: async () => ({ messages, stop: async () => {} }),
  } as unknown as SinkPorts;
  return { happened, ports: failAtStore(ports, failPoint) };
};

const check = (name: FailPointName) => {
  const { happened, failPoint, call } = scene(name);
  const ports = { keys: { voidTwins: call('voids') }, checked: { advance: call('advance') } } as unknown as CheckPorts;
  const { keys, checked } = failAtCheck(ports, failPoint);
  return { happened, voidTwins: keys.voidTwins as Bare, advance: checked.advance as Bare };
};

const relay = async (name: FailPointName): Promise<string[]> => {
  const { happened, failPoint, call } = scene(name);
  const outbox = { published: call('note'), applied: call('applied') };
  const ports = failAtRelay({ publish: call('publish'), outbox } as unknown as RelayPorts, failPoint);
  for (const step of [ports.publish, ports.outbox.published, ports.outbox.applied]) await (step as Bare)();
  return happened.filter((what) => !what.endsWith('answered'));
};

const turns = () => new Promise((resolve) => setTimeout(resolve, 10));

describe('fail points around the ports', () => {
  it('cost nothing where none is set: the ports are the same', () => {
    const [acceptPorts, sinkPorts, checkPorts] = [{} as AcceptPorts, {} as SinkPorts, {} as CheckPorts];
    expect(failAtAccept(acceptPorts, undefined)).toBe(acceptPorts);
    expect(failAtStore(sinkPorts, undefined)).toBe(sinkPorts);
    expect(failAtCheck(checkPorts, undefined)).toBe(checkPorts);
    const relayPorts = {} as RelayPorts;
    expect(failAtRelay(relayPorts, undefined)).toBe(relayPorts);
  });

  it('a gateway ends after its claim, before the publish, and around the acknowledgement', async () => {
    const claimed = accept('gateway.after_claim');
    await claimed.claim();
    expect(claimed.happened).toEqual(['claim', 'claim answered', 'the end']);
    const before = accept('gateway.before_publish');
    await before.publish();
    expect(before.happened[0]).toBe('the end');
    const during = accept('gateway.during_publish');
    await during.publish();
    expect(during.happened).toEqual(['publish', 'the end', 'publish answered']);
    const after = accept('gateway.after_pub_ack');
    await after.publish();
    expect(after.happened).toEqual(['publish', 'publish answered', 'the end']);
  });

  it('a gateway ends before and after it confirms, at the pass that was asked for', async () => {
    const before = accept('gateway.before_confirm', 2);
    await before.confirm();
    expect(before.happened).not.toContain('the end');
    await before.confirm();
    expect(before.happened).toEqual(['confirm', 'confirm answered', 'the end', 'confirm', 'confirm answered']);
    const after = accept('gateway.after_confirm');
    await after.confirm();
    expect(after.happened).toEqual(['confirm', 'confirm answered', 'the end']);
  });

  it('a sink ends before, during and after its insert', async () => {
    const ends = await Promise.all(
      (['sink.before_insert', 'sink.during_insert', 'sink.after_insert'] as const).map(async (name) => {
        const { happened, ports } = store(name);
        await ports.insert([]);
        return happened;
      }),
    );
    expect(ends).toEqual([
      ['the end', 'insert', 'insert answered'],
      ['insert', 'the end', 'insert answered'],
      ['insert', 'insert answered', 'the end'],
    ]);
  });

  it('a sink ends with a message in its hands, or once its acknowledgement is on the way', async () => {
    const first = async ({ ports }: ReturnType<typeof store>) => {
      for await (const message of (await ports.subscribe()).messages) return message;
      throw new Error('there is no message');
    };
    const pulled = store('sink.after_pull');
    await first(pulled);
    expect(pulled.happened).toEqual(['pulled', 'the end']);
    const acknowledged = store('sink.after_ack');
    (await first(acknowledged)).ack();
    expect(acknowledged.happened).toEqual(['pulled', 'ack']);
    await turns();
    expect(acknowledged.happened).toEqual(['pulled', 'ack', 'the end']);
  });

  it.each([
    ['checker.before_voids', ['the end', 'voids', 'voids answered', 'advance', 'advance answered']],
    ['checker.after_voids', ['voids', 'voids answered', 'the end', 'advance', 'advance answered']],
    ['checker.after_advance', ['voids', 'voids answered', 'advance', 'advance answered', 'the end']],
  ] as const)('a checker ends at %s', async (name, expected) => {
    const { happened, voidTwins, advance } = check(name);
    await voidTwins();
    await advance();
    expect(happened).toEqual(expected);
  });

  it.each([
    ['relay.before_publish', ['the end', 'publish', 'note', 'applied']],
    ['relay.after_publish', ['publish', 'the end', 'note', 'applied']],
    ['relay.after_note', ['publish', 'note', 'the end', 'applied']],
    ['relay.after_applied', ['publish', 'note', 'applied', 'the end']],
  ] as const)('a relay ends at %s', async (name, expected) => {
    expect(await relay(name)).toEqual(expected);
  });
});
