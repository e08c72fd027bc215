/** What a quote offers, as it is stored. */
import type { ChargeKind, CouponDuration, CouponKind } from '#schemas/coupon.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant } from '#schemas/period.ts';
import type { PriceJson } from '#schemas/price/price.ts';
import type { TierCount } from '#schemas/price-span.ts';
import type { TrialEndAction } from '#schemas/subscription-state.ts';

/** In place of the price of a charge of the plan, for this customer. */
export type QuotedPrice = { readonly charge: string; readonly price: PriceJson; readonly tiers: TierCount };

/** The version is the one that was active when the quote was sent; null in a draft. */
export type QuotedAddOn = {
  readonly plan_id: string;
  readonly plan_version_id: string | null;
  readonly quantity: number;
};

export type QuotedTrial = {
  readonly ends_at?: string;
  readonly days?: number;
  readonly end_action?: TrialEndAction;
};

/** What a coupon takes off, as its own JSON. */
export type CouponOffer = {
  readonly kind: CouponKind;
  readonly percentage: string | null;
  readonly amount: string | null;
  readonly currency: string | null;
  readonly free_units: string | null;
  readonly duration: CouponDuration;
  readonly duration_periods: number | null;
  readonly applies_to: {
    readonly charges: readonly string[];
    readonly plans: readonly string[];
    readonly kinds: readonly ChargeKind[];
  };
  readonly expires_at: string | null;
};

/** Of which the subscription has a discount. `offer` is what it was when the quote was sent; null in a draft. */
export type QuotedCoupon = {
  readonly coupon_id: string;
  readonly coupon_code: string;
  /** By which it is redeemed; null where it is by itself. */
  readonly promotion_code_id: string | null;
  readonly offer: CouponOffer | null;
};

/** Its own JSON. */
export type QuoteTerms = {
  readonly seats: number;
  readonly add_ons: readonly QuotedAddOn[];
  readonly prices: readonly QuotedPrice[];
  readonly trial: QuotedTrial | null;
  readonly billing_anchor: string;
  /** How long the subscription lasts at least. */
  readonly term: Interval | null;
  readonly discount: string | null;
  /** Absent where there is none, as quotes from before coupons have it. */
  readonly coupon?: QuotedCoupon | undefined;
  readonly memo: string | null;
};

/** All that a customer agrees to. */
export type QuoteContent = {
  readonly customerId: string;
  readonly planId: string;
  readonly planVersionId: string | null;
  readonly currency: string | null;
  readonly terms: QuoteTerms;
  readonly startsAt: Instant | null;
  readonly validUntil: Instant;
};
