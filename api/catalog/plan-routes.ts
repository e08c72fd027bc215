/** `/v1/plans`. */
import { NamePatch, NewPlan, PlanId, Plan as PlanSchema } from '#schemas/http/catalog.ts';
import { NewPlanDocument } from '#schemas/http/plan.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, headToJson, updated } from '../route/resource-fields.ts';
import type { CatalogStore, Plan } from './catalog.postgres.ts';
import { makePlan } from './make-plan.ts';

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
      const plan = await makePlan({ catalog }, db, body, nowMs);
      return created('plan', '/v1/plans', planJson(plan));
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
      params: PlanId,
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
      params: PlanId,
      body: NamePatch,
      answers: { 200: PlanSchema },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const plan = found(await catalog.lockPlan(db, params.id), 'PLAN_NOT_FOUND');
      matchVersion(plan.version);
      const { name = plan.name, metadata = plan.metadata } = body;
      const changed = await catalog.changePlan(db, plan.id, { name, metadata }, new Date(nowMs));
      return updated('plan', planJson(plan), planJson(found(changed, 'PLAN_NOT_FOUND')));
    },
  );
};
