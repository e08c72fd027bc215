/** A list of price models as one: whichever of them a price names reads it. */
import { type TSchema, Type } from 'typebox';
import { asObject, type Fault, fieldOf, ownValue } from '#schemas/fault.ts';
import type { ChangeAmount, SchemaPrefix } from '#schemas/price/field.ts';
import type { Model, PriceOf } from '#schemas/price/model.ts';

// Methods compare their parameters both ways, so every model is one of these.
type AnyModel = Model<string, object>;

export const registryOf = <const Models extends readonly AnyModel[]>(models: Models) => {
  type Price = PriceOf<Models[number]>;
  const byName = new Map<unknown, Models[number]>(models.map((model) => [model.name, model]));
  const modelNamed = (json: unknown): Models[number] | undefined => {
    const object = asObject(json, '', []);
    return object && byName.get(ownValue(object, 'model'));
  };
  const modelOf = (price: { readonly model: string }): AnyModel => {
    const model = byName.get(price.model);
    if (!model) throw new TypeError(`there is no price model ${price.model}`);
    return model;
  };
  return {
    modelNamed,
    modelOf,
    /** Every amount of money in the price, replaced; `field` is its place. */
    mapAmounts: (price: Price, field: string, change: ChangeAmount): Price =>
      modelOf(price).mapAmounts(price, field, change) as Price,
    /** Adds faults to `faults`; a value that comes with faults must not be used. */
    read: (json: unknown, field: string, faults: Fault[]): Price | undefined => {
      const object = asObject(json, field, faults);
      if (!object) return undefined;
      const model = modelNamed(object);
      if (model) return model.read(object, field, faults) as Price | undefined;
      const code = ownValue(object, 'model') === undefined ? 'missing' : 'not_allowed';
      const names = models.map(({ name }) => name).join(', ');
      faults.push({ field: fieldOf(field, 'model'), code, message: `must be one of ${names}` });
      return undefined;
    },
    /** Of the metered ones: what they price is what a meter measured. */
    schema: (prefix: SchemaPrefix, title: string, isOf: (model: AnyModel) => boolean): TSchema =>
      Type.Union(
        models.filter(isOf).map((model) => model.schema(prefix)),
        { title: `${prefix}${title}`, discriminator: { propertyName: 'model' } },
      ),
  };
};
