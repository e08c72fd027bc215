/** The organization of the key that calls, in requests and answers. */
import { Type } from 'typebox';
import { MinimumInvoiceAmounts, PaymentTerms } from '#schemas/http/customers.ts';
import { exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import { closed, idOf, Metadata, Name, nullable, resourceFields } from '#schemas/http/fields.ts';
import { organizationTiers } from '#schemas/rate-tiers.ts';
import { policyRoundings } from '#schemas/rated-line.ts';
import { taxCalculations, taxRoundings } from '#schemas/tax-rate.ts';

const PolicyRounding = Type.Enum([...policyRoundings], {
  title: 'PolicyRounding',
  description:
    'How the amount of a line is rounded to minor units: to the nearest, and of a half `half_up` takes the one away from zero, `half_even` the even one.',
});

const TaxRoundingName = Type.Enum([...taxRoundings], {
  title: 'TaxRounding',
  description:
    '`line`: each tax of a line is rounded. `invoice`: the sum of a tax over all lines is rounded once, and the lines have their parts of it.',
});

const TaxCalculationName = Type.Enum([...taxCalculations], {
  title: 'TaxCalculation',
  description:
    '`rates`: invoices have the taxes of the tax rates. `engine`: those that the tax engine of the installation says.',
});

/** A week: what comes later than that is late usage of a period that was billed. */
const graceMinutesMax = 10_080;

const automatic = Type.Boolean({
  description: 'Whether what is due is billed by itself, once its time has come; otherwise somebody asks for each run.',
});
const graceMinutes = Type.Integer({
  minimum: 0,
  maximum: graceMinutesMax,
  description: 'How long after the end of usage that is billed in arrears its late events are waited for.',
});

export const Closing = Type.Object(
  { automatic, grace_minutes: graceMinutes },
  { ...closed, title: 'Closing', description: 'How periods are closed: docs/closing.md.' },
);

const ClosingPatch = Type.Object(
  { automatic: Type.Optional(automatic), grace_minutes: Type.Optional(graceMinutes) },
  { ...closed, title: 'ClosingPatch', minProperties: 1, description: 'What is left out stays.' },
);

/** 31 days. */
export const draftMinutesMax = 44_640;

const draftMinutes = Type.Integer({
  minimum: 0,
  maximum: draftMinutesMax,
  description: 'How long what was closed waits as a draft before it is issued by itself; 0 issues it at once.',
});

const Invoicing = Type.Object(
  { draft_minutes: draftMinutes },
  { ...closed, title: 'OrganizationInvoicing', description: 'How invoices come to be: docs/invoice-drafts.md.' },
);

const InvoicingPatch = Type.Object(
  { draft_minutes: Type.Optional(draftMinutes) },
  { ...closed, title: 'OrganizationInvoicingPatch', minProperties: 1, description: 'What is left out stays.' },
);

const IssuingEntityName = Type.Unsafe<string>({
  ...idOf('ent'),
  description: 'Who issues the invoices of customers that name no other.',
});
const OrganizationTerms = Type.Union([PaymentTerms, Type.Null()], {
  description: 'When invoices are due of customers that have no terms of their own.',
});

const organizationExample = {
  id: exampleId('org', 1),
  name: 'Example Inc.',
  tier: 'scale',
  rounding: 'half_up',
  tax_rounding: 'line',
  tax_calculation: 'rates',
  closing: { automatic: false, grace_minutes: 60 },
  invoicing: { draft_minutes: 0 },
  issuing_entity_id: null,
  payment_terms: null,
  minimum_invoice_amounts: null,
  ...exampleHead,
};

export const OrganizationPatch = Type.Object(
  {
    name: Type.Optional(Name),
    rounding: Type.Optional(PolicyRounding),
    tax_rounding: Type.Optional(TaxRoundingName),
    tax_calculation: Type.Optional(TaxCalculationName),
    closing: Type.Optional(ClosingPatch),
    invoicing: Type.Optional(InvoicingPatch),
    issuing_entity_id: Type.Optional(nullable(IssuingEntityName)),
    payment_terms: Type.Optional(OrganizationTerms),
    minimum_invoice_amounts: Type.Optional(nullable(MinimumInvoiceAmounts)),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'OrganizationPatch',
    minProperties: 1,
    description:
      'A field that is left out stays. Another `rounding` is that of lines which are rated after it, and of taxes of invoices that are issued after it, as is another `tax_rounding`.',
    examples: [{ rounding: 'half_even' }],
  },
);

export const Organization = Type.Object(
  {
    id: idOf('org'),
    name: Name,
    tier: Type.Enum([...organizationTiers], {
      title: 'OrganizationTier',
      description: 'How many requests it may send (docs/rate-limits.md); whoever runs Millrace sets it.',
    }),
    rounding: PolicyRounding,
    tax_rounding: TaxRoundingName,
    tax_calculation: TaxCalculationName,
    closing: Closing,
    invoicing: Invoicing,
    issuing_entity_id: nullable(IssuingEntityName),
    payment_terms: OrganizationTerms,
    minimum_invoice_amounts: nullable(MinimumInvoiceAmounts),
    ...resourceFields,
  },
  {
    ...closed,
    title: 'Organization',
    description:
      'The organization of the key. To a key of the sandbox it is the sandbox, which has settings of its own and the tier of the live world.',
    examples: [organizationExample],
  },
);
