/** Subscriptions and their changes as callers see them. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod, type Instant } from '#schemas/period.ts';
import { currentPeriod, cycleNow, subscriptionStateAt, termsNow } from '#schemas/subscription-state.ts';
import type { PlanName } from '../catalog/plan-versions.postgres.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { LedgerChange } from './subscription-changes.postgres.ts';
import type { RecordedChange, Subscription } from './subscriptions.postgres.ts';

const timeOrNull = (instant: Instant | null): string | null => (instant === null ? null : formatInstant(instant));

export const ledgerJson = (change: LedgerChange) => ({
  id: change.id,
  kind: change.kind,
  effective_at: formatInstant(change.effectiveAt),
  invoice: change.bills,
  plan_id: change.planId,
  plan_code: change.planCode,
  plan_version_id: change.planVersionId,
  quantity: change.quantity,
  usage: change.usage,
  created_at: formatInstant(change.createdAt),
  undone_at: timeOrNull(change.undoneAt),
});

const planJson = (subscription: Subscription, versionId: string) => {
  const { planId, planCode } = subscription.planNames.get(versionId) as PlanName;
  return { plan_id: planId, plan_code: planCode, plan_version_id: versionId };
};

const toLedger = (subscription: Subscription, change: RecordedChange): LedgerChange => {
  const versionId = 'planVersionId' in change ? change.planVersionId : null;
  const name = versionId === null ? undefined : subscription.planNames.get(versionId);
  return {
    id: change.id,
    kind: change.kind,
    effectiveAt: change.effectiveAt,
    bills: change.bills,
    planId: name?.planId ?? null,
    planCode: name?.planCode ?? null,
    planVersionId: versionId,
    quantity: 'quantity' in change ? change.quantity : null,
    usage: change.kind === 'pause' ? change.usage : null,
    createdAt: change.createdAt,
    undoneAt: null,
  };
};

export const changeJson = (subscription: Subscription, change: RecordedChange) =>
  ledgerJson(toLedger(subscription, change));

/** Those that are to take effect, as far as the subscription lasts. */
export const pendingChanges = ({ changes, endedAt }: Subscription, nowMs: Instant): readonly RecordedChange[] =>
  changes.filter(({ effectiveAt }) => effectiveAt > nowMs && (endedAt === null || effectiveAt < endedAt));

const cancellationJson = ({ canceledAt, endedAt, cancellationReason, cancellationRefund, finalUsage }: Subscription) =>
  canceledAt === null || endedAt === null
    ? null
    : {
        requested_at: formatInstant(canceledAt),
        effective_at: formatInstant(endedAt),
        reason: cancellationReason,
        refund: cancellationRefund ?? 'prorated',
        final_usage: finalUsage ?? 'billed',
      };

/** As it was digested before there was a choice, where none was made. */
const lastingCancellation = (subscription: Subscription) => {
  const { final_usage, ...rest } = cancellationJson(subscription) ?? {};
  if (subscription.canceledAt === null) return null;
  return final_usage === 'waived' ? { ...rest, final_usage } : rest;
};

const trialJson = ({ trialEndsAt, trialEndAction }: Subscription) =>
  trialEndsAt === null ? null : { ends_at: formatInstant(trialEndsAt), end_action: trialEndAction ?? 'activate' };

export const subscriptionJson = (subscription: Subscription, nowMs: Instant) => {
  const held = termsNow(subscription, nowMs);
  const { interval, anchor, timeZone } = cycleNow(subscription, nowMs);
  const resumption = subscription.changes.find(({ kind, effectiveAt }) => kind === 'resume' && effectiveAt > nowMs);
  return {
    id: subscription.id,
    customer_id: subscription.customerId,
    ...planJson(subscription, held.planVersionId),
    currency: subscription.currency,
    seats: held.seats,
    add_ons: [...held.addOns.values()]
      .map(({ planVersionId, quantity }) => ({ ...planJson(subscription, planVersionId), quantity }))
      .toSorted((a, b) => (a.plan_code < b.plan_code ? -1 : 1)),
    state: subscriptionStateAt(subscription, nowMs),
    started_at: formatInstant(subscription.startedAt),
    ended_at: timeOrNull(subscription.endedAt),
    trial: trialJson(subscription),
    pause: held.paused
      ? {
          since: formatInstant(held.paused.since),
          usage: held.paused.usage,
          resumes_at: timeOrNull(resumption?.effectiveAt ?? null),
        }
      : null,
    cancellation: cancellationJson(subscription),
    pending_changes: pendingChanges(subscription, nowMs).map((change) => changeJson(subscription, change)),
    billing_cycle: { interval, anchor, time_zone: timeZone },
    current_period: formatPeriod(currentPeriod(subscription, nowMs)),
    next_due_at: timeOrNull(subscription.nextDueAt),
    ...headToJson(subscription),
  };
};

/**
 * What of a subscription changes with its version: what holds goes on by itself with the hour, and a digest must not.
 */
export const lastingJson = (subscription: Subscription) => ({
  id: subscription.id,
  customer_id: subscription.customerId,
  ...planJson(subscription, subscription.planVersionId),
  currency: subscription.currency,
  seats: subscription.seats,
  started_at: formatInstant(subscription.startedAt),
  ended_at: timeOrNull(subscription.endedAt),
  trial: trialJson(subscription),
  cancellation: lastingCancellation(subscription),
  changes: subscription.changes.map((change) => changeJson(subscription, change)),
  billing_cycle: {
    interval: subscription.cycle.interval,
    anchor: subscription.cycle.anchor,
    time_zone: subscription.cycle.timeZone,
  },
  ...headToJson(subscription),
});
