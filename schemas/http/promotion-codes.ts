/** Promotion codes in requests and answers. */
import { Type } from 'typebox';
import { promotionCodePattern, redemptionsMax } from '#schemas/coupon.ts';
import { couponExample } from '#schemas/http/coupons.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  CustomerName,
  closed,
  ExternalId,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';

const newCodeExample = { coupon: couponExample.code, code: 'SUMMER-2027', max_redemptions: 500 };
export const promotionCodeExample = {
  id: exampleId('prm', 71),
  coupon_id: couponExample.id,
  code: newCodeExample.code,
  customer_id: null,
  max_redemptions: newCodeExample.max_redemptions,
  redeem_by: null,
  archived_at: null,
  redemptions: 0,
  ...exampleHead,
};

export const PromotionCodeId = idParam(promotionCodeExample.id);

export const PromotionText = formed(
  promotionCodePattern,
  '1 to 64 of a-z, A-Z, 0-9, "_" and "-", beginning with a letter or digit',
  { description: 'As customers write it, in whatever case.' },
);
const Redemptions = Type.Integer({ minimum: 1, maximum: redemptionsMax });

export const NewPromotionCode = Type.Object(
  {
    coupon: Type.Unsafe<string>({ ...ExternalId, description: 'Id or code of the coupon.' }),
    code: PromotionText,
    customer_id: Type.Optional(
      Type.Unsafe<string>({ ...CustomerName, description: 'The only one who can redeem it: id or external id.' }),
    ),
    max_redemptions: Type.Optional(Redemptions),
    redeem_by: Type.Optional(GivenInstant),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'NewPromotionCode',
    description: 'Its limits stand beside those of its coupon.',
    examples: [newCodeExample],
  },
);

export const PromotionCodePatch = Type.Object(
  { redeem_by: Type.Optional(nullable(GivenInstant)), metadata: Type.Optional(Metadata) },
  {
    ...closed,
    minProperties: 1,
    title: 'PromotionCodePatch',
    description: 'A field that is left out stays, and null clears it.',
    examples: [{ redeem_by: '2027-07-01T00:00:00Z' }],
  },
);

export const PromotionCode = Type.Object(
  {
    id: idOf('prm'),
    coupon_id: idOf('cpn'),
    code: PromotionText,
    customer_id: nullable(idOf('cus')),
    max_redemptions: nullable(Redemptions),
    redeem_by: nullable(Instant),
    archived_at: nullable(Instant),
    redemptions: Type.Integer({ minimum: 0, description: 'How often a coupon was redeemed by it.' }),
    ...resourceFields,
  },
  { ...closed, title: 'PromotionCode', examples: [promotionCodeExample] },
);
