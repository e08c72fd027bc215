/** A price model: its name, its fields, what it asks of usage, and what only a look at several fields can tell. */
import { type TObject, Type } from 'typebox';
import { type Fault, fieldOf, type JsonObject, readObject } from '#schemas/fault.ts';
import { closed } from '#schemas/http/fields.ts';
import {
  type ChangeAmount,
  type Fields,
  fieldsOfObject,
  optionalAmountField,
  quantityOrZeroField,
  type SchemaPrefix,
  type ValuesOf,
} from '#schemas/price/field.ts';
import type { UsageParts } from '#schemas/price/usage-parts.ts';

export type Model<Name extends string, Values> = {
  readonly name: Name;
  /** Whether it prices what a meter measured. */
  readonly metered: boolean;
  readonly schema: (prefix: SchemaPrefix) => TObject;
  /** Adds faults to `faults`; a value that comes with faults must not be used. */
  readonly read: (object: JsonObject, field: string, faults: Fault[]) => PriceOf<Model<Name, Values>> | undefined;
  /** Canonical: fixed key order, canonical decimals, defaults written out, what is not there left out. */
  toJson(price: Values): JsonObject;
  /** What it must know beyond the one quantity of its meter. */
  partsOf(price: Values): UsageParts;
  /** Every amount of money in the price, replaced; `field` is the place of the price. */
  mapAmounts(price: Values, field: string, change: ChangeAmount): Values;
};
/** A price of the model. */
export type PriceOf<M> =
  M extends Model<infer Name, infer Values> ? { readonly model: Name } & Readonly<Values> : never;

type ModelOptions<Values> = {
  readonly title: string;
  readonly metered?: boolean;
  readonly check?: (price: Values, field: string, faults: Fault[]) => void;
  readonly partsOf?: (price: Values) => UsageParts;
};

export const defineModel = <const Name extends string, F extends Fields>(
  name: Name,
  fields: F,
  { title, metered = true, check, partsOf = () => ({}) }: ModelOptions<ValuesOf<F>>,
): Model<Name, ValuesOf<F>> => {
  const own = fieldsOfObject(fields);
  const names = ['model', ...own.names];
  return {
    name,
    metered,
    schema: (prefix) =>
      Type.Object(
        { model: Type.Literal(name), ...own.schemas(prefix) },
        { ...closed, title: `${metered ? prefix : ''}${title}` },
      ),
    read: (json, field, faults) => {
      const object = readObject(json, field, names, faults);
      const values = object && own.read(object, field, faults);
      if (!values) return undefined;
      check?.(values, field, faults);
      return { model: name, ...values } as PriceOf<Model<Name, ValuesOf<F>>>;
    },
    toJson: (price) => ({ model: name, ...own.toJson(price) }),
    partsOf,
    mapAmounts: own.mapAmounts,
  };
};

export const boundsFields = {
  minimumAmount: optionalAmountField('What a billing period costs at least, used or not.'),
  maximumAmount: optionalAmountField('What a billing period costs at most.'),
};
export type Bounds = ValuesOf<typeof boundsFields>;

/** What every metered price may have. `free_units` comes first, the bounds last, as rating takes them. */
export const meteredFields = <F extends Fields>(fields: F) => ({
  ...fields,
  freeUnits: quantityOrZeroField('Units that cost nothing, counted from the first of the period; 0 if absent.'),
  ...boundsFields,
});

/** A cap under a minimum leaves no amount at all. */
export const checkBounds = ({ minimumAmount, maximumAmount }: Bounds, field: string, faults: Fault[]): void => {
  if (minimumAmount === null || maximumAmount === null || maximumAmount >= minimumAmount) return;
  faults.push({
    field: fieldOf(field, 'maximum_amount'),
    code: 'below_minimum',
    message: 'must not be less than minimum_amount',
  });
};
