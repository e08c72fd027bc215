/**
 * The use case of redeeming a coupon: by itself, or by a promotion code. Order of effects, in one transaction:
 *
 *   1. lock the coupon, by which whoever redeems it waits for whoever did before; then its promotion code;
 *   2. judge all that stands in the way, by what is counted under the lock;
 *   3. write the discount, and count it with both.
 */
import { FailureError } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { Coupon, CouponStore } from './coupons.postgres.ts';
import type { Discount, DiscountStore, Holder, RedemptionFacts } from './discounts.postgres.ts';
import type { PromotionCode, PromotionCodeStore } from './promotion-codes.postgres.ts';

export type RedeemPorts = {
  readonly coupons: Pick<CouponStore, 'lockCoupon' | 'countRedemption'>;
  readonly promotionCodes: Pick<
    PromotionCodeStore,
    'activePromotionCode' | 'promotionCode' | 'lockPromotionCode' | 'countCodeRedemption'
  >;
  readonly discounts: Pick<DiscountStore, 'redemptionFacts' | 'addDiscount'>;
};

/** Who redeems it. */
export type Redeemer = Holder & {
  /** That it is billed in; null where it may be any. */
  readonly currency: string | null;
};

type Limits = Pick<Coupon, 'archivedAt' | 'redeemBy' | 'maxRedemptions' | 'redemptions'>;

const limitFaults = (what: string, { archivedAt, redeemBy, maxRedemptions, redemptions }: Limits, hour: Instant) => [
  ...(archivedAt === null ? [] : [`the ${what} is archived`]),
  ...(redeemBy === null || hour < redeemBy ? [] : [`the ${what} could be redeemed until ${formatInstant(redeemBy)}`]),
  ...(maxRedemptions === null || redemptions < maxRedemptions
    ? []
    : [`the ${what} was redeemed ${redemptions} times, which is as often as it can be`]),
];

/** All that stands in the way; nothing where it can be redeemed. Pure. */
export const redemptionFaults = (
  coupon: Coupon,
  code: PromotionCode | undefined,
  { ofCustomer, isHeld, hasInvoices }: RedemptionFacts,
  { customerId, currency }: Redeemer,
  hour: Instant,
): readonly string[] => {
  const { value, expiresAt, maxRedemptionsPerCustomer: perCustomer } = coupon;
  const isOthers = code !== undefined && code.customerId !== null && code.customerId !== customerId;
  const isForeign = value.kind === 'amount' && currency !== null && currency !== value.currency;
  return [
    ...limitFaults('coupon', coupon, hour),
    ...(code ? limitFaults('promotion code', code, hour) : []),
    ...(expiresAt === null || hour < expiresAt ? [] : [`the coupon expired at ${formatInstant(expiresAt)}`]),
    ...(perCustomer === null || ofCustomer < perCustomer
      ? []
      : [`the customer redeemed the coupon ${ofCustomer} times, which is as often as one can`]),
    ...(isHeld ? ['it is redeemed already, and that discount is neither used up nor ended'] : []),
    ...(coupon.isForFirstTime && hasInvoices ? ['the customer has invoices, and it is for new ones'] : []),
    ...(isOthers ? ['the promotion code is for another customer'] : []),
    ...(isForeign ? [`the coupon is in ${value.currency}, and it would be billed in ${currency}`] : []),
  ];
};

/** One of them: a coupon, or a promotion code as it is written, or by its id. */
export type Asked = { readonly coupon?: string; readonly promotionCode?: string; readonly promotionCodeId?: string };

const lockAsked = async (
  { coupons, promotionCodes }: RedeemPorts,
  db: Db,
  { coupon: name = '', promotionCode, promotionCodeId }: Asked,
): Promise<{ readonly coupon: Coupon; readonly code: PromotionCode | undefined }> => {
  if (promotionCode === undefined && promotionCodeId === undefined) {
    const coupon = found(await coupons.lockCoupon(db, name), 'COUPON_NOT_FOUND');
    return { coupon, code: undefined };
  }
  const asked = promotionCodeId
    ? promotionCodes.promotionCode(db, promotionCodeId)
    : promotionCodes.activePromotionCode(db, promotionCode ?? '');
  const code = found(await asked, 'PROMOTION_CODE_NOT_FOUND');
  const coupon = found(await coupons.lockCoupon(db, code.couponId), 'COUPON_NOT_FOUND');
  return { coupon, code: await promotionCodes.lockPromotionCode(db, code.id) };
};

/** `hour` is that of who redeems it, or of its test clock. */
export const redeemCoupon = async (
  ports: RedeemPorts,
  db: Db,
  asked: Asked,
  redeemer: Redeemer,
  metadata: Record<string, string>,
  { hour, now }: { readonly hour: Instant; readonly now: Date },
): Promise<Discount> => {
  const { coupons, promotionCodes, discounts } = ports;
  const { coupon, code } = await lockAsked(ports, db, asked);
  const facts = await discounts.redemptionFacts(db, coupon.id, redeemer);
  const faults = redemptionFaults(coupon, code, facts, redeemer, hour);
  if (faults.length > 0) {
    const detail = faults.join('; ');
    throw new FailureError('COUPON_NOT_REDEEMABLE', `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`);
  }
  const { customerId, subscriptionId } = redeemer;
  const discount = {
    customerId,
    subscriptionId,
    couponId: coupon.id,
    promotionCodeId: code?.id ?? null,
    startedAt: hour,
    metadata,
  };
  const added = await discounts.addDiscount(db, discount, now);
  await coupons.countRedemption(db, coupon.id);
  if (code) await promotionCodes.countCodeRedemption(db, code.id);
  return added;
};
