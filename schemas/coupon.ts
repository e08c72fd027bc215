/** Coupons, and the discounts that customers and subscriptions have by them. */
import type { Currency } from '#schemas/currency.ts';
import type { Amount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { Quantity } from '#schemas/quantity.ts';
import type { Percentage } from '#schemas/tax-rate.ts';

export const couponKinds = ['percentage', 'amount', 'free_units'] as const;
export type CouponKind = (typeof couponKinds)[number];

/** On one invoice; in so many billing periods; or in all. */
export const couponDurations = ['once', 'repeating', 'forever'] as const;
export type CouponDuration = (typeof couponDurations)[number];

/** By what a line charges: what was metered, what comes with each billing period, or what is charged once. */
export const chargeKinds = ['usage', 'recurring', 'one_time'] as const;
export type ChargeKind = (typeof chargeKinds)[number];

/** What of an invoice it takes something off: of each list one entry has to fit; an empty one fits all. */
export type AppliesTo = {
  readonly chargeCodes: readonly string[];
  readonly planIds: readonly string[];
  readonly chargeKinds: readonly ChargeKind[];
};

export type CouponValue =
  | { readonly kind: 'percentage'; readonly percentage: Percentage }
  | { readonly kind: 'amount'; readonly amount: Amount; readonly currency: Currency }
  | { readonly kind: 'free_units'; readonly freeUnits: Quantity };

export type CouponTerms = {
  readonly value: CouponValue;
  readonly duration: CouponDuration;
  /** Of one that repeats; null of all others. */
  readonly durationPeriods: number | null;
  readonly appliesTo: AppliesTo;
};

/** A discount with the terms of its coupon. */
export type HeldDiscount = CouponTerms & {
  readonly id: string;
  readonly couponId: string;
  /** Of the coupon, as invoices print it. */
  readonly name: string;
  readonly customerId: string;
  /** Null of a customer's. */
  readonly subscriptionId: string | null;
  readonly startedAt: Instant;
  /** Null of one that is not ended: others count for what was issued before they were. */
  readonly endedAt: Instant | null;
  /** From when on it takes nothing off; null where it has no end. */
  readonly expiresAt: Instant | null;
};

/** What of a discount an invoice used, or all invoices did. */
export type DiscountUse = {
  readonly discountId: string;
  /** Whether it is used up by it. */
  readonly isOnce: boolean;
  /** The billing period that it counts, by its subscription and begin; null where it counts none. */
  readonly period: { readonly subscriptionId: string; readonly start: Instant } | null;
  /** What was taken off, less what was given back of it. */
  readonly amount: Amount;
};

export const discountStates = ['active', 'used', 'expired', 'ended'] as const;
export type DiscountState = (typeof discountStates)[number];

/** Of promotion codes: letters of either case, which count as one. */
export const promotionCodePattern = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$';

export const durationPeriodsMax = 1_200;
export const redemptionsMax = 1_000_000_000;
export const appliesToMax = 100;
