/** `/v1/subscriptions`. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { formatPeriod, monthOf } from '#schemas/period.ts';
import type { SubscriptionRow } from '../accounts.postgres.ts';
import { readListQuery, toList } from '../lists.ts';
import type { ApiPorts } from '../server.ts';
import { Code, closed, ExternalId, IdParam, Metadata, readInstant, refuseFaults, resourceJson } from './fields.ts';

const NewSubscriptionBody = Type.Object(
  {
    customer_id: ExternalId,
    plan: Type.Union([Code, Type.String({ pattern: '^pln_[0-9a-f]{32}$' })]),
    started_at: Type.Optional(Type.String()),
    metadata: Type.Optional(Metadata),
  },
  closed,
);

export const subscriptionRoutes = (app: FastifyInstance, { accounts, catalog, clock }: ApiPorts): void => {
  const subscriptionJson = (row: SubscriptionRow) => ({
    id: row.id,
    customer_id: row.customer_id,
    plan_id: row.plan_id,
    plan_code: row.plan_code,
    plan_version_id: row.plan_version_id,
    state: row.state,
    started_at: row.started_at.toISOString(),
    ended_at: row.ended_at?.toISOString() ?? null,
    current_period: formatPeriod(monthOf(clock.nowMs())),
    ...resourceJson(row),
  });

  app.post<{ Body: { customer_id: string; plan: string; started_at?: string; metadata?: Record<string, string> } }>(
    '/v1/subscriptions',
    { config: { scope: 'write:subscriptions' }, schema: { body: NewSubscriptionBody } },
    async (request, reply) => {
      const { customer_id: customerId, plan: planId, started_at: startedText, metadata = {} } = request.body;
      const { organizationId } = request.caller;
      const nowMs = clock.nowMs();
      const faults: Fault[] = [];
      const startedAt = readInstant(startedText, 'started_at', faults) ?? nowMs;
      if (startedAt > nowMs) faults.push({ field: 'started_at', code: 'out_of_range', message: 'must not be in the future' });
      refuseFaults(faults);
      const customer = await accounts.customer(organizationId, customerId);
      if (!customer) throw new FailureError('CUSTOMER_NOT_FOUND');
      const plan = await catalog.plan(organizationId, planId);
      if (!plan) throw new FailureError('PLAN_NOT_FOUND');
      const row = await accounts.addSubscription(
        organizationId,
        { customerId: customer.id, planId: plan.id, planVersionId: plan.plan_version_id, startedAt: new Date(startedAt), metadata },
        new Date(nowMs),
      );
      if (!row) throw new FailureError('SUBSCRIPTION_ALREADY_ACTIVE');
      return reply.code(201).send(subscriptionJson(row));
    },
  );

  app.get('/v1/subscriptions', { config: { scope: 'read:subscriptions' } }, async (request) => {
    const page = readListQuery(request.query as Record<string, unknown>, ['customer_id']);
    const { organizationId } = request.caller;
    let customerId: string | undefined;
    if (page.filters.customer_id !== undefined) {
      const customer = await accounts.customer(organizationId, page.filters.customer_id);
      if (!customer) throw new FailureError('CUSTOMER_NOT_FOUND');
      customerId = customer.id;
    }
    const { rows, total } = await accounts.subscriptions(organizationId, { customerId }, page);
    return toList(rows, total, page, subscriptionJson);
  });

  app.get<{ Params: { id: string } }>(
    '/v1/subscriptions/:id',
    { config: { scope: 'read:subscriptions' }, schema: { params: IdParam } },
    async (request) => {
      const row = await accounts.subscription(request.caller.organizationId, request.params.id);
      if (!row) throw new FailureError('SUBSCRIPTION_NOT_FOUND');
      return subscriptionJson(row);
    },
  );
};
