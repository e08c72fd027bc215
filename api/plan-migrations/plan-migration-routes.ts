/** `/v1/plans/{id}/migrations` and `/v1/plan-migrations`: subscriptions of a plan moved to another version. */
import { FailureError } from '#schemas/failures.ts';
import { PlanId } from '#schemas/http/catalog.ts';
import {
  NewPlanMigration,
  PlanMigrationId,
  PlanMigrationOutcome,
  PlanMigrationPreview,
  PlanMigration as PlanMigrationSchema,
} from '#schemas/http/plan-migrations.ts';
import { RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import type { PlanMigrationState } from '#schemas/plan-migration.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Done, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import { type AskPorts, askMigration, readMigration } from './ask-migration.ts';
import { lastingJson, outcomeJson, planMigrationJson, previewJson } from './plan-migration-json.ts';
import type { PlanMigration, PlanMigrationStore } from './plan-migrations.postgres.ts';
import { type PreviewPorts, previewMigration } from './preview-migration.ts';

export type PlanMigrationPorts = AskPorts &
  PreviewPorts & {
    readonly catalog: CatalogStore;
    readonly planMigrations: PlanMigrationStore;
    /** False once the process drains: whoever waits is answered. */
    readonly isServing: () => boolean;
  };

const tag = 'Plan migrations';
const read = { tag, scope: 'read:plan_migrations' } as const;
const write = { tag, scope: 'write:plan_migrations', rateClass: 'write' } as const;
const ofPlan = '/v1/plans/:id/migrations';
const url = '/v1/plan-migrations';

const changed = (action: string, before: PlanMigration | undefined, after: PlanMigration): Done => ({
  status: before ? 200 : 202,
  body: planMigrationJson(after),
  location: `${url}/${after.id}`,
  changes: [
    {
      action: `plan_migration.${action}`,
      objectType: 'plan_migration',
      objectId: after.id,
      ...(before && { before: lastingJson(before) }),
      after: lastingJson(after),
    },
  ],
});

/** What can be done where it stands. */
const steps = {
  pause: { from: ['queued', 'running'], to: 'paused', action: 'paused', can: 'pause' },
  resume: { from: ['paused'], to: 'queued', action: 'resumed', can: 'resume' },
  cancel: { from: ['queued', 'running', 'paused'], to: 'canceled', action: 'canceled', can: 'cancel' },
} as const;
type Step = keyof typeof steps;

const requireStep = (step: Step, state: PlanMigrationState): void => {
  if ((steps[step].from as readonly string[]).includes(state)) return;
  const can = Object.values(steps).filter(({ from }) => (from as readonly string[]).includes(state));
  const allowed =
    can.length > 0 ? `what can be done is ${can.map((one) => one.can).join(', ')}` : 'nothing can be done';
  throw new FailureError('PLAN_MIGRATION_STATE_CONFLICT', `The migration is ${state}: ${allowed}.`);
};

const summaries: Readonly<Record<Step, string>> = {
  pause: 'Pause a migration: nothing more is moved until it is resumed',
  resume: 'Resume a migration that is paused',
  cancel: 'Cancel a migration: what was moved stays moved',
};

const stepRoutes = ({ change }: Routes, { planMigrations }: PlanMigrationPorts): void => {
  for (const step of Object.keys(steps) as Step[])
    change(
      {
        ...write,
        method: 'POST',
        url: `${url}/:id/${step}`,
        operation: `${step}PlanMigration`,
        summary: summaries[step],
        params: PlanMigrationId,
        answers: { 200: PlanMigrationSchema },
        failures: ['PLAN_MIGRATION_NOT_FOUND', 'PLAN_MIGRATION_STATE_CONFLICT'],
      },
      async ({ db, params, nowMs, matchVersion }) => {
        const before = found(await planMigrations.lockMigration(db, params.id), 'PLAN_MIGRATION_NOT_FOUND');
        matchVersion(before.version);
        requireStep(step, before.state);
        const { to, action } = steps[step];
        const after = await planMigrations.changeState(db, before.id, to, new Date(nowMs));
        return changed(action, before, found(after, 'PLAN_MIGRATION_NOT_FOUND'));
      },
    );
};

export const planMigrationRoutes = (routes: Routes, ports: PlanMigrationPorts): void => {
  const { ask, change, get, list } = routes;
  const { catalog, planMigrations, isServing } = ports;
  change(
    {
      ...write,
      method: 'POST',
      url: ofPlan,
      operation: 'createPlanMigration',
      summary: 'Move subscriptions of a plan to another version of it, or to another plan',
      params: PlanId,
      body: NewPlanMigration,
      answers: { 202: PlanMigrationSchema },
      failures: ['PLAN_NOT_FOUND', 'PLAN_IS_ADD_ON', 'PLAN_NOT_ACTIVE', 'PLAN_MIGRATION_UNDER_WAY'],
    },
    async ({ db, params, body, caller, requestId, nowMs }) =>
      changed(
        'created',
        undefined,
        await askMigration(ports, db, params.id, body, { requestId, apiKeyId: caller.keyId }, nowMs),
      ),
  );
  ask(
    {
      ...read,
      url: `${ofPlan}/preview`,
      operation: 'previewPlanMigration',
      summary: 'What a migration would do, without any change',
      params: PlanId,
      body: NewPlanMigration,
      answers: { 200: PlanMigrationPreview },
      failures: ['PLAN_NOT_FOUND', 'PLAN_IS_ADD_ON', 'PLAN_NOT_ACTIVE'],
    },
    async ({ db, params, body, nowMs }) => {
      const asked = await readMigration(ports, db, params.id, body, nowMs);
      const source = found(await catalog.plan(db, params.id), 'PLAN_NOT_FOUND');
      return previewJson(source, await previewMigration(ports, db, asked, nowMs));
    },
  );
  list(
    {
      ...read,
      url: ofPlan,
      operation: 'listPlanMigrations',
      summary: 'List the migrations of a plan',
      params: PlanId,
      list: planMigrations.migrationList,
      answers: { 200: listSchema(PlanMigrationSchema) },
      failures: ['PLAN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await catalog.plan(db, params.id), 'PLAN_NOT_FOUND');
      return listJson(query, await planMigrations.migrations(db, id, query), planMigrationJson);
    },
  );
  get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getPlanMigration',
      summary: 'Read a migration with its progress, or wait for its end',
      params: PlanMigrationId,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      changesByItself: true,
      answers: { 200: PlanMigrationSchema },
      failures: ['PLAN_MIGRATION_NOT_FOUND'],
    },
    async ({ db, params, query, isCallerThere }) => {
      const state = () => planMigrations.migrationState(db, params.id);
      await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      return planMigrationJson(found(await planMigrations.migration(db, params.id), 'PLAN_MIGRATION_NOT_FOUND'));
    },
  );
  list(
    {
      ...read,
      url: `${url}/:id/outcomes`,
      operation: 'listPlanMigrationOutcomes',
      summary: 'What became of each subscription',
      params: PlanMigrationId,
      list: planMigrations.outcomeList,
      answers: { 200: listSchema(PlanMigrationOutcome) },
      failures: ['PLAN_MIGRATION_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await planMigrations.migration(db, params.id), 'PLAN_MIGRATION_NOT_FOUND');
      return listJson(query, await planMigrations.outcomes(db, id, query), outcomeJson);
    },
  );
  stepRoutes(routes, ports);
};
