/** `/v1/plans/{id}/versions`: what a plan charged, charges, and is to charge. */
import { Type } from 'typebox';
import { PlanId, PlanVersion, PlanVersionParams } from '#schemas/http/catalog.ts';
import { NewPlanVersionDocument, PlanVersionPatchDocument } from '#schemas/http/plan.ts';
import type { Done, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import {
  activateDraft,
  addDraft,
  archiveVersion,
  changeDraft,
  type PlanPorts,
  type VersionChange,
} from './change-plan.ts';
import { planVersionToJson } from './plan-json.ts';

/** A version is a part of its plan: its audit entries are among those of the plan, which they count. */
const versionChanged = (
  action: 'created' | 'updated' | 'activated' | 'archived',
  { plan, before, after }: VersionChange,
): Done => ({
  body: planVersionToJson(after),
  location: `/v1/plans/${plan.id}/versions/${after.versionNumber}`,
  changes: [
    {
      action: `plan_version.${action}`,
      objectType: 'plan',
      objectId: plan.id,
      ...(before && { before: planVersionToJson(before) }),
      after: planVersionToJson(after),
    },
  ],
});

const tag = 'Plans';
const url = '/v1/plans/:id/versions/:version_number';
const read = { tag, scope: 'read:plans', secretKeysOnly: true } as const;
const write = { tag, scope: 'write:plans', rateClass: 'write' } as const;

const readingRoutes = ({ get, list }: Routes, { catalog }: PlanPorts): void => {
  list(
    {
      ...read,
      url: '/v1/plans/:id/versions',
      operation: 'listPlanVersions',
      summary: 'List the versions of a plan: drafts, the active one, archived ones',
      params: PlanId,
      list: catalog.planVersionList,
      answers: { 200: listSchema(PlanVersion) },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await catalog.plan(db, params.id), 'PLAN_NOT_FOUND');
      return listJson(query, await catalog.planVersions(db, id, query), planVersionToJson);
    },
  );
  get(
    {
      ...read,
      url,
      operation: 'getPlanVersion',
      summary: 'Read a version of a plan by its number',
      params: PlanVersionParams,
      answers: { 200: PlanVersion },
      failures: ['PLAN_NOT_FOUND', 'PLAN_VERSION_NOT_FOUND'],
    },
    async ({ db, params: { id: idOrCode, version_number: number } }) => {
      const { id } = found(await catalog.plan(db, idOrCode), 'PLAN_NOT_FOUND');
      return planVersionToJson(found(await catalog.planVersion(db, id, Number(number)), 'PLAN_VERSION_NOT_FOUND'));
    },
  );
};

export const planVersionRoutes = (routes: Routes, ports: PlanPorts): void => {
  const { change } = routes;
  readingRoutes(routes, ports);
  // What a draft charges is read by its own reader, which names every fault at its place.
  change(
    {
      ...write,
      method: 'POST',
      url: '/v1/plans/:id/versions',
      operation: 'createPlanVersion',
      summary: 'Make a draft of what the plan is to charge',
      params: PlanId,
      body: Type.Unknown(),
      documentedBody: NewPlanVersionDocument,
      isBodyOptional: true,
      answers: { 201: PlanVersion },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params, body = {}, nowMs }) => {
      const change = await addDraft(ports, db, params.id, body, new Date(nowMs));
      return { ...versionChanged('created', change), status: 201 };
    },
  );
  change(
    {
      ...write,
      method: 'PATCH',
      url,
      operation: 'updatePlanVersion',
      summary: 'Change a draft of what the plan is to charge',
      params: PlanVersionParams,
      body: Type.Object({}, { minProperties: 1 }),
      documentedBody: PlanVersionPatchDocument,
      answers: { 200: PlanVersion },
      failures: ['PLAN_NOT_FOUND', 'PLAN_VERSION_NOT_FOUND', 'PLAN_VERSION_IMMUTABLE'],
    },
    async ({ db, params, body, nowMs, matchVersion }) =>
      versionChanged('updated', await changeDraft(ports, db, params, body, new Date(nowMs), matchVersion)),
  );
  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/activate`,
      operation: 'activatePlanVersion',
      summary: 'Make a draft the active version; the one that was active becomes archived',
      params: PlanVersionParams,
      answers: { 200: PlanVersion },
      failures: ['PLAN_NOT_FOUND', 'PLAN_VERSION_NOT_FOUND', 'PLAN_VERSION_IMMUTABLE', 'PLAN_VERSION_INCOMPLETE'],
    },
    async ({ db, params, nowMs }) =>
      versionChanged('activated', await activateDraft(ports, db, params, new Date(nowMs))),
  );
  change(
    {
      ...write,
      method: 'POST',
      url: `${url}/archive`,
      operation: 'archivePlanVersion',
      summary: 'Archive the active version, so that nobody subscribes to it any more, or give up a draft',
      params: PlanVersionParams,
      answers: { 200: PlanVersion },
      failures: ['PLAN_NOT_FOUND', 'PLAN_VERSION_NOT_FOUND', 'PLAN_VERSION_IMMUTABLE'],
    },
    async ({ db, params, nowMs }) =>
      versionChanged('archived', await archiveVersion(ports, db, params, new Date(nowMs))),
  );
};
