/**
 * What a quote would charge without usage, by the rater's own rules and at its prices, up to the end of the first
 * billing period that is charged whole: when the first invoice is due, and which lines are of that period. Pure.
 */
import { periodAt } from '#schemas/billing-cycle.ts';
import type { Currency } from '#schemas/currency.ts';
import { type DuePart, dueParts, nextLook, rememberedPeriods } from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import { type ChargeJson, chargeJsonIn, type PlanTermsJson } from '#schemas/plan.ts';
import type { QuotedPrice } from '#schemas/quote.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import type { PlanName } from '../catalog/plan-versions.postgres.ts';
import { lastPeriodEnd, ratedPart, schedulesByVersion } from '../subscriptions/changed-parts.ts';
import type { NewSubscription } from '../subscriptions/subscriptions.postgres.ts';

export type QuotePreviewFacts = {
  /** What each plan version charges, by its id. */
  readonly versions: ReadonlyMap<string, PlanTermsJson>;
  readonly planNames: ReadonlyMap<string, PlanName>;
  readonly policy: RatingPolicy;
};

/** The charges in one currency, at the prices of the quote. */
export const chargesQuoted = (
  { charges, currency: own }: PlanTermsJson,
  currency: string,
  prices: readonly QuotedPrice[],
): ChargeJson[] =>
  charges.flatMap((charge) => {
    const json = chargeJsonIn(charge, currency, own);
    if (!json) return [];
    const quoted = prices.find((one) => one.charge === charge.code);
    return [quoted ? { ...json, price: quoted.price } : json];
  });

/** The subscription is not there yet, and nothing is stored of it. */
export const quotedSubscriptionId = 'sub_00000000000000000000000000000000';

export const previewQuote = (
  subscription: NewSubscription,
  prices: readonly QuotedPrice[],
  { versions, planNames, policy }: QuotePreviewFacts,
) => {
  const currency = subscription.currency as Currency;
  const quoted = new Map(
    [...versions].map(([id, version]): [string, PlanTermsJson] => {
      const own = id === subscription.planVersionId ? prices : [];
      return [id, { ...version, currency, charges: chargesQuoted(version, currency, own) }];
    }),
  );
  const schedules = schedulesByVersion(quoted, planNames);
  const terms: SubscriptionTerms = { ...subscription, refundsAtEnd: true };
  const begin = subscription.trialEndsAt ?? subscription.startedAt;
  const first = periodAt(subscription.cycle, begin);
  const whole = first.start === begin ? first : periodAt(subscription.cycle, first.end);
  const end = Math.max(whole.end, lastPeriodEnd(subscription.cycle, schedules, begin));
  const time = { start: subscription.startedAt - 1, end };
  const parts = dueParts(terms, (id) => schedules.get(id) ?? [], [], time, rememberedPeriods());
  const ratedBy = { ...subscription, id: quotedSubscriptionId };
  const lines = (some: readonly DuePart[]) =>
    some.flatMap((part) => ratedPart(part, ratedBy, { versions: quoted, policy }));
  const isWithin = ({ billing, timing }: Pick<DuePart, 'billing' | 'timing'>): boolean =>
    timing !== 'once' && billing.start >= whole.start && billing.end <= whole.end;
  // Usage alone is due earlier where nothing is charged in advance; an invoice of it has no line here.
  const charged = lines(parts);
  return {
    currency,
    charged,
    dueAt: charged[0]?.part.dueAt,
    period: whole,
    ofPeriod: charged.filter(({ part }) => isWithin(part)),
    goesOnAfter: (at: Instant): boolean => nextLook(terms, (id) => schedules.get(id) ?? [], at) !== undefined,
  };
};
