/** Customers in requests and answers. */
import { type Static, type TSchema, Type } from 'typebox';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  ExternalId,
  formed,
  GivenId,
  Instant,
  idOf,
  idParam,
  Metadata,
  Name,
  nullable,
  resourceFields,
  TimeZone,
} from '#schemas/http/fields.ts';
import { toldTo } from '#schemas/http/withheld.ts';
import { languageCharsMax } from '#schemas/language.ts';
import { idFormAbout, idFormPattern } from '#schemas/names.ts';
import { customerTaxTreatments } from '#schemas/tax-rate.ts';

const Email = formed(
  '^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63}){1,8}$',
  'an e-mail address such as billing@example.com',
  {
    maxLength: 254,
  },
);
const Line = formed('^[^\\u0000-\\u001f\\u007f]{1,200}$', '1 to 200 characters, none of them a control character');
export const Address = Type.Object(
  {
    line1: Line,
    line2: Type.Optional(Line),
    postal_code: Type.Optional(Line),
    city: Line,
    state: Type.Optional(Line),
    country: formed('^[A-Z]{2}$', 'a country by its two letters (ISO 3166-1 alpha-2), such as DE', {
      description: 'ISO 3166-1 alpha-2.',
    }),
  },
  { ...closed, title: 'Address' },
);
export type PostalAddress = Static<typeof Address>;
export const TaxId = Type.Object(
  {
    type: formed('^[a-z]{2}_[a-z]{2,8}$', 'a kind of tax id in lower case, such as eu_vat', {
      description: 'Such as eu_vat.',
    }),
    value: formed('^[A-Za-z0-9 .-]{2,40}$', '2 to 40 letters, digits, blanks, "." and "-"'),
  },
  { ...closed, title: 'TaxId' },
);
export type TaxId = Static<typeof TaxId>;
const PaymentReference = formed('^[\\x21-\\x7e]{1,255}$', '1 to 255 visible ASCII characters', {
  description: "The payment provider's name of the customer; never card data.",
});

/** What is about a person or firm: kept sealed. */
export const Personal = Type.Object(
  {
    name: Name,
    email: Type.Optional(Email),
    address: Type.Optional(Address),
    tax_ids: Type.Optional(Type.Array(TaxId, { maxItems: 5 })),
    payment_reference: Type.Optional(PaymentReference),
  },
  closed,
);
export type Personal = Static<typeof Personal>;

/** What an erased customer is called: every customer has a name. */
export const erasedName = 'Erased customer';

/** As `newNameFault` refuses it, which says why. */
const NewExternalId = Type.Unsafe<string>({
  ...GivenId,
  not: { anyOf: [{ pattern: idFormPattern }, { enum: ['.', '..'] }] },
  description: `The caller's own name of the customer, compared character by character. It must not have ${idFormAbout}, and not be "." or "..".`,
});

const Language = Type.String({
  maxLength: languageCharsMax,
  description: 'A language tag of BCP 47, kept in its canonical form.',
  examples: ['de-AT'],
});
export const PaymentTerms = Type.Object(
  { days: Type.Integer({ minimum: 0, maximum: 365, description: 'From the day of an invoice until it is due.' }) },
  { ...closed, title: 'PaymentTerms', description: 'When invoices are due; without any, on receipt.' },
);
const minimumText = formed('^[0-9]{1,13}(\\.[0-9]{1,12})?$', 'a decimal such as "10.00"');
export const MinimumInvoiceAmounts = Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), minimumText, {
  'x-expected-names': 'of three capital letters, as currencies have',
  title: 'MinimumInvoiceAmounts',
  maxProperties: 50,
  additionalProperties: false,
  description:
    'By currency: what would come to less is carried over to the next invoice (docs/minimum-amounts.md). "0.00" is no minimum. Those of a customer go before those of its organization, currency by currency.',
  examples: [{ USD: '10.00' }],
});
export type MinimumInvoiceAmounts = Static<typeof MinimumInvoiceAmounts>;
export const invoicings = ['per_subscription', 'consolidated'] as const;
export type Invoicing = (typeof invoicings)[number];
const InvoicingName = Type.Enum([...invoicings], {
  title: 'Invoicing',
  description:
    '`consolidated`: what is due of the customer at the same moment is on one invoice; where it has a parent, on that of the parent.',
});
const fieldText = (charsMax: number) =>
  formed(`^[^\\u0000-\\u001f\\u007f]{1,${charsMax}}$`, `1 to ${charsMax} characters, none of them a control character`);
