/**
 * Tax rates in requests and answers. What no JSON schema can say, and `readTaxRate` refuses: two letters that are no
 * country, a state without a country, and an end that is not after the beginning.
 */
import { Type } from 'typebox';
import { countries } from '#schemas/country.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  closed,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  NewCode,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { codePattern, codeRule } from '#schemas/names.ts';
import { percentagePattern } from '#schemas/tax-rate.ts';

const newTaxRateExample = {
  code: 'de-vat',
  name: 'Umsatzsteuer',
  percentage: '19',
  inclusive: false,
  country: 'DE',
};
const taxRateExample = {
  id: exampleId('txr', 60),
  ...newTaxRateExample,
  state: null,
  tax_category: null,
  valid_from: null,
  valid_until: null,
  archived_at: null,
  ...exampleHead,
};

export const TaxRateId = idParam(newTaxRateExample.code);

export const Percentage = formed(percentagePattern, 'a percentage from "0" to "100", with at most 6 decimals', {
  description: 'An exact decimal from 0 to 100, with at most six decimals.',
});
const Inclusive = Type.Boolean({ description: 'Whether prices have the tax in them.' });
const Country = formed('^[A-Z]{2}$', 'a country by its two letters (ISO 3166-1 alpha-2), such as DE', {
  description: 'ISO 3166-1 alpha-2: customers whose address is there. Without one, only customers that name the rate.',
});
const State = formed(
  '^[^\\u0000-\\u0020\\u007f][^\\u0000-\\u001f\\u007f]{0,99}$',
  '1 to 100 characters, the first no blank, and none a control character',
  {
    description:
      'A state or region of the country as addresses have it, such as NY; kept in upper case, without the country before it. Without one, all of the country.',
  },
);
export const TaxCategory = formed(codePattern, codeRule.about, {
  description: "The caller's own name of a kind of charges that are taxed alike.",
});

/** `newNameFault` says what is wrong with a code. */
const givenFields = {
  code: Code,
  name: Type.Unsafe<string>({ ...Name, description: 'As invoices print it.' }),
  percentage: Percentage,
  inclusive: Type.Optional(Inclusive),
  country: Type.Optional(Country),
  state: Type.Optional(State),
  tax_category: Type.Optional(TaxCategory),
  valid_from: Type.Optional(GivenInstant),
  valid_until: Type.Optional(GivenInstant),
  metadata: Type.Optional(Metadata),
};
export const GivenTaxRate = Type.Object(givenFields, closed);

export const NewTaxRate = Type.Object(
  {
    ...givenFields,
    code: NewCode,
    country: Type.Optional(Type.Unsafe<string>({ ...Country, enum: [...countries] })),
  },
  {
    ...closed,
    title: 'NewTaxRate',
    description: 'Without `inclusive` the tax is added to prices. `valid_from` and `valid_until` are times of issue.',
    examples: [newTaxRateExample],
  },
);

export const TaxRatePatch = Type.Object(
  {
    name: Type.Optional(Name),
    valid_until: Type.Optional(nullable(GivenInstant)),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    minProperties: 1,
    title: 'TaxRatePatch',
    description: 'A field that is left out stays, and null clears it. Another percentage is another rate.',
    examples: [{ valid_until: '2027-01-01T00:00:00Z' }],
  },
);

export const TaxRate = Type.Object(
  {
    id: idOf('txr'),
    code: Code,
    name: Name,
    percentage: Percentage,
    inclusive: Inclusive,
    country: nullable(Country),
    state: nullable(State),
    tax_category: nullable(TaxCategory),
    valid_from: nullable(Instant),
    valid_until: nullable(Instant),
    archived_at: nullable(Instant),
    ...resourceFields,
  },
  { ...closed, title: 'TaxRate', examples: [taxRateExample] },
);
