/** `/v1/customers/{id}/discounts` and `/v1/subscriptions/{id}/discounts`. */
import { FailureError } from '#schemas/failures.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import {
  CustomerDiscountId,
  Discount as DiscountSchema,
  NewDiscount,
  SubscriptionDiscountId,
} from '#schemas/http/discounts.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import type { Instant } from '#schemas/period.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Done, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { requireAllowed } from '../subscriptions/change-instant.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { discountJson, lastingDiscount } from './coupon-json.ts';
import type { Discount, DiscountStore } from './discounts.postgres.ts';
import { type Asked, type Redeemer, type RedeemPorts, redeemCoupon } from './redeem-coupon.ts';

export type DiscountPorts = RedeemPorts & {
  readonly discounts: DiscountStore;
  readonly customers: Pick<CustomerStore, 'payer'>;
  readonly subscriptions: Pick<SubscriptionStore, 'subscription' | 'lockSubscription'>;
};

const tag = 'Discounts';
const read = { tag, scope: 'read:discounts' } as const;
const write = { tag, scope: 'write:discounts', rateClass: 'write' } as const;

/** Who has discounts, and at which hour. */
type At = { readonly holder: Redeemer; readonly hour: Instant };

type Given = { readonly coupon?: string; readonly promotion_code?: string };

/** Throws `VALIDATION_FAILED`. */
const askedOf = ({ coupon, promotion_code: promotionCode }: Given): Asked => {
  if ((coupon === undefined) === (promotionCode === undefined)) {
    const message = 'must be there, or promotion_code, and not both';
    throw new FailureError('VALIDATION_FAILED', undefined, [{ field: 'coupon', code: 'missing', message }]);
  }
  return coupon === undefined ? { promotionCode: promotionCode as string } : { coupon };
};

/** What is alike of both kinds of holders. */
type Kind = {
  readonly url: string;
  readonly noun: 'Customer' | 'Subscription';
  readonly params: typeof CustomerId;
  readonly discountParams: typeof CustomerDiscountId;
  readonly notFound: 'CUSTOMER_NOT_FOUND' | 'SUBSCRIPTION_NOT_FOUND';
  readonly refused: 'CUSTOMER_ARCHIVED' | 'SUBSCRIPTION_STATE_CONFLICT';
  readonly holder: (db: Db, id: string, nowMs: Instant) => Promise<At>;
  /** Locked, and such as can have a discount. */
  readonly lockHolder: (db: Db, id: string, nowMs: Instant) => Promise<At>;
};

const customerKind = ({ customers }: DiscountPorts): Kind => {
  const at = async (db: Db, id: string, nowMs: Instant, lock?: 'lock') => {
    const payer = found(await customers.payer(db, id, lock), 'CUSTOMER_NOT_FOUND');
    const holder = { customerId: payer.id, subscriptionId: null, currency: payer.currency };
    return { payer, holder, hour: payer.clock?.now ?? nowMs };
  };
  return {
    url: '/v1/customers/:id/discounts',
    noun: 'Customer',
    params: CustomerId,
    discountParams: CustomerDiscountId,
    notFound: 'CUSTOMER_NOT_FOUND',
    refused: 'CUSTOMER_ARCHIVED',
    holder: at,
    lockHolder: async (db, id, nowMs) => {
      const { payer, ...rest } = await at(db, id, nowMs, 'lock');
      if (payer.isArchived) throw new FailureError('CUSTOMER_ARCHIVED');
      return rest;
    },
  };
};

const subscriptionKind = ({ subscriptions }: DiscountPorts): Kind => ({
  url: '/v1/subscriptions/:id/discounts',
  noun: 'Subscription',
  params: SubscriptionId,
  discountParams: SubscriptionDiscountId,
  notFound: 'SUBSCRIPTION_NOT_FOUND',
  refused: 'SUBSCRIPTION_STATE_CONFLICT',
  holder: async (db, id, nowMs) => {
    const subscription = found(await subscriptions.subscription(db, id), 'SUBSCRIPTION_NOT_FOUND');
    const { customerId, currency } = subscription;
    return { holder: { customerId, subscriptionId: subscription.id, currency }, hour: hourOf(subscription, nowMs) };
  },
  lockHolder: async (db, id, nowMs) => {
    const subscription = found(await subscriptions.lockSubscription(db, id), 'SUBSCRIPTION_NOT_FOUND');
    const hour = hourOf(subscription, nowMs);
    requireAllowed(subscription, 'add_charge', hour);
    const { customerId, currency } = subscription;
    return { holder: { customerId, subscriptionId: subscription.id, currency }, hour };
  },
});

