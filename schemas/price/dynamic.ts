import { Type } from 'typebox';
import { fieldOf, ownValue, readAmount } from '#schemas/fault.ts';
import { misreadPath } from '#schemas/misread-paths.ts';
import type { Amount } from '#schemas/money.ts';
import { amountField, type Field } from '#schemas/price/field.ts';
import { boundsFields, checkBounds, defineModel, type PriceOf } from '#schemas/price/model.ts';
import {
  isPropertyPath,
  propertyAbout,
  propertyCharactersMax,
  propertyFaultCode,
  propertyPattern,
} from '#schemas/property-path.ts';
import { oneQuantity } from '#schemas/quantity.ts';

const propertyField = (description: string): Field<string> => ({
  schema: () => Type.String({ pattern: propertyPattern, maxLength: propertyCharactersMax, description }),
  presence: 'mandatory',
  read: (object, name, parent, faults) => {
    const value = ownValue(object, name);
    const field = fieldOf(parent, name);
    if (!isPropertyPath(value)) {
      faults.push({ field, code: propertyFaultCode(value), message: `must be ${propertyAbout}` });
      return undefined;
    }
    const message = misreadPath(value);
    if (message === undefined) return value;
    faults.push({ field, code: 'not_allowed', message });
    return undefined;
  },
  toJson: (path) => path,
});

const oneAmount = oneQuantity as bigint as Amount;

/** 1 where it is absent. */
const factorField: Field<Amount> = {
  ...amountField('What the amounts of the events are multiplied by, such as a margin; 1 if absent.'),
  presence: 'defaulted',
  read: (object, name, parent, faults) => readAmount(object, name, parent, faults, oneAmount),
};

/**
 * Each event says its own price in one of its properties, which is summed exactly. There are no free units: nothing
 * says which of the amounts would be free.
 */
export const dynamic = defineModel(
  'dynamic',
  {
    amountProperty: propertyField('Property of the event that holds what it costs, in the currency of the price.'),
    factor: factorField,
    ...boundsFields,
  },
  { title: 'DynamicPrice', check: checkBounds, partsOf: ({ amountProperty }) => ({ amountProperty }) },
);
export type DynamicPrice = PriceOf<typeof dynamic>;

/** The property that a stored price reads an amount of money from, of each event; undefined of all other prices. */
export const amountPropertyIn = (price: Readonly<Record<string, unknown>>): string | undefined =>
  price.model === 'dynamic' ? (price.amount_property as string) : undefined;
