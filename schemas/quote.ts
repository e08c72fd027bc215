/** What a quote offers, as it is stored. */
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
