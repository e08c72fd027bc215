/**
 * The fail points of gateway, sink, checker and relay (`platform/process/fail-point.ts`), around their ports and
 * never inside of a use case. Without one the ports come back as they are.
 */
import { sleep } from '#platform/process/clock.ts';
import { around, type FailPoint, written } from '#platform/process/fail-point.ts';
import type { RelayPorts } from './amendments/relay.ts';
import type { AcceptPorts } from './gateway/accept-events.ts';
import type { Gateway } from './gateway/gateway.ts';
import type { CheckPorts } from './identity/check-identity.ts';
import type { SinkPorts } from './sink/sink.ts';
import type { StreamMessage, Subscription } from './stream/usage-stream.nats.ts';

/** ClickHouse has the request and works on it by then; the smallest insert takes it several milliseconds. */
const insertBegunMs = 3;

export const failAtAccept = (ports: AcceptPorts, failPoint: FailPoint | undefined): AcceptPorts => {
  if (!failPoint) return ports;
  return {
    ...ports,
    claims: {
      ...ports.claims,
      claim: around(ports.claims.claim, failPoint, { after: 'gateway.after_claim' }),
      confirm: around(ports.claims.confirm, failPoint, {
        before: 'gateway.before_confirm',
        after: 'gateway.after_confirm',
      }),
    },
    publish: around(ports.publish, failPoint, {
      before: 'gateway.before_publish',
      during: 'gateway.during_publish',
      after: 'gateway.after_pub_ack',
    }),
  };
};

/** Answers of other routes don't count: health is asked at any time. */
export const failAtRespond = (app: Gateway['app'], failPoint: FailPoint | undefined): void => {
  if (!failPoint) return;
  app.addHook('onSend', async (request, _reply, payload) => {
    if (request.method === 'POST' && request.routeOptions.url === '/v1/events')
      failPoint.pass('gateway.before_respond');
    return payload;
  });
};

export const failAtStore = (ports: SinkPorts, failPoint: FailPoint | undefined): SinkPorts => {
  if (!failPoint) return ports;
  const mortal = (message: StreamMessage): StreamMessage => ({
    ...message,
    ack: () => {
      message.ack();
      if (failPoint.isDue('sink.after_ack')) void written().then(failPoint.end);
    },
  });
  const pulled = async function* ({ messages }: Subscription) {
    for await (const message of messages) {
      failPoint.pass('sink.after_pull');
      yield mortal(message);
    }
  };
  return {
    ...ports,
    subscribe: async () => {
      const subscription = await ports.subscribe();
      return { ...subscription, messages: pulled(subscription) };
    },
    insert: around(
      ports.insert,
      failPoint,
      { before: 'sink.before_insert', during: 'sink.during_insert', after: 'sink.after_insert' },
      () => sleep(insertBegunMs),
    ),
  };
};

export const failAtCheck = (ports: CheckPorts, failPoint: FailPoint | undefined): CheckPorts => {
  if (!failPoint) return ports;
  return {
    ...ports,
    keys: {
      ...ports.keys,
      voidTwins: around(ports.keys.voidTwins, failPoint, {
        before: 'checker.before_voids',
        after: 'checker.after_voids',
      }),
    },
    checked: {
      ...ports.checked,
      advance: around(ports.checked.advance, failPoint, { after: 'checker.after_advance' }),
    },
  };
};

export const failAtRelay = (ports: RelayPorts, failPoint: FailPoint | undefined): RelayPorts => {
  if (!failPoint) return ports;
  return {
    ...ports,
    outbox: {
      ...ports.outbox,
      published: around(ports.outbox.published, failPoint, { after: 'relay.after_note' }),
      applied: around(ports.outbox.applied, failPoint, { after: 'relay.after_applied' }),
    },
    publish: around(ports.publish, failPoint, { before: 'relay.before_publish', after: 'relay.after_publish' }),
  };
};
