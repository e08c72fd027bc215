/**
 * The billing periods of a simulation: the same time of each subscription under the baseline and under each candidate.
 * Pure.
 */
import type { Currency } from '#schemas/currency.ts';
import type { Interval } from '#schemas/interval.ts';
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
  readonly interval: Interval;
  readonly timeZone: string;
  readonly segment: number;
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
  readonly meters: readonly PinnedMeter[];
};

/** A period with the plan that it is rated under. */
export type SimulatedPeriod = { readonly plan: number; readonly of: SubscribedSpan; readonly period: BillablePeriod };

/** Where a plan can't charge a span, it has no period there. */
export const simulatedPeriods = ({ spans, plans }: SimulatedMonth): SimulatedPeriod[] =>
  plans.flatMap((planOf, plan) =>
    spans.flatMap((of) => {
      const charged = planOf(of);
      if (typeof charged === 'string') return [];
      const { span, billing, timeZone, segment, subscriptionId, customerId, customerExternalId, currency } = of;
      const { prorated, ...charges } = charged;
      const proration = prorationOf(prorated, billing, span, timeZone);
      const billingPeriodId = `${plan} ${subscriptionId} ${span.start} ${segment}`;
      return [
        {
          plan,
          of,
          period: {
            billingPeriodId,
            span,
            proration,
            subscriptionId,
            customerId,
            customerExternalId,
            currency,
            ...charges,
          },
        },
      ];
    }),
  );
