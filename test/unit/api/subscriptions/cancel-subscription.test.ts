/** The end of a subscription beside time that a run wrote down, ahead of the clock of this process. */
import { expect, it } from 'vitest';
import { cancelSubscription, undoCancellation } from '../../../../api/subscriptions/cancel-subscription.ts';
import type { Cancellation, Subscription } from '../../../../api/subscriptions/subscriptions.postgres.ts';

const [october, november, december] = [9, 10, 11].map((month) => Date.UTC(2026, month, 1)) as [number, number, number];
const aMoment = 5;

const subscription = (over: Partial<Subscription> = {}): Subscription =>
  ({
    id: 'sub',
    startedAt: october,
    endedAt: null,
    canceledAt: null,
    trialEndsAt: null,
    cycle: { interval: { unit: 'month', count: 1 }, anchor: '2000-01-01T00:00:00.000', timeZone: 'UTC' },
    planVersionId: 'basic',
    seats: 1,
    changes: [],
    planNames: new Map(),
    ...over,
  }) as Subscription;

const portsOf = (cutUntil: number) => {
  const written: (Cancellation | null)[] = [];
  return {
    written,
    ports: {
      subscriptions: {
        changeCancellation: async (_db: unknown, _id: string, cancellation: Cancellation | null) => {
          written.push(cancellation);
          return subscription();
        },
        hasOtherToPlan: async () => false,
      },
      subscriptionChanges: { cutUntil: async () => cutUntil },
      minimumTerm: async () => null,
      contractTerm: async () => null,
    },
  };
};
const db = undefined as never;

it('is not taken back where its time is written down up to it', async () => {
  const { ports, written } = portsOf(november);
  const canceled = subscription({ endedAt: november, canceledAt: october });
  await expect(undoCancellation(ports, db, canceled, november - aMoment)).rejects.toMatchObject({
    code: 'SUBSCRIPTION_STATE_CONFLICT',
  });
  expect(written).toEqual([]);
  await undoCancellation(portsOf(november - 1).ports, db, canceled, november - aMoment);
});

it('is with the period that is not written down yet', async () => {
  const { ports, written } = portsOf(november);
  await cancelSubscription(ports, db, subscription(), {}, november - aMoment);
  expect(written).toMatchObject([{ endedAt: december }]);
});
