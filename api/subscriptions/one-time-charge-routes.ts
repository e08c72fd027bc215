/** `/v1/subscriptions/{id}/charges`. */
import {
  NewOneTimeCharge,
  OneTimeChargeId,
  OneTimeCharge as OneTimeChargeSchema,
} from '#schemas/http/one-time-charges.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { addOneTimeCharge, removeOneTimeCharge } from './add-one-time-charge.ts';
import { changedNow } from './change-instant.ts';
import { lastingChargeJson, oneTimeChargeJson } from './one-time-charge-json.ts';
import type { OneTimeChargeStore } from './one-time-charges.postgres.ts';
import type { SubscriptionChangeStore } from './subscription-changes.postgres.ts';
import type { Subscription, SubscriptionStore } from './subscriptions.postgres.ts';

export type OneTimeChargeRoutePorts = {
  readonly subscriptions: Pick<SubscriptionStore, 'subscription' | 'lockSubscription'>;
  readonly subscriptionChanges: Pick<SubscriptionChangeStore, 'cutUntil'>;
  readonly oneTimeCharges: OneTimeChargeStore;
};

const tag = 'One-time charges';
const url = '/v1/subscriptions/:id/charges';
const read = { tag, scope: 'read:subscriptions' } as const;
const write = { tag, scope: 'write:subscriptions', rateClass: 'write' } as const;

export const oneTimeChargeRoutes = ({ get, list, change }: Routes, ports: OneTimeChargeRoutePorts): void => {
  const { subscriptions, oneTimeCharges } = ports;
  /** With the lock that whoever writes down what is due takes, too. */
  const locked = async (db: Db, id: string): Promise<Subscription> =>
    found(await subscriptions.lockSubscription(db, id), 'SUBSCRIPTION_NOT_FOUND');

  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'addOneTimeCharge',
      summary: 'Charge a subscription once, now, at the end of the period or at an instant to come',
      params: SubscriptionId,
      body: NewOneTimeCharge,
      answers: { 201: OneTimeChargeSchema },
      failures: ['SUBSCRIPTION_NOT_FOUND', 'SUBSCRIPTION_STATE_CONFLICT'],
    },
    async ({ db, params, body, nowMs }) => {
      const subscription = await locked(db, params.id);
      const now = changedNow(subscription, hourOf(subscription, nowMs));
      const charge = await addOneTimeCharge(ports, db, subscription, body, now);
      return {
        status: 201,
        body: oneTimeChargeJson(charge),
        location: `/v1/subscriptions/${charge.subscriptionId}/charges/${charge.id}`,
        changes: [
          {
            action: 'subscription.charge_added',
            objectType: 'one_time_charge',
            objectId: charge.id,
            after: lastingChargeJson(charge),
          },
        ],
      };
    },
  );

  list(
    {
      ...read,
      url,
      operation: 'listOneTimeCharges',
      summary: 'List the one-time charges of a subscription',
      params: SubscriptionId,
      list: oneTimeCharges.chargeList,
      answers: { 200: listSchema(OneTimeChargeSchema) },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      return listJson(query, await oneTimeCharges.charges(db, id, query), oneTimeChargeJson);
    },
  );

  get(
    {
      ...read,
      url: `${url}/:charge_id`,
      operation: 'getOneTimeCharge',
      summary: 'Read a one-time charge',
      params: OneTimeChargeId,
      changesByItself: true,
      answers: { 200: OneTimeChargeSchema },
      failures: ['ONE_TIME_CHARGE_NOT_FOUND'],
    },
    async ({ db, params }) =>
      oneTimeChargeJson(
        found(await oneTimeCharges.charge(db, params.id, params.charge_id), 'ONE_TIME_CHARGE_NOT_FOUND'),
      ),
  );

  change(
    {
      ...write,
      method: 'DELETE',
      url: `${url}/:charge_id`,
      operation: 'removeOneTimeCharge',
      summary: 'Take back a one-time charge that is not written down to be billed',
      params: OneTimeChargeId,
      answers: { 200: OneTimeChargeSchema },
      failures: ['SUBSCRIPTION_NOT_FOUND', 'ONE_TIME_CHARGE_NOT_FOUND', 'ONE_TIME_CHARGE_NOT_PENDING'],
    },
    async ({ db, params, nowMs, matchVersion }) => {
      const subscription = await locked(db, params.id);
      const before = found(
        await oneTimeCharges.charge(db, subscription.id, params.charge_id),
        'ONE_TIME_CHARGE_NOT_FOUND',
      );
      matchVersion(before.version);
      const after = await removeOneTimeCharge(ports, db, before, hourOf(subscription, nowMs));
      return {
        body: oneTimeChargeJson(after),
        changes: [
          {
            action: 'subscription.charge_removed',
            objectType: 'one_time_charge',
            objectId: after.id,
            before: lastingChargeJson(before),
            after: lastingChargeJson(after),
          },
        ],
      };
    },
  );
};
