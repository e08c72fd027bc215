/**
 * The billing periods of a simulation: the same time of each subscription under the baseline and under each candidate.
 * Pure.
 */
import type { Currency } from '#schemas/currency.ts';
import type { Period } from '#schemas/period.ts';
import { type ProrationPolicy, prorationOf } from '#schemas/proration.ts';
import type { PinnedMeter } from '../run/measures.ts';
import type { BillablePeriod } from '../run/rate-period.ts';

/** A part of a month of a subscription, as a billing run bills it. */
export type SubscribedSpan = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly customerExternalId: string;
  readonly currency: Currency;
  readonly span: Period;
  /** The period of its cycle. */
  readonly billing: Period;
  readonly timeZone: string;
  readonly segment: number;
  /** What the subscription is charged by then. */
  readonly planVersionId: string;
};

/** `planVersionId` names the meters, `planId` what may stand in the place of prices. */
type Charged = Pick<BillablePeriod, 'planId' | 'planVersionId' | 'charges' | 'storedCharges' | 'bounds'> & {
  readonly prorated: ProrationPolicy;
};

/** What is charged for a span; undefined where there is no price in its currency. */
export type PlanOfSpan = (span: SubscribedSpan) => Charged | undefined;

/** By plan: 0 is the baseline, then come the candidates. */
export type SimulatedMonth = {
  readonly spans: readonly SubscribedSpan[];
  readonly plans: readonly PlanOfSpan[];
  /** Of those plan versions. Read as they are asked for: what of one can't be read is no fault of the others. */
  readonly metersOf: (planVersionIds: readonly string[]) => Promise<readonly PinnedMeter[]>;
};

const periodOf = (plan: number, planOf: PlanOfSpan, of: SubscribedSpan): BillablePeriod | undefined => {
  const charged = planOf(of);
  if (!charged) return undefined;
  const { span, billing, timeZone, segment, subscriptionId, customerId, customerExternalId, currency } = of;
  const { prorated, ...charges } = charged;
  return {
    billingPeriodId: `${plan} ${subscriptionId} ${span.start} ${segment}`,
    span,
    proration: prorationOf(prorated, billing, span, timeZone),
    subscriptionId,
    customerId,
    customerExternalId,
    currency,
    ...charges,
  };
};

/** A span under a plan; `period` is the error where the plan can't be read there. */
export type SimulatedPeriod = { readonly plan: number; readonly of: SubscribedSpan } & (
  | { readonly period: BillablePeriod }
  | { readonly unreadable: unknown }
);

/** Span by span. Where a plan has no price in the currency of a span, it has no period there. */
export const simulatedPeriods = ({ spans, plans }: Pick<SimulatedMonth, 'spans' | 'plans'>): SimulatedPeriod[] =>
  spans.flatMap((of) =>
    plans.flatMap((planOf, plan): SimulatedPeriod[] => {
      try {
        const period = periodOf(plan, planOf, of);
        return period ? [{ plan, of, period }] : [];
      } catch (error) {
        return [{ plan, of, unreadable: error }];
      }
    }),
  );
