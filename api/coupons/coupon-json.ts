/** Coupons, promotion codes and discounts as callers see them. Pure. */
import type { DiscountState } from '#schemas/coupon.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { formatPercentage } from '#schemas/tax-rate.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { Coupon } from './coupons.postgres.ts';
import type { Discount } from './discounts.postgres.ts';
import type { PromotionCode } from './promotion-codes.postgres.ts';

const instantJson = (instant: Instant | null) => (instant === null ? null : formatInstant(instant));

export const couponJson = (coupon: Coupon) => {
  const { value, appliesTo } = coupon;
  return {
    id: coupon.id,
    code: coupon.code,
    name: coupon.name,
    kind: value.kind,
    percentage: value.kind === 'percentage' ? formatPercentage(value.percentage) : null,
    amount: value.kind === 'amount' ? formatMinorUnits(value.amount, value.currency) : null,
    currency: value.kind === 'amount' ? value.currency : null,
    free_units: value.kind === 'free_units' ? formatQuantity(value.freeUnits) : null,
    duration: coupon.duration,
    duration_periods: coupon.durationPeriods,
    applies_to: { charges: appliesTo.chargeCodes, plans: appliesTo.planIds, kinds: appliesTo.chargeKinds },
    max_redemptions: coupon.maxRedemptions,
    max_redemptions_per_customer: coupon.maxRedemptionsPerCustomer,
    first_time_customers_only: coupon.isForFirstTime,
    redeem_by: instantJson(coupon.redeemBy),
    expires_at: instantJson(coupon.expiresAt),
    archived_at: instantJson(coupon.archivedAt),
    redemptions: coupon.redemptions,
    ...headToJson(coupon),
  };
};

export const promotionCodeJson = (code: PromotionCode) => ({
  id: code.id,
  coupon_id: code.couponId,
  code: code.code,
  customer_id: code.customerId,
  max_redemptions: code.maxRedemptions,
  redeem_by: instantJson(code.redeemBy),
  archived_at: instantJson(code.archivedAt),
  redemptions: code.redemptions,
  ...headToJson(code),
});

/** Without what is counted beside: it moves without a change. */
export const withoutCount = <S extends { readonly redemptions: number }>({ redemptions: _, ...lasting }: S) => lasting;

/** `hour` is that of who has it, or of its test clock. */
const stateOf = ({ endedAt, isUsedUp, expiresAt, clockNow }: Discount, hour: Instant): DiscountState => {
  if (endedAt !== null) return 'ended';
  if (isUsedUp) return 'used';
  return expiresAt !== null && expiresAt <= (clockNow ?? hour) ? 'expired' : 'active';
};

export const discountJson = (discount: Discount, hour: Instant) => ({
  id: discount.id,
  coupon_id: discount.couponId,
  coupon_code: discount.couponCode,
  promotion_code_id: discount.promotionCodeId,
  customer_id: discount.customerId,
  subscription_id: discount.subscriptionId,
  state: stateOf(discount, hour),
  started_at: formatInstant(discount.startedAt),
  ended_at: instantJson(discount.endedAt),
  invoices_used: discount.invoicesUsed,
  periods_used: discount.periodsUsed,
  ...headToJson(discount),
});

/** What changes with its version alone. */
export const lastingDiscount = ({
  state: _state,
  invoices_used: _invoices,
  periods_used: _periods,
  ...lasting
}: ReturnType<typeof discountJson>) => lasting;
