/** Parts of subscriptions that are shown ahead: those that fall due, and beside them what was carried over. */
import type { DuePart, SchedulesOf } from '#schemas/due-parts.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import type { Db } from '../route/define-route.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import type { UpcomingPart } from './rate-upcoming.ts';
import type { CutSubscription, UpcomingReader } from './upcoming.postgres.ts';
import { duePartOf, goesOnAfter, type UpcomingSubscription, type WaitingPart } from './upcoming-parts.ts';

/** With changes that are not made yet, too. */
type Terms = SubscriptionTerms & UpcomingSubscription;

/** What falls due, with whether something falls due after it. */
export const aheadOf = (
  subscription: Terms,
  schedulesOf: SchedulesOf,
  rows: Pick<CutSubscription, 'externalIds' | 'oneTimeRows'>,
  parts: readonly DuePart[],
): UpcomingPart[] => {
  const known = new Map<number, boolean>();
  return parts.map((part) => {
    const goesOn = known.get(part.dueAt) ?? goesOnAfter(subscription, schedulesOf, part.dueAt);
    known.set(part.dueAt, goesOn);
    const { externalIds, oneTimeRows } = rows;
    return { subscription, externalIds, oneTimeRows, part, goesOn };
  });
};

/** What was carried over. */
export const waitingPart = (
  subscription: UpcomingSubscription,
  { externalIds, oneTimeRows }: Pick<CutSubscription, 'externalIds' | 'oneTimeRows'>,
  waiting: WaitingPart,
  schedulesOf: SchedulesOf,
): UpcomingPart => ({
  subscription,
  externalIds,
  oneTimeRows,
  part: duePartOf(waiting, schedulesOf),
  goesOn: false,
  waits: { since: waiting.since, payer: waiting.payer },
});

/** What of them waits, as it came to too little. */
export const waitingParts = async (
  { waiting }: Pick<UpcomingReader, 'waiting'>,
  db: Db,
  subscriptions: readonly Subscription[],
  cuts: ReadonlyMap<string, CutSubscription>,
  schedulesOf: SchedulesOf,
): Promise<UpcomingPart[]> => {
  const found = await waiting(
    db,
    subscriptions.map(({ id }) => id),
  );
  return subscriptions.flatMap((subscription) => {
    const rows = { externalIds: cuts.get(subscription.id)?.externalIds ?? [], oneTimeRows: found.oneTimeRows };
    return (found.parts.get(subscription.id) ?? []).map((part) => waitingPart(subscription, rows, part, schedulesOf));
  });
};
