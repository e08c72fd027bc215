/** Coupons, promotion codes and discounts, rows of `resources.ts`. */
import type { Resource } from '#schemas/resource.ts';

export const couponResources = {
  coupon: {
    prefix: 'cpn',
    noun: 'coupon',
    tag: 'Coupons',
    about: 'What is taken off invoices: a percentage, an amount or units, once or for longer.',
    name: 'code',
    scope: 'coupons',
    conflicts: {
      COUPON_ARCHIVED: {
        status: 409,
        title: 'The coupon is archived',
        cause: 'A coupon that is archived is not redeemed any more. It does not change, and does not come back.',
        cure: 'Make another coupon, under another code. Discounts that were redeemed go on until they end.',
      },
      COUPON_REDEEMED: {
        status: 409,
        title: 'The coupon was redeemed',
        cause: 'What was redeemed stays what it is: name, redeem_by, expires_at and metadata alone still change.',
        cure: 'Make another coupon, and archive this one with POST /v1/coupons/{id}/archive.',
      },
      COUPON_NOT_REDEEMABLE: {
        status: 409,
        title: 'The coupon can not be redeemed',
        cause:
          'It is archived, its time or its number of redemptions is over, or it is not for this customer; the detail says which.',
        cure: 'Redeem another coupon, or change what stands in the way where that can change: GET /v1/coupons/{id}.',
      },
    },
    stored: {
      table: 'coupons',
      columns: {
        code: 'text',
        name: 'text',
        kind: 'text',
        percentage: 'text',
        amount: 'text',
        currency: 'text',
        free_units: 'text',
        duration: 'text',
        duration_periods: 'text',
        charge_codes: 'text',
        plan_ids: 'text',
        charge_kinds: 'text',
        max_redemptions: 'text',
        max_redemptions_per_customer: 'text',
        first_time_customers_only: 'text',
        redeem_by: 'instant',
        expires_at: 'instant',
        archived_at: 'instant',
        metadata: 'text',
      },
    },
  },
  promotion_code: {
    prefix: 'prm',
    noun: 'promotion code',
    tag: 'Promotion codes',
    about: 'What customers are told, by which they redeem a coupon.',
    conflicts: {
      PROMOTION_CODE_TAKEN: {
        status: 409,
        title: 'An active promotion code is written like this',
        cause: 'A code, in whatever case, is that of one promotion code that is not archived.',
        cure: 'Choose another code, or archive the other one with POST /v1/promotion-codes/{id}/archive.',
      },
      PROMOTION_CODE_ARCHIVED: {
        status: 409,
        title: 'The promotion code is archived',
        cause: 'A promotion code that is archived does not change, and does not come back.',
        cure: 'Make another one; it can be written like this one.',
      },
    },
    stored: {
      table: 'promotion_codes',
      columns: {
        coupon_id: 'text',
        code: 'text',
        customer_id: 'text',
        max_redemptions: 'text',
        redeem_by: 'instant',
        archived_at: 'instant',
        metadata: 'text',
      },
    },
  },
  discount: {
    prefix: 'dsc',
    noun: 'discount',
    tag: 'Discounts',
    about: 'Coupons that customers and subscriptions have, from when they were redeemed until they end.',
    scope: 'discounts',
    conflicts: {
      DISCOUNT_ENDED: {
        status: 409,
        title: 'The discount is ended',
        cause: 'A discount ends once, and does not come back. What was issued with it stays.',
        cure: 'Nothing is left to do; or redeem the coupon anew, where it can be redeemed.',
      },
    },
    stored: {
      table: 'discounts',
      columns: {
        coupon_id: 'text',
        promotion_code_id: 'text',
        customer_id: 'text',
        subscription_id: 'text',
        started_at: 'instant',
        ended_at: 'instant',
        metadata: 'text',
      },
    },
  },
} as const satisfies Readonly<Record<string, Resource>>;