const readingRoutes = ({ get, list }: Routes, { discounts }: DiscountPorts, kind: Kind): void => {
  const { url, noun, params, discountParams, notFound, holder: holderOf } = kind;
  list(
    {
      ...read,
      url,
      operation: `list${noun}Discounts`,
      summary:
        noun === 'Customer'
          ? 'List the discounts of a customer and of its subscriptions'
          : 'List the discounts of a subscription',
      params,
      list: discounts.discountList,
      answers: { 200: listSchema(DiscountSchema) },
      failures: [notFound],
    },
    async ({ db, params: { id }, query, nowMs }) => {
      const { holder } = await holderOf(db, id, nowMs);
      const shown = (discount: Discount) => discountJson(discount, nowMs);
      return listJson(query, await discounts.discounts(db, holder, query), shown);
    },
  );
  get(
    {
      ...read,
      url: `${url}/:discount_id`,
      operation: `get${noun}Discount`,
      summary: `Read a discount of a ${noun.toLowerCase()}`,
      params: discountParams,
      changesByItself: true,
      answers: { 200: DiscountSchema },
      failures: [notFound, 'DISCOUNT_NOT_FOUND'],
    },
    async ({ db, params: { id, discount_id }, nowMs }) => {
      const { holder } = await holderOf(db, id, nowMs);
      return discountJson(found(await discounts.discount(db, holder, discount_id), 'DISCOUNT_NOT_FOUND'), nowMs);
    },
  );
};

const changingRoutes = ({ change }: Routes, ports: DiscountPorts, kind: Kind): void => {
  const { discounts } = ports;
  const { url, noun, params, discountParams, notFound, refused, holder: holderOf, lockHolder } = kind;
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: `add${noun}Discount`,
      summary: `Give a ${noun.toLowerCase()} a discount, by a coupon or a promotion code`,
      params,
      body: NewDiscount,
      answers: { 201: DiscountSchema },
      failures: [notFound, refused, 'COUPON_NOT_FOUND', 'PROMOTION_CODE_NOT_FOUND', 'COUPON_NOT_REDEEMABLE'],
    },
    async ({ db, params: { id }, body, nowMs }): Promise<Done> => {
      const asked = askedOf(body);
      const { holder, hour } = await lockHolder(db, id, nowMs);
      const times = { hour, now: new Date(nowMs) };
      const discount = await redeemCoupon(ports, db, asked, holder, body.metadata ?? {}, times);
      const shown = discountJson(discount, nowMs);
      const after = lastingDiscount(shown);
      return {
        status: 201,
        body: shown,
        location: `${url.replace(':id', holder.subscriptionId ?? holder.customerId)}/${discount.id}`,
        changes: [{ action: 'discount.created', objectType: 'discount', objectId: discount.id, after }],
      };
    },
  );
  change(
    {
      ...write,
      method: 'DELETE',
      url: `${url}/:discount_id`,
      operation: `end${noun}Discount`,
      summary: `End a discount of a ${noun.toLowerCase()} now; what was issued stays`,
      params: discountParams,
      answers: { 200: DiscountSchema },
      failures: [notFound, 'DISCOUNT_NOT_FOUND', 'DISCOUNT_ENDED'],
    },
    async ({ db, params: { id, discount_id }, nowMs, matchVersion }) => {
      const { holder, hour } = await holderOf(db, id, nowMs);
      const before = found(await discounts.lockDiscount(db, holder, discount_id), 'DISCOUNT_NOT_FOUND');
      matchVersion(before.version);
      if (before.endedAt !== null) throw new FailureError('DISCOUNT_ENDED');
      const after = await discounts.endDiscount(db, before, hour, new Date(nowMs));
      const [shownBefore, shown] = [discountJson(before, nowMs), discountJson(after, nowMs)];
      return {
        body: shown,
        changes: [
          {
            action: 'discount.ended',
            objectType: 'discount',
            objectId: after.id,
            before: lastingDiscount(shownBefore),
            after: lastingDiscount(shown),
          },
        ],
      };
    },
  );
};

export const discountRoutes = (routes: Routes, ports: DiscountPorts): void => {
  for (const kind of [customerKind(ports), subscriptionKind(ports)]) {
    readingRoutes(routes, ports, kind);
    changingRoutes(routes, ports, kind);
  }
};