export const PurchaseOrder = fieldText(100);
export const Memo = formed(
  '^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f]{1,2000}$',
  '1 to 2000 characters, none of them a control character but the line feed',
);
export const CustomField = Type.Object(
  { name: fieldText(40), value: fieldText(140) },
  { ...closed, title: 'CustomField', description: 'A line in the head of an invoice.' },
);
const customFieldsMax = 10;
export const CustomFields = Type.Array(CustomField, { maxItems: customFieldsMax });
export const InvoiceDefaults = Type.Object(
  {
    purchase_order: Type.Optional(PurchaseOrder),
    memo: Type.Optional(Memo),
    custom_fields: Type.Optional(CustomFields),
  },
  {
    ...closed,
    title: 'InvoiceDefaults',
    description:
      'What new invoices say beside their lines. Issued ones keep it for good, as it is in their hash: nothing of it should be about a person.',
  },
);
export type InvoiceDefaults = Static<typeof InvoiceDefaults>;
const IssuingEntityOfCustomer = Type.Unsafe<string>({
  ...idOf('ent'),
  description: 'Who issues its invoices; without any, whom the organization names.',
});

const GivenTax = Type.Object(
  {
    treatment: Type.Enum([...customerTaxTreatments], {
      title: 'CustomerTaxTreatment',
      description: '`exempt`: no tax is charged, and its invoices say so.',
    }),
    exemption_reason: Type.Optional(
      nullable(
        Type.Unsafe<string>({ ...Line, description: 'Of an exempt customer alone: why, as its invoices print it.' }),
      ),
    ),
    rates: Type.Optional(
      Type.Array(Type.Unsafe<string>({ ...Code, description: 'Id or code of a tax rate.' }), {
        maxItems: 10,
        uniqueItems: true,
        description: 'The rates that it has, instead of those of its place.',
      }),
    ),
  },
  { ...closed, title: 'GivenCustomerTax' },
);
export type GivenCustomerTax = Static<typeof GivenTax>;
const CustomerTax = Type.Object(
  {
    treatment: GivenTax.properties.treatment,
    exemption_reason: nullable(Line),
    rates: Type.Array(idOf('txr')),
  },
  { ...closed, title: 'CustomerTax' },
);
/** From the top one on, itself included. */
export const customerLevelsMax = 5;
const ParentName = Type.Unsafe<string>({
  ...CustomerName,
  description: `Id or external id of the customer that this one belongs to: one that is not archived, in the same currency where both have one, with at most ${customerLevelsMax} levels from the top one on.`,
});

/** Of new customers and of changes; what is sealed of them stands in `Personal`. */
const termsFields = {
  currency: CurrencyCode,
  language: Language,
  payment_terms: PaymentTerms,
  parent_id: ParentName,
  issuing_entity_id: IssuingEntityOfCustomer,
  invoice_defaults: InvoiceDefaults,
  minimum_invoice_amounts: MinimumInvoiceAmounts,
};

export const newCustomerExample = { external_id: 'acme', name: 'Acme Inc.', currency: 'USD' };
export const customerExample = {
  id: exampleId('cus', 5),
  ...newCustomerExample,
  aliases: [],
  email: null,
  address: null,
  tax_ids: [],
  payment_reference: null,
  time_zone: 'UTC',
  language: null,
  payment_terms: null,
  invoicing: 'per_subscription',
  issuing_entity_id: null,
  invoice_defaults: null,
  minimum_invoice_amounts: null,
  parent_id: null,
  tax: { treatment: 'taxable', exemption_reason: null, rates: [] },
  archived_at: null,
  erased_at: null,
  ...exampleHead,
};

export const CustomerId = idParam(customerExample.external_id);

export const NewCustomer = Type.Object(
  {
    external_id: GivenId,
    ...Personal.properties,
    ...Type.Partial(Type.Object(termsFields)).properties,
    time_zone: Type.Optional(TimeZone),
    invoicing: Type.Optional(InvoicingName),
    tax: Type.Optional(GivenTax),
    metadata: Type.Optional(Metadata),
  },
  closed,
);
export const NewCustomerDocument = Type.Object(
  { ...NewCustomer.properties, external_id: NewExternalId },
  { ...closed, title: 'NewCustomer', examples: [newCustomerExample] },
);

