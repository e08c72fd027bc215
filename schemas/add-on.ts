/**
 * A plan of the kind `add_on` is taken beside a plan, and not by itself. It has versions like any plan; what it is taken
 * beside, and how many times, is of the version.
 */
import { type Fault, type JsonObject, ownValue, readArray, readObject } from '#schemas/fault.ts';
import { codeRule } from '#schemas/names.ts';

/** For good. */
export const planKinds = ['plan', 'add_on'] as const;
export type PlanKind = (typeof planKinds)[number];

export type AddOn = {
  /** Null is as many as are wanted. */
  readonly maxQuantity: number | null;
  /** Codes of the plans that it goes with; null is all. */
  readonly plans: readonly string[] | null;
};
export type AddOnJson = { readonly max_quantity: number | null; readonly plans: readonly string[] | null };

export const addOnQuantityMax = 1_000_000;
export const addOnPlansMax = 100;

/** What is over a billing period or the whole time is of the plan that a subscription has. */
const ofPlansAlone = ['minimum_term', 'minimum_commitment', 'spend_cap'] as const;

/** Null of a plan that is none; undefined with a fault. */
export const readAddOn = (terms: JsonObject, kind: PlanKind, faults: Fault[]): AddOn | null | undefined => {
  const given = ownValue(terms, 'add_on') ?? null;
  if (kind === 'plan') {
    if (given === null) return null;
    faults.push({ field: 'add_on', code: 'not_allowed', message: 'must be null: the plan is not of the kind add_on' });
    return undefined;
  }
  for (const name of ofPlansAlone)
    if ((ownValue(terms, name) ?? null) !== null)
      faults.push({ field: name, code: 'not_allowed', message: 'must be null: it is of the plan beside an add-on' });
  if (given === null) return { maxQuantity: null, plans: null };
  const object = readObject(given, 'add_on', ['max_quantity', 'plans'], faults);
  if (!object) return undefined;
  const maxQuantity = readMaxQuantity(object, faults);
  const plans = readPlans(object, faults);
  return maxQuantity === undefined || plans === undefined ? undefined : { maxQuantity, plans };
};

const readMaxQuantity = (object: JsonObject, faults: Fault[]): number | null | undefined => {
  const given = ownValue(object, 'max_quantity') ?? null;
  if (given === null) return null;
  if (typeof given === 'number' && Number.isInteger(given) && given >= 1 && given <= addOnQuantityMax) return given;
  faults.push({
    field: 'add_on.max_quantity',
    code: typeof given === 'number' ? 'out_of_range' : 'wrong_type',
    message: `must be a whole number from 1 to ${addOnQuantityMax}, or null`,
  });
  return undefined;
};

const readPlans = (object: JsonObject, faults: Fault[]): readonly string[] | null | undefined => {
  if ((ownValue(object, 'plans') ?? null) === null) return null;
  const items = readArray(object, 'plans', 'add_on', addOnPlansMax, faults);
  const plans = (items ?? []).filter((item) => typeof item === 'string' && codeRule.pattern.test(item)) as string[];
  for (const [index, item] of (items ?? []).entries()) {
    const field = `add_on.plans[${index}]`;
    if (typeof item !== 'string') faults.push({ field, code: 'wrong_type', message: 'must be the code of a plan' });
    else if (!codeRule.pattern.test(item))
      faults.push({ field, code: 'wrong_format', message: `must be ${codeRule.about}` });
    else if (items?.indexOf(item) !== index)
      faults.push({ field, code: 'duplicate', message: 'is in the list already' });
  }
  return items && plans;
};

export const addOnToJson = (addOn: AddOn | null): AddOnJson | null =>
  addOn && { max_quantity: addOn.maxQuantity, plans: addOn.plans };
