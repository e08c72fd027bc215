/** `/v1/meters` and `/v1/plans`. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import { aggregations, propertyPattern } from '#schemas/meter.ts';
import { type PlanVersionJson, planVersionFromJson, planVersionToJson } from '#schemas/plan.ts';
import type { MeterRow, NewMeter, PlanRow } from '../catalog.postgres.ts';
import { readListQuery, toList } from '../lists.ts';
import type { ApiPorts } from '../server.ts';
import { Code, closed, IdParam, Metadata, Name, refuseFaults, resourceJson } from './fields.ts';

const NewMeterBody = Type.Object(
  {
    code: Code,
    name: Name,
    event: Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f]{1,255}$' }),
    aggregation: Type.Enum([...aggregations]),
    property: Type.Optional(Type.String({ pattern: propertyPattern, maxLength: 255 })),
    metadata: Type.Optional(Metadata),
  },
  closed,
);

const meterJson = (row: MeterRow) => ({
  id: row.id,
  code: row.code,
  name: row.name,
  event: row.event,
  aggregation: row.aggregation,
  property: row.property,
  ...resourceJson(row),
});

const planJson = (row: PlanRow) => ({
  id: row.id,
  code: row.code,
  name: row.name,
  currency: row.currency,
  interval: row.billing_interval,
  plan_version_id: row.plan_version_id,
  version_number: row.version_number,
  charges: row.charges,
  ...resourceJson(row),
});

export const catalogRoutes = (app: FastifyInstance, { catalog, clock }: ApiPorts): void => {
  app.post<{ Body: Omit<NewMeter, 'property' | 'metadata'> & Partial<Pick<NewMeter, 'property' | 'metadata'>> }>(
    '/v1/meters',
    { config: { scope: 'write:meters' }, schema: { body: NewMeterBody } },
    async (request, reply) => {
      const { property = null, metadata = {}, ...meter } = request.body;
      if (meter.aggregation === 'count' && property !== null)
        refuseFaults([{ field: 'property', code: 'not_allowed', message: 'must be left out: a count has no property' }]);
      if (meter.aggregation !== 'count' && property === null)
        refuseFaults([{ field: 'property', code: 'missing', message: `must be given: ${meter.aggregation} needs a property` }]);
      const row = await catalog.addMeter(request.caller.organizationId, { ...meter, property, metadata }, new Date(clock.nowMs()));
      if (!row) throw new FailureError('METER_ALREADY_EXISTS');
      return reply.code(201).send(meterJson(row));
    },
  );

  app.get('/v1/meters', { config: { scope: 'read:meters' } }, async (request) => {
    const page = readListQuery(request.query as Record<string, unknown>, []);
    const { rows, total } = await catalog.meters(request.caller.organizationId, page);
    return toList(rows, total, page, meterJson);
  });

  app.get<{ Params: { id: string } }>(
    '/v1/meters/:id',
    { config: { scope: 'read:meters' }, schema: { params: IdParam } },
    async (request) => {
      const row = await catalog.meter(request.caller.organizationId, request.params.id);
      if (!row) throw new FailureError('METER_NOT_FOUND');
      return meterJson(row);
    },
  );

  // A plan is read by its own reader, which names every fault at its place; the schema of the route only bounds what comes in.
  app.post<{ Body: PlanVersionJson & { interval?: string; metadata?: Record<string, string> } }>(
    '/v1/plans',
    {
      config: { scope: 'write:plans' },
      schema: { body: Type.Object({ interval: Type.Optional(Type.Literal('month')), metadata: Type.Optional(Metadata) }) },
    },
    async (request, reply) => {
      const { interval: _monthly, metadata = {}, ...json } = request.body;
      const parsed = planVersionFromJson(json);
      if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
      const plan = planVersionToJson(parsed.value);
      const { organizationId } = request.caller;
      const missing = await catalog.missingMeters(
        organizationId,
        plan.charges.flatMap(({ meter }) => (meter ? [meter] : [])),
      );
      refuseFaults(
        plan.charges.flatMap(({ meter }, index) =>
          meter && missing.has(meter)
            ? [{ field: `charges[${index}].meter`, code: 'not_found', message: `there is no meter ${meter}` }]
            : [],
        ),
      );
      const row = await catalog.addPlan(organizationId, { ...plan, metadata }, new Date(clock.nowMs()));
      if (!row) throw new FailureError('PLAN_ALREADY_EXISTS');
      return reply.code(201).send(planJson(row));
    },
  );

  app.get('/v1/plans', { config: { scope: 'read:plans' } }, async (request) => {
    const page = readListQuery(request.query as Record<string, unknown>, []);
    const { rows, total } = await catalog.plans(request.caller.organizationId, page);
    return toList(rows, total, page, planJson);
  });

  app.get<{ Params: { id: string } }>(
    '/v1/plans/:id',
    { config: { scope: 'read:plans' }, schema: { params: IdParam } },
    async (request) => {
      const row = await catalog.plan(request.caller.organizationId, request.params.id);
      if (!row) throw new FailureError('PLAN_NOT_FOUND');
      return planJson(row);
    },
  );
};
