/** The time of subscriptions that nobody has cut into billing periods yet, as it is cut. */
import { instantArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type BillingCycleRow, billingCycleFromRow } from '#schemas/billing-cycle.ts';
import { periodIdOf } from '#schemas/billing-period.ts';
import type { Interval } from '#schemas/interval.ts';
import { monthFromText } from '#schemas/period.ts';
import { type CutPeriod, periodsOfMonth } from '#schemas/subscription.ts';

type SubscriptionRow = BillingCycleRow & {
  id: string;
  customer_id: string;
  plan_version_id: string;
  currency: string;
  started_at: Date;
  ended_at: Date | null;
};

/** Whose time; the parameters of a condition on the subscription `s`, which begin with `$3`. */
type Whose = { readonly condition: string; readonly parameters: readonly unknown[] };

export const ofScope = (customerId: string | null, subscriptionId: string | null): Whose => ({
  condition: '($3::text IS NULL OR s.customer_id = $3) AND ($4::text IS NULL OR s.id = $4)',
  parameters: [customerId, subscriptionId],
});

export const ofCustomers = (customerIds: readonly string[], planId: string | null): Whose => ({
  condition: `s.customer_id = ANY ($3)
  AND ($4::text IS NULL OR s.plan_version_id IN (SELECT n.id FROM plan_versions n WHERE n.plan_id = $4))`,
  parameters: [customerIds, planId],
});

const selectSubscriptions = (condition: string): string => `
SELECT s.id, s.customer_id, s.plan_version_id, s.currency, s.started_at, s.ended_at, s.interval_unit, s.interval_count,
  s.billing_anchor, s.time_zone
FROM subscriptions s
WHERE s.organization_id = $1 AND s.started_at < $2::timestamptz + interval '1 day'
  AND (s.ended_at IS NULL OR s.ended_at > $2::timestamptz - interval '32 days') AND ${condition}
ORDER BY s.id`;

// By the key that is unique.
const selectCut = `
SELECT p.subscription_id, p.billing_start
FROM unnest($1::text[], $2::timestamptz[]) AS n (subscription_id, billing_start)
  JOIN billing_periods p ON p.subscription_id = n.subscription_id AND p.billing_start = n.billing_start`;

export type FreshPeriod = CutPeriod & {
  readonly id: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly currency: string;
  readonly interval: Interval;
  readonly timeZone: string;
};

/** In the order of subscriptions and of time: what nobody has cut yet of what ends in a month, such as 2026-10. */
export const freshPeriods = async (
  client: Queryable,
  organizationId: string,
  month: string,
  { condition, parameters }: Whose,
): Promise<FreshPeriod[]> => {
  const { rows } = await client.query<SubscriptionRow>(selectSubscriptions(condition), [
    organizationId,
    new Date(monthFromText(month)?.end ?? 0),
    ...parameters,
  ]);
  const periodsOf = periodsOfMonth(month);
  const periods = rows.flatMap((row) => {
    const cycle = billingCycleFromRow(row);
    const time = { startedAt: row.started_at.getTime(), endedAt: row.ended_at?.getTime() ?? null, cycle };
    return periodsOf(time).map((period) => ({
      ...period,
      id: periodIdOf(row.id, period.billing.start, period.segment),
      subscriptionId: row.id,
      customerId: row.customer_id,
      planVersionId: row.plan_version_id,
      currency: row.currency,
      interval: cycle.interval,
      timeZone: row.time_zone,
    }));
  });
  const cut = await client.query<{ subscription_id: string; billing_start: Date }>(selectCut, [
    textArray(periods.map(({ subscriptionId }) => subscriptionId)),
    instantArray(periods.map(({ billing }) => billing.start)),
  ]);
  const keyOf = (subscriptionId: string, billingStart: number): string => `${subscriptionId} ${billingStart}`;
  const known = new Set(cut.rows.map((row) => keyOf(row.subscription_id, row.billing_start.getTime())));
  return periods.filter(({ subscriptionId, billing }) => !known.has(keyOf(subscriptionId, billing.start)));
};
