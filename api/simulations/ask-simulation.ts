/**
 * The use case of asking for a simulation: what it compares is looked up and written down with all that decides its
 * answer, so that a change of a plan or a meter afterwards changes nothing of it. The work itself is the rater's.
 */
import { unbilledTimeFaults } from '#schemas/charge-times.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import {
  type ChosenCustomers,
  type SimulatedPlan,
  simulationChargesMax,
  simulationsOpenMax,
} from '#schemas/simulation.ts';
import { type BindPorts, bindTerms } from '../catalog/bind-terms.ts';
import type { Plan } from '../catalog/catalog.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import { type AskedCustomers, type AskedPlan, type PlanReference, readAsked } from './read-asked.ts';
import type { Simulation, SimulationStore } from './simulations.postgres.ts';

export type AskPorts = BindPorts & {
  readonly customers: Pick<CustomerStore, 'customerIds'>;
  readonly simulations: SimulationStore;
};

const notFound = (field: string, message: string): Fault => ({ field, code: 'not_found', message });

const chosenCustomers = async (
  { catalog, customers }: AskPorts,
  db: Db,
  asked: AskedCustomers,
  faults: Fault[],
): Promise<ChosenCustomers> => {
  if (asked.kind === 'all') return asked;
  if (asked.kind === 'plan') {
    const plan = await catalog.plan(db, asked.plan);
    if (!plan) faults.push(notFound('customers.plan', `there is no plan ${asked.plan}`));
    return { kind: 'plan', planId: plan?.id ?? '', planCode: plan?.code ?? '' };
  }
  const ids = await customers.customerIds(db, asked.ids);
  const places = new Map<string, number>();
  for (const [index, name] of asked.ids.entries()) {
    const field = `customers.ids[${index}]`;
    const id = ids.get(name);
    const first = id === undefined ? undefined : places.get(id);
    if (id === undefined) faults.push(notFound(field, `there is no customer ${name}`));
    else if (first !== undefined)
      faults.push({ field, code: 'duplicate', message: `is the same customer as customers.ids[${first}]` });
    else places.set(id, index);
  }
  return { kind: 'ids', customerIds: [...places.keys()] };
};

type Found = Pick<SimulatedPlan, 'name' | 'version' | 'terms'> & {
  /** Undefined where meters were never bound: those of now are taken. */
  readonly boundTo: ReadonlyMap<string, string> | undefined;
};

/** A version of a plan; a draft has no meters yet. */
const versionOf = async (
  { catalog }: AskPorts,
  db: Db,
  field: string,
  { plan: name, version: number }: PlanReference,
  faults: Fault[],
): Promise<Found | undefined> => {
  const plan = await catalog.plan(db, name);
  if (!plan) {
    faults.push(notFound(`${field}.plan`, `there is no plan ${name}`));
    return undefined;
  }
  const version = await catalog.planVersion(db, plan.id, number ?? plan.versionNumber);
  if (!version) {
    faults.push(notFound(`${field}.version`, `the plan has no version ${number}`));
    return undefined;
  }
  if (number === undefined && version.state !== 'active') {
    faults.push(notActive(field, plan));
    return undefined;
  }
  const { id: planVersionId, versionNumber, terms } = version;
  const pinned = await catalog.pinnedMeters(db, planVersionId);
  return {
    name: plan.name,
    version: { planId: plan.id, planCode: plan.code, planVersionId, versionNumber },
    terms,
    boundTo: version.activatedAt === null ? undefined : new Map(pinned.map(({ code, versionId }) => [code, versionId])),
  };
};

const notActive = (field: string, { versionNumber }: Plan): Fault => ({
  field: `${field}.plan`,
  code: 'not_active',
  message: `the plan has no active version; name one by its number, such as ${versionNumber}`,
});

type Bound = { readonly meters: ReadonlyMap<string, string>; readonly faults: readonly Fault[] };

/** The versions of meters as an activation would bind them now, and what it would refuse. */
const boundNow = async (ports: AskPorts, db: Db, terms: PlanTermsJson): Promise<Bound> => {
  const unbilled = unbilledTimeFaults(terms.charges, 'charges');
  try {
    const { meters } = await bindTerms(ports, db, terms, 'VALIDATION_FAILED', undefined);
    return { meters, faults: unbilled };
  } catch (error) {
    if (!(error instanceof FailureError)) throw error;
    return { meters: new Map(), faults: [...error.faults, ...unbilled] };
  }
};

const simulatedPlan = async (
  ports: AskPorts,
  db: Db,
  asked: AskedPlan,
  faults: Fault[],
): Promise<SimulatedPlan | undefined> => {
  const { field } = asked;
  const found: Found | undefined =
    'terms' in asked
      ? { name: asked.name, version: null, terms: asked.terms, boundTo: undefined }
      : await versionOf(ports, db, field, asked, faults);
  if (!found) return undefined;
  const { name, version, terms, boundTo } = found;
  const bound = boundTo ? { meters: boundTo, faults: [] } : await boundNow(ports, db, terms);
  // The charges of a draft are not of this body: their faults are its.
  for (const fault of bound.faults)
    faults.push(
      version
        ? { ...fault, field: `${field}.version`, message: `${fault.field} of the draft: ${fault.message}` }
        : { ...fault, field: `${field}.${fault.field}` },
    );
  return { name, version, terms, meterVersionIds: Object.fromEntries(bound.meters) };
};

export type Asking = { readonly body: unknown; readonly requestId: string; readonly apiKeyId: string };

export const askSimulation = async (
  ports: AskPorts,
  db: Db,
  { body, requestId, apiKeyId }: Asking,
  nowMs: number,
): Promise<Simulation> => {
  const faults: Fault[] = [];
  const asked = readAsked(body, nowMs, faults);
  refuseFaults(faults);
  if (!asked) throw new FailureError('VALIDATION_FAILED');
  const chosen = await chosenCustomers(ports, db, asked.customers, faults);
  const baseline = asked.baseline && (await simulatedPlan(ports, db, asked.baseline, faults));
  const candidates: SimulatedPlan[] = [];
  for (const one of asked.candidates) {
    const plan = await simulatedPlan(ports, db, one, faults);
    if (plan) candidates.push(plan);
  }
  const charges = [baseline, ...candidates].reduce((sum, plan) => sum + (plan?.terms.charges.length ?? 0), 0);
  if (charges > simulationChargesMax) {
    const message = `must have at most ${simulationChargesMax} charges in all, with the baseline, not ${charges}`;
    faults.push({ field: 'candidates', code: 'wrong_length', message });
  }
  refuseFaults(faults);
  if ((await ports.simulations.countOpen(db)) >= simulationsOpenMax) throw new FailureError('TOO_MANY_SIMULATIONS');
  const { name, period } = asked;
  const plans = { baseline: baseline ?? null, candidates };
  return ports.simulations.add(db, { name, period, chosen, plans, requestId, apiKeyId }, new Date(nowMs));
};
