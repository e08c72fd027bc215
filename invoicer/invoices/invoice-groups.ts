/** What is one invoice, as statements gather it: who is billed, on what terms, and for which billing periods. Pure. */
import assert from 'node:assert/strict';
import { isCurrency } from '#schemas/currency.ts';
import type { InvoicePeriod } from '#schemas/invoice.ts';
import { defaultNumberFormat } from '#schemas/number-format.ts';
import { type RatedLine, type RatedLineJson, ratedLineFromJson } from '#schemas/rated-line.ts';
import type { InvoiceGroup } from './close-period.ts';
import { plainTerms } from './draft-invoice.ts';

export type GroupPeriod = {
  id: string;
  customer: string;
  subscription: string;
  version: string;
  start: number;
  end: number;
};

/** SQL of the row as JSON, which has no instants: times are milliseconds. */
export const groupPeriodColumns = `json_build_object('id', id, 'customer', customer_id, 'subscription', subscription_id,
    'version', plan_version_id, 'start', (extract(epoch FROM span_start) * 1000)::bigint,
    'end', (extract(epoch FROM span_end) * 1000)::bigint)`;

/** What is read of the payer, the customer `c`. */
export const payerColumns = 'c.time_zone, c.payment_days, c.details_digest';

export type GroupRow = {
  payer_id: string;
  currency: string;
  time_zone: string;
  payment_days: number | null;
  details_digest: string | null;
  periods: GroupPeriod[];
};

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

export const groupFromRow = (row: GroupRow): InvoiceGroup => {
  const { payer_id: customerId, currency, time_zone: timeZone, payment_days: paymentDays, periods } = row;
  assert(isCurrency(currency), `${currency} is not a currency`);
  return {
    parties: { customerId, currency, terms: { ...plainTerms, paymentDays } },
    timeZone,
    buyerDigest: row.details_digest,
    numbers: { format: defaultNumberFormat, timeZone: 'UTC' },
    periods: periods.map(groupPeriod),
  };
};
