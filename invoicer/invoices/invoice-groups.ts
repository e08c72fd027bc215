/** Billing periods as statements gather them for an invoice. */
import type { InvoicePeriod } from '#schemas/invoice.ts';

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

export const groupPeriod = (row: GroupPeriod): Omit<InvoicePeriod, 'watermark'> => ({
  billingPeriodId: row.id,
  customerId: row.customer,
  subscriptionId: row.subscription,
  planVersionId: row.version,
  span: { start: row.start, end: row.end },
});
