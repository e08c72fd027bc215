/**
 * What of a month is simulated for a shard of customers: their subscriptions' time as a billing run bills it, and the
 * plans that are compared.
 */
import assert from 'node:assert/strict';
import type { Postgres } from '#platform/stores/postgres.ts';
import type { Period } from '#schemas/period.ts';
import { chargeJsonIn } from '#schemas/plan.ts';
import type { ChosenCustomers, SimulatedPlan, SimulatedPlans } from '#schemas/simulation.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import { coveredPeriods } from '#schemas/subscription.ts';
import {
  chargesOf,
  createCatalog,
  storedCurrency,
  type VersionCharges,
  type VersionRow,
} from '../run/catalog.postgres.ts';
import type { PinnedMeter } from '../run/measures.ts';
import type { SimulatePorts } from './rate-simulation.ts';
import type { PlanOfSpan, SubscribedSpan } from './simulated-periods.ts';

type SpanRow = {
  subscription_id: string;
  customer_id: string;
  external_id: string;
  currency: string;
  plan_version_id: string;
  started_at: Date;
  ended_at: Date | null;
  segment: number | null;
  span_start: Date | null;
  span_end: Date | null;
};

/**
 * What was cut into billing periods before is as it was cut, by the plan version that it was cut for; the rest as a run
 * would cut it.
 */
const selectSpans = `
SELECT s.id AS subscription_id, s.customer_id, c.external_id, s.currency, s.started_at, s.ended_at,
  coalesce(p.plan_version_id, s.plan_version_id) AS plan_version_id, p.segment, p.span_start, p.span_end
FROM subscriptions s JOIN customers c ON c.organization_id = s.organization_id AND c.id = s.customer_id
  LEFT JOIN billing_periods p ON p.subscription_id = s.id AND p.billing_start = $3
WHERE s.organization_id = $1 AND s.customer_id = ANY ($2) 
  AND ($5::text IS NULL OR s.plan_version_id IN (SELECT n.id FROM plan_versions n WHERE n.plan_id = $5))
  AND (p.id IS NOT NULL OR s.started_at < $4 AND (s.ended_at IS NULL OR s.ended_at > $3))
ORDER BY c.external_id COLLATE "C", s.id, p.segment`;

const spansOf = (row: SpanRow, month: Period): SubscribedSpan[] => {
  const of = {
    subscriptionId: row.subscription_id,
    customerId: row.customer_id,
    customerExternalId: row.external_id,
    currency: storedCurrency(row.currency),
    planVersionId: row.plan_version_id,
  };
  if (row.segment !== null && row.span_start && row.span_end)
    return [{ ...of, segment: row.segment, span: { start: row.span_start.getTime(), end: row.span_end.getTime() } }];
  const time = { startedAt: row.started_at.getTime(), endedAt: row.ended_at?.getTime() ?? null };
  return coveredPeriods(time, month).map((covered) => ({ ...of, ...covered }));
};

/** Read once for each currency. */
const pricedIn = (version: VersionRow): ((currency: string) => VersionCharges | undefined) => {
  const known = new Map<string, VersionCharges | undefined>();
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
  return (span) => {
    const found = priced(span.currency);
    return found && { ...found, planVersionId: planNameOf(plan) };
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
  const currentPlan = async (
    organizationId: string,
    spans: readonly SubscribedSpan[],
  ): Promise<{ readonly planOf: PlanOfSpan; readonly meters: readonly PinnedMeter[] }> => {
    const ids = [...new Set(spans.map(({ planVersionId }) => planVersionId))];
    const { rows } = await postgres.query<VersionRow>(
      `SELECT id, plan_id, currency AS plan_currency, charges, terms FROM plan_versions
       WHERE organization_id = $1 AND id = ANY ($2)`,
      [organizationId, ids],
    );
    const priced = new Map(rows.map((row) => [row.id, pricedIn(row)]));
    return {
      planOf: ({ planVersionId, currency }) => {
        const found = priced.get(planVersionId)?.(currency);
        assert(found, `plan version ${planVersionId} has prices in ${currency}`);
        return { ...found, planVersionId };
      },
      meters: await catalog.meters(organizationId, ids),
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
    const { rows } = await postgres.query<SpanRow>(selectSpans, [
      organizationId,
      customerIds,
      new Date(month.start),
      new Date(month.end),
      chosen.kind === 'plan' ? chosen.planId : null,
    ]);
    const spans = rows.flatMap((row) => spansOf(row, month));
    const all = [plans.baseline, ...plans.candidates];
    const meters = await metersOf(organizationId, all);
    const current = plans.baseline ? undefined : await currentPlan(organizationId, spans);
    return {
      spans,
      plans: all.map((plan, index) =>
        plan ? planOfTerms(plan, index) : (current as NonNullable<typeof current>).planOf,
      ),
      meters: [...meters, ...(current?.meters ?? [])],
    };
  };
};
