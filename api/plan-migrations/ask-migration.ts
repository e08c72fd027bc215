/** The use case of asking for a migration of a plan: which versions, whose subscriptions, to which version. */
import type { Static } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { NewPlanMigration as AskedMigration } from '#schemas/http/plan-migrations.ts';
import type { Instant } from '#schemas/period.ts';
import type { CatalogStore, Plan } from '../catalog/catalog.postgres.ts';
import type { PlanVersion } from '../catalog/plan-versions.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { found, readInstant, refuseFaults } from '../route/resource-fields.ts';
import type { CandidateStore } from './candidates.postgres.ts';
import type { NewPlanMigration, PlanMigration, PlanMigrationStore } from './plan-migrations.postgres.ts';

export type AskPorts = {
  readonly catalog: Pick<CatalogStore, 'lockPlan' | 'plan' | 'planVersion' | 'versionsOfPlan'>;
  readonly customers: Pick<CustomerStore, 'customerIds'>;
  readonly candidates: Pick<CandidateStore, 'countCandidates'>;
  readonly planMigrations: Pick<PlanMigrationStore, 'openMigration' | 'addMigration'>;
};

type Asked = Static<typeof AskedMigration>;

/** What is asked for, as it stands in the catalog. */
export type ReadMigration = Omit<NewPlanMigration, 'total' | 'requestId' | 'apiKeyId'> & {
  readonly from: readonly PlanVersion[];
  readonly to: Plan;
};

const requirePlan = (plan: Plan): Plan => {
  if (plan.kind === 'add_on') throw new FailureError('PLAN_IS_ADD_ON');
  return plan;
};

/** The active version of the plan, which `version` names where it says one. */
const target = async (
  { catalog }: AskPorts,
  db: Db,
  source: Plan,
  { plan: name = source.code, version }: NonNullable<Asked['to']>,
  faults: Fault[],
): Promise<Plan | undefined> => {
  const plan = await catalog.plan(db, name);
  if (!plan) {
    faults.push({ field: 'to.plan', code: 'not_found', message: `there is no plan ${name}` });
    return undefined;
  }
  requirePlan(plan);
  if (version !== undefined && !(await catalog.planVersion(db, plan.id, version))) {
    faults.push({ field: 'to.version', code: 'not_found', message: `the plan has no version ${version}` });
    return undefined;
  }
  if (plan.state !== 'active') throw new FailureError('PLAN_NOT_ACTIVE');
  if (version === undefined || version === plan.versionNumber) return plan;
  throw new FailureError(
    'PLAN_NOT_ACTIVE',
    `Version ${version} of the plan ${plan.code} is not active: version ${plan.versionNumber} is, and subscriptions are moved to an active version alone.`,
  );
};

const versionsFrom = async (
  { catalog }: AskPorts,
  db: Db,
  source: Plan,
  asked: Asked['from_version'],
  to: Plan,
  faults: Fault[],
): Promise<readonly PlanVersion[]> => {
  const refuse = (code: string, message: string): [] => {
    faults.push({ field: 'from_version', code, message });
    return [];
  };
  if (asked !== 'all') {
    const version = await catalog.planVersion(db, source.id, asked);
    if (!version) return refuse('not_found', `the plan has no version ${asked}`);
    if (version.activatedAt === null) return refuse('not_allowed', 'was never active: no subscription has it');
    if (version.id === to.planVersionId) return refuse('not_allowed', 'is the version that is moved to');
    return [version];
  }
  const versions = (await catalog.versionsOfPlan(db, source.id)).filter(
    ({ id, activatedAt }) => activatedAt !== null && id !== to.planVersionId,
  );
  return versions.length > 0 ? versions : refuse('not_allowed', 'the plan has no version to move from');
};

const customersOf = async (
  { customers }: AskPorts,
  db: Db,
  names: readonly string[] | undefined,
  faults: Fault[],
): Promise<readonly string[] | null> => {
  if (names === undefined) return null;
  const ids = await customers.customerIds(db, names);
  for (const [index, name] of names.entries())
    if (!ids.has(name))
      faults.push({
        field: `filter.customer_ids[${index}]`,
        code: 'not_found',
        message: `there is no customer ${name}`,
      });
  return [...new Set(ids.values())];
};

const startMsMax = 366 * 86_400_000;

const startOf = (asked: string | undefined, nowMs: Instant, faults: Fault[]): Instant | null => {
  const instant = readInstant(asked, 'starts_at', faults);
  if (instant === undefined) return null;
  const refuse = (message: string) => faults.push({ field: 'starts_at', code: 'out_of_range', message });
  if (instant < nowMs) refuse('must not be past');
  if (instant > nowMs + startMsMax) refuse('must be at most a year ahead');
  return instant;
};

/** Throws all faults of the request at once. */
export const readMigration = async (
  ports: AskPorts,
  db: Db,
  planId: string,
  asked: Asked,
  nowMs: Instant,
): Promise<ReadMigration> => {
  const source = requirePlan(found(await ports.catalog.plan(db, planId), 'PLAN_NOT_FOUND'));
  const faults: Fault[] = [];
  const to = await target(ports, db, source, asked.to ?? {}, faults);
  const from = to ? await versionsFrom(ports, db, source, asked.from_version, to, faults) : [];
  const startsAt = startOf(asked.starts_at, nowMs, faults);
  const customerIds = await customersOf(ports, db, asked.filter?.customer_ids, faults);
  refuseFaults(faults);
  if (!to) throw new FailureError('PLAN_NOT_FOUND');
  return {
    planId: source.id,
    fromVersion: asked.from_version === 'all' ? null : asked.from_version,
    fromVersionIds: from.map(({ id }) => id),
    toPlanId: to.id,
    toVersionId: to.planVersionId,
    at: asked.at ?? 'period_end',
    bills: asked.invoice ?? 'next',
    customerIds,
    currency: asked.filter?.currency ?? null,
    startsAt,
    from,
    to,
  };
};

export const askMigration = async (
  ports: AskPorts,
  db: Db,
  planId: string,
  asked: Asked,
  { requestId, apiKeyId }: { readonly requestId: string; readonly apiKeyId: string },
  nowMs: number,
): Promise<PlanMigration> => {
  // Until the transaction ends no other version of either becomes active.
  for (const name of new Set([planId, asked.to?.plan ?? planId])) await ports.catalog.lockPlan(db, name, 'subscribe');
  const { from: _from, to: _to, ...read } = await readMigration(ports, db, planId, asked, nowMs);
  const total = await ports.candidates.countCandidates(db, read);
  const added = await ports.planMigrations.addMigration(db, { ...read, total, requestId, apiKeyId }, new Date(nowMs));
  if (added) return added;
  const open = await ports.planMigrations.openMigration(db, read.planId);
  throw new FailureError(
    'PLAN_MIGRATION_UNDER_WAY',
    `The migration ${open ?? 'before'} of the plan is under way: wait for its end, or cancel it with POST /v1/plan-migrations/{id}/cancel.`,
  );
};
