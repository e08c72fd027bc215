/** Issued invoices whose periods an amendment changes, for whoever draws up the difference. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { usageNames } from '#schemas/names.ts';
import {
  type AmendedEvent,
  type AmendmentInStream,
  type BilledChange,
  billedChanges,
  type InvoicedPeriod,
} from './billed-changes.ts';

const periodsStatement = `SELECT p.invoice_id, p.subscription_id, c.id AS customer_id, c.external_id, p.watermark,
    p.span_start, p.span_end
  FROM billing_periods p JOIN customers c ON c.id = p.customer_id
  WHERE p.organization_id = $1 AND p.invoice_id = ANY ($2) AND p.timing <> 'once' AND NOT p.usage_waived`;

type PeriodRow = {
  invoice_id: string;
  subscription_id: string;
  customer_id: string;
  external_id: string;
  watermark: bigint;
  span_start: Date;
  span_end: Date;
};

// Found by whose events of which time they change; times as milliseconds, as JSON has no instants.
const amendmentsStatement = `SELECT a.id, a.stream_sequence,
    json_agg(json_build_object('effect', e.effect, 'customer', e.customer,
    'occurredAt', (extract(epoch FROM e.occurred_at) * 1000)::bigint) ORDER BY e.effect DESC, e.position) AS events
  FROM amended_events e JOIN amendments a ON a.id = e.amendment_id
  WHERE e.organization_id = $1 AND e.customer = ANY ($2) AND e.occurred_at >= $3 AND e.occurred_at < $4
    AND (a.stream_sequence IS NULL OR a.stream_sequence > $5)
  GROUP BY a.id`;

type AmendmentRow = { id: string; stream_sequence: bigint | null; events: AmendedEvent[] };

const toBilled = (row: PeriodRow): InvoicedPeriod => ({
  invoiceId: row.invoice_id,
  subscriptionId: row.subscription_id,
  customers: usageNames(row.customer_id, row.external_id),
  watermark: row.watermark,
  period: { start: row.span_start.getTime(), end: row.span_end.getTime() },
});

const toAmendment = ({ id, stream_sequence: sequence, events }: AmendmentRow): AmendmentInStream => ({
  id,
  sequence: sequence ?? undefined,
  events,
});

/** Of these invoices of an organization, the amendments behind their watermarks and at or under `upTo`. */
export const createBilledChanges =
  (postgres: Queryable) =>
  async (organizationId: string, invoiceIds: readonly string[], upTo: bigint): Promise<BilledChange[]> => {
    const { rows } = await postgres.query<PeriodRow>(periodsStatement, [organizationId, invoiceIds]);
    const periods = rows.map(toBilled);
    if (periods.length === 0) return [];
    const bounds = {
      start: new Date(Math.min(...periods.map(({ period }) => period.start))),
      end: new Date(Math.max(...periods.map(({ period }) => period.end))),
      after: periods.map(({ watermark }) => watermark).sort((a, b) => (a < b ? -1 : 1))[0],
    };
    const names = [...new Set(periods.flatMap(({ customers }) => customers))];
    const found = await postgres.query<AmendmentRow>(amendmentsStatement, [
      organizationId,
      names,
      bounds.start,
      bounds.end,
      bounds.after,
    ]);
    return billedChanges(periods, found.rows.map(toAmendment), upTo);
  };
