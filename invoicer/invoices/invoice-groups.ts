/** What is one invoice, as statements gather it: who is billed, on what terms, and for which billing periods. Pure. */
import assert from 'node:assert/strict';
import { isCurrency } from '#schemas/currency.ts';
import type { InvoiceDefaults } from '#schemas/http/customers.ts';
import type { InvoicePeriod, InvoiceTerms } from '#schemas/invoice.ts';
import { type IssuingEntity, sellerOf } from '#schemas/issuing-entity.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { InvoiceGroup } from './close-period.ts';

export type GroupPeriod = {
  id: string;
  customer: string;
  subscription: string;
  version: string;
  start: number;
  end: number;
  isCredit: boolean;
};

/** SQL of the row as JSON, which has no instants: times are milliseconds. */
export const groupPeriodColumns = `json_build_object('id', id, 'customer', customer_id, 'subscription', subscription_id,
    'version', plan_version_id, 'start', (extract(epoch FROM span_start) * 1000)::bigint,
    'end', (extract(epoch FROM span_end) * 1000)::bigint, 'isCredit', timing = 'credit')`;

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

export const groupPeriod = (row: GroupPeriod): Omit<InvoicePeriod, 'watermark'> => ({
  billingPeriodId: row.id,
  customerId: row.customer,
  subscriptionId: row.subscription,
  planVersionId: row.version,
  span: { start: row.start, end: row.end },
});

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
    creditIds: row.periods.filter(({ isCredit }) => isCredit).map(({ id }) => id),
  };
};
