/** Whose the customers of an event are, what they are charged by, and which time of theirs is billed where. */
import { externalIdsOf, selectIdsNamed } from '#platform/stores/customer-names.ts';
import { type TermsRow, termsColumns, termsFromRow } from '#platform/stores/subscription-terms.postgres.ts';
import { defaultTimes } from '#schemas/charge-times.ts';
import { lateUsageIn } from '#schemas/late-usage.ts';
import type { Meter, MeterDefinitionJson } from '#schemas/meter.ts';
import { splitNames, usageNames } from '#schemas/names.ts';
import { type ChargeJson, chargeJsonIn } from '#schemas/plan.ts';
import type { GeneralTermsJson } from '#schemas/plan-terms.ts';
import { amountPropertyIn } from '#schemas/price/dynamic.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { Db } from '../route/define-route.ts';
import { type MeasuredPeriodJson, measuredPeriodFromJson } from './billed-usage.postgres.ts';
import type { BillingFacts, DeltaState, SubscriptionFacts, VersionFacts } from './event-fate.ts';

// Of a customer who is named in several ways there is one row.
const customersStatement = `SELECT c.id, ${externalIdsOf('c')} AS external_ids FROM customers c
  WHERE c.organization_id = $1 AND c.id IN (${selectIdsNamed})`;

// Of billed periods those that may be over one of the times; lines from before there were periods name none. What is
// charged in advance, or by a number, measures no usage. Times as milliseconds: JSON has no instants.
const subscriptionsStatement = `SELECT s.id, s.customer_id, s.currency, ${termsColumns},
    (SELECT coalesce(json_agg(json_build_object('invoice', p.invoice_id,
        'start', (extract(epoch FROM p.span_start) * 1000)::bigint,
        'end', (extract(epoch FROM p.span_end) * 1000)::bigint, 'watermark', p.watermark::text,
        'version', p.plan_version_id, 'item', p.item, 'unit', p.interval_unit, 'count', p.interval_count,
        'lines', (SELECT coalesce(json_agg(json_build_object('position', l.position, 'charge', l.charge_code)), '[]')
          FROM invoice_lines l
          WHERE l.invoice_id = p.invoice_id AND l.kind IS DISTINCT FROM 'item'
            AND (l.billing_period_id = p.id OR l.billing_period_id IS NULL)),
        'deltas', (SELECT json_agg(json_build_object('state', d.state, 'invoice', d.invoice_id,
            'watermark', d.watermark::text,
            'lines', (SELECT json_agg(json_build_object('position', l.position, 'charge', l.charge_code))
              FROM invoice_lines l WHERE l.invoice_id = d.invoice_id AND l.billing_period_id = d.id),
            'credits', (SELECT json_agg(json_build_object('position', c.position, 'charge', i.charge_code,
                'note', n.id, 'invoice', n.invoice_id) ORDER BY n.series_number, c.position)
              FROM credit_notes n JOIN credit_note_lines c ON c.credit_note_id = n.id
                JOIN invoice_lines i ON i.invoice_id = c.invoice_id AND i.position = c.invoice_line
              WHERE n.delta_id = d.id))
          ORDER BY d.watermark)
          FROM billing_periods d WHERE d.corrects_id = p.id AND d.state <> 'open'))), '[]')
      FROM billing_periods p WHERE p.organization_id = $1 AND p.subscription_id = s.id AND p.state = 'billed'
        AND p.timing = 'arrears' AND p.counted IS NOT TRUE AND NOT p.usage_waived AND p.span_start <= $4
        AND p.span_end > $3) AS periods
  FROM subscriptions s WHERE s.organization_id = $1 AND s.customer_id = ANY ($2) ORDER BY s.id`;

const versionsStatement = `SELECT v.id, v.currency, v.charges, v.terms,
    (SELECT coalesce(json_agg(json_build_object('code', p.meter_code, 'version_number', mv.version_number,
        'meter_version_id', mv.id, 'definition', mv.definition)), '[]')
      FROM plan_version_meters p JOIN meter_versions mv ON mv.id = p.meter_version_id
      WHERE p.plan_version_id = v.id) AS meters
  FROM plan_versions v WHERE v.organization_id = $1 AND v.id = ANY ($2)`;

