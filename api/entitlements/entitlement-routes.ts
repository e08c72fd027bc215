/** What subscriptions and customers are entitled to, and what of it was used. */
import type { World } from '#schemas/api-key.ts';
import { limitToJson } from '#schemas/entitlement.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import { CustomerEntitlements, SubscriptionEntitlements } from '#schemas/http/entitlements.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import type { LiveUsage } from '../../rater/live/live-usage.ts';
import type { CustomerNames } from '../customers/customer-names.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import type { EntitledStore, EntitledSubscription } from './entitled.postgres.ts';
import { entitledInAll, type InAll } from './in-all.ts';
import { type Metered, useOf } from './measure-use.ts';
import type { Entitled } from './with-add-ons.ts';

export type EntitlementPorts = {
  readonly customers: Pick<CustomerStore, 'customerNames' | 'payer'>;
  readonly entitled: EntitledStore;
  readonly liveUsage: LiveUsage;
  readonly readWatermark: ReadWatermark;
};

const meteredJson = ({ entitlement, meter, period: { start, end }, used, left }: Metered) => ({
  meter: meter.code,
  meter_version: meter.version,
  allowance: limitToJson(entitlement.allowance),
  reset: entitlement.reset,
  overage: entitlement.overage,
  period: { start: formatInstant(start), end: end === null ? null : formatInstant(end) },
  used: formatQuantity(used),
  left: limitToJson(left),
});

const itemJson = ({ name, entitlement }: Entitled, metered: readonly Metered[]): readonly object[] => {
  const { feature, type } = entitlement;
  const head = { feature, name, type };
  switch (type) {
    case 'switch':
      return [{ ...head, enabled: entitlement.enabled }];
    case 'limit':
      return [{ ...head, limit: limitToJson(entitlement.limit) }];
    case 'metered':
      return metered
        .filter((one) => one.entitlement.feature === feature)
        .map((one) => ({ ...head, ...meteredJson(one) }));
  }
};

const inAllJson = (item: InAll) => {
  const head = { feature: item.feature, name: item.name, type: item.type };
  switch (item.type) {
    case 'switch':
      return { ...head, enabled: item.enabled };
    case 'limit':
      return { ...head, limit: limitToJson(item.limit) };
    case 'metered':
      return {
        ...head,
        allowance: limitToJson(item.allowance),
        used: limitToJson(item.used),
        left: limitToJson(item.left),
        subscriptions: item.shares.map((share) => ({ subscription_id: share.subscriptionId, ...meteredJson(share) })),
      };
  }
};

/** The watermark alone makes no other answer: whoever knows the rest need not be told it again. */
const common = { tag: 'Features', scope: 'read:features', taggedBut: ['watermark'] } as const;

export const entitlementRoutes = (
  { get }: Routes,
  { customers, entitled, liveUsage, readWatermark }: EntitlementPorts,
): void => {
  /** All usage is the customer's, whichever subscription it is held against. */
  const measured = async (
    db: Db,
    { names }: CustomerNames,
    subscriptions: readonly EntitledSubscription[],
    now: Instant,
  ) => {
    const { query, metered } = useOf(names, subscriptions, now);
    const { watermark, quantities } = await liveUsage(db.organizationId, query, () => readWatermark(db));
    return { metered: metered(quantities), watermark: watermark.toString() };
  };
  /** That of its test clock, which only customers of a sandbox have. */
  const hourOfCustomer = async (db: Db, id: string, world: World, hourMs: Instant): Promise<Instant> =>
    world === 'test' ? ((await customers.payer(db, id))?.clock?.now ?? hourMs) : hourMs;
  get(
    {
      ...common,
      url: '/v1/subscriptions/:id/entitlements',
      operation: 'getSubscriptionEntitlements',
      summary: 'What a subscription is entitled to, and what of it was used',
      params: SubscriptionId,
      answers: { 200: SubscriptionEntitlements },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, nowMs }) => {
      const subscription = found(await entitled.entitledSubscription(db, params.id, nowMs), 'SUBSCRIPTION_NOT_FOUND');
      const customer = found(await customers.customerNames(db, subscription.customerId), 'CUSTOMER_NOT_FOUND');
      const running = subscription.isEntitled ? [subscription] : [];
      const { metered, watermark } = await measured(db, customer, running, subscription.now);
      return {
        subscription_id: subscription.id,
        customer_id: subscription.customerId,
        plan_version_id: subscription.planVersionId,
        watermark,
        items: running.flatMap(({ items }) => items.flatMap((item) => itemJson(item, metered))),
      };
    },
  );
  get(
    {
      ...common,
      url: '/v1/customers/:id/entitlements',
      operation: 'getCustomerEntitlements',
      summary: 'What a customer is entitled to over all running subscriptions, and what of it was used',
      params: CustomerId,
      answers: { 200: CustomerEntitlements },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, caller, nowMs: hourMs }) => {
      const customer = found(await customers.customerNames(db, params.id), 'CUSTOMER_NOT_FOUND');
      const nowMs = await hourOfCustomer(db, customer.id, caller.world, hourMs);
      const running = await entitled.runningSubscriptions(db, customer.id, nowMs);
      const { metered, watermark } = await measured(db, customer, running, nowMs);
      return {
        customer_id: customer.id,
        external_id: customer.externalId,
        watermark,
        items: entitledInAll(running, metered).map(inAllJson),
      };
    },
  );
};
