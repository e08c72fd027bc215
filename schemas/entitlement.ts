/**
 * What a plan version entitles to, feature by feature. A feature is a switch, a limit, or metered; which of the three
 * an entitlement is for is told by its fields, and whether its feature is of that type by who knows the features.
 */
import { type Fault, fieldOf, type JsonObject, ownValue, readObject, readQuantity, readText } from '#schemas/fault.ts';
import { codeRule } from '#schemas/names.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';

export const featureTypes = ['switch', 'limit', 'metered'] as const;
export type FeatureType = (typeof featureTypes)[number];

/** When what was used of an allowance is counted from zero again. */
export const resets = ['billing_period', 'day', 'week', 'month', 'quarter', 'year', 'never'] as const;
export type Reset = (typeof resets)[number];
/** What is to become of usage beyond the allowance. */
export const overages = ['allowed', 'refused'] as const;
type Overage = (typeof overages)[number];

type Terms =
  | { readonly type: 'switch'; readonly enabled: boolean }
  /** Null is unlimited. */
  | { readonly type: 'limit'; readonly limit: Quantity | null }
  | { readonly type: 'metered'; readonly allowance: Quantity | null; readonly reset: Reset; readonly overage: Overage };
/** `feature` is the code of one. */
export type Entitlement = { readonly feature: string } & Terms;

export type EntitlementJson = { readonly feature: string } & (
  | { readonly enabled: boolean }
  | { readonly limit: string | null }
  | { readonly allowance: string | null; readonly reset: Reset; readonly overage: Overage }
);

export const entitlementsMax = 200;

/** The first of them must be there. */
export const fieldsByType = {
  switch: ['enabled'],
  limit: ['limit'],
  metered: ['allowance', 'reset', 'overage'],
} as const satisfies Readonly<Record<FeatureType, readonly string[]>>;

const known = ['feature', ...Object.values(fieldsByType).flat()];

/** Absent is none; undefined with a fault. */
export const readEntitlements = (terms: JsonObject, faults: Fault[]): readonly Entitlement[] | undefined => {
  const given = ownValue(terms, 'entitlements');
  const field = 'entitlements';
  if (given === undefined) return [];
  if (!Array.isArray(given)) {
    faults.push({ field, code: 'wrong_type', message: 'must be an array' });
    return undefined;
  }
  if (given.length > entitlementsMax) {
    faults.push({ field, code: 'wrong_length', message: `must have at most ${entitlementsMax} items` });
    return undefined;
  }
  const items: readonly unknown[] = given;
  const firstByFeature = new Map<string, number>();
  const entitlements = items.map((json, index) => {
    const place = `${field}[${index}]`;
    const object = readObject(json, place, known, faults);
    if (!object) return undefined;
    const feature = readText(object, 'feature', place, codeRule, faults);
    const values = readTerms(object, place, faults);
    if (feature === undefined) return undefined;
    const first = firstByFeature.get(feature);
    if (first === undefined) firstByFeature.set(feature, index);
    else
      faults.push({
        field: `${place}.feature`,
        code: 'duplicate',
        message: `has an entitlement already: ${field}[${first}]`,
      });
    return values && { feature, ...values };
  });
  return entitlements.some((one) => one === undefined) ? undefined : entitlements.filter((one) => one !== undefined);
};

/** By the first field that is only there in one type; those of another type are faults. */
const readTerms = (object: JsonObject, place: string, faults: Fault[]): Terms | undefined => {
  const type = featureTypes.find((one) => fieldsByType[one].some((name) => ownValue(object, name) !== undefined));
  if (type === undefined) {
    faults.push({
      field: place,
      code: 'missing',
      message: 'must have enabled, limit or allowance, as its feature is a switch, a limit or metered',
    });
    return undefined;
  }
  const others = featureTypes.filter((one) => one !== type).flatMap((one) => [...fieldsByType[one]]);
  for (const name of others.filter((one) => ownValue(object, one) !== undefined))
    faults.push({
      field: fieldOf(place, name),
      code: 'not_allowed',
      message: `must not stand beside ${fieldsByType[type][0]}`,
    });
  switch (type) {
    case 'switch':
      return readSwitch(object, place, faults);
    case 'limit': {
      const limit = readUnlimited(object, 'limit', place, faults);
      return limit === undefined ? undefined : { type, limit };
    }
    case 'metered':
      return readMetered(object, place, faults);
  }
};

const readSwitch = (object: JsonObject, place: string, faults: Fault[]): Terms | undefined => {
  const enabled = ownValue(object, 'enabled');
  if (typeof enabled === 'boolean') return { type: 'switch', enabled };
  faults.push({ field: fieldOf(place, 'enabled'), code: 'wrong_type', message: 'must be true or false' });
  return undefined;
};

const readMetered = (object: JsonObject, place: string, faults: Fault[]): Terms | undefined => {
  const allowance = readUnlimited(object, 'allowance', place, faults);
  const reset = readWord(object, 'reset', resets, place, faults);
  const overage = readWord(object, 'overage', overages, place, faults);
  return allowance === undefined || !reset || !overage ? undefined : { type: 'metered', allowance, reset, overage };
};

/** A quantity, or null for no limit, which has to be said. */
const readUnlimited = (
  object: JsonObject,
  name: string,
  place: string,
  faults: Fault[],
): Quantity | null | undefined => (ownValue(object, name) === null ? null : readQuantity(object, name, place, faults));

/** The first of the words, where none is given. */
const readWord = <Word extends string>(
  object: JsonObject,
  name: string,
  words: readonly [Word, ...Word[]],
  place: string,
  faults: Fault[],
): Word | undefined => {
  const given = ownValue(object, name);
  const word = given === undefined ? words[0] : words.find((one) => one === given);
  if (word === undefined)
    faults.push({
      field: fieldOf(place, name),
      code: 'not_allowed',
      message: `must be one of ${words.join(', ')}`,
    });
  return word;
};

/** Null is unlimited. */
export const limitToJson = (limit: Quantity | null): string | null => (limit === null ? null : formatQuantity(limit));

export const entitlementToJson = (entitlement: Entitlement): EntitlementJson => {
  const { feature } = entitlement;
  switch (entitlement.type) {
    case 'switch':
      return { feature, enabled: entitlement.enabled };
    case 'limit':
      return { feature, limit: limitToJson(entitlement.limit) };
    case 'metered': {
      const { allowance, reset, overage } = entitlement;
      return { feature, allowance: limitToJson(allowance), reset, overage };
    }
  }
};

/** Of which type its feature must be. */
export const entitlementType = (json: EntitlementJson): FeatureType =>
  'enabled' in json ? 'switch' : 'limit' in json ? 'limit' : 'metered';
