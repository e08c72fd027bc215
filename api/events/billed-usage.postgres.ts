/** Who the names of events belong to, and up to which watermark their time is billed. */
import { externalIdsOf, selectIdsNamed } from '#platform/stores/customer-names.ts';
import { type TermsRow, termsColumns, termsFromRow } from '#platform/stores/subscription-terms.postgres.ts';
import { defaultTimes } from '#schemas/charge-times.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import type { MeasuredPeriod } from '#schemas/measured-time.ts';
import type { MeterDefinitionJson } from '#schemas/meter.ts';
import { splitNames, usageNames } from '#schemas/names.ts';
import { type ChargeJson, chargeJsonIn } from '#schemas/plan.ts';
import { amountPropertyIn } from '#schemas/price/dynamic.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { Db } from '../route/define-route.ts';
import type { ChargedMeter, KnownSubscription } from './billed-usage.ts';

const known = `
SELECT id AS name FROM customers WHERE organization_id = $1 AND id = ANY ($2)
UNION SELECT external_id FROM customers WHERE organization_id = $1 AND external_id = ANY ($3)
UNION SELECT name FROM customer_aliases WHERE organization_id = $1 AND name = ANY ($3)`;

// Times as milliseconds: JSON has no instants. What is charged in advance, or by a number, measures no usage.
const subscriptions = `
SELECT c.id AS customer_id, ${externalIdsOf('c')} AS external_ids, s.currency, ${termsColumns}, coalesce((
    SELECT json_agg(json_build_object('start', (extract(epoch FROM p.span_start) * 1000)::bigint,
      'end', (extract(epoch FROM p.span_end) * 1000)::bigint, 'watermark', p.watermark::text,
      'version', p.plan_version_id, 'item', p.item, 'unit', p.interval_unit, 'count', p.interval_count,
      'later', (SELECT json_agg(d.watermark::text) FROM billing_periods d
        WHERE d.corrects_id = p.id AND d.state IN ('billed', 'unchanged', 'credited')))
      ORDER BY p.span_start)
    FROM billing_periods p WHERE p.subscription_id = s.id AND p.organization_id = $1 AND p.state = 'billed'
      AND p.timing = 'arrears' AND p.counted IS NOT TRUE AND NOT p.usage_waived),
    '[]') AS periods
FROM customers c JOIN subscriptions s ON s.customer_id = c.id AND s.organization_id = $1
WHERE c.organization_id = $1 AND c.id IN (${selectIdsNamed})
ORDER BY s.id`;

const chargedMeters = `
SELECT p.meter_code AS code, m.version_number, m.id AS meter_version_id, m.definition, v.currency, v.charges
FROM plan_versions v JOIN plan_version_meters p ON p.plan_version_id = v.id
  JOIN meter_versions m ON m.id = p.meter_version_id
WHERE v.organization_id = $1 AND v.id = $2 ORDER BY p.meter_code`;

type ChargedRow = {
  code: string;
  version_number: number;
  meter_version_id: string;
  definition: MeterDefinitionJson;
  currency: string;
  charges: ChargeJson[];
};

/** A billed period that measures usage, as JSON has it. */
export type MeasuredPeriodJson = {
  start: number;
  end: number;
  watermark: string;
  version: string;
  item: string;
  unit: IntervalUnit | null;
  count: number | null;
};

/** With the watermarks of its deltas. */
type CorrectedPeriodJson = MeasuredPeriodJson & { later: string[] | null };

export const measuredPeriodFromJson = (json: MeasuredPeriodJson): MeasuredPeriod => ({
  span: { start: json.start, end: json.end },
  watermark: BigInt(json.watermark),
  planVersionId: json.version,
  item: json.item,
  interval: json.unit === null || json.count === null ? undefined : { unit: json.unit, count: json.count },
});

type SubscriptionRow = TermsRow & {
  customer_id: string;
  external_ids: string[];
  currency: string;
  periods: CorrectedPeriodJson[];
};

export const billedUsage = {
  /** Those of the names that are an id or an external id of a customer. */
  knownNames: async (db: Db, names: readonly string[]): Promise<ReadonlySet<string>> => {
    const { ids, externalIds } = splitNames(names);
    const { rows } = await db.query<{ name: string }>(known, [db.organizationId, ids, externalIds]);
    return new Set(rows.map(({ name }) => name));
  },
  /** All subscriptions of the customers that have one of the names. */
  subscriptionsOf: async (db: Db, names: readonly string[]): Promise<KnownSubscription[]> => {
    const { ids, externalIds } = splitNames(names);
    const { rows } = await db.query<SubscriptionRow>(subscriptions, [db.organizationId, ids, externalIds]);
    return rows.map((row) => ({
      ...termsFromRow(row),
      names: usageNames(row.customer_id, row.external_ids),
      currency: row.currency,
      periods: row.periods.map(({ later, ...period }) => ({
        ...measuredPeriodFromJson(period),
        laterWatermarks: (later ?? []).map(BigInt),
      })),
    }));
  },
  /** What the charges of a plan version count by, each once; of several charges of a meter, one may read an amount. */
  chargedMeters: async (db: Db, planVersionId: string, currency: string): Promise<ChargedMeter[]> => {
    const { rows } = await db.query<ChargedRow>(chargedMeters, [db.organizationId, planVersionId]);
    return rows.flatMap(({ code, version_number, meter_version_id, definition, charges, currency: own }) => {
      const meter = meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition });
      const counted = charges.filter((charge) => charge.meter === code);
      // A charge that is damaged hides no usage: what was bound is charged for.
      const counting = counted.length > 0 ? counted : [undefined];
      const found = counting.map((charge) => ({
        meter,
        amountProperty: charge && amountPropertyIn(chargeJsonIn(charge, currency, own)?.price ?? {}),
        interval: charge?.billing_interval ?? defaultTimes.billing_interval,
      }));
      const key = ({ amountProperty, interval }: ChargedMeter) => JSON.stringify([amountProperty, interval]);
      return [...new Map(found.map((one) => [key(one), one])).values()];
    });
  },
};

export type BilledUsage = typeof billedUsage;
