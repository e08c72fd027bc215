/**
 * The billing periods of a simulation: the same time of each subscription under the baseline and under each candidate.
 * Pure.
 */
import type { Currency } from '#schemas/currency.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Period } from '#schemas/period.ts';
import { type ProrationPolicy, proratedLevels, prorationOf } from '#schemas/proration.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';
import type { BillablePeriod } from '../run/measured-periods.ts';
import type { PinnedMeter } from '../run/measures.ts';

/** A part of a month of a subscription, as a billing run bills it. */
export type SubscribedSpan = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly customerExternalId: string;
  readonly customerExternalIds: readonly string[];
  readonly currency: Currency;
  readonly span: Period;
  /** The period of its cycle. */
  readonly billing: Period;
  readonly interval: Interval;
  readonly timeZone: string;
  readonly segment: number;
  readonly seats: readonly QuantityLevel[];
  /** What the subscription is charged by then. */
  readonly planVersionId: string;
};

/** `planVersionId` names the meters, `planId` what may stand in the place of prices. */
type Charged = Pick<BillablePeriod, 'planId' | 'planVersionId' | 'charges' | 'storedCharges' | 'bounds'> & {
  readonly prorated: ProrationPolicy;
};

/**
 * Why a plan can't charge a span: it has no price in its currency, or charges for periods of another length. A year's
 * price would be charged for a month there.
 */
export type Unfit = 'not_priced' | 'other_interval';

/** What is charged for a span, or why nothing can be. */
export type PlanOfSpan = (span: SubscribedSpan) => Charged | Unfit;

/** By plan: 0 is the baseline, then come the candidates. */
export type SimulatedMonth = {
  readonly spans: readonly SubscribedSpan[];
  readonly plans: readonly PlanOfSpan[];
  /** Of those plan versions. Read as they are asked for: what of one can't be read is no fault of the others. */
  readonly metersOf: (planVersionIds: readonly string[]) => Promise<readonly PinnedMeter[]>;
};

/** Every charge, whenever it is due. */
const wholeParts = ({ charges, storedCharges }: Pick<Charged, 'charges' | 'storedCharges'>) => ({
  timing: 'arrears' as const,
  positions: charges.map((_, index) => index + 1),
  boundPosition: charges.length + 1,
  counted: Object.fromEntries(storedCharges.flatMap(({ code, seats }) => (seats ? [[code, 'units' as const]] : []))),
  others: [],
});

const periodOf = (plan: number, planOf: PlanOfSpan, of: SubscribedSpan): BillablePeriod | Unfit => {
  const charged = planOf(of);
  if (typeof charged === 'string') return charged;
  const { span, billing, timeZone, seats, segment, subscriptionId, customerId, customerExternalIds, currency } = of;
  const { prorated, ...charges } = charged;
  return {
    billingPeriodId: `${plan} ${subscriptionId} ${span.start} ${segment}`,
    span,
    proration: prorationOf(prorated, billing, span, timeZone),
    subscriptionId,
    customerId,
    customerExternalIds,
    currency,
    ...charges,
    part: {
      ...wholeParts(charges),
      levels: proratedLevels(prorated, billing, span, timeZone, seats),
    },
  };
};

/** A span under a plan: its period, or why there is none. `unreadable` is the error of a plan that can't be read. */
export type SimulatedPeriod = { readonly plan: number; readonly of: SubscribedSpan } & (
  | { readonly period: BillablePeriod }
  | { readonly unfit: Unfit }
  | { readonly unreadable: unknown }
);

/** Span by span, each under all plans. */
export const simulatedPeriods = ({ spans, plans }: Pick<SimulatedMonth, 'spans' | 'plans'>): SimulatedPeriod[] =>
  spans.flatMap((of) =>
    plans.map((planOf, plan): SimulatedPeriod => {
      try {
        const period = periodOf(plan, planOf, of);
        return typeof period === 'string' ? { plan, of, unfit: period } : { plan, of, period };
      } catch (error) {
        return { plan, of, unreadable: error };
      }
    }),
  );
