/** `/v1/plans`. */
import { FailureError } from '#schemas/failures.ts';
import { NamePatch, NewPlan, Plan as PlanSchema } from '#schemas/http/catalog.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { NewPlanDocument } from '#schemas/http/plan.ts';
import { type PlanVersionJson, planVersionFromJson, planVersionToJson } from '#schemas/plan.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, refuseFaults, updated } from '../route/resource-fields.ts';
import type { CatalogStore, Plan } from './catalog.postgres.ts';

export type PlanPorts = {
  readonly catalog: CatalogStore;
};

const planJson = (plan: Plan) => ({
  id: plan.id,
  code: plan.code,
  name: plan.name,
  currency: plan.currency,
  interval: plan.billingInterval,
  plan_version_id: plan.planVersionId,
  version_number: plan.versionNumber,
  charges: plan.charges,
  ...headToJson(plan),
});

export const planRoutes = ({ get, list, change }: Routes, { catalog }: PlanPorts): void => {
  const tag = 'Plans';
  // A plan is read by its own reader, which names every fault at its place; the schema of the route only bounds what
  // comes in.
  change(
    {
      method: 'POST',
      url: '/v1/plans',
      operation: 'createPlan',
      tag,
      summary: 'Create a plan with its first version',
      scope: 'write:plans',
      rateClass: 'write',
      body: NewPlan,
      documentedBody: NewPlanDocument,
      answers: { 201: PlanSchema },
      failures: ['PLAN_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { interval: _monthly, metadata = {}, ...json } = body as typeof body & PlanVersionJson;
      const parsed = planVersionFromJson(json);
      if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
      const plan = planVersionToJson(parsed.value);
      const codes = plan.charges.flatMap(({ meter }) => (meter ? [meter] : []));
      const versions = await catalog.newestVersions(db, codes);
      refuseFaults(
        plan.charges.flatMap(({ meter }, index) =>
          meter && !versions.has(meter)
            ? [{ field: `charges[${index}].meter`, code: 'not_found', message: `there is no meter ${meter}` }]
            : [],
        ),
      );
      const row = found(
        await catalog.addPlan(db, { ...plan, metadata }, versions, new Date(nowMs)),
        'PLAN_ALREADY_EXISTS',
      );
      return created('plan', '/v1/plans', planJson(row));
    },
  );
  list(
    {
      url: '/v1/plans',
      operation: 'listPlans',
      tag,
      summary: 'List plans',
      scope: 'read:plans',
      list: catalog.planList,
      answers: { 200: listSchema(PlanSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await catalog.plans(db, query), planJson),
  );
  get(
    {
      url: '/v1/plans/:id',
      operation: 'getPlan',
      tag,
      summary: 'Read a plan by id or code',
      scope: 'read:plans',
      params: IdParam,
      answers: { 200: PlanSchema },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params }) => planJson(found(await catalog.plan(db, params.id), 'PLAN_NOT_FOUND')),
  );
  change(
    {
      method: 'PATCH',
      url: '/v1/plans/:id',
      operation: 'updatePlan',
      tag,
      summary: 'Change the name or the metadata of a plan',
      scope: 'write:plans',
      rateClass: 'write',
      params: IdParam,
      body: NamePatch,
      answers: { 200: PlanSchema },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const row = found(await catalog.lockPlan(db, params.id), 'PLAN_NOT_FOUND');
      matchVersion(row.version);
      const changed = found(
        await catalog.changePlan(db, row.id, { ...row, ...body }, new Date(nowMs)),
        'PLAN_NOT_FOUND',
      );
      return updated('plan', planJson(row), planJson(changed));
    },
  );
};