/** A field that is left out stays; null clears it. */
export const CustomerPatch = Type.Object(
  {
    external_id: Type.Optional(GivenId),
    name: Type.Optional(Name),
    email: Type.Optional(nullable(Email)),
    address: Type.Optional(nullable(Address)),
    tax_ids: Type.Optional(nullable(Type.Array(TaxId, { maxItems: 5 }))),
    payment_reference: Type.Optional(nullable(PaymentReference)),
    currency: Type.Optional(nullable(CurrencyCode)),
    language: Type.Optional(nullable(Language)),
    payment_terms: Type.Optional(nullable(PaymentTerms)),
    parent_id: Type.Optional(nullable(ParentName)),
    issuing_entity_id: Type.Optional(nullable(IssuingEntityOfCustomer)),
    invoice_defaults: Type.Optional(nullable(InvoiceDefaults)),
    minimum_invoice_amounts: Type.Optional(nullable(MinimumInvoiceAmounts)),
    time_zone: Type.Optional(TimeZone),
    invoicing: Type.Optional(InvoicingName),
    tax: Type.Optional(nullable(GivenTax)),
    metadata: Type.Optional(Metadata),
  },
  { ...closed, minProperties: 1 },
);
export const CustomerPatchDocument = Type.Object(
  { ...CustomerPatch.properties, external_id: Type.Optional(NewExternalId) },
  {
    ...closed,
    title: 'CustomerPatch',
    minProperties: 1,
    description:
      'A field that is left out stays, and null clears it. With another `external_id` the one from before stays as an alias. Another `currency` or `time_zone` is that of subscriptions to come.',
    examples: [{ email: 'billing@acme.example' }],
  },
);
export type CustomerPatch = Static<typeof CustomerPatch>;

/** All of `Personal`, as answers have it, for who may read customers. */
const personalFields = {
  name: toldTo('read:customers', Name),
  email: toldTo('read:customers', nullable(Email)),
  address: toldTo('read:customers', nullable(Address)),
  tax_ids: toldTo('read:customers', Type.Array(TaxId)),
  payment_reference: toldTo('read:customers', nullable(PaymentReference)),
} satisfies Record<keyof Personal, TSchema>;

/** That customers did not have from the beginning. */
const laterFields = {
  aliases: Type.Array(ExternalId, {
    description:
      'External ids that it had before, from the earliest on: it is found by them, and events may bear them.',
  }),
  language: nullable(Language),
  payment_terms: nullable(PaymentTerms),
  invoicing: InvoicingName,
  issuing_entity_id: nullable(IssuingEntityOfCustomer),
  invoice_defaults: nullable(InvoiceDefaults),
  minimum_invoice_amounts: nullable(MinimumInvoiceAmounts),
  parent_id: nullable(idOf('cus')),
  tax: CustomerTax,
  archived_at: nullable(Instant),
  erased_at: nullable(Instant),
};

export const Customer = Type.Object(
  {
    id: idOf('cus'),
    external_id: ExternalId,
    ...personalFields,
    currency: nullable(CurrencyCode),
    time_zone: TimeZone,
    ...laterFields,
    ...resourceFields,
  },
  {
    ...closed,
    title: 'Customer',
    description: `\`currency\` is what new subscriptions are charged in; null is the own currency of each plan. \`time_zone\` is the one whose calendar their billing periods follow. A customer with \`archived_at\` takes no new subscription. One with \`erased_at\` has nothing personal left, and is called "${erasedName}".`,
    examples: [customerExample],
  },
);

/** The answer to a change. */
export const WrittenCustomer = Type.Object(
  {
    ...Customer.properties,
    ...Type.Partial(Type.Object(personalFields)).properties,
    // An answer that is repeated may be from before customers had them.
    currency: Type.Optional(nullable(CurrencyCode)),
    time_zone: Type.Optional(TimeZone),
    ...Type.Partial(Type.Object(laterFields)).properties,
  },
  {
    ...closed,
    title: 'WrittenCustomer',
    description: 'A customer; to a key without `read:customers`, without the fields that say `x-needs-scope`.',
    examples: [customerExample],
  },
);

const isPersonal = (name: string): boolean => Object.hasOwn(Personal.properties, name);

/** What of a body is sealed. */
export const personalOf = (body: Personal): Personal =>
  Object.fromEntries(Object.entries(body).filter(([name]) => isPersonal(name))) as Personal;

/** What stays of a field that the patch leaves out, and what goes where it says null. */
export const patchedPersonal = (personal: Personal, patch: CustomerPatch): Personal =>
  Object.fromEntries(
    Object.entries({ ...personal, ...patch }).filter(([name, value]) => isPersonal(name) && value !== null),
  ) as Personal;
