/**
 * A field of a price, said once: its type, the schema of its JSON, its reader, which names every fault at its place,
 * and its canonical JSON. A model is a list of fields (`model.ts`).
 */
import { type TSchema, Type } from 'typebox';
import {
  asObject,
  decimalPattern,
  type Fault,
  fieldOf,
  type JsonObject,
  ownValue,
  readAmount,
  readArray,
  readObject,
  readQuantity,
} from '#schemas/fault.ts';
import { closed } from '#schemas/http/fields.ts';
import { type Amount, amountScale, formatAmount, parseAmount, zeroAmount } from '#schemas/money.ts';
import { formatQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';

/** What a request may leave out is there in an answer where it has a default, so each has schemas of its own. */
export type SchemaPrefix = '' | 'New';

export type Field<T> = {
  readonly schema: (prefix: SchemaPrefix) => TSchema;
  readonly presence: 'mandatory' | 'defaulted' | 'optional';
  /** Where the JSON calls it otherwise than the member. */
  readonly jsonName?: string;
  /** Undefined with a fault, never without one. */
  read(object: JsonObject, name: string, parent: string, faults: Fault[]): T | undefined;
  /** Undefined where the field is left out. */
  toJson(value: T): unknown;
  /** Every amount of money in the value, replaced; `field` is the place of the value. Absent where there is none. */
  mapAmounts?(value: T, field: string, change: ChangeAmount): T;
};
/** `field` is the place of the amount. */
export type ChangeAmount = (amount: Amount, field: string) => Amount;
export type Fields = Readonly<Record<string, Field<unknown>>>;
type ValueOf<F> = F extends Field<infer T> ? T : never;
export type ValuesOf<F extends Fields> = { readonly [Name in keyof F]: ValueOf<F[Name]> };

/** The JSON name of a member: `unitAmount` is `unit_amount`. */
const jsonNameOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export type FieldsOfObject<T> = {
  readonly names: readonly string[];
  readonly schemas: (prefix: SchemaPrefix) => Record<string, TSchema>;
  readonly read: (object: JsonObject, parent: string, faults: Fault[]) => T | undefined;
  readonly toJson: (values: T) => JsonObject;
  readonly mapAmounts: (values: T, field: string, change: ChangeAmount) => T;
};

/** The fields as those of one object, in their order, which is that of the canonical JSON. */
export const fieldsOfObject = <F extends Fields>(fields: F): FieldsOfObject<ValuesOf<F>> => {
  const entries = Object.entries(fields).map(([name, field]) => ({
    name,
    jsonName: field.jsonName ?? jsonNameOf(name),
    field,
  }));
  return {
    names: entries.map(({ jsonName }) => jsonName),
    schemas: (prefix) =>
      Object.fromEntries(
        entries.map(({ jsonName, field: { schema, presence } }) => {
          const always = presence === 'mandatory' || (presence === 'defaulted' && prefix === '');
          return [jsonName, always ? schema(prefix) : Type.Optional(schema(prefix))];
        }),
      ),
    // All are read, so that all faults are told.
    read: (object, parent, faults) => {
      const values = entries.map(({ jsonName, field }) => field.read(object, jsonName, parent, faults));
      if (values.includes(undefined)) return undefined;
      return Object.fromEntries(entries.map(({ name }, index) => [name, values[index]])) as ValuesOf<F>;
    },
    toJson: (values) =>
      Object.fromEntries(
        entries.flatMap(({ name, jsonName, field }) => {
          const json = field.toJson(values[name]);
          return json === undefined ? [] : [[jsonName, json]];
        }),
      ),
    mapAmounts: (values, parent, change) => {
      const changed = entries.flatMap(({ name, jsonName, field }) =>
        field.mapAmounts ? [[name, field.mapAmounts(values[name], fieldOf(parent, jsonName), change)]] : [],
      );
      return { ...values, ...Object.fromEntries(changed) };
    },
  };
};

const decimalSchema = (description: string, more: object = {}): TSchema =>
  Type.String({ pattern: decimalPattern, description, examples: ['0.000015'], ...more });
/** Says in a schema what `readPositive` says. */
const aboveZero = { not: { type: 'string', pattern: '^0+(\\.0+)?$' } } as const;

export const amountField = (description: string): Field<Amount> => ({
  schema: () => decimalSchema(description),
  presence: 'mandatory',
  read: readAmount,
  toJson: formatAmount,
  mapAmounts: (amount, field, change) => change(amount, field),
});

export const amountOrZeroField = (description: string): Field<Amount> => ({
  schema: () => decimalSchema(description),
  presence: 'defaulted',
  read: (object, name, parent, faults) => readAmount(object, name, parent, faults, zeroAmount),
  toJson: formatAmount,
  mapAmounts: (amount, field, change) => change(amount, field),
});

/** Null where there is none. */
export const optionalAmountField = (description: string): Field<Amount | null> => ({
  schema: () => decimalSchema(description),
  presence: 'optional',
  read: (object, name, parent, faults) =>
    ownValue(object, name) === undefined ? null : readAmount(object, name, parent, faults),
  toJson: (value) => (value === null ? undefined : formatAmount(value)),
  mapAmounts: (amount, field, change) => (amount === null ? null : change(amount, field)),
});

export const quantityOrZeroField = (description: string): Field<Quantity> => ({
  schema: () => decimalSchema(description),
  presence: 'defaulted',
  read: (object, name, parent, faults) => readQuantity(object, name, parent, faults, zeroQuantity),
  toJson: formatQuantity,
});

export const positiveQuantityField = (description: string): Field<Quantity> => ({
  schema: () => decimalSchema(description, aboveZero),
  presence: 'mandatory',
  read: (object, name, parent, faults) => {
    const value = readQuantity(object, name, parent, faults);
    if (value !== zeroQuantity) return value;
    faults.push({ field: fieldOf(parent, name), code: 'not_positive', message: 'must be more than zero' });
    return undefined;
  },
  toJson: formatQuantity,
});

/** How a share is written: how far its point stands to the right of that of what is charged for each one of value. */
const rateWords = { percent: 2, basis_points: 4 } as const;

/**
 * A share of a value, held as what is charged for each one of it: 2.9 percent as 0.029. Its text has so many decimals
 * fewer than an amount as its point stands to the right, so that none is lost.
 */
export const rateField = (word: keyof typeof rateWords, description: string): Field<Amount> => {
  const places = rateWords[word];
  const [integerDigitsMax, decimalsMax] = [2 + places, amountScale - places];
  const pattern = `^[0-9]{1,${integerDigitsMax}}(\\.[0-9]{1,${decimalsMax}})?$`;
  const form = new RegExp(pattern);
  const expected = `a decimal string such as "2.9", with at most ${integerDigitsMax} digits before and ${decimalsMax} after the point`;
  const unit = 10n ** BigInt(places);
  const faultCodeOf = (value: unknown): string => {
    if (typeof value !== 'string') return value === undefined ? 'missing' : 'wrong_type';
    return value.startsWith('-') && form.test(value.slice(1)) ? 'negative' : 'not_a_decimal';
  };
  return {
    schema: () => Type.String({ pattern, description, examples: ['2.9'] }),
    presence: 'mandatory',
    jsonName: word,
    read: (object, name, parent, faults) => {
      const value = ownValue(object, name);
      const scaled = typeof value === 'string' && form.test(value) ? parseAmount(value) : undefined;
      if (scaled !== undefined) return (scaled / unit) as Amount;
      faults.push({ field: fieldOf(parent, name), code: faultCodeOf(value), message: `must be ${expected}` });
      return undefined;
    },
    toJson: (rate) => formatAmount((rate * unit) as Amount),
  };
};

const countMax = 1_000_000_000;

/** A count that is a JSON integer; 0 where it is absent. */
export const countField = (description: string): Field<bigint> => ({
  schema: () => Type.Integer({ minimum: 0, maximum: countMax, description }),
  presence: 'defaulted',
  read: (object, name, parent, faults) => {
    const value = ownValue(object, name) === undefined ? 0 : ownValue(object, name);
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= countMax)
      return BigInt(value as number);
    const code = typeof value === 'number' && value < 0 ? 'negative' : 'wrong_type';
    faults.push({ field: fieldOf(parent, name), code, message: `must be a whole number from 0 to ${countMax}` });
    return undefined;
  },
  toJson: Number,
});

