import { Type } from 'typebox';
import { type Fault, fieldOf, ownValue, readAmount, readObject, readText } from '#schemas/fault.ts';
import { closed, formed } from '#schemas/http/fields.ts';
import { type Amount, fitsDigits, formatAmount } from '#schemas/money.ts';
import { codeRule } from '#schemas/names.ts';
import { type Field, listField } from '#schemas/price/field.ts';
import { dimensionsMax } from '#schemas/price/matrix.ts';
import { boundsFields, checkBounds, defineModel, type PriceOf } from '#schemas/price/model.ts';
import {
  isPropertyPath,
  propertyAbout,
  propertyCharactersMax,
  propertyFaultCode,
  propertyPattern,
} from '#schemas/property-path.ts';
import { oneQuantity } from '#schemas/quantity.ts';

/** Where an event says its value of a dimension of the book. */
type BookDimension = { readonly dimension: string; readonly property: string };

const bookField: Field<string> = {
  schema: () => formed(codeRule.pattern.source, codeRule.about, { description: 'Code of the cost book.' }),
  presence: 'mandatory',
  read: (object, name, parent, faults) => readText(object, name, parent, codeRule, faults),
  toJson: (code) => code,
};

/** With the decimals of a cost they are those of a price: 10 and 2 are 12. */
const factorDigits = { integerDigits: 6, decimals: 2 };
const oneAmount = oneQuantity as bigint as Amount;

/** 1 where it is absent. */
const factorField: Field<Amount> = {
  schema: () =>
    formed(
      '^[0-9]{1,6}(\\.[0-9]{1,2})?$',
      'a decimal such as "1.25", with at most 6 digits before and 2 after the point',
      {
        description: 'What the costs are multiplied by, such as 1.25 for a margin of a quarter; 1 if absent.',
        examples: ['1.25'],
      },
    ),
  presence: 'defaulted',
  read: (object, name, parent, faults) => {
    const factor = readAmount(object, name, parent, faults, oneAmount);
    if (factor === undefined || fitsDigits(factor, factorDigits)) return factor;
    faults.push({
      field: fieldOf(parent, name),
      code: 'not_a_decimal',
      message: 'must have at most 6 digits before and 2 after the point, so that no cost is rounded',
    });
    return undefined;
  },
  toJson: formatAmount,
};

const dimensionsField: Field<readonly BookDimension[]> = {
  ...listField<BookDimension>(
    dimensionsMax,
    () =>
      Type.Object(
        {
          dimension: formed(codeRule.pattern.source, codeRule.about, { description: 'A dimension of the book.' }),
          property: Type.String({
            pattern: propertyPattern,
            maxLength: propertyCharactersMax,
            description: 'Property of the event that says its value, by which the meter can be grouped.',
          }),
        },
        { ...closed, title: 'BookDimension' },
      ),
    (json, field, faults) => {
      const object = readObject(json, field, ['dimension', 'property'], faults);
      if (!object) return undefined;
      const dimension = readText(object, 'dimension', field, codeRule, faults);
      const property = ownValue(object, 'property');
      if (!isPropertyPath(property))
        faults.push({
          field: fieldOf(field, 'property'),
          code: propertyFaultCode(property),
          message: `must be ${propertyAbout}`,
        });
      return dimension !== undefined && isPropertyPath(property) ? { dimension, property } : undefined;
    },
    ({ dimension, property }) => ({ dimension, property }),
  ),
};

const addTwins = (dimensions: readonly BookDimension[], field: string, faults: Fault[]): void => {
  for (const name of ['dimension', 'property'] as const)
    for (const [index, one] of dimensions.entries())
      if (dimensions.findIndex((other) => other[name] === one[name]) < index)
        faults.push({ field: `${field}[${index}].${name}`, code: 'duplicate', message: 'is named twice' });
};

/**
 * What the version of a cost book says that is in force, times a factor. It is rated as the `matrix` that it comes to
 * at an instant (`rater/price/resolve-price.ts`), and as nothing before that.
 */
export const costBook = defineModel(
  'cost_book',
  { costBook: bookField, factor: factorField, dimensions: dimensionsField, ...boundsFields },
  {
    title: 'CostBookPrice',
    check: (price, field, faults) => {
      checkBounds(price, field, faults);
      addTwins(price.dimensions, fieldOf(field, 'dimensions'), faults);
    },
    partsOf: ({ dimensions }) => ({ cells: { dimensions: dimensions.map(({ property }) => property), cells: [] } }),
  },
);
export type CostBookPrice = PriceOf<typeof costBook>;
