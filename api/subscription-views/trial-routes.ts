/** `/v1/trials`. */
import assert from 'node:assert/strict';
import { SubscriptionTrial } from '#schemas/http/subscription-views.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf, termsNow } from '#schemas/subscription-state.ts';
import { trialOutcome, trialStatusAt } from '#schemas/subscription-views.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';
import type { TrialReader } from './trials.postgres.ts';

export type TrialPorts = { readonly trials: TrialReader };

const trialJson = (subscription: Subscription, now: Instant) => {
  const { trialEndsAt, trialEndAction, planNames } = subscription;
  assert(trialEndsAt !== null, 'the list is of those that have a trial');
  const plan = planNames.get(termsNow(subscription, now).planVersionId);
  const life = { ...subscription, trialEndsAt };
  return {
    subscription_id: subscription.id,
    customer_id: subscription.customerId,
    plan_id: plan?.planId,
    plan_code: plan?.planCode,
    status: trialStatusAt(life, now),
    started_at: formatInstant(subscription.startedAt),
    ends_at: formatInstant(trialEndsAt),
    end_action: trialEndAction ?? 'activate',
    converts_to: trialOutcome(life),
  };
};

export const trialRoutes = ({ list }: Routes, { trials }: TrialPorts): void =>
  list(
    {
      url: '/v1/trials',
      operation: 'listTrials',
      tag: 'Subscriptions',
      summary: 'List the trials of subscriptions, by their ends',
      scope: 'read:subscriptions',
      list: trials.trialList,
      answers: { 200: listSchema(SubscriptionTrial) },
      failures: [],
    },
    async ({ db, query, nowMs }) =>
      listJson(query, await trials.trials(db, query), (row) => trialJson(row, hourOf(row, nowMs))),
  );
