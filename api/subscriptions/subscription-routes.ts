/** `/v1/subscriptions`. */

import {
  NewSubscription,
  SubscriptionCancellation,
  SubscriptionId,
  SubscriptionPatch,
  Subscription as SubscriptionSchema,
} from '#schemas/http/subscriptions.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found } from '../route/resource-fields.ts';
import { type CancelPorts, cancelSubscription, type TermPorts, undoCancellation } from './cancel-subscription.ts';
import { changedNow } from './change-instant.ts';
import { startSubscription } from './start-subscription.ts';
import { lastingJson, subscriptionJson } from './subscription-json.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type SubscriptionPorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly catalog: CatalogStore;
  readonly subscriptionChanges: CancelPorts['subscriptionChanges'];
  readonly quotes: { readonly contractTerm: TermPorts['contractTerm'] };
};

const canceled = (
  action: 'canceled' | 'cancellation_undone',
  before: Subscription,
  after: Subscription,
  nowMs: number,
) => ({
  body: subscriptionJson(after, hourOf(after, nowMs)),
  location: `/v1/subscriptions/${after.id}`,
  changes: [
    {
      action: `subscription.${action}`,
      objectType: 'subscription',
      objectId: after.id,
      before: lastingJson(before),
      after: lastingJson(after),
    },
  ],
});

export const subscriptionRoutes = (
  { get, list, change }: Routes,
  { customers, subscriptions, subscriptionChanges, catalog, quotes }: SubscriptionPorts,
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
        'PLAN_IS_NO_ADD_ON',
        'PLAN_NOT_ACTIVE',
        'SUBSCRIPTION_ADD_ON_MISFIT',
        'SUBSCRIPTION_ALREADY_ACTIVE',
        'TEST_CLOCK_NEEDS_SANDBOX',
      ],
    },
    async ({ db, body, caller, nowMs, lookAhead }) => {
      const at = { hourMs: nowMs, world: caller.world };
      const row = await startSubscription({ customers, subscriptions, catalog }, db, body, at, (objectId) =>
        lookAhead({ objectType: 'subscription', objectId }),
      );
      return created('subscription', '/v1/subscriptions', subscriptionJson(row, hourOf(row, nowMs)), {
        lasting: () => lastingJson(row),
      });
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
      listJson(query, await subscriptions.subscriptions(db, query), (row) => subscriptionJson(row, hourOf(row, nowMs))),
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
    async ({ db, params, nowMs }) => {
      const row = found(await subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      return subscriptionJson(row, hourOf(row, nowMs));
    },
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
        await subscriptions.changeSubscription(db, row.id, body.metadata, new Date(hourOf(row, nowMs))),
        'SUBSCRIPTION_NOT_FOUND',
      );
      return {
        body: subscriptionJson(changed, hourOf(changed, nowMs)),
        changes: [
          {
            action: 'subscription.updated',
            objectType: 'subscription',
            objectId: row.id,
            before: lastingJson(row),
            after: lastingJson(changed),
          },
        ],
      };
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
      failures: [
        'SUBSCRIPTION_NOT_FOUND',
        'SUBSCRIPTION_STATE_CONFLICT',
        'SUBSCRIPTION_IN_MINIMUM_TERM',
        'SUBSCRIPTION_ALREADY_ACTIVE',
      ],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await subscriptions.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const terms = { minimumTerm: catalog.minimumTerm, contractTerm: quotes.contractTerm };
      const ports = { subscriptions, subscriptionChanges, ...terms };
      return canceled(
        'canceled',
        row,
        await cancelSubscription(ports, db, row, body, changedNow(row, hourOf(row, nowMs))),
        nowMs,
      );
    },
  );
  change(
    {
      ...cancellation,
      url: '/v1/subscriptions/:id/undo-cancel',
      operation: 'undoSubscriptionCancellation',
      summary: 'Take a cancellation back that has not taken effect',
      failures: ['SUBSCRIPTION_NOT_FOUND', 'SUBSCRIPTION_STATE_CONFLICT', 'SUBSCRIPTION_ALREADY_ACTIVE'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const row = found(await subscriptions.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const after = await undoCancellation(
        { subscriptions, subscriptionChanges },
        db,
        row,
        changedNow(row, hourOf(row, nowMs)),
      );
      return canceled('cancellation_undone', row, after, nowMs);
    },
  );
};
