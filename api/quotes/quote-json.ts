/** Quotes as their makers see them. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';
import { quoteStateAt } from '#schemas/quote-state.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { Quote } from './quotes.postgres.ts';

export const timeOrNull = (instant: Instant | null): string | null =>
  instant === null ? null : formatInstant(instant);

/** What of a quote changes with its version: that it expires does not. */
export const lastingQuote = (quote: Quote) => ({
  id: quote.id,
  customer_id: quote.customerId,
  plan_id: quote.planId,
  plan_code: quote.planCode,
  plan_version_id: quote.planVersionId,
  currency: quote.currency,
  seats: quote.terms.seats,
  add_ons: quote.terms.add_ons.map((one) => ({ ...one, plan_code: quote.addOnCodes.get(one.plan_id) ?? one.plan_id })),
  prices: quote.terms.prices,
  starts_at: timeOrNull(quote.startsAt),
  trial: quote.terms.trial,
  billing_anchor: quote.terms.billing_anchor,
  term: quote.terms.term,
  discount: quote.terms.discount,
  coupon_id: quote.terms.coupon?.coupon_id ?? null,
  coupon_code: quote.terms.coupon?.coupon_code ?? null,
  promotion_code_id: quote.terms.coupon?.promotion_code_id ?? null,
  memo: quote.terms.memo,
  valid_until: formatInstant(quote.validUntil),
  state: quote.state,
  content_hash: quote.contentHash,
  sent_at: timeOrNull(quote.sentAt),
  accepted_at: timeOrNull(quote.acceptedAt),
  accepted_by: quote.reply.accepted_by ?? null,
  declined_at: timeOrNull(quote.declinedAt),
  decline_reason: quote.reply.reason ?? null,
  canceled_at: timeOrNull(quote.canceledAt),
  subscription_id: quote.subscriptionId,
  revision_of: quote.revisionOf,
  ...headToJson(quote),
});

export const quoteJson = (quote: Quote, nowMs: Instant) => ({
  ...lastingQuote(quote),
  state: quoteStateAt(quote, hourOf(quote, nowMs)),
});
