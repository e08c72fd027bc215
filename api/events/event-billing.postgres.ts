/** Whose the customers of an event are, what they are charged by, and which time of theirs is billed where. */
import type { Meter, MeterDefinitionJson } from '#schemas/meter.ts';
import { splitNames, usageNames } from '#schemas/names.ts';
import { type ChargeJson, chargeJsonIn } from '#schemas/plan.ts';
import { amountPropertyIn } from '#schemas/price/dynamic.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { Db } from '../route/define-route.ts';
import type { BillingFacts, SubscriptionFacts } from './event-fate.ts';

// Of a customer who is named in both ways there is one row.
const customersStatement = `SELECT id, external_id FROM customers WHERE organization_id = $1 AND id = ANY ($2)
  UNION SELECT id, external_id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)`;

// Of billed periods those that may be over one of the times; lines from before there were periods name none. Times as
// milliseconds: JSON has no instants.
const subscriptionsStatement = `SELECT s.id, s.customer_id, s.started_at, s.ended_at,
    s.currency, v.currency AS plan_currency, v.charges,
    (SELECT coalesce(json_agg(json_build_object('code', p.meter_code, 'version_number', mv.version_number,
        'meter_version_id', mv.id, 'definition', mv.definition)), '[]')
      FROM plan_version_meters p JOIN meter_versions mv ON mv.id = p.meter_version_id
      WHERE p.plan_version_id = v.id) AS meters,
    (SELECT coalesce(json_agg(json_build_object('invoice', p.invoice_id,
        'start', (extract(epoch FROM p.span_start) * 1000)::bigint,
        'end', (extract(epoch FROM p.span_end) * 1000)::bigint,
        'watermark', p.watermark::text,
        'lines', (SELECT coalesce(json_agg(json_build_object('position', l.position, 'charge', l.charge_code)), '[]')
          FROM invoice_lines l
          WHERE l.invoice_id = p.invoice_id AND (l.billing_period_id = p.id OR l.billing_period_id IS NULL)))), '[]')
      FROM billing_periods p WHERE p.organization_id = $1 AND p.subscription_id = s.id AND p.state = 'billed'
        AND p.span_start <= $4 AND p.span_end > $3) AS periods
  FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id
  WHERE s.organization_id = $1 AND s.customer_id = ANY ($2) ORDER BY s.id`;

type PeriodJson = {
  invoice: string;
  start: number;
  end: number;
  watermark: string;
  lines: { position: number; charge: string }[];
};
type MeterJson = { code: string; version_number: number; meter_version_id: string; definition: MeterDefinitionJson };

type SubscriptionRow = {
  id: string;
  customer_id: string;
  started_at: Date;
  ended_at: Date | null;
  currency: string;
  plan_currency: string;
  charges: ChargeJson[];
  meters: MeterJson[];
  periods: PeriodJson[];
};

const fromRow = (row: SubscriptionRow, names: readonly string[]): SubscriptionFacts => ({
  id: row.id,
  names,
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  charges: row.charges.map((charge) => ({
    code: charge.code,
    meter: charge.meter ?? undefined,
    amountProperty: amountPropertyIn(chargeJsonIn(charge, row.currency, row.plan_currency)?.price ?? {}),
  })),
  meters: new Map(
    row.meters.map(({ code, version_number, meter_version_id, definition }): [string, Meter] => [
      code,
      meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition }),
    ]),
  ),
  periods: row.periods.map(({ invoice, start, end, watermark, lines }) => ({
    invoiceId: invoice,
    span: { start, end },
    watermark: BigInt(watermark),
    lines,
  })),
});

/** What bills events of these customers, by id or external id, between two times. */
export const billingFactsOf = async (
  db: Db,
  customers: readonly string[],
  span: { start: number; end: number },
): Promise<BillingFacts> => {
  const named = splitNames(customers);
  const { rows: found } = await db.query<{ id: string; external_id: string }>(customersStatement, [
    db.organizationId,
    named.ids,
    named.externalIds,
  ]);
  const namesOf = new Map(found.map(({ id, external_id }) => [id, usageNames(id, external_id)]));
  const ids = [...namesOf.keys()];
  const params = [db.organizationId, ids, new Date(span.start), new Date(span.end)];
  const { rows } = ids.length === 0 ? { rows: [] } : await db.query<SubscriptionRow>(subscriptionsStatement, params);
  return {
    customerNames: new Set([...namesOf.values()].flat()),
    subscriptions: rows.map((row) => fromRow(row, namesOf.get(row.customer_id) ?? [])),
  };
};

export type BillingFactsOf = typeof billingFactsOf;
