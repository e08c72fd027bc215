/** Discounts of customers and subscriptions in requests and answers. */
import { type TSchema, Type } from 'typebox';
import { discountStates } from '#schemas/coupon.ts';
import { couponExample } from '#schemas/http/coupons.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import { closed, ExternalId, Instant, idOf, Metadata, nullable, resourceFields } from '#schemas/http/fields.ts';
import { promotionCodeExample } from '#schemas/http/promotion-codes.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';

const discountExample = {
  id: exampleId('dsc', 72),
  coupon_id: couponExample.id,
  coupon_code: couponExample.code,
  promotion_code_id: promotionCodeExample.id,
  customer_id: customerExample.id,
  subscription_id: null,
  state: 'active',
  started_at: exampleCreatedAt,
  ended_at: null,
  invoices_used: 0,
  periods_used: 0,
  ...exampleHead,
};

const ofHolder = (example: string) => {
  const discount: TSchema = { ...ExternalId, description: 'The id of a discount.', examples: [discountExample.id] };
  return Type.Object(
    {
      id: Type.Unsafe<string>({ ...ExternalId, description: 'Its id or external id.', examples: [example] }),
      discount_id: Type.Unsafe<string>(discount),
    },
    closed,
  );
};
export const CustomerDiscountId = ofHolder(customerExample.external_id);
export const SubscriptionDiscountId = ofHolder(subscriptionExample.id);

export const NewDiscount = Type.Object(
  {
    coupon: Type.Optional(Type.Unsafe<string>({ ...ExternalId, description: 'Id or code of a coupon.' })),
    promotion_code: Type.Optional(
      Type.Unsafe<string>({ ...ExternalId, description: 'Instead of `coupon`: a promotion code, in whatever case.' }),
    ),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'NewDiscount',
    description: 'It has `coupon` or `promotion_code`.',
    examples: [{ promotion_code: promotionCodeExample.code }],
  },
);

export const Discount = Type.Object(
  {
    id: idOf('dsc'),
    coupon_id: idOf('cpn'),
    coupon_code: Type.String(),
    promotion_code_id: nullable(idOf('prm')),
    customer_id: idOf('cus'),
    subscription_id: { ...nullable(idOf('sub')), description: 'Null where it is of the customer.' },
    state: Type.Enum([...discountStates], {
      title: 'DiscountState',
      description:
        '`used` of one that is for one invoice and is on it, `expired` where its coupon is, `ended` by DELETE.',
    }),
    started_at: { ...Instant, description: 'When it was redeemed.' },
    ended_at: nullable(Instant),
    invoices_used: Type.Integer({ minimum: 0, description: 'On how many invoices it is.' }),
    periods_used: Type.Integer({ minimum: 0, description: 'How many billing periods it has counted.' }),
    ...resourceFields,
  },
  { ...closed, title: 'Discount', examples: [discountExample] },
);
