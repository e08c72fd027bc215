/** What a simulation is asked to compare: read in full, with every fault at its place. Pure. */
import { readName } from '#schemas/display-name.ts';
import {
  asObject,
  type Fault,
  fieldOf,
  type JsonObject,
  ownValue,
  readArray,
  readObject,
  readText,
  type TextRule,
} from '#schemas/fault.ts';
import { codeRule } from '#schemas/names.ts';
import { monthOf, type Period } from '#schemas/period.ts';
import { type PlanTermsJson, planTermsFromJson, planTermsToJson } from '#schemas/plan.ts';
import { generalTermNames } from '#schemas/plan-terms.ts';
import { monthsOf, simulationCandidatesMax, simulationIdsMax, simulationMonthsMax } from '#schemas/simulation.ts';
import { readInstant } from '../route/resource-fields.ts';

/** A version of a plan; the active one where no number is said. */
export type PlanReference = { readonly plan: string; readonly version: number | undefined };
type InlinePlan = { readonly name: string; readonly terms: PlanTermsJson };
export type AskedPlan = { readonly field: string } & (PlanReference | InlinePlan);

export type AskedCustomers =
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'plan'; readonly plan: string }
  | { readonly kind: 'all' };

export type AskedSimulation = {
  readonly name: string | null;
  readonly period: Period;
  readonly customers: AskedCustomers;
  /** Undefined is what subscriptions are charged by. */
  readonly baseline: AskedPlan | undefined;
  readonly candidates: readonly AskedPlan[];
};

const versionMax = 999_999_999;
const customerPattern = '^[^\\u0000-\\u001f\\u007f]{1,255}$';
const customerRule: TextRule = {
  pattern: new RegExp(customerPattern, 'u'),
  about: 'the id or external id of a customer',
};

const readMonthBound = (object: JsonObject, name: string, faults: Fault[]): number | undefined => {
  const value = ownValue(object, name);
  if (value === undefined) faults.push({ field: name, code: 'missing', message: 'must be the beginning of a month' });
  const instant = readInstant(value, name, faults);
  if (instant === undefined || monthOf(instant).start === instant) return instant;
  faults.push({
    field: name,
    code: 'not_allowed',
    message:
      'must be the first instant of a month in UTC, such as 2026-10-01T00:00:00Z: each month is a billing period',
  });
  return undefined;
};

const readPeriod = (object: JsonObject, nowMs: number, faults: Fault[]): Period | undefined => {
  const start = readMonthBound(object, 'from', faults);
  const end = readMonthBound(object, 'to', faults);
  if (end !== undefined && end > nowMs)
    faults.push({
      field: 'to',
      code: 'out_of_range',
      message: 'must not be in the future: a month is rated once it has ended',
    });
  if (start === undefined || end === undefined) return undefined;
  if (end <= start) {
    faults.push({ field: 'to', code: 'out_of_range', message: 'must be behind from' });
    return undefined;
  }
  if (monthsOf({ start, end }).length > simulationMonthsMax)
    faults.push({
      field: 'to',
      code: 'out_of_range',
      message: `must be at most ${simulationMonthsMax} months behind from`,
    });
  return { start, end };
};

const readIds = (object: JsonObject, faults: Fault[]): readonly string[] => {
  const items = readArray(object, 'ids', 'customers', simulationIdsMax, faults) ?? [];
  const places = new Map<string, number>();
  for (const [index, item] of items.entries()) {
    const field = `customers.ids[${index}]`;
    const first = typeof item === 'string' ? places.get(item) : undefined;
    if (typeof item !== 'string') faults.push({ field, code: 'wrong_type', message: 'must be a string' });
    else if (!customerRule.pattern.test(item) || !item.isWellFormed())
      faults.push({ field, code: 'wrong_format', message: `must be ${customerRule.about}` });
    else if (first !== undefined)
      faults.push({ field, code: 'duplicate', message: `is already customers.ids[${first}]` });
    else places.set(item, index);
  }
  return [...places.keys()];
};

const customerWays = ['ids', 'plan', 'all'] as const;