/**
 * One of a closed set of words; the first of them where it is absent, and absent where it is the first: prices from
 * before there was a choice stay as they are written.
 */
export const choiceField = <const Word extends string>(
  words: readonly [Word, ...Word[]],
  description: string,
): Field<Word> => ({
  schema: () => Type.Enum([...words], { description }),
  presence: 'optional',
  read: (object, name, parent, faults) => {
    const value = ownValue(object, name);
    const word = value === undefined ? words[0] : words.find((one) => one === value);
    if (word === undefined)
      faults.push({
        field: fieldOf(parent, name),
        code: 'not_allowed',
        message: `must be one of ${words.join(', ')}`,
      });
    return word;
  },
  toJson: (word) => (word === words[0] ? undefined : word),
});

export const tiersMax = 100;

/**
 * The units above the bound of the tier before and not above this one's; `null` is unbounded and stands last. Bounds
 * count the units after the free ones.
 */
export type Tier<T = object> = { readonly upTo: Quantity | null } & T;

const upToSchema = Type.Unsafe<string | null>({
  type: ['string', 'null'],
  pattern: decimalPattern,
  description: 'Upper bound of the tier, counted from zero; null in the last tier.',
  ...aboveZero,
});
const isLast = { type: 'object', required: ['up_to'], properties: { up_to: { type: 'null' } } } as const;

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

