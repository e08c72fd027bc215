/** The use case of measuring what was used of metered features, each in its running period. */
import type { Entitlement } from '#schemas/entitlement.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { maxQuantity, parseQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import type { EntitledSubscription } from './entitled.postgres.ts';
import { type ResetPeriod, resetPeriodOf } from './reset-period.ts';
import type { Entitled } from './with-add-ons.ts';

export type MeasurePorts = {
  /** Quantities by meter version id, as billing measures them. */
  readonly quantities: (
    meters: readonly MeterVersion[],
    period: Period,
  ) => Promise<ReadonlyMap<string, { readonly quantity: string }>>;
};

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

/** One read for all meters of a span, however many subscriptions ask for it. */
export const measureUse = async (
  { quantities }: MeasurePorts,
  subscriptions: readonly EntitledSubscription[],
  now: Instant,
): Promise<readonly Metered[]> => {
  const wanted = subscriptions.flatMap((one) => one.items.flatMap((item) => wantedOf(one, item, now)));
  const metered: Metered[] = [];
  for (const [, some] of Map.groupBy(wanted, ({ span }) => `${span.start} ${span.end}`)) {
    const meters = new Map(some.map(({ meter }) => [meter.versionId, meter]));
    const [{ span }] = some as [Wanted, ...Wanted[]];
    const measured = await quantities([...meters.values()], span);
    for (const { span: _, ...one } of some) {
      const used = parseQuantity(measured.get(one.meter.versionId)?.quantity ?? '0') ?? zeroQuantity;
      metered.push({ ...one, used, left: leftOf(one.entitlement.allowance, used) });
    }
  }
  return metered;
};
