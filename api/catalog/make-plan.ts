/** The use case of a new plan: what it charges, by which versions of meters. */
import type { Static } from 'typebox';
import { FailureError } from '#schemas/failures.ts';
import type { NewPlan } from '#schemas/http/catalog.ts';
import { type PlanVersionJson, planVersionFromJson, planVersionToJson } from '#schemas/plan.ts';
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { CatalogStore, Plan } from './catalog.postgres.ts';

export type MakePlanPorts = {
  readonly catalog: Pick<CatalogStore, 'newestVersions' | 'addPlan'>;
};

/** Each meter that it names must be there: the plan is bound to the version that is the newest now. */
export const makePlan = async (
  { catalog }: MakePlanPorts,
  db: Db,
  body: Static<typeof NewPlan>,
  nowMs: number,
): Promise<Plan> => {
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
  const made = await catalog.addPlan(db, { ...plan, metadata }, versions, new Date(nowMs));
  if (!made) throw new FailureError('PLAN_ALREADY_EXISTS');
  return made;
};
