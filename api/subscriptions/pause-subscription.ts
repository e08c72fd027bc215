/** The use cases of a pause: its begin, and its end. */
import type { Static } from 'typebox';
import type { Fault } from '#schemas/failures.ts';
import type { SubscriptionPause, SubscriptionResumption } from '#schemas/http/subscription-changes.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { readInstant, refuseFaults } from '../route/resource-fields.ts';
import { aheadMsMax, changeInstant, heldFrom, requireAllowed, requireNoneAhead } from './change-instant.ts';
import type { LedgerChanges, SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Subscription } from './subscriptions.postgres.ts';

export type PausePorts = { readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'> };

const readResumption = (text: string | undefined, pausedAt: Instant, now: Instant): Instant | undefined => {
  const faults: Fault[] = [];
  const field = 'resumes_at';
  const instant = readInstant(text, field, faults);
  if (instant !== undefined && instant <= pausedAt)
    faults.push({
      field,
      code: 'out_of_range',
      message: `must be after ${formatInstant(pausedAt)}, when it is paused`,
    });
  if (instant !== undefined && instant > now + aheadMsMax)
    faults.push({ field, code: 'out_of_range', message: 'must be at most five years ahead' });
  refuseFaults(faults);
  return instant;
};

/** Under the lock of the subscription. */
export const decidePause = async (
  { subscriptionChanges }: PausePorts,
  db: Db,
  subscription: Subscription,
  { at = 'now', usage = 'unbilled', resumes_at: resumesAt, invoice = 'next' }: Static<typeof SubscriptionPause>,
  now: Instant,
): Promise<LedgerChanges> => {
  requireAllowed(subscription, 'pause', now);
  requireNoneAhead(subscription, now, ({ kind }) => kind === 'pause');
  const effectiveAt = changeInstant(subscription, at, now, await subscriptionChanges.cutUntil(db, subscription.id));
  const resumption = readResumption(resumesAt, effectiveAt, now);
  return {
    undone: [],
    heldFrom: heldFrom(subscription, at, effectiveAt, now),
    added: [
      { kind: 'pause', usage, effectiveAt, bills: invoice },
      ...(resumption === undefined ? [] : [{ kind: 'resume' as const, effectiveAt: resumption, bills: invoice }]),
    ],
  };
};

/** Under the lock of the subscription. An end of the pause that was set before is set anew. */
export const decideResumption = async (
  { subscriptionChanges }: PausePorts,
  db: Db,
  subscription: Subscription,
  { at = 'now', invoice = 'next' }: Static<typeof SubscriptionResumption>,
  now: Instant,
): Promise<LedgerChanges> => {
  requireAllowed(subscription, 'resume', now);
  const effectiveAt = changeInstant(subscription, at, now, await subscriptionChanges.cutUntil(db, subscription.id));
  const ahead = subscription.changes.filter((one) => one.kind === 'resume' && one.effectiveAt > now);
  return {
    undone: ahead.map(({ id }) => id),
    heldFrom: heldFrom(subscription, at, effectiveAt, now),
    added: [{ kind: 'resume', effectiveAt, bills: invoice }],
  };
};
