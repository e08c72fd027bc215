/** Which price of a charge stands when: the plan version's own, or one that stands in its place for a while. Pure. */
import type { MeterDefinition } from '#schemas/meter.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { contains } from '#schemas/period.ts';
import type { Charge, ChargeJson } from '#schemas/plan.ts';
import { addsUp } from '#schemas/price/meter-fit.ts';
import type { Price, PriceJson } from '#schemas/price/price.ts';
import type { PriceOverride, PriceSpan, TierCount } from '#schemas/price-span.ts';

/** A price that stands for a while, with its JSON as it is stored. */
export type PricedSpan = PriceSpan & { readonly price: Price; readonly storedPrice: PriceJson };

/** Behind any instant. */
const never: Instant = Number.POSITIVE_INFINITY;

const standsAt =
  (instant: Instant) =>
  ({ effectiveFrom, effectiveUntil }: PriceOverride): boolean =>
    contains({ start: effectiveFrom, end: effectiveUntil ?? never }, instant);

/** A customer's own before that of everyone; of two, the one that began later, and of these the one made later. */
const counts = (a: PriceOverride, b: PriceOverride): number =>
  Number(b.customerId !== null) - Number(a.customerId !== null) ||
  b.effectiveFrom - a.effectiveFrom ||
  (a.id < b.id ? 1 : -1);

/** The override that stands at an instant, of those of one charge. */
export const overrideAt = (overrides: readonly PriceOverride[], instant: Instant): PriceOverride | undefined =>
  overrides.filter(standsAt(instant)).toSorted(counts)[0];

export type OverriddenCharge = {
  readonly charge: Charge;
  readonly storedCharge: ChargeJson;
  /** Undefined where the charge has none. */
  readonly meter: Pick<MeterDefinition, 'aggregation' | 'rounding'> | undefined;
};

/**
 * The prices of a charge over a time, which they tile in order; undefined where its own stands all the time. Where the
 * parts of the time would not add up, the price that stands when it begins stands for all of it: a fee is charged once,
 * and a level that lasts (seats, a maximum, distinct users) would count in each part.
 *
 * How an override counts units is how they are counted from its beginning and again from its end.
 */
export const priceSpansOf = (
  { charge, storedCharge, meter }: OverriddenCharge,
  time: Period,
  overrides: readonly PriceOverride[],
): PricedSpan[] | undefined => {
  const changes = overrides
    .flatMap(({ effectiveFrom, effectiveUntil }) => [effectiveFrom, effectiveUntil ?? never])
    .filter((instant) => meter && addsUp(meter) && contains(time, instant));
  const starts = [...new Set([time.start, ...changes])].toSorted((a, b) => a - b);
  const spans: PricedSpan[] = [];
  let last: PriceOverride | undefined;
  for (const [index, start] of starts.entries()) {
    const override = overrideAt(overrides, start);
    const end = starts[index + 1] ?? time.end;
    const before = spans.at(-1);
    if (before && override?.id === last?.id)
      spans.splice(-1, 1, { ...before, span: { start: before.span.start, end } });
    else
      spans.push({
        span: { start, end },
        tiers: index === 0 ? 'restart' : (override ?? (last as { tiers: TierCount })).tiers,
        sources: override ? { priceOverrideId: override.id } : {},
        price: override?.price ?? charge.price,
        storedPrice: override?.storedPrice ?? storedCharge.price,
      });
    last = override;
  }
  return spans.length === 1 && spans[0]?.sources.priceOverrideId === undefined ? undefined : spans;
};
