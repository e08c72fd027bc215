/** Issued invoices whose periods an amendment changes, for whoever draws up the difference. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { usageNames } from '#schemas/names.ts';
import {
  type AmendedEvent,
  type AmendmentInStream,
  type BilledChange,
  type BilledInvoice,
  billedChanges,
} from './billed-changes.ts';

const invoicesStatement = `SELECT i.id, i.subscription_id, c.id AS customer_id, c.external_id, i.watermark,
    greatest(i.period_start, s.started_at) AS covered_from, least(i.period_end, coalesce(s.ended_at, i.period_end)) AS covered_to
  FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id JOIN customers c ON c.id = i.customer_id
  WHERE i.organization_id = $1 AND i.id = ANY ($2)`;

type InvoiceRow = {
  id: string;
  subscription_id: string;
  customer_id: string;
  external_id: string;
  watermark: bigint;
  covered_from: Date;
  covered_to: Date;
};

// Found by whose events of which time they change; times as milliseconds, as JSON has no instants.
const amendmentsStatement = `SELECT a.id, a.stream_sequence, json_agg(json_build_object('effect', e.effect, 'customer', e.customer,
    'occurredAt', (extract(epoch FROM e.occurred_at) * 1000)::bigint) ORDER BY e.effect DESC, e.position) AS events
  FROM amended_events e JOIN amendments a ON a.id = e.amendment_id
  WHERE e.organization_id = $1 AND e.customer = ANY ($2) AND e.occurred_at >= $3 AND e.occurred_at < $4
    AND (a.stream_sequence IS NULL OR a.stream_sequence > $5)
  GROUP BY a.id`;

type AmendmentRow = { id: string; stream_sequence: bigint | null; events: AmendedEvent[] };

const toInvoice = (row: InvoiceRow): BilledInvoice => ({
  id: row.id,
  subscriptionId: row.subscription_id,
  customers: usageNames(row.customer_id, row.external_id),
  watermark: row.watermark,
  period: { start: row.covered_from.getTime(), end: row.covered_to.getTime() },
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
    const { rows } = await postgres.query<InvoiceRow>(invoicesStatement, [organizationId, invoiceIds]);
    const invoices = rows.map(toInvoice);
    if (invoices.length === 0) return [];
    const bounds = {
      start: new Date(Math.min(...invoices.map(({ period }) => period.start))),
      end: new Date(Math.max(...invoices.map(({ period }) => period.end))),
      after: invoices.map(({ watermark }) => watermark).sort((a, b) => (a < b ? -1 : 1))[0],
    };
    const names = [...new Set(invoices.flatMap(({ customers }) => customers))];
    const found = await postgres.query<AmendmentRow>(amendmentsStatement, [
      organizationId,
      names,
      bounds.start,
      bounds.end,
      bounds.after,
    ]);
    return billedChanges(invoices, found.rows.map(toAmendment), upTo);
  };
