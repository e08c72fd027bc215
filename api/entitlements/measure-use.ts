/** What was used of metered features, each in its running period. Pure. */
import type { Entitlement } from '#schemas/entitlement.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { maxQuantity, parseQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { type Measure, type Quantities, type QuantityQuery, wholeOf } from '../../rater/aggregate/quantity-query.ts';
import type { EntitledSubscription } from './entitled.postgres.ts';
import { type ResetPeriod, resetPeriodOf } from './reset-period.ts';
import type { Entitled } from './with-add-ons.ts';

type MeteredTerms = Extract<Entitlement, { type: 'metered' }>;

export type Metered = {
  readonly subscriptionId: string;
  readonly name: string;
  readonly entitlement: MeteredTerms;
  readonly meter: MeterVersion;
  readonly period: ResetPeriod;
  readonly used: Quantity;
  /** Null where the allowance is unlimited. */
  readonly left: Quantity | null;
};

export const leftOf = (allowance: Quantity | null, used: Quantity): Quantity | null =>
  allowance === null ? null : maxQuantity(subtractQuantities(allowance, maxQuantity(used, zeroQuantity)), zeroQuantity);

const minuteMs = 60_000;
/** What never begins anew is measured up to the end of the running minute. */
const measuredSpan = ({ start, end }: ResetPeriod, now: Instant): Period => ({
  start,
  end: end ?? now - (now % minuteMs) + minuteMs,
});

type Wanted = Omit<Metered, 'used' | 'left'> & { readonly span: Period };

const wantedOf = (
  subscription: EntitledSubscription,
  { name, entitlement, meter }: Entitled,
  now: Instant,
): Wanted[] => {
  if (entitlement.type !== 'metered' || !meter) return [];
  const period = resetPeriodOf(entitlement.reset, subscription, now);
  return [{ subscriptionId: subscription.id, name, entitlement, meter, period, span: measuredSpan(period, now) }];
};

const spanIdOf = ({ span }: Wanted): string => `${span.start} ${span.end}`;

/** What is asked of usage, each thing once however many subscriptions ask for it, and what the answer says. */
export type UseAsked = {
  readonly query: Pick<QuantityQuery, 'spans' | 'measures'>;
  readonly metered: (quantities: Quantities) => readonly Metered[];
};

/** Of a customer by its names. */
export const useOf = (
  customers: readonly string[],
  subscriptions: readonly EntitledSubscription[],
  now: Instant,
): UseAsked => {
  const wanted = subscriptions.flatMap((one) => one.items.flatMap((item) => wantedOf(one, item, now)));
  const spans = new Map(wanted.map((one) => [spanIdOf(one), { spanId: spanIdOf(one), customers, period: one.span }]));
  const measures = [...Map.groupBy(wanted, ({ meter }) => meter.versionId).values()].map(
    (some): Measure => ({ ...wholeOf((some as [Wanted])[0].meter), spanIds: new Set(some.map(spanIdOf)) }),
  );
  const metered = (quantities: Quantities): readonly Metered[] =>
    wanted.map((one) => {
      const { span: _, ...rest } = one;
      const { quantity = '0' } = quantities.get(spanIdOf(one))?.get(one.meter.versionId) ?? {};
      const used = parseQuantity(quantity) ?? zeroQuantity;
      return { ...rest, used, left: leftOf(one.entitlement.allowance, used) };
    });
  return { query: { spans: [...spans.values()], measures }, metered };
};
