/** Prices that change inside a billing period: which one stood when. Shared by rater and api. */
import { formatPeriod, type Instant, type Period, type PeriodJson, periodFromJson } from '#schemas/period.ts';
import type { Price, PriceJson, PriceModel } from '#schemas/price/price.ts';

/**
 * How the units under a price are counted: `restart` from the first unit again, or `continue` behind those of the price
 * before, so that a tier that was used up stays so.
 */
export const tierCounts = ['restart', 'continue'] as const;
export type TierCount = (typeof tierCounts)[number];

/** Models of which the steps fill up in order, so that a slice of the units is a slice of the steps. */
const continuingModels: readonly PriceModel[] = ['per_unit', 'graduated', 'package', 'graduated_percentage'];
export const canContinue = ({ model }: Price): boolean => continuingModels.includes(model);

/** Which rows a price came from, so that the line can be rated again; none for what the plan version says. */
export type PriceSources = {
  readonly priceOverrideId?: string;
  readonly costBookVersionId?: string;
  /** From the unit of the price to the currency. */
  readonly creditUnitRateIds?: readonly string[];
};

/** A stretch of a billing period with one price. Those of a charge tile the time that its line measures. */
export type PriceSpan = {
  readonly span: Period;
  readonly tiers: TierCount;
  readonly sources: PriceSources;
};

export type PriceSourcesJson = {
  readonly price_override_id?: string;
  readonly cost_book_version_id?: string;
  readonly credit_unit_rate_ids?: readonly string[];
};
export type PriceSpanJson = {
  readonly span: PeriodJson;
  readonly tiers: TierCount;
  readonly sources: PriceSourcesJson;
};

export const priceSourcesToJson = (sources: PriceSources): PriceSourcesJson => ({
  ...(sources.priceOverrideId !== undefined && { price_override_id: sources.priceOverrideId }),
  ...(sources.costBookVersionId !== undefined && { cost_book_version_id: sources.costBookVersionId }),
  ...(sources.creditUnitRateIds !== undefined && { credit_unit_rate_ids: sources.creditUnitRateIds }),
});

const priceSourcesFromJson = (json: PriceSourcesJson): PriceSources => ({
  ...(json.price_override_id !== undefined && { priceOverrideId: json.price_override_id }),
  ...(json.cost_book_version_id !== undefined && { costBookVersionId: json.cost_book_version_id }),
  ...(json.credit_unit_rate_ids !== undefined && { creditUnitRateIds: json.credit_unit_rate_ids }),
});

export const priceSpanToJson = ({ span, tiers, sources }: PriceSpan): PriceSpanJson => ({
  span: formatPeriod(span),
  tiers,
  sources: priceSourcesToJson(sources),
});

export const priceSpanFromJson = ({ span, tiers, sources }: PriceSpanJson): PriceSpan => ({
  span: periodFromJson(span),
  tiers,
  sources: priceSourcesFromJson(sources),
});

/** Another price for a charge of a plan, for one customer or for all who have the plan. */
export type PriceOverride = {
  readonly id: string;
  readonly planId: string;
  readonly chargeCode: string;
  /** Null where it is the price of everyone. */
  readonly customerId: string | null;
  readonly currency: string;
  readonly price: Price;
  readonly storedPrice: PriceJson;
  readonly tiers: TierCount;
  readonly effectiveFrom: Instant;
  /** Null while it goes on. */
  readonly effectiveUntil: Instant | null;
};
