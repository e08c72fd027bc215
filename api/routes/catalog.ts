/** `/v1/meters` and `/v1/plans`. */
import { FailureError } from '#schemas/failures.ts';
import { Meter, NamePatch, NewMeter, NewMeterDocument, NewPlan, Plan } from '#schemas/http/catalog.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { NewPlanDocument } from '#schemas/http/plan.ts';
import { type PlanVersionJson, planVersionFromJson, planVersionToJson } from '#schemas/plan.ts';
import type { MeterRow, PlanRow } from '../catalog.postgres.ts';
import type { Routes } from '../define-route.ts';
import { listJson, listSchema } from '../lists.ts';
import type { ApiPorts } from '../server.ts';
import { created, found, refuseFaults, resourceJson, updated } from './fields.ts';

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

const meterRoutes = ({ get, list, change }: Routes, { catalog }: ApiPorts): void => {
  const tag = 'Meters';
  change(
    {
      ...{ method: 'POST', url: '/v1/meters', operation: 'createMeter', tag, summary: 'Create a meter' },
      ...{
        scope: 'write:meters',
        rateClass: 'write',
        body: NewMeter,
        documentedBody: NewMeterDocument,
        answers: { 201: Meter },
        failures: ['METER_ALREADY_EXISTS'],
      },
    },
    async ({ db, body, nowMs }) => {
      const { property = null, metadata = {}, ...meter } = body;
      if (meter.aggregation === 'count' && property !== null)
        refuseFaults([{ field: 'property', code: 'not_allowed', message: 'must be left out: a count has no property' }]);
      if (meter.aggregation !== 'count' && property === null)
        refuseFaults([{ field: 'property', code: 'missing', message: `must be given: ${meter.aggregation} needs a property` }]);
      const row = found(await catalog.addMeter(db, { ...meter, property, metadata }, new Date(nowMs)), 'METER_ALREADY_EXISTS');
      return created('meter', '/v1/meters', meterJson(row));
    },
  );
  list(
    {
      ...{ url: '/v1/meters', operation: 'listMeters', tag, summary: 'List meters' },
      ...{ scope: 'read:meters', list: catalog.meterList, answers: { 200: listSchema(Meter) }, failures: [] },
    },
    async ({ db, query }) => listJson(query, await catalog.meters(db, query), meterJson),
  );
  get(
    {
      ...{ url: '/v1/meters/:id', operation: 'getMeter', tag, summary: 'Read a meter by id or code' },
      ...{ scope: 'read:meters', params: IdParam, answers: { 200: Meter }, failures: ['METER_NOT_FOUND'] },
    },
    async ({ db, params }) => meterJson(found(await catalog.meter(db, params.id), 'METER_NOT_FOUND')),
  );
  change(
    {
      ...{ method: 'PATCH', url: '/v1/meters/:id', operation: 'updateMeter', tag, summary: 'Change the name or the metadata of a meter' },
      ...{
        scope: 'write:meters',
        rateClass: 'write',
        params: IdParam,
        body: NamePatch,
        answers: { 200: Meter },
        failures: ['METER_NOT_FOUND'],
      },
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await catalog.meter(db, params.id, 'lock'), 'METER_NOT_FOUND');
      matchVersion(row.version);
      const changed = found(await catalog.changeMeter(db, row.id, { ...row, ...body }, new Date(nowMs)), 'METER_NOT_FOUND');
      return updated('meter', meterJson(row), meterJson(changed));
    },
  );
};

const planRoutes = ({ get, list, change }: Routes, { catalog }: ApiPorts): void => {
  const tag = 'Plans';
  // A plan is read by its own reader, which names every fault at its place; the schema of the route only bounds what comes in.
  change(
    {
      ...{ method: 'POST', url: '/v1/plans', operation: 'createPlan', tag, summary: 'Create a plan with its first version' },
      ...{
        scope: 'write:plans',
        rateClass: 'write',
        body: NewPlan,
        documentedBody: NewPlanDocument,
        answers: { 201: Plan },
        failures: ['PLAN_ALREADY_EXISTS'],
      },
    },
    async ({ db, body, nowMs }) => {
      const { interval: _monthly, metadata = {}, ...json } = body as typeof body & PlanVersionJson;
      const parsed = planVersionFromJson(json);
      if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
      const plan = planVersionToJson(parsed.value);
      const missing = await catalog.missingMeters(
        db,
        plan.charges.flatMap(({ meter }) => (meter ? [meter] : [])),
      );
      refuseFaults(
        plan.charges.flatMap(({ meter }, index) =>
          meter && missing.has(meter)
            ? [{ field: `charges[${index}].meter`, code: 'not_found', message: `there is no meter ${meter}` }]
            : [],
        ),
      );
      const row = found(await catalog.addPlan(db, { ...plan, metadata }, new Date(nowMs)), 'PLAN_ALREADY_EXISTS');
      return created('plan', '/v1/plans', planJson(row));
    },
  );
  list(
    {
      ...{ url: '/v1/plans', operation: 'listPlans', tag, summary: 'List plans' },
      ...{ scope: 'read:plans', list: catalog.planList, answers: { 200: listSchema(Plan) }, failures: [] },
    },
    async ({ db, query }) => listJson(query, await catalog.plans(db, query), planJson),
  );
  get(
    {
      ...{ url: '/v1/plans/:id', operation: 'getPlan', tag, summary: 'Read a plan by id or code' },
      ...{ scope: 'read:plans', params: IdParam, answers: { 200: Plan }, failures: ['PLAN_NOT_FOUND'] },
    },
    async ({ db, params }) => planJson(found(await catalog.plan(db, params.id), 'PLAN_NOT_FOUND')),
  );
  change(
    {
      ...{ method: 'PATCH', url: '/v1/plans/:id', operation: 'updatePlan', tag, summary: 'Change the name or the metadata of a plan' },
      ...{
        scope: 'write:plans',
        rateClass: 'write',
        params: IdParam,
        body: NamePatch,
        answers: { 200: Plan },
        failures: ['PLAN_NOT_FOUND'],
      },
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await catalog.lockPlan(db, params.id), 'PLAN_NOT_FOUND');
      matchVersion(row.version);
      const changed = found(await catalog.changePlan(db, row.id, { ...row, ...body }, new Date(nowMs)), 'PLAN_NOT_FOUND');
      return updated('plan', planJson(row), planJson(changed));
    },
  );
};

export const catalogRoutes = (routes: Routes, ports: ApiPorts): void => {
  meterRoutes(routes, ports);
  planRoutes(routes, ports);
};
