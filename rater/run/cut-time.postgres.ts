/** The time of subscriptions that nobody has cut into billing periods yet, as it is cut. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { periodIdOf } from '#schemas/billing-period.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import { type Instant, monthFromText } from '#schemas/period.ts';
import { type CutPeriod, cutPeriods } from '#schemas/subscription.ts';

type UncutRow = {
  id: string;
  customer_id: string;
  plan_version_id: string;
  currency: string;
  started_at: Date;
  ended_at: Date | null;
  interval_unit: IntervalUnit;
  interval_count: number;
  billing_anchor: string;
  time_zone: string;
  cut_until: Date | null;
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

// Time is cut in order, so what is behind the newest period is not cut, and nothing before it.
const selectUncut = (condition: string): string => `
SELECT s.id, s.customer_id, s.plan_version_id, s.currency, s.started_at, s.ended_at, s.interval_unit, s.interval_count,
  s.billing_anchor, s.time_zone, p.cut_until
FROM subscriptions s LEFT JOIN LATERAL (
  SELECT b.span_end AS cut_until FROM billing_periods b WHERE b.subscription_id = s.id
  ORDER BY b.billing_start DESC, b.segment DESC LIMIT 1
) p ON true
WHERE s.organization_id = $1 AND s.started_at < $2 AND (p.cut_until IS NULL OR p.cut_until < $2)
  AND (s.ended_at IS NULL OR s.ended_at > coalesce(p.cut_until, s.started_at)) AND ${condition}
ORDER BY s.id`;

export type FreshPeriod = CutPeriod & {
  readonly id: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly planVersionId: string;
  readonly currency: string;
};

/** No zone is further behind UTC. */
const behindMsMax = 86_400_000;

/** In the order of subscriptions and of time: what would be cut of them up to a month, such as 2026-10. */
export const freshPeriods = async (
  client: Queryable,
  organizationId: string,
  month: string,
  { condition, parameters }: Whose,
): Promise<FreshPeriod[]> => {
  const until: Instant = (monthFromText(month)?.end ?? 0) + behindMsMax;
  const { rows } = await client.query<UncutRow>(selectUncut(condition), [
    organizationId,
    new Date(until),
    ...parameters,
  ]);
  return rows.flatMap((row) => {
    const cycle = {
      interval: { unit: row.interval_unit, count: row.interval_count },
      anchor: row.billing_anchor,
      timeZone: row.time_zone,
    };
    const time = { startedAt: row.started_at.getTime(), endedAt: row.ended_at?.getTime() ?? null, cycle };
    const cut = cutPeriods(time, row.cut_until?.getTime() ?? time.startedAt, until);
    return [...cut]
      .filter((period) => period.month <= month)
      .map((period) => ({
        ...period,
        id: periodIdOf(row.id, period.billing.start, period.segment),
        subscriptionId: row.id,
        customerId: row.customer_id,
        planVersionId: row.plan_version_id,
        currency: row.currency,
      }));
  });
};
