/** Plans and their versions as callers see them. */
import { mainInterval } from '#schemas/charge-schedule.ts';
import { termsToAnswer } from '#schemas/http/plan.ts';
import { formatInstant } from '#schemas/instant.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { Plan } from './catalog.postgres.ts';
import type { PlanVersion } from './plan-versions.postgres.ts';

/**
 * As everyone may see it. The rest of a plan moves with each draft that is written, which would tell of prices to come,
 * or is what the operator notes.
 */
export const publicPlanToJson = (plan: Plan, featureNames: ReadonlyMap<string, string>) => ({
  ...planHeadToJson(plan),
  ...termsToAnswer(plan.terms),
  entitlements: plan.terms.entitlements.map((one) => ({ ...one, name: featureNames.get(one.feature) ?? one.feature })),
});

const planHeadToJson = (plan: Plan) => ({
  id: plan.id,
  kind: plan.kind,
  code: plan.code,
  name: plan.name,
  interval: mainInterval(plan.terms.charges).unit,
  plan_version_id: plan.planVersionId,
  version_number: plan.versionNumber,
  state: plan.state,
});

export const planToJson = (plan: Plan) => ({
  ...planHeadToJson(plan),
  ...termsToAnswer(plan.terms),
  ...headToJson(plan),
});

const timeToJson = (instant: number | null) => (instant === null ? null : formatInstant(instant));

export const planVersionToJson = (version: PlanVersion) => ({
  id: version.id,
  plan_id: version.planId,
  version_number: version.versionNumber,
  state: version.state,
  interval: mainInterval(version.terms.charges).unit,
  ...termsToAnswer(version.terms),
  activated_at: timeToJson(version.activatedAt),
  archived_at: timeToJson(version.archivedAt),
  version: version.version,
  created_at: formatInstant(version.createdAt),
  updated_at: formatInstant(version.updatedAt),
});
