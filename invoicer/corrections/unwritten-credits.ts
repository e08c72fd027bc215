/** Credits of billing periods that are not written down: how statements find what they take back. Pure. */
import type { Instant } from '#schemas/period.ts';

/** What a credit is told by that is not written down. */
export type UnwrittenCredit = {
  readonly id: string;
  readonly subscriptionId: string;
  readonly billingEnd: Instant;
  readonly pricedAt: Instant;
  readonly item: string;
  readonly interval: { readonly unit: string; readonly count: number };
  readonly isCounted: boolean;
  /** What it takes back, where that is not written down either. */
  readonly chargeId: string | undefined;
};

const matched = `subscription_id, billing_end, priced_at, item, interval_unit, interval_count, counted`;

/** Of those of the billing periods `$2` that are credits. */
export const writtenCredits = `SELECT id, ${matched} FROM billing_periods
  WHERE organization_id = $1 AND id = ANY ($2) AND timing = 'credit'`;

/** As `creditParameters` says them, from `$2` on. */
export const unwrittenCredits = `SELECT n.* FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
  $6::text[], $7::text[], $8::integer[], $9::boolean[]) AS n (id, ${matched})`;

export const creditParameters = (credits: readonly UnwrittenCredit[]): unknown[] => [
  credits.map(({ id }) => id),
  credits.map(({ subscriptionId }) => subscriptionId),
  credits.map(({ billingEnd }) => new Date(billingEnd)),
  credits.map(({ pricedAt }) => new Date(pricedAt)),
  credits.map(({ item }) => item),
  credits.map(({ interval }) => interval.unit),
  credits.map(({ interval }) => interval.count),
  credits.map(({ isCounted }) => isCounted),
];

// What a credit takes back is found as `insertPeriods` (rater/run/billing-runs.postgres.ts) finds whom it was charged
// to.
/** Whether a credit takes back some of what was charged: of either the alias. */
export const isOfCharge = (credit: string, charge: string): string =>
  `${charge}.subscription_id = ${credit}.subscription_id
    AND ${charge}.billing_end = ${credit}.billing_end AND ${charge}.span_start = ${credit}.priced_at
    AND ${charge}.item = ${credit}.item
    AND ${charge}.interval_unit = ${credit}.interval_unit AND ${charge}.interval_count = ${credit}.interval_count
    AND ${charge}.counted IS NOT DISTINCT FROM ${credit}.counted`;

/** Whether the billing period `a` is what the credit `c` takes back. */
export const isTakenBack = `a.timing = 'advance' AND a.organization_id = $1 AND ${isOfCharge('c', 'a')}`;

/** The billing periods `a` that credits `c` take back. */
export const takenBackBy = `billing_periods a ON ${isTakenBack}`;
