/** What is one invoice, as statements gather it: who is billed, on what terms, and for which billing periods. Pure. */
import assert from 'node:assert/strict';
import { ratedBefore } from '#platform/stores/rated-before.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { InvoiceDefaults } from '#schemas/http/customers.ts';
import type { InvoiceTerms } from '#schemas/invoice.ts';
import { type IssuingEntity, sellerOf } from '#schemas/issuing-entity.ts';
import type { LateUsagePolicy } from '#schemas/late-usage.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { GroupedPeriod } from './grouped-periods.ts';
import type { InvoiceGroup } from './invoice-group.ts';

export type GroupPeriod = {
  id: string;
  customer: string;
  subscription: string;
  version: string;
  start: number;
  end: number;
  isCredit: boolean;
  /** Of a delta. */
  corrects: { period: string; invoice: string; before: string; watermark: string; policy: LateUsagePolicy } | null;
};

const correctsColumn = `CASE WHEN p.corrects_id IS NOT NULL THEN (
    SELECT json_build_object('period', p.corrects_id, 'before', b.id, 'watermark', b.watermark::text,
      'invoice', (SELECT f.invoice_id FROM billing_periods f WHERE f.id = p.corrects_id), 'policy', p.late_usage)
    FROM (${ratedBefore}) b) END`;

/** SQL of the row `p` as JSON, which has no instants: times are milliseconds. */
export const groupPeriodColumns = `json_build_object('id', p.id, 'customer', p.customer_id,
    'subscription', p.subscription_id, 'version', p.plan_version_id,
    'start', (extract(epoch FROM p.span_start) * 1000)::bigint,
    'end', (extract(epoch FROM p.span_end) * 1000)::bigint, 'isCredit', p.timing = 'credit',
    'corrects', ${correctsColumn})`;

/** What is read of the payer, the customer `c`, from these tables. */
export const payerTables = '(customers c JOIN organizations o ON o.id = c.organization_id)';
export const payerColumns = `c.time_zone, coalesce(c.payment_days, o.payment_days) AS payment_days,
  coalesce(c.issuing_entity_id, o.issuing_entity_id) AS issuing_entity_id, c.invoice_defaults, c.details_digest`;

export type GroupRow = {
  payer_id: string;
  currency: string;
  time_zone: string;
  payment_days: number | null;
  issuing_entity_id: string | null;
  invoice_defaults: InvoiceDefaults | null;
  details_digest: string | null;
  periods: GroupPeriod[];
};

export type PayerTermsRow = Pick<GroupRow, 'payment_days' | 'issuing_entity_id' | 'invoice_defaults'>;

export const groupPeriod = ({ corrects, ...row }: GroupPeriod): GroupedPeriod => ({
  billingPeriodId: row.id,
  customerId: row.customer,
  subscriptionId: row.subscription,
  planVersionId: row.version,
  span: { start: row.start, end: row.end },
  ...(corrects && {
    correctsId: corrects.period,
    correction: {
      billingPeriodId: corrects.period,
      invoiceId: corrects.invoice,
      before: { billingPeriodId: corrects.before, watermark: BigInt(corrects.watermark) },
      lateUsage: corrects.policy,
    },
  }),
});

/** Of the periods `$1` as they were rated at the watermarks `$2`. */
export const ratedLinesStatement = `
SELECT l.line, p.id, p.span_start, p.span_end FROM unnest($1::text[], $2::bigint[]) AS n (id, watermark)
  JOIN rated_lines l ON l.billing_period_id = n.id AND l.watermark = n.watermark JOIN billing_periods p ON p.id = n.id
ORDER BY n.id, l.position`;

/** Of what deltas correct as it was rated before; undefined where there are none. */
export const ratedBeforeParameters = (periods: readonly GroupedPeriod[]): unknown[] | undefined => {
  const before = periods.flatMap(({ correction }) => correction?.before ?? []);
  if (before.length === 0) return undefined;
  return [before.map(({ billingPeriodId }) => billingPeriodId), before.map(({ watermark }) => watermark)];
};

/** A rated line with its billing period. */
export type RatedRow = { line: RatedLineJson; id: string; span_start: Date; span_end: Date };

export const lineFromRow = ({ line, id, span_start, span_end }: RatedRow): RatedLine =>
  ratedLineFromJson(line, {
    billingPeriodId: id,
    span: { start: span_start.getTime(), end: span_end.getTime() },
  });

const entityOf = ({ issuing_entity_id: id }: PayerTermsRow, entities: ReadonlyMap<string, IssuingEntity>) => {
  const entity = id === null ? undefined : entities.get(id);
  assert(entity !== undefined || id === null, `the issuing entity ${id} is not there`);
  return entity;
};

/** What an invoice of that payer says beside its lines, as things stand. */
export const termsFromRow = (row: PayerTermsRow, entities: ReadonlyMap<string, IssuingEntity>): InvoiceTerms => {
  const { issuing_entity_id: issuingEntityId, invoice_defaults: defaults } = row;
  const entity = entityOf(row, entities);
  return {
    issuingEntityId,
    seller: entity === undefined ? null : sellerOf(entity),
    paymentDays: row.payment_days,
    purchaseOrder: defaults?.purchase_order ?? null,
    memo: defaults?.memo ?? null,
    customFields: defaults?.custom_fields ?? [],
  };
};

export const groupFromRow = (row: GroupRow, entities: ReadonlyMap<string, IssuingEntity>): InvoiceGroup => {
  const { payer_id: customerId, currency } = row;
  assert(isCurrency(currency), `${currency} is not a currency`);
  const entity = entityOf(row, entities);
  const terms = termsFromRow(row, entities);
  return {
    parties: { customerId, currency, terms },
    timeZone: row.time_zone,
    buyerDigest: row.details_digest,
    numbers: entity
      ? { format: entity.numberFormat, timeZone: entity.timeZone }
      : { format: defaultNumberFormat, timeZone: 'UTC' },
    periods: row.periods.map(groupPeriod),
    creditIds: row.periods.filter(({ isCredit, corrects }) => isCredit || corrects).map(({ id }) => id),
  };
};
