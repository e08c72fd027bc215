/** `/v1/plans`. */
import { NewPlan, PlanId, PlanPatch, Plan as PlanSchema, WrittenPlan } from '#schemas/http/catalog.ts';
import { NewPlanDocument, PlanPatchDocument } from '#schemas/http/plan.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found, updated } from '../route/resource-fields.ts';
import type { Plan } from './catalog.postgres.ts';
import { changePlan, createPlan, type PlanPorts } from './change-plan.ts';
import { planToJson, publicPlanToJson } from './plan-json.ts';
import { publicSourceNames, publicTerms } from './public-prices.ts';

/** How old a price on a public page may be. */
const publicSeconds = 60;

/** Undefined where everyone may not see it. */
const publicPlan = (plan: Plan | undefined): Plan | undefined => (plan?.state === 'active' ? plan : undefined);

const tag = 'Plans';

const readingRoutes = ({ get, list }: Routes, { catalog, sourceRows }: PlanPorts): void => {
  /** What everyone may see of these plans: features by name, and what is charged now. */
  const publicly = async (db: Db, plans: readonly Plan[], nowMs: number) => {
    const names = await catalog.featureNames(
      db,
      plans.flatMap(({ terms }) => terms.entitlements.map(({ feature }) => feature)),
    );
    const terms = plans.map((plan) => plan.terms);
    const rows = await sourceRows.at(db, publicSourceNames(terms), nowMs);
    return (plan: Plan) => publicPlanToJson({ ...plan, terms: publicTerms(plan.terms, rows, nowMs) }, names);
  };
  list(
    {
      url: '/v1/plans',
      operation: 'listPlans',
      tag,
      summary: 'List plans',
      scope: 'read:plans',
      publicSeconds,
      list: catalog.planList,
      answers: { 200: listSchema(PlanSchema) },
      failures: [],
    },
    async ({ caller, db, query, nowMs }) => {
      if (caller.kind !== 'publishable') return listJson(query, await catalog.plans(db, query), planToJson);
      const plans = await catalog.plans(db, query, 'active');
      return listJson(query, plans, await publicly(db, plans.rows, nowMs));
    },
  );
  get(
    {
      url: '/v1/plans/:id',
      operation: 'getPlan',
      tag,
      summary: 'Read a plan by id or code',
      scope: 'read:plans',
      publicSeconds,
      params: PlanId,
      answers: { 200: PlanSchema },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ caller, db, params, nowMs }) => {
      const plan = await catalog.plan(db, params.id);
      if (caller.kind !== 'publishable') return planToJson(found(plan, 'PLAN_NOT_FOUND'));
      const seen = found(publicPlan(plan), 'PLAN_NOT_FOUND');
      return (await publicly(db, [seen], nowMs))(seen);
    },
  );
};

export const planRoutes = (routes: Routes, ports: PlanPorts): void => {
  const { change } = routes;
  // A plan is read by its own reader, which names every fault at its place; the schema of the route only bounds what
  // comes in.
  change(
    {
      method: 'POST',
      url: '/v1/plans',
      operation: 'createPlan',
      tag,
      summary: 'Create a plan with its first version, which is active at once unless it is to be a draft',
      scope: 'write:plans',
      rateClass: 'write',
      body: NewPlan,
      documentedBody: NewPlanDocument,
      answers: { 201: WrittenPlan },
      failures: ['PLAN_ALREADY_EXISTS'],
    },
    async ({ db, body, nowMs }) => {
      const { interval: _saysNothing, kind = 'plan', metadata = {}, draft = false, ...json } = body;
      const plan = await createPlan(ports, db, json, { kind, metadata, draft }, new Date(nowMs));
      return created('plan', '/v1/plans', planToJson(plan));
    },
  );
  readingRoutes(routes, ports);
  change(
    {
      method: 'PATCH',
      url: '/v1/plans/:id',
      operation: 'updatePlan',
      tag,
      summary: 'Change a plan; other charges make a new active version, and subscriptions keep the one that they have',
      scope: 'write:plans',
      rateClass: 'write',
      params: PlanId,
      body: PlanPatch,
      documentedBody: PlanPatchDocument,
      answers: { 200: WrittenPlan },
      failures: ['PLAN_NOT_FOUND', 'PLAN_NOT_ACTIVE'],
    },
    async ({ db, params, body, nowMs, matchVersion }) => {
      const { name, metadata, ...given } = body;
      const patch = { name, metadata, given };
      const { before, after } = await changePlan(ports, db, params.id, patch, new Date(nowMs), matchVersion);
      return updated('plan', planToJson(before), planToJson(after));
    },
  );
};
