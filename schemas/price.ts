/**
 * The price models: their types (whole numbers at a fixed scale), their JSON (decimal strings) and the way between the
 * two. Negative prices are refused in this version: what a customer gets back is a credit, which has its own document.
 *
 * The JSON schemas leave `additionalProperties` open on purpose: Fastify by default deletes silently what a closed
 * schema does not know, so a misspelt `free_units` would vanish and change a bill, whereas `priceFromJson` names each
 * unknown field.
 */
import { Type } from 'typebox';
import {
  asObject,
  decimalPattern,
  type Fault,
  fieldOf,
  type JsonObject,
  ownValue,
  type Parsed,
  readAmount,
  readArray,
  readObject,
  readQuantity,
} from '#schemas/fault.ts';
import { type Amount, formatAmount, zeroAmount } from '#schemas/money.ts';
import { formatQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';

export const PriceModel = { flat: 'flat', perUnit: 'per_unit', graduated: 'graduated', package: 'package' } as const;
export type PriceModel = (typeof PriceModel)[keyof typeof PriceModel];

/** One amount per billing period, whatever was used. */
export type FlatPrice = { readonly model: 'flat'; readonly amount: Amount };

/** Every unit after the free ones costs the same. */
export type PerUnitPrice = { readonly model: 'per_unit'; readonly unitAmount: Amount; readonly freeUnits: Quantity };

/** Each tier prices only the units inside it. Bounds count the units after the free ones. */
export type GraduatedPrice = {
  readonly model: 'graduated';
  readonly tiers: readonly Tier[];
  readonly freeUnits: Quantity;
};

/**
 * The units above the previous tier's `upTo` and not above this one's; `null` is unbounded and stands last.
 * `flatAmount` is charged once as soon as any quantity, however small, falls into the tier.
 */
type Tier = { readonly upTo: Quantity | null; readonly unitAmount: Amount; readonly flatAmount: Amount };

/** `packageAmount` for each started block of `packageSize` units after the free ones. */
export type PackagePrice = {
  readonly model: 'package';
  readonly packageAmount: Amount;
  readonly packageSize: Quantity;
  readonly freeUnits: Quantity;
};

export type Price = FlatPrice | PerUnitPrice | GraduatedPrice | PackagePrice;

export const tiersMax = 100;

const decimal = (description: string) => Type.String({ pattern: decimalPattern, description, examples: ['0.000015'] });
const freeUnits = Type.Optional(decimal('Units that cost nothing, counted from the first of the period; 0 if absent.'));

// The pattern binds strings only, so one schema says both.
const upTo = Type.Unsafe<string | null>({
  type: ['string', 'null'],
  pattern: decimalPattern,
  description: 'Upper bound of the tier, counted from zero; null in the last tier.',
});

export const FlatPriceSchema = Type.Object({
  model: Type.Literal('flat'),
  amount: decimal('Charged once per billing period.'),
});
export const PerUnitPriceSchema = Type.Object({
  model: Type.Literal('per_unit'),
  unit_amount: decimal('Charged for each unit.'),
  free_units: freeUnits,
});
export const TierSchema = Type.Object({
  up_to: upTo,
  unit_amount: decimal('Charged for each unit inside the tier.'),
  flat_amount: Type.Optional(decimal('Charged once if any quantity falls into the tier; 0 if absent.')),
});
export const GraduatedPriceSchema = Type.Object({
  model: Type.Literal('graduated'),
  tiers: Type.Array(TierSchema, { minItems: 1, maxItems: tiersMax }),
  free_units: freeUnits,
});
export const PackagePriceSchema = Type.Object({
  model: Type.Literal('package'),
  package_amount: decimal('Charged for each started package.'),
  package_size: decimal('Units in one package, more than zero.'),
  free_units: freeUnits,
});
export const PriceSchema = Type.Union([FlatPriceSchema, PerUnitPriceSchema, GraduatedPriceSchema, PackagePriceSchema]);
export type PriceJson = Type.Static<typeof PriceSchema>;

/** All faults are listed, each under `field` (the path of the price in the request). */
export const priceFromJson = (json: unknown, field = 'price'): Parsed<Price> => {
  const faults: Fault[] = [];
  const value = readPrice(json, field, faults);
  return value && faults.length === 0 ? { ok: true, value } : { ok: false, faults };
};

/** For readers of a larger whole: adds faults to `faults`. A value that comes back with faults must not be used. */
export const readPrice = (json: unknown, field: string, faults: Fault[]): Price | undefined => {
  const object = asObject(json, field, faults);
  if (!object) return undefined;
  const model = modelFromJson(object);
  if (model) return readers[model](object, field, faults);
  const code = ownValue(object, 'model') === undefined ? 'missing' : 'not_allowed';
  faults.push({ field: fieldOf(field, 'model'), code, message: `must be one of ${Object.keys(readers).join(', ')}` });
  return undefined;
};

/** The model alone, for rules that depend on it and are checked even where the rest of the price is wrong. */
export const modelFromJson = (json: unknown): PriceModel | undefined => {
  const model = asObject(json, '', []) && ownValue(json as JsonObject, 'model');
  return typeof model === 'string' && Object.hasOwn(readers, model) ? (model as PriceModel) : undefined;
};

const readFlat = (json: unknown, field: string, faults: Fault[]): FlatPrice | undefined => {
  const object = readObject(json, field, ['model', 'amount'], faults);
  const amount = object && readAmount(object, 'amount', field, faults);
  return amount === undefined ? undefined : { model: 'flat', amount };
};

const readPerUnit = (json: unknown, field: string, faults: Fault[]): PerUnitPrice | undefined => {
  const object = readObject(json, field, ['model', 'unit_amount', 'free_units'], faults);
  if (!object) return undefined;
  const unitAmount = readAmount(object, 'unit_amount', field, faults);
  const free = readQuantity(object, 'free_units', field, faults, zeroQuantity);
  return unitAmount === undefined || free === undefined
    ? undefined
    : { model: 'per_unit', unitAmount, freeUnits: free };
};

const readPackage = (json: unknown, field: string, faults: Fault[]): PackagePrice | undefined => {
  const object = readObject(json, field, ['model', 'package_amount', 'package_size', 'free_units'], faults);
  if (!object) return undefined;
  const packageAmount = readAmount(object, 'package_amount', field, faults);
  const packageSize = readQuantity(object, 'package_size', field, faults);
  const free = readQuantity(object, 'free_units', field, faults, zeroQuantity);
  if (packageSize === zeroQuantity) {
    faults.push({ field: fieldOf(field, 'package_size'), code: 'not_positive', message: 'must be more than zero' });
  }
  if (packageAmount === undefined || packageSize === undefined || free === undefined) return undefined;
  return { model: 'package', packageAmount, packageSize, freeUnits: free };
};

const readGraduated = (json: unknown, field: string, faults: Fault[]): GraduatedPrice | undefined => {
  const object = readObject(json, field, ['model', 'tiers', 'free_units'], faults);
  if (!object) return undefined;
  const free = readQuantity(object, 'free_units', field, faults, zeroQuantity);
  const items = readArray(object, 'tiers', field, tiersMax, faults);
  if (!items) return undefined;
  const tiers: Tier[] = [];
  let lowerBound: Quantity = zeroQuantity;
  for (const [index, item] of items.entries()) {
    const tier = readTier(item, `${field}.tiers[${index}]`, lowerBound, index === items.length - 1, faults);
    if (tier) tiers.push(tier);
    lowerBound = tier?.upTo ?? lowerBound;
  }
  return free === undefined ? undefined : { model: 'graduated', tiers, freeUnits: free };
};

const readTier = (
  json: unknown,
  field: string,
  lowerBound: Quantity,
  last: boolean,
  faults: Fault[],
): Tier | undefined => {
  const object = readObject(json, field, ['up_to', 'unit_amount', 'flat_amount'], faults);
  if (!object) return undefined;
  const unitAmount = readAmount(object, 'unit_amount', field, faults);
  const flatAmount = readAmount(object, 'flat_amount', field, faults, zeroAmount);
  const bound = readUpTo(object, field, lowerBound, last, faults);
  return unitAmount === undefined || flatAmount === undefined || bound === undefined
    ? undefined
    : { upTo: bound, unitAmount, flatAmount };
};

const readUpTo = (
  object: JsonObject,
  parent: string,
  lowerBound: Quantity,
  last: boolean,
  faults: Fault[],
): Quantity | null | undefined => {
  const field = fieldOf(parent, 'up_to');
  const value = ownValue(object, 'up_to');
  if (last) {
    if (value === null) return null;
    const code = value === undefined ? 'missing' : 'not_allowed';
    faults.push({ field, code, message: 'must be null in the last tier, so that every quantity has a price' });
    return undefined;
  }
  if (value === null) {
    faults.push({ field, code: 'not_allowed', message: 'may be null only in the last tier' });
    return undefined;
  }
  const bound = readQuantity(object, 'up_to', parent, faults);
  if (bound === undefined || bound > lowerBound) return bound;
  faults.push({
    field,
    code: 'not_increasing',
    message: `must be more than ${formatQuantity(lowerBound)}, where the tier begins`,
  });
  return bound;
};

const readers = {
  flat: readFlat,
  per_unit: readPerUnit,
  graduated: readGraduated,
  package: readPackage,
} as const satisfies Record<PriceModel, (json: unknown, field: string, faults: Fault[]) => Price | undefined>;

/**
 * The canonical JSON of a price: fixed key order, canonical decimals, defaults written out; `priceFromJson` reads it
 * back.
 */
export const priceToJson = (price: Price): PriceJson => {
  switch (price.model) {
    case 'flat':
      return { model: price.model, amount: formatAmount(price.amount) };
    case 'per_unit':
      return {
        model: price.model,
        unit_amount: formatAmount(price.unitAmount),
        free_units: formatQuantity(price.freeUnits),
      };
    case 'graduated':
      return { model: price.model, tiers: price.tiers.map(tierToJson), free_units: formatQuantity(price.freeUnits) };
    case 'package':
      return {
        model: price.model,
        package_amount: formatAmount(price.packageAmount),
        package_size: formatQuantity(price.packageSize),
        free_units: formatQuantity(price.freeUnits),
      };
  }
};

const tierToJson = (tier: Tier): Type.Static<typeof TierSchema> => ({
  up_to: tier.upTo === null ? null : formatQuantity(tier.upTo),
  unit_amount: formatAmount(tier.unitAmount),
  flat_amount: formatAmount(tier.flatAmount),
});