type LineJson = { position: number; charge: string };
type DeltaJson = {
  state: DeltaState;
  invoice: string | null;
  watermark: string;
  lines: LineJson[] | null;
  credits: (LineJson & { note: string; invoice: string })[] | null;
};
type PeriodJson = MeasuredPeriodJson & { invoice: string; lines: LineJson[]; deltas: DeltaJson[] | null };
type MeterJson = { code: string; version_number: number; meter_version_id: string; definition: MeterDefinitionJson };

type SubscriptionRow = TermsRow & { id: string; customer_id: string; currency: string; periods: PeriodJson[] };
type VersionRow = {
  id: string;
  currency: string;
  charges: ChargeJson[];
  terms: Partial<GeneralTermsJson> | null;
  meters: MeterJson[];
};

const versionsOf = ({ plan_version_id: initial, changes, periods }: SubscriptionRow): string[] => [
  initial,
  ...(changes ?? []).flatMap(({ version }) => version ?? []),
  ...periods.map(({ version }) => version),
];

const factsOf = (row: VersionRow, currency: string): VersionFacts => ({
  lateUsage: lateUsageIn(row.terms),
  charges: row.charges.map((charge) => ({
    code: charge.code,
    meter: charge.meter ?? undefined,
    interval: charge.billing_interval ?? defaultTimes.billing_interval,
    amountProperty: amountPropertyIn(chargeJsonIn(charge, currency, row.currency)?.price ?? {}),
  })),
  meters: new Map(
    row.meters.map(({ code, version_number, meter_version_id, definition }): [string, Meter] => [
      code,
      meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition }),
    ]),
  ),
});

const creditedLine = ({ position, charge, note, invoice }: NonNullable<DeltaJson['credits']>[number]) => ({
  position,
  charge,
  credit: { invoiceId: invoice, creditNoteId: note },
});

const fromRow = (
  row: SubscriptionRow,
  versions: ReadonlyMap<string, VersionRow>,
  names: readonly string[],
): SubscriptionFacts => ({
  ...termsFromRow(row),
  id: row.id,
  names,
  versions: new Map(
    versionsOf(row).flatMap((id): [string, VersionFacts][] => {
      const version = versions.get(id);
      return version ? [[id, factsOf(version, row.currency)]] : [];
    }),
  ),
  periods: row.periods.map(({ invoice, lines, deltas, ...period }) => ({
    ...measuredPeriodFromJson(period),
    invoiceId: invoice,
    lines,
    deltas: (deltas ?? []).map((delta) => ({
      state: delta.state,
      // What comes to nothing is in what the first invoice bills.
      invoiceId: delta.invoice ?? invoice,
      watermark: BigInt(delta.watermark),
      lines: delta.credits?.map(creditedLine) ?? delta.lines ?? [],
    })),
  })),
});

/** What bills events of these customers, by id or external id, between two times. */
export const billingFactsOf = async (
  db: Db,
  customers: readonly string[],
  span: { start: number; end: number },
): Promise<BillingFacts> => {
  const named = splitNames(customers);
  const { rows: found } = await db.query<{ id: string; external_ids: string[] }>(customersStatement, [
    db.organizationId,
    named.ids,
    named.externalIds,
  ]);
  const namesOf = new Map(found.map(({ id, external_ids }) => [id, usageNames(id, external_ids)]));
  const ids = [...namesOf.keys()];
  const params = [db.organizationId, ids, new Date(span.start), new Date(span.end)];
  const { rows } = ids.length === 0 ? { rows: [] } : await db.query<SubscriptionRow>(subscriptionsStatement, params);
  const versionIds = [...new Set(rows.flatMap(versionsOf))];
  const versionRows =
    versionIds.length === 0
      ? { rows: [] }
      : await db.query<VersionRow>(versionsStatement, [db.organizationId, versionIds]);
  const versions = new Map(versionRows.rows.map((row) => [row.id, row]));
  return {
    customerNames: new Set([...namesOf.values()].flat()),
    subscriptions: rows.map((row) => fromRow(row, versions, namesOf.get(row.customer_id) ?? [])),
  };
};

export type BillingFactsOf = typeof billingFactsOf;
