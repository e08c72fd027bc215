/** `/v1/subscriptions`. */

import { periodAt } from '#schemas/billing-cycle.ts';
import {
  NewSubscription,
  SubscriptionCancellation,
  SubscriptionId,
  SubscriptionPatch,
  Subscription as SubscriptionSchema,
} from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod } from '#schemas/period.ts';
import { subscriptionStateAt } from '#schemas/subscription-state.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, updated } from '../route/resource-fields.ts';
import { cancelSubscription, undoCancellation } from './cancel-subscription.ts';
import { startSubscription } from './start-subscription.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type SubscriptionPorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly catalog: CatalogStore;
};

const subscriptionJson = (subscription: Subscription, nowMs: number) => ({
  id: subscription.id,
  customer_id: subscription.customerId,
  plan_id: subscription.planId,
  plan_code: subscription.planCode,
  plan_version_id: subscription.planVersionId,
  currency: subscription.currency,
  state: subscriptionStateAt(subscription, nowMs),
  started_at: formatInstant(subscription.startedAt),
  ended_at: subscription.endedAt === null ? null : formatInstant(subscription.endedAt),
  billing_cycle: {
    interval: subscription.cycle.interval,
    anchor: subscription.cycle.anchor,
    time_zone: subscription.cycle.timeZone,
  },
  cancellation:
    subscription.canceledAt === null || subscription.endedAt === null
      ? null
      : {
          requested_at: formatInstant(subscription.canceledAt),
          effective_at: formatInstant(subscription.endedAt),
          reason: subscription.cancellationReason,
        },
  current_period: formatPeriod(periodAt(subscription.cycle, Math.max(nowMs, subscription.startedAt))),
  ...headToJson(subscription),
});

/** What of a subscription changes with its version: state and period go on by themselves, and a digest must not. */
const lasting = ({ current_period: _period, state: _state, ...subscription }: ReturnType<typeof subscriptionJson>) =>
  subscription;

const canceled = (
  action: 'canceled' | 'cancellation_undone',
  before: Subscription,
  after: Subscription,
  nowMs: number,
) => ({
  body: subscriptionJson(after, nowMs),
  location: `/v1/subscriptions/${after.id}`,
  changes: [
    {
      action: `subscription.${action}`,
      objectType: 'subscription',
      objectId: after.id,
      before: lasting(subscriptionJson(before, nowMs)),
      after: lasting(subscriptionJson(after, nowMs)),
    },
  ],
});

export const subscriptionRoutes = (
  { get, list, change }: Routes,
  { customers, subscriptions, catalog }: SubscriptionPorts,
): void => {
  const tag = 'Subscriptions';
  change(
    {
      method: 'POST',
      url: '/v1/subscriptions',
      operation: 'createSubscription',
      tag,
      summary: 'Subscribe a customer to a plan',
      scope: 'write:subscriptions',
      rateClass: 'write',
      body: NewSubscription,
      answers: { 201: SubscriptionSchema },
      failures: [
        'CUSTOMER_NOT_FOUND',
        'CUSTOMER_ARCHIVED',
        'PLAN_NOT_FOUND',
        'PLAN_IS_ADD_ON',
        'PLAN_NOT_ACTIVE',
        'SUBSCRIPTION_ALREADY_ACTIVE',
      ],
    },
    async ({ db, body, nowMs }) => {
      const row = await startSubscription({ customers, subscriptions, catalog }, db, body, nowMs);
      return created('subscription', '/v1/subscriptions', subscriptionJson(row, nowMs), { lasting });
    },
  );

  list(
    {
      url: '/v1/subscriptions',
      operation: 'listSubscriptions',
      tag,
      summary: 'List subscriptions',
      scope: 'read:subscriptions',
      list: subscriptions.subscriptionList,
      answers: { 200: listSchema(SubscriptionSchema) },
      failures: [],
    },
    async ({ db, query, nowMs }) =>
      listJson(query, await subscriptions.subscriptions(db, query), (row) => subscriptionJson(row, nowMs)),
  );

  get(
    {
      url: '/v1/subscriptions/:id',
      operation: 'getSubscription',
      tag,
      summary: 'Read a subscription',
      scope: 'read:subscriptions',
      params: SubscriptionId,
      changesByItself: true,
      answers: { 200: SubscriptionSchema },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) =>
      subscriptionJson(found(await subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND'), nowMs),
  );

  change(
    {
      method: 'PATCH',
      url: '/v1/subscriptions/:id',
      operation: 'updateSubscription',
      tag,
      summary: 'Change the metadata of a subscription',
      scope: 'write:subscriptions',
      rateClass: 'write',
      params: SubscriptionId,
      body: SubscriptionPatch,
      answers: { 200: SubscriptionSchema },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await subscriptions.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const changed = found(
        await subscriptions.changeSubscription(db, row.id, body.metadata, new Date(nowMs)),
        'SUBSCRIPTION_NOT_FOUND',
      );
      return updated('subscription', subscriptionJson(row, nowMs), subscriptionJson(changed, nowMs), { lasting });
    },
  );

  const cancellation = {
    method: 'POST',
    tag,
    scope: 'write:subscriptions',
    rateClass: 'write',
    params: SubscriptionId,
    answers: { 200: SubscriptionSchema },
  } as const;
  change(
    {
      ...cancellation,
      url: '/v1/subscriptions/:id/cancel',
      operation: 'cancelSubscription',
      summary: 'Cancel a subscription, now or at an instant to come',
      body: SubscriptionCancellation,
      failures: ['SUBSCRIPTION_NOT_FOUND', 'SUBSCRIPTION_STATE_CONFLICT', 'SUBSCRIPTION_IN_MINIMUM_TERM'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await subscriptions.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const ports = { subscriptions, minimumTerm: catalog.minimumTerm };
      return canceled('canceled', row, await cancelSubscription(ports, db, row, body, nowMs), nowMs);
    },
  );
  change(
    {
      ...cancellation,
      url: '/v1/subscriptions/:id/undo-cancel',
      operation: 'undoSubscriptionCancellation',
      summary: 'Take a cancellation back that has not taken effect',
      failures: ['SUBSCRIPTION_NOT_FOUND', 'SUBSCRIPTION_STATE_CONFLICT'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const row = found(await subscriptions.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const after = await undoCancellation({ subscriptions }, db, row, nowMs);
      return canceled('cancellation_undone', row, after, nowMs);
    },
  );
};
