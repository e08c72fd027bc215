/** What becomes of trials and cancellations over the life of a subscription. Pure. */
import type { Instant } from '#schemas/period.ts';
import { type SubscriptionLife, subscriptionStateAt } from '#schemas/subscription-state.ts';

export const trialStatuses = ['pending', 'running', 'ended', 'canceled'] as const;
export type TrialStatus = (typeof trialStatuses)[number];

export const trialOutcomes = ['active', 'paused', 'canceled'] as const;
export type TrialOutcome = (typeof trialOutcomes)[number];

type TrialLife = SubscriptionLife & { readonly trialEndsAt: Instant };

/** The filter of the list says the same in SQL (api/subscription-views/trials.postgres.ts). */
export const trialStatusAt = (life: TrialLife, now: Instant): TrialStatus => {
  const { startedAt, endedAt, trialEndsAt } = life;
  if (endedAt !== null && endedAt <= now && endedAt < trialEndsAt) return 'canceled';
  if (startedAt > now) return 'pending';
  return trialEndsAt > now ? 'running' : 'ended';
};

/** What it is when the trial is over, as things stand. */
export const trialOutcome = (life: TrialLife): TrialOutcome => {
  const state = subscriptionStateAt(life, life.trialEndsAt);
  if (state === 'paused') return 'paused';
  return state === 'active' ? 'active' : 'canceled';
};

export const cancellationStates = ['scheduled', 'effective'] as const;
export type CancellationState = (typeof cancellationStates)[number];

export const cancellationStateAt = (effectiveAt: Instant, now: Instant): CancellationState =>
  effectiveAt <= now ? 'effective' : 'scheduled';

export const upcomingKinds = [
  'start',
  'trial_end',
  'change',
  'period_end',
  'minimum_term_end',
  'invoice',
  'cancellation',
] as const;
export type UpcomingKind = (typeof upcomingKinds)[number];
