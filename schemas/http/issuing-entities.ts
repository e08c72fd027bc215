/** Issuing entities in requests and answers. */
import { type Static, Type } from 'typebox';
import { Address, TaxId } from '#schemas/http/customers.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  closed,
  formed,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  nullable,
  resourceFields,
  TimeZone,
} from '#schemas/http/fields.ts';
import { numberResets, prefixPattern } from '#schemas/number-format.ts';

const newIssuingEntityExample = { legal_name: 'Example Software GmbH', number_format: { prefix: 'EX-' } };

const numberFields = {
  prefix: formed(prefixPattern, '1 to 20 of A to Z, 0 to 9, ".", "_", "/" and "-", the last one no digit', {
    description: 'What its numbers begin with, of no other entity of the organization.',
  }),
  include_year: Type.Boolean({ description: 'Whether the year of issue stands behind the prefix.' }),
  padding: Type.Integer({
    minimum: 1,
    maximum: 12,
    description: 'So many digits at least.',
  }),
  reset: Type.Enum([...numberResets], {
    title: 'NumberReset',
    description: 'Whether numbers begin at 1 with each year, which they have to name then, or go on for ever.',
  }),
};
export const NumberFormat = Type.Object(numberFields, {
  ...closed,
  title: 'NumberFormat',
  description: 'How document numbers are written: `{prefix}{year}-{number}`.',
});
const GivenNumberFormat = Type.Partial(NumberFormat, {
  ...closed,
  title: 'GivenNumberFormat',
  description: 'What is left out stays; of a new entity it is INV-, with the year, 6 digits, beginning again yearly.',
});
export type GivenNumberFormat = Static<typeof GivenNumberFormat>;

const given = {
  legal_name: Name,
  address: Type.Optional(nullable(Address)),
  tax_ids: Type.Optional(Type.Array(TaxId, { maxItems: 5 })),
  time_zone: Type.Optional(TimeZone),
  number_format: Type.Optional(GivenNumberFormat),
  credit_note_prefix: Type.Optional(
    Type.Union([numberFields.prefix, Type.Null()], {
      description:
        'What the numbers of its credit notes begin with; null follows from the prefix of its invoices: CN-, and CN-EX- for EX-.',
    }),
  ),
  metadata: Type.Optional(Metadata),
};

export const NewIssuingEntity = Type.Object(given, {
  ...closed,
  title: 'NewIssuingEntity',
  examples: [newIssuingEntityExample],
});

export const IssuingEntityPatch = Type.Object(
  {
    ...given,
    legal_name: Type.Optional(Name),
    archived: Type.Optional(Type.Boolean({ description: 'Whether it issues no more invoices.' })),
  },
  {
    ...closed,
    title: 'IssuingEntityPatch',
    minProperties: 1,
    description: 'A field that is left out stays. Issued invoices keep what they say.',
    examples: [{ number_format: { prefix: 'EXS-' } }],
  },
);

const issuingEntityExample = {
  id: exampleId('ent', 41),
  legal_name: newIssuingEntityExample.legal_name,
  address: null,
  tax_ids: [],
  time_zone: 'UTC',
  number_format: { prefix: 'EX-', include_year: true, padding: 6, reset: 'yearly' },
  credit_note_prefix: 'CN-EX-',
  archived_at: null,
  ...exampleHead,
};

export const IssuingEntityId = idParam(issuingEntityExample.id);

export const IssuingEntity = Type.Object(
  {
    id: idOf('ent'),
    legal_name: Name,
    address: nullable(Address),
    tax_ids: Type.Array(TaxId),
    time_zone: { ...TimeZone, description: 'By whose calendar an invoice is of a year.' },
    number_format: NumberFormat,
    credit_note_prefix: Type.String({ description: 'What the numbers of its credit notes begin with.' }),
    archived_at: nullable(Instant),
    ...resourceFields,
  },
  { ...closed, title: 'IssuingEntity', examples: [issuingEntityExample] },
);
