/** What of a subscription falls due next, and what happens to it next. Pure. */
import assert from 'node:assert/strict';
import { periodIdOf } from '#schemas/billing-period.ts';
import {
  type BilledPart,
  type DuePart,
  dueParts,
  nextLook,
  rememberedPeriods,
  type SchedulesOf,
} from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import { currentPeriod, subscriptionStateAt, type TrialEndAction } from '#schemas/subscription-state.ts';
import type { OneTimeCharge, SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { type UpcomingKind, upcomingKinds } from '#schemas/subscription-views.ts';
import type { PeriodRow } from '../../rater/run/billable-periods.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { pendingChanges } from '../subscriptions/subscription-json.ts';
import type { RecordedChange, Subscription } from '../subscriptions/subscriptions.postgres.ts';

/** How far the time of a subscription was written down to be billed. */
export type CutTime = {
  readonly cutUntil: Instant | null;
  /** Its parts whose billing periods end after that. */
  readonly written: readonly BilledPart[];
  /** Those that wait to be written down. */
  readonly oneTimeCharges: readonly OneTimeCharge[];
};

/** A part that is written down, and was carried over. */
export type WaitingPart = {
  readonly written: BilledPart;
  readonly since: Instant;
  readonly payer: Payer;
};

/** Whether something of the subscription falls due after an instant. */
export const goesOnAfter = (terms: SubscriptionTerms, schedulesOf: SchedulesOf, at: Instant): boolean =>
  (terms.endedAt === null || terms.endedAt > at) && nextLook(terms, schedulesOf, at) !== undefined;

/** What was carried over as what falls due: when that is, whatever takes it up says. */
export const duePartOf = ({ written, since }: WaitingPart, schedulesOf: SchedulesOf): DuePart => {
  const { interval, isCounted, planVersionId, timing } = written;
  assert(interval !== undefined && isCounted !== undefined, 'what may be carried over names its charges');
  const isMetered = schedulesOf(planVersionId).some(
    (schedule) =>
      schedule.isMetered &&
      schedule.timing === timing &&
      schedule.isCounted === isCounted &&
      schedule.interval.unit === interval.unit &&
      schedule.interval.count === interval.count,
  );
  return { ...written, interval, isCounted, isMetered: isMetered && written.usageWaived !== true, dueAt: since };
};

/** All before is written down, where it was due. */
export const cutAfter = ({ startedAt }: Pick<Subscription, 'startedAt'>, cutUntil: Instant | null): Instant =>
  cutUntil ?? startedAt - 1;

/** Each look is at one more boundary of a calendar or turn of the subscription: an interval of days over five years. */
const looksMax = 2_000;

/** What falls due together first, and is not written down; undefined where nothing ever does. */
export const nextDueParts = (
  subscription: Subscription,
  schedulesOf: SchedulesOf,
  { cutUntil, written, oneTimeCharges }: CutTime,
): readonly DuePart[] | undefined => {
  const terms = { ...subscription, oneTimeCharges };
  const start = cutAfter(subscription, cutUntil);
  const periodsIn = rememberedPeriods();
  let from = start;
  for (let look = 0; look < looksMax; look += 1) {
    const end = nextLook(terms, schedulesOf, from);
    if (end === undefined) return undefined;
    const parts = dueParts(terms, schedulesOf, written, { start: from, end }, periodsIn);
    const first = Math.min(...parts.map(({ dueAt }) => dueAt));
    if (parts.length > 0) return parts.filter(({ dueAt }) => dueAt === first);
    from = end;
  }
  return undefined;
};

/** What falls due when the subscription ends. */
export const lastDueParts = (
  subscription: Subscription,
  schedulesOf: SchedulesOf,
  { written, oneTimeCharges }: CutTime,
): readonly DuePart[] => {
  const { endedAt } = subscription;
  if (endedAt === null) return [];
  const time = { start: endedAt - 1, end: endedAt };
  return dueParts({ ...subscription, oneTimeCharges }, schedulesOf, written, time, rememberedPeriods());
};

/** What of a subscription its parts are rated by, and told with. */
export type UpcomingSubscription = Pick<Subscription, 'id' | 'customerId' | 'currency' | 'cycle' | 'planNames'>;

/** As the row that the part will be, once it is written down. */
export const rowOf = (
  subscription: UpcomingSubscription,
  externalIds: readonly string[],
  part: DuePart,
): PeriodRow => ({
  id: periodIdOf(subscription.id, part),
  item: part.item,
  subscription_id: subscription.id,
  customer_id: subscription.customerId,
  external_ids: externalIds,
  plan_version_id: part.planVersionId,
  currency: subscription.currency,
  span_start: new Date(part.span.start),
  span_end: new Date(part.span.end),
  billing_start: new Date(part.billing.start),
  billing_end: new Date(part.billing.end),
  time_zone: subscription.cycle.timeZone,
  timing: part.timing,
  interval_unit: part.interval.unit,
  interval_count: part.interval.count,
  counted: part.isCounted,
  quantities: part.quantities ? [...part.quantities] : null,
  priced_at: part.pricedAt === undefined ? null : new Date(part.pricedAt),
  usage_waived: part.usageWaived === true,
});

export type Upcoming = {
  readonly at: Instant;
  readonly kind: UpcomingKind;
  readonly endAction?: TrialEndAction;
  readonly change?: RecordedChange;
};

/** When billing goes on, if nothing else happens: after the trial, or with the next period. */
export const renewsAt = (subscription: Subscription, now: Instant): Instant | null => {
  const { startedAt, trialEndsAt } = subscription;
  const from = Math.max(now, startedAt);
  const at = trialEndsAt !== null && trialEndsAt > from ? trialEndsAt : currentPeriod(subscription, now).end;
  return subscriptionStateAt(subscription, at) === 'active' ? at : null;
};

/** In their order; of one instant in that of the kinds. */
export const upcomingOf = (
  subscription: Subscription,
  now: Instant,
  dueAt: Instant | undefined,
  minimumTermEndsAt: Instant | undefined,
): readonly Upcoming[] => {
  const { startedAt, endedAt, canceledAt, trialEndsAt, trialEndAction } = subscription;
  const found: Upcoming[] = [{ at: startedAt, kind: 'start' }];
  if (trialEndsAt !== null) found.push({ at: trialEndsAt, kind: 'trial_end', endAction: trialEndAction ?? 'activate' });
  for (const change of pendingChanges(subscription, now))
    found.push({ at: change.effectiveAt, kind: 'change', change });
  found.push({ at: currentPeriod(subscription, now).end, kind: 'period_end' });
  if (minimumTermEndsAt !== undefined) found.push({ at: minimumTermEndsAt, kind: 'minimum_term_end' });
  if (endedAt !== null && canceledAt !== null) found.push({ at: endedAt, kind: 'cancellation' });
  const ahead = found.filter(({ at }) => at > now && (endedAt === null || at <= endedAt));
  // What is due and not billed yet lies behind, and comes first.
  if (dueAt !== undefined) ahead.push({ at: dueAt, kind: 'invoice' });
  return ahead.toSorted((a, b) => a.at - b.at || upcomingKinds.indexOf(a.kind) - upcomingKinds.indexOf(b.kind));
};
