/** `/v1/subscriptions`. */

import { IdParam } from '#schemas/http/fields.ts';
import { NewSubscription, Subscription, SubscriptionPatch } from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod, monthOf } from '#schemas/period.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { AccountStore, SubscriptionRow } from '../customers/accounts.postgres.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, resourceJson, updated } from '../route/resource-fields.ts';
import { startSubscription } from './start-subscription.ts';

export type SubscriptionPorts = {
  readonly accounts: AccountStore;
  readonly catalog: CatalogStore;
};

const subscriptionJson = (row: SubscriptionRow, nowMs: number) => ({
  id: row.id,
  customer_id: row.customer_id,
  plan_id: row.plan_id,
  plan_code: row.plan_code,
  plan_version_id: row.plan_version_id,
  state: row.state,
  started_at: formatInstant(row.started_at),
  ended_at: row.ended_at && formatInstant(row.ended_at),
  current_period: formatPeriod(monthOf(nowMs)),
  ...resourceJson(row),
});

/** What of a subscription changes with its version: the period goes on by itself, and a digest must not. */
const lasting = ({ current_period: _period, ...subscription }: ReturnType<typeof subscriptionJson>) => subscription;

export const subscriptionRoutes = ({ get, list, change }: Routes, { accounts, catalog }: SubscriptionPorts): void => {
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
      answers: { 201: Subscription },
      failures: ['CUSTOMER_NOT_FOUND', 'PLAN_NOT_FOUND', 'SUBSCRIPTION_ALREADY_ACTIVE'],
    },
    async ({ db, body, nowMs }) => {
      const row = await startSubscription({ accounts, catalog }, db, body, nowMs);
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
      list: accounts.subscriptionList,
      answers: { 200: listSchema(Subscription) },
      failures: [],
    },
    async ({ db, query, nowMs }) =>
      listJson(query, await accounts.subscriptions(db, query), (row) => subscriptionJson(row, nowMs)),
  );

  get(
    {
      url: '/v1/subscriptions/:id',
      operation: 'getSubscription',
      tag,
      summary: 'Read a subscription',
      scope: 'read:subscriptions',
      params: IdParam,
      changesByItself: true,
      answers: { 200: Subscription },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) =>
      subscriptionJson(found(await accounts.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND'), nowMs),
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
      params: IdParam,
      body: SubscriptionPatch,
      answers: { 200: Subscription },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await accounts.lockSubscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      matchVersion(row.version);
      const changed = found(
        await accounts.changeSubscription(db, row.id, body.metadata, new Date(nowMs)),
        'SUBSCRIPTION_NOT_FOUND',
      );
      return updated('subscription', subscriptionJson(row, nowMs), subscriptionJson(changed, nowMs), lasting);
    },
  );
};