/** Tiers that have `fields` beside their bound. As each begins where the one before ends, there is no gap. */
export const tiersField = <F extends Fields>(title: string, fields: F): Field<readonly Tier<ValuesOf<F>>[]> => {
  const own = fieldsOfObject(fields);
  const names = ['up_to', ...own.names];
  // Where a request and an answer have the same, it has one name.
  const isDefaulted = Object.values(fields).some(({ presence }) => presence === 'defaulted');
  return {
    schema: (prefix) =>
      Type.Array(
        Type.Object(
          { up_to: upToSchema, ...own.schemas(prefix) },
          { ...closed, title: `${isDefaulted ? prefix : ''}${title}` },
        ),
        {
          minItems: 1,
          maxItems: tiersMax,
          contains: isLast,
          minContains: 1,
          maxContains: 1,
          description: 'Bounds increase; the last tier, and only it, has none.',
        },
      ),
    presence: 'mandatory',
    read: (object, name, parent, faults) => {
      const items = readArray(object, name, parent, tiersMax, faults);
      if (!items) return undefined;
      const tiers: Tier<ValuesOf<F>>[] = [];
      let lowerBound: Quantity = zeroQuantity;
      for (const [index, item] of items.entries()) {
        const place = `${fieldOf(parent, name)}[${index}]`;
        const tier = readObject(item, place, names, faults);
        if (!tier) continue;
        const values = own.read(tier, place, faults);
        const upTo = readUpTo(tier, place, lowerBound, index === items.length - 1, faults);
        if (values && upTo !== undefined) tiers.push({ upTo, ...values });
        lowerBound = upTo ?? lowerBound;
      }
      return tiers.length === items.length ? tiers : undefined;
    },
    toJson: (tiers) =>
      tiers.map((tier) => ({
        up_to: tier.upTo === null ? null : formatQuantity(tier.upTo),
        ...own.toJson(tier),
      })),
    mapAmounts: (tiers, field, change) =>
      tiers.map((tier, index) => own.mapAmounts(tier, `${field}[${index}]`, change) as typeof tier),
  };
};

/** An array of objects of their own kind. */
export const listField = <T>(
  lengthMax: number,
  schema: (prefix: SchemaPrefix) => TSchema,
  read: (object: JsonObject, field: string, faults: Fault[]) => T | undefined,
  toJson: (item: T) => unknown,
): Field<readonly T[]> => ({
  schema: (prefix) => Type.Array(schema(prefix), { minItems: 1, maxItems: lengthMax }),
  presence: 'mandatory',
  read: (object, name, parent, faults) => {
    const items = readArray(object, name, parent, lengthMax, faults);
    const values = (items ?? []).map((json, index) => {
      const field = `${fieldOf(parent, name)}[${index}]`;
      const item = asObject(json, field, faults);
      return item && read(item, field, faults);
    });
    return items && !values.includes(undefined) ? (values as T[]) : undefined;
  },
  toJson: (items) => items.map(toJson),
});
