/**
 * What of a month is simulated for a shard of customers: their subscriptions' time as a billing run bills it, and the
 * plans that are compared.
 */

import assert from 'node:assert/strict';
import { externalIdsOf } from '#platform/stores/customer-names.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { type IntervalRow, intervalFromRow, isSameLength } from '#schemas/billing-cycle.ts';
import { mainInterval } from '#schemas/charge-schedule.ts';
import type { SchedulesOf } from '#schemas/due-parts.ts';
import { intersect, monthNameOf, type Period, periodBetween } from '#schemas/period.ts';
import { chargeJsonIn } from '#schemas/plan.ts';
import type { ChosenCustomers, SimulatedPlan, SimulatedPlans } from '#schemas/simulation.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import {
  billedItems,
  levelsWithin,
  planItem,
  type QuantityLevel,
  type SubscriptionTerms,
} from '#schemas/subscription-terms.ts';
import { chargesOf, storedCurrency, type VersionCharges, type VersionRow } from '../run/billable-periods.ts';
import { createCatalog } from '../run/catalog.postgres.ts';
import { freshPeriodsOfMonth, ofCustomers, subscribedTerms } from '../run/cut-time.postgres.ts';
import type { PinnedMeter } from '../run/measures.ts';
import type { SimulatePorts } from './rate-simulation.ts';
import type { PlanOfSpan, SubscribedSpan } from './simulated-periods.ts';

type SpanRow = IntervalRow & {
  subscription_id: string;
  customer_id: string;
  currency: string;
  plan_version_id: string;
  segment: number;
  span_start: Date;
  span_end: Date;
  billing_start: Date;
  billing_end: Date;
  time_zone: string;
};

// What was cut before is as it was cut, by the plan version that it was cut for.
const selectSpans = `
SELECT p.subscription_id, p.customer_id, s.currency, p.plan_version_id, p.segment, p.span_start, p.span_end,
  p.billing_start, p.billing_end, s.interval_unit, s.interval_count, s.time_zone
FROM billing_periods p JOIN subscriptions s ON s.organization_id = p.organization_id AND s.id = p.subscription_id
WHERE p.organization_id = $1 AND p.billing_month = $2 AND p.customer_id = ANY ($3)
  AND ($4::text IS NULL OR s.plan_version_id IN (SELECT n.id FROM plan_versions n WHERE n.plan_id = $4))
  AND p.item = 'plan' AND p.timing = 'arrears' AND p.counted IS NOT TRUE AND (p.interval_unit IS NULL
    OR (p.interval_unit = s.interval_unit AND p.interval_count = s.interval_count))`;

const bySubscription = (a: Pick<SubscribedSpan, 'subscriptionId' | 'span'>, b: typeof a): number => {
  if (a.subscriptionId === b.subscriptionId) return a.span.start - b.span.start;
  return a.subscriptionId < b.subscriptionId ? -1 : 1;
};

/**
 * A plan as one whole, whatever is charged when: candidates are compared by what they charge for the same time, and not
 * by when.
 */
const wholePlans = (subscribed: readonly SubscriptionTerms[]): SchedulesOf => {
  const intervals = new Map(subscribed.map(({ planVersionId, cycle }) => [planVersionId, cycle.interval]));
  for (const { changes } of subscribed)
    for (const change of changes) if (change.kind === 'plan') intervals.set(change.planVersionId, change.interval);
  return (planVersionId) => {
    const interval = intervals.get(planVersionId);
    return interval
      ? [{ interval, timing: 'arrears', isCounted: false, isMetered: true, isBounded: false, isProrated: true }]
      : [];
  };
};

const seatsOver = (terms: SubscriptionTerms | undefined, span: Period): QuantityLevel[] => {
  const found = terms && billedItems(terms).find((one) => one.item === planItem && intersect(one.span, span));
  return found ? levelsWithin(found.quantities, span) : [[span.start, 1]];
};

/** Of the month of the calendar in which they end, as billing runs take them. */
const spansOf = async (
  postgres: Queryable,
  organizationId: string,
  month: string,
  customerIds: readonly string[],
  planId: string | null,
): Promise<SubscribedSpan[]> => {
  const { rows } = await postgres.query<SpanRow>(selectSpans, [organizationId, month, customerIds, planId]);
  const whose = ofCustomers(customerIds, planId);
  const subscribed = await subscribedTerms(postgres, organizationId, whose);
  const termsOf = new Map(subscribed.map(({ id, terms }) => [id, terms]));
  const schedules = wholePlans(subscribed.map(({ terms }) => terms));
  const fresh = await freshPeriodsOfMonth(postgres, organizationId, { month }, whose, { schedules });
  const spans = [
    ...rows.map((row) => ({
      subscriptionId: row.subscription_id,
      customerId: row.customer_id,
      currency: row.currency,
      planVersionId: row.plan_version_id,
      segment: row.segment,
      span: periodBetween(row.span_start, row.span_end),
      billing: periodBetween(row.billing_start, row.billing_end),
      interval: intervalFromRow(row),
      timeZone: row.time_zone,
    })),
    ...fresh.filter(({ item }) => item === planItem),
  ];
  const names = await postgres.query<{ id: string; external_id: string; external_ids: string[] }>(
    `SELECT id, external_id, ${externalIdsOf('customers')} AS external_ids FROM customers
     WHERE organization_id = $1 AND id = ANY ($2)
     ORDER BY external_id COLLATE "C"`,
    [organizationId, customerIds],
  );
  const ofCustomer = Map.groupBy(spans, ({ customerId }) => customerId);
  return names.rows.flatMap(({ id, external_id: customerExternalId, external_ids: customerExternalIds }) =>
    (ofCustomer.get(id) ?? [])
      .toSorted(bySubscription)
      .map(({ subscriptionId, customerId, currency, planVersionId, segment, span, billing, interval, timeZone }) => ({
        subscriptionId,
        customerId,
        customerExternalId,
        customerExternalIds,
        currency: storedCurrency(currency),
        planVersionId,
        segment,
        span,
        billing,
        interval,
        timeZone,
        seats: seatsOver(termsOf.get(subscriptionId), span),
      })),
  );
};