const readCustomers = (object: JsonObject, faults: Fault[]): AskedCustomers | undefined => {
  const field = 'customers';
  const given = readObject(ownValue(object, field), field, customerWays, faults);
  if (!given) return undefined;
  const ways = customerWays.filter((way) => ownValue(given, way) !== undefined);
  const [way] = ways;
  if (ways.length !== 1) {
    faults.push({
      field,
      code: ways.length === 0 ? 'missing' : 'not_allowed',
      message: 'must have one of ids, plan and all',
    });
    return undefined;
  }
  if (way === 'ids') return { kind: 'ids', ids: readIds(given, faults) };
  if (way === 'plan') {
    const plan = readText(given, 'plan', field, codeRule, faults);
    return plan === undefined ? undefined : { kind: 'plan', plan };
  }
  if (ownValue(given, 'all') === true) return { kind: 'all' };
  faults.push({ field: 'customers.all', code: 'not_allowed', message: 'must be true, or left out' });
  return undefined;
};

const readVersion = (object: JsonObject, field: string, faults: Fault[]): number | undefined => {
  const version = ownValue(object, 'version');
  if (version === undefined) return undefined;
  if (Number.isInteger(version) && (version as number) >= 1 && (version as number) <= versionMax)
    return version as number;
  faults.push({
    field: fieldOf(field, 'version'),
    code: typeof version === 'number' ? 'out_of_range' : 'wrong_type',
    message: 'must be the number of a version, from 1 on',
  });
  return undefined;
};

const readReference = (json: unknown, field: string, faults: Fault[]): AskedPlan | undefined => {
  const object = readObject(json, field, ['plan', 'version'], faults);
  if (!object) return undefined;
  const plan = readText(object, 'plan', field, codeRule, faults);
  const version = readVersion(object, field, faults);
  return plan === undefined ? undefined : { field, plan, version };
};

const termNames = ['currency', 'charges', ...generalTermNames];

/** The same reader as that of plans, whose places lie within this one. */
const readInline = (json: JsonObject, field: string, faults: Fault[]): AskedPlan | undefined => {
  const object = readObject(json, field, ['name', ...termNames], faults) ?? {};
  const name = readName(object, field, faults);
  const terms = planTermsFromJson(
    Object.fromEntries(Object.entries(object).filter(([key]) => termNames.includes(key))),
  );
  if (!terms.ok) faults.push(...terms.faults.map((fault) => ({ ...fault, field: fieldOf(field, fault.field) })));
  return name === undefined || !terms.ok ? undefined : { field, name, terms: planTermsToJson(terms.value) };
};

const readCandidate = (json: unknown, field: string, faults: Fault[]): AskedPlan | undefined => {
  const object = asObject(json, field, faults);
  if (!object) return undefined;
  return ownValue(object, 'plan') === undefined
    ? readInline(object, field, faults)
    : readReference(object, field, faults);
};

const readBaseline = (object: JsonObject, faults: Fault[]): AskedPlan | undefined => {
  const given = ownValue(object, 'baseline') ?? 'current';
  if (given === 'current') return undefined;
  if (typeof given !== 'string') return readReference(given, 'baseline', faults);
  faults.push({ field: 'baseline', code: 'not_allowed', message: 'must be "current", or an object with a plan' });
  return undefined;
};

const known = ['name', 'from', 'to', 'customers', 'baseline', 'candidates'];

/** Undefined where something is at fault. */
export const readAsked = (json: unknown, nowMs: number, faults: Fault[]): AskedSimulation | undefined => {
  const object = readObject(json, '', known, faults);
  if (!object) return undefined;
  const name = (ownValue(object, 'name') ?? null) === null ? null : readName(object, '', faults);
  const period = readPeriod(object, nowMs, faults);
  const customers = readCustomers(object, faults);
  const baseline = readBaseline(object, faults);
  const candidates = (readArray(object, 'candidates', '', simulationCandidatesMax, faults) ?? []).flatMap(
    (item, index) => readCandidate(item, `candidates[${index}]`, faults) ?? [],
  );
  if (faults.length > 0 || name === undefined || !period || !customers) return undefined;
  return { name, period, customers, baseline, candidates };
};
