/** `/v1/invoices`, and the billing runs that issue them. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { sleep } from '#platform/clock.ts';
import { FailureError } from '#schemas/failures.ts';
import { type IssuedInvoice, issuedInvoiceToJson } from '#schemas/invoice.ts';
import { formatPeriod, monthFromText } from '#schemas/period.ts';
import type { BillingRunRow } from '../invoices.postgres.ts';
import { readListQuery, toList } from '../lists.ts';
import type { ApiPorts } from '../server.ts';
import { closed, ExternalId, IdParam, isTooEarly } from './fields.ts';

/** An issued invoice is what was hashed, and its state beside it. */
const invoiceJson = (invoice: IssuedInvoice) => ({ ...issuedInvoiceToJson(invoice), state: 'issued' });

/** Without its lines, for lists. */
export const invoiceHeadJson = (invoice: IssuedInvoice) => {
  const { lines: _lines, ...head } = invoiceJson(invoice);
  return head;
};

const runJson = (row: BillingRunRow) => ({
  id: row.id,
  period: formatPeriod({ start: row.period_start.getTime(), end: row.period_end.getTime() }),
  customer_id: row.customer_id,
  subscription_id: row.subscription_id,
  state: row.state,
  watermark: row.watermark?.toString() ?? null,
  invoices_issued: row.issued,
  invoices_already_issued: row.already_issued,
  unmeasured_events: Number(row.unmeasured_events),
  rating_ms: row.rated_ms,
  issuing_ms: row.issued_ms,
  failure: row.failure,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});

const NewRunBody = Type.Object(
  {
    period: Type.String({ pattern: '^\\d{4}-(0[1-9]|1[0-2])$' }),
    customer_id: Type.Optional(ExternalId),
    subscription_id: Type.Optional(ExternalId),
  },
  closed,
);

const waitMsMax = 25_000;
const askEveryMs = 50;

export const invoiceRoutes = (app: FastifyInstance, { accounts, invoices, clock }: ApiPorts): void => {
  const runOf = async (organizationId: string, id: string): Promise<BillingRunRow> => {
    const row = await invoices.run(organizationId, id);
    if (!row) throw new FailureError('BILLING_RUN_NOT_FOUND');
    return row;
  };

  /** Waits for the end of a run; undefined once it takes too long or the server stops. */
  const settled = async (organizationId: string, id: string): Promise<boolean> => {
    for (let waitedMs = 0; waitedMs < waitMsMax && app.server.listening; waitedMs += askEveryMs) {
      const state = await invoices.runState(organizationId, id);
      if (state === 'completed' || state === 'failed') return true;
      await sleep(askEveryMs);
    }
    return false;
  };

  // Answers with the finished run where it ends soon (200), otherwise with where to ask for it (202). The run itself is durable either way.
  app.post<{ Body: { period: string; customer_id?: string; subscription_id?: string } }>(
    '/v1/invoices/run',
    { config: { scope: 'write:invoices' }, schema: { body: NewRunBody } },
    async (request, reply) => {
      const { organizationId } = request.caller;
      const { period: month, customer_id: customerId, subscription_id: subscriptionId } = request.body;
      const period = monthFromText(month);
      if (!period || isTooEarly(period.start)) {
        const faults = [{ field: 'period', code: 'wrong_format', message: 'must be a month from 2000-01 on, such as 2026-10' }];
        throw new FailureError('VALIDATION_FAILED', undefined, faults);
      }
      const nowMs = clock.nowMs();
      if (period.end > nowMs) throw new FailureError('PERIOD_NOT_ENDED', `The period ends at ${formatPeriod(period).end}`);
      const customer = customerId === undefined ? undefined : await accounts.customer(organizationId, customerId);
      if (customerId !== undefined && !customer) throw new FailureError('CUSTOMER_NOT_FOUND');
      if (subscriptionId !== undefined && !(await accounts.subscription(organizationId, subscriptionId)))
        throw new FailureError('SUBSCRIPTION_NOT_FOUND');
      const id = await invoices.addRun(
        organizationId,
        { period, customerId: customer?.id ?? null, subscriptionId: subscriptionId ?? null },
        new Date(nowMs),
      );
      const done = await settled(organizationId, id);
      reply.code(done ? 200 : 202).header('location', `/v1/invoices/runs/${id}`);
      return runJson(await runOf(organizationId, id));
    },
  );

  app.get<{ Params: { id: string } }>(
    '/v1/invoices/runs/:id',
    { config: { scope: 'read:invoices' }, schema: { params: IdParam } },
    async (request) => runJson(await runOf(request.caller.organizationId, request.params.id)),
  );

  app.get('/v1/invoices', { config: { scope: 'read:invoices' } }, async (request) => {
    const page = readListQuery(request.query as Record<string, unknown>, ['customer_id', 'subscription_id']);
    const { organizationId } = request.caller;
    const customer = page.filters.customer_id === undefined ? undefined : await accounts.customer(organizationId, page.filters.customer_id);
    if (page.filters.customer_id !== undefined && !customer) throw new FailureError('CUSTOMER_NOT_FOUND');
    const { rows, total } = await invoices.invoices(
      organizationId,
      { customerId: customer?.id, subscriptionId: page.filters.subscription_id },
      page,
    );
    return toList(rows, total, page, invoiceHeadJson);
  });

  app.get<{ Params: { id: string } }>(
    '/v1/invoices/:id',
    { config: { scope: 'read:invoices' }, schema: { params: IdParam } },
    async (request) => {
      const invoice = await invoices.invoice(request.caller.organizationId, request.params.id);
      if (!invoice) throw new FailureError('INVOICE_NOT_FOUND');
      return invoiceJson(invoice);
    },
  );
};
