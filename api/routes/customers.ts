/** `/v1/customers`, with their usage and invoices. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { isId } from '#schemas/ids.ts';
import { formatPeriod, monthOf, periodOf } from '#schemas/period.ts';
import type { CustomerRow } from '../accounts.postgres.ts';
import { readListQuery, toList } from '../lists.ts';
import type { ApiPorts } from '../server.ts';
import { closed, ExternalId, IdParam, Metadata, Name, readInstant, refuseFaults, resourceJson } from './fields.ts';
import { invoiceHeadJson } from './invoices.ts';

const NewCustomerBody = Type.Object({ external_id: ExternalId, name: Name, metadata: Type.Optional(Metadata) }, closed);

const customerJson = (row: CustomerRow) => ({ id: row.id, external_id: row.external_id, name: row.name, ...resourceJson(row) });

const usageSpanMsMax = 400 * 86_400_000;

export const customerRoutes = (app: FastifyInstance, { accounts, catalog, invoices, readUsage, clock }: ApiPorts): void => {
  const customerOf = async (organizationId: string, id: string): Promise<CustomerRow> => {
    const row = await accounts.customer(organizationId, id);
    if (!row) throw new FailureError('CUSTOMER_NOT_FOUND');
    return row;
  };

  app.post<{ Body: { external_id: string; name: string; metadata?: Record<string, string> } }>(
    '/v1/customers',
    { config: { scope: 'write:customers' }, schema: { body: NewCustomerBody } },
    async (request, reply) => {
      const { external_id: externalId, name, metadata = {} } = request.body;
      // An external id that looks like one of ours could name two customers at once.
      if (isId('cus', externalId))
        refuseFaults([{ field: 'external_id', code: 'not_allowed', message: 'must not have the form of a customer id of ours' }]);
      const row = await accounts.addCustomer(request.caller.organizationId, { externalId, name, metadata }, new Date(clock.nowMs()));
      if (!row) throw new FailureError('CUSTOMER_ALREADY_EXISTS');
      return reply.code(201).send(customerJson(row));
    },
  );

  app.get('/v1/customers', { config: { scope: 'read:customers' } }, async (request) => {
    const page = readListQuery(request.query as Record<string, unknown>, []);
    const { rows, total } = await accounts.customers(request.caller.organizationId, page);
    return toList(rows, total, page, customerJson);
  });

  app.get<{ Params: { id: string } }>(
    '/v1/customers/:id',
    { config: { scope: 'read:customers' }, schema: { params: IdParam } },
    async (request) => customerJson(await customerOf(request.caller.organizationId, request.params.id)),
  );

  app.get<{ Params: { id: string }; Querystring: { from?: string; to?: string } }>(
    '/v1/customers/:id/usage',
    {
      config: { scope: 'read:usage' },
      schema: {
        params: IdParam,
        querystring: Type.Object({ from: Type.Optional(Type.String()), to: Type.Optional(Type.String()) }, closed),
      },
    },
    async (request) => {
      const faults: Fault[] = [];
      const month = monthOf(clock.nowMs());
      const from = readInstant(request.query.from, 'from', faults) ?? month.start;
      const to = readInstant(request.query.to, 'to', faults) ?? month.end;
      if (faults.length === 0 && from >= to) faults.push({ field: 'from', code: 'not_increasing', message: 'must be before to' });
      if (to - from > usageSpanMsMax) faults.push({ field: 'to', code: 'out_of_range', message: 'must be at most 400 days after from' });
      if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
      const { organizationId } = request.caller;
      const customer = await customerOf(organizationId, request.params.id);
      const meters = await catalog.allMeters(organizationId);
      const period = periodOf(from, to);
      const usage = await readUsage(organizationId, [customer.id, customer.external_id], meters, period);
      return {
        customer_id: customer.id,
        external_id: customer.external_id,
        period: formatPeriod(period),
        items: meters.map(({ code }) => ({
          meter: code,
          quantity: usage.get(code)?.quantity ?? '0',
          unmeasured_events: Number(usage.get(code)?.unmeasuredEvents ?? 0n),
        })),
      };
    },
  );

  app.get<{ Params: { id: string } }>(
    '/v1/customers/:id/invoices',
    { config: { scope: 'read:invoices' }, schema: { params: IdParam } },
    async (request) => {
      const page = readListQuery(request.query as Record<string, unknown>, []);
      const { organizationId } = request.caller;
      const customer = await customerOf(organizationId, request.params.id);
      const { rows, total } = await invoices.invoices(organizationId, { customerId: customer.id, subscriptionId: undefined }, page);
      return toList(rows, total, page, invoiceHeadJson);
    },
  );
};