/** Read once for each currency. What is charged once is of no month. */
const pricedIn = ({ charges, ...rest }: VersionRow): ((currency: string) => VersionCharges | undefined) => {
  const known = new Map<string, VersionCharges | undefined>();
  const version = { ...rest, charges: charges.filter(({ timing }) => timing !== 'once') };
  return (currency) => {
    if (!known.has(currency)) {
      const isPriced = version.charges.every((charge) => chargeJsonIn(charge, currency, version.plan_currency));
      known.set(currency, isPriced ? chargesOf({ ...version, plan_version_id: version.id, currency }) : undefined);
    }
    return known.get(currency);
  };
};

/** By its place among the plans, under which its meters are named. */
const planNameOf = (plan: number): string => `plan ${plan}`;

/** No plan is called that: nothing stands in the place of prices that no plan has. */
const noPlan = '';

const planOfTerms = ({ terms: { currency, charges, ...terms }, version }: SimulatedPlan, plan: number): PlanOfSpan => {
  const planId = version?.planId ?? noPlan;
  const priced = pricedIn({
    id: planNameOf(plan),
    plan_id: planId,
    plan_currency: currency,
    charges: [...charges],
    terms,
  });
  const interval = mainInterval(charges);
  return (span) => {
    if (!isSameLength(interval, span.interval)) return 'other_interval';
    const found = priced(span.currency);
    return found ? { ...found, planVersionId: planNameOf(plan) } : 'not_priced';
  };
};

type MeterRow = { id: string; code: string; version_number: number; definition: unknown };

export const createReadMonth = (postgres: Postgres): SimulatePorts['readMonth'] => {
  const catalog = createCatalog(postgres);
  const metersOf = async (organizationId: string, plans: readonly (SimulatedPlan | null)[]): Promise<PinnedMeter[]> => {
    const ids = plans.flatMap((plan) => Object.values(plan?.meterVersionIds ?? {}));
    const { rows } = await postgres.query<MeterRow>(
      `SELECT v.id, m.code, v.version_number, v.definition FROM meter_versions v JOIN meters m ON m.id = v.meter_id
       WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
      [organizationId, [...new Set(ids)]],
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    return plans.flatMap((plan, index) =>
      Object.entries(plan?.meterVersionIds ?? {}).map(([code, versionId]) => {
        const row = byId.get(versionId);
        assert(row, `the meter version ${versionId} is there`);
        const { version_number: versionNumber, definition } = row;
        return { planVersionId: planNameOf(index), meter: meterOf({ code, versionNumber, versionId, definition }) };
      }),
    );
  };

  /** What the subscriptions themselves are charged by. */
  const currentPlan = async (organizationId: string, spans: readonly SubscribedSpan[]): Promise<PlanOfSpan> => {
    const ids = [...new Set(spans.map(({ planVersionId }) => planVersionId))];
    const { rows } = await postgres.query<VersionRow>(
      `SELECT id, plan_id, currency AS plan_currency, charges, terms FROM plan_versions
       WHERE organization_id = $1 AND id = ANY ($2)`,
      [organizationId, ids],
    );
    const priced = new Map(rows.map((row) => [row.id, pricedIn(row)]));
    return ({ planVersionId, currency }) => {
      const found = priced.get(planVersionId)?.(currency);
      assert(found, `plan version ${planVersionId} has prices in ${currency}`);
      return { ...found, planVersionId };
    };
  };

  return async ({ simulationId, organizationId, customerIds }, month) => {
    const asked = await postgres.query<{ chosen: ChosenCustomers; plans: SimulatedPlans }>(
      'SELECT chosen, plans FROM simulations WHERE organization_id = $1 AND id = $2',
      [organizationId, simulationId],
    );
    const [simulation] = asked.rows;
    assert(simulation, `the simulation ${simulationId} is there`);
    const { chosen, plans } = simulation;
    const planId = chosen.kind === 'plan' ? chosen.planId : null;
    const spans = await spansOf(postgres, organizationId, monthNameOf(month.start), customerIds, planId);
    const all = [plans.baseline, ...plans.candidates];
    const named = new Map(all.map((plan, index) => [planNameOf(index), plan]));
    const current = plans.baseline ? undefined : await currentPlan(organizationId, spans);
    return {
      spans,
      plans: all.map((plan, index) => (plan ? planOfTerms(plan, index) : (current as NonNullable<typeof current>))),
      metersOf: async (planVersionIds) => {
        const asked = new Set(planVersionIds);
        const own = planVersionIds.filter((id) => !named.has(id));
        return [
          ...(await metersOf(
            organizationId,
            all.map((plan, index) => (asked.has(planNameOf(index)) ? plan : null)),
          )),
          ...(own.length > 0 ? await catalog.meters(organizationId, own) : []),
        ];
      },
    };
  };
};
