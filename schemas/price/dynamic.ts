import { Type } from 'typebox';
import { fieldOf, ownValue } from '#schemas/fault.ts';
import { type Amount, formatAmount } from '#schemas/money.ts';
import { amountField, type Field } from '#schemas/price/field.ts';
import { checkBounds, defineModel, meteredFields, type PriceOf } from '#schemas/price/model.ts';
import {
  isPropertyPath,
  propertyAbout,
  propertyCharactersMax,
  propertyFaultCode,
  propertyPattern,
} from '#schemas/property-path.ts';
import { oneQuantity, zeroQuantity } from '#schemas/quantity.ts';

const propertyField = (description: string): Field<string> => ({
  schema: () => Type.String({ pattern: propertyPattern, maxLength: propertyCharactersMax, description }),
  presence: 'mandatory',
  read: (object, name, parent, faults) => {
    const value = ownValue(object, name);
    if (typeof value === 'string' && isPropertyPath(value)) return value;
    const code = value === undefined ? 'missing' : propertyFaultCode(value);
    faults.push({ field: fieldOf(parent, name), code, message: `must be ${propertyAbout}` });
    return undefined;
  },
  toJson: (path) => path,
});

/** 1 where it is absent. */
const factorField: Field<Amount> = {
  ...amountField('What the amounts of the events are multiplied by, such as a margin; 1 if absent.'),
  presence: 'defaulted',
  read: (object, name, parent, faults) =>
    ownValue(object, name) === undefined
      ? (oneQuantity as bigint as Amount)
      : amountField('').read(object, name, parent, faults),
  toJson: formatAmount,
};

/** Each event says its own price in one of its properties, which is summed exactly. */
export const dynamic = defineModel(
  'dynamic',
  meteredFields({
    amountProperty: propertyField('Property of the event that holds what it costs, in the currency of the price.'),
    factor: factorField,
  }),
  {
    title: 'DynamicPrice',
    check: (price, field, faults) => {
      checkBounds(price, field, faults);
      if (price.freeUnits !== zeroQuantity)
        faults.push({
          field: fieldOf(field, 'free_units'),
          code: 'not_allowed',
          message: 'must be 0: which of the amounts in the events would be free?',
        });
    },
    partsOf: ({ amountProperty }) => ({ amountProperty }),
  },
);
export type DynamicPrice = PriceOf<typeof dynamic>;
