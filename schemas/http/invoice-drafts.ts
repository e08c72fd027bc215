/** Drafts of invoices in requests. What is answered is in `invoices.ts`: a draft is an invoice that is not issued. */
import { Type } from 'typebox';
import { CustomFields, newCustomerExample } from '#schemas/http/customers.ts';
import { exampleHead } from '#schemas/http/example-parts.ts';
import {
  CurrencyCode,
  CustomerName,
  closed,
  formed,
  GivenInstant,
  idOf,
  Metadata,
  nullable,
} from '#schemas/http/fields.ts';
import { TaxCategory } from '#schemas/http/tax-rates.ts';
import { oneOffLinesMax } from '#schemas/invoice/one-off.ts';

/** What an issued invoice has beside its content, and what a run that made no draft says of drafts. */
export const issuedExample = {
  state: 'issued',
  finalize_at: null,
  finalizing_run_id: null,
  as_of: null,
  failure: null,
  reissue_of: null,
  ...exampleHead,
};
export const noDrafts = { invoices_already_issued: 0, invoices_carried_over: 0, invoice_id: null, drafts_made: 0 };

const lines = (charsMax: number) =>
  formed(`^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f]{1,${charsMax}}$`, `1 to ${charsMax} characters, and line breaks`);
export const Memo = nullable(lines(2_000));
const PurchaseOrder = nullable(
  formed('^[^\\u0000-\\u001f\\u007f]{1,140}$', '1 to 140 characters, none of them a control character'),
);
export const FinalizeAt = Type.Union([GivenInstant, Type.Null()], {
  description:
    'When it is finalized by itself, at most 31 days from now; null, of a one-off invoice alone, when somebody asks for it.',
});

/** What a draft says of its own beside its lines, and what is noted of it. */
export const said = {
  memo: Type.Optional(Memo),
  purchase_order: Type.Optional(PurchaseOrder),
  custom_fields: Type.Optional(CustomFields),
  metadata: Type.Optional(Metadata),
};

export const Money = Type.String({
  maxLength: 64,
  description: 'A decimal such as "250.00"; below zero it takes off.',
});

const OneOffLine = Type.Object(
  {
    description: formed(
      '^[^\\S\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f][^\\u0000-\\u001f\\u007f]*$',
      '1 to 255 characters, one at least that is no blank, and none a control character',
      { maxLength: 255 },
    ),
    amount: Type.Optional(Money),
    unit_amount: Type.Optional(
      Type.Unsafe<string>({
        ...Money,
        description: 'Instead of `amount`, with `quantity`: what one costs, up to 12 digits after the point.',
      }),
    ),
    quantity: Type.Optional(
      Type.String({ maxLength: 64, description: 'How many: a decimal that is not negative, such as "2.5".' }),
    ),
    service_period: Type.Optional(
      Type.Object(
        { start: GivenInstant, end: GivenInstant },
        { ...closed, title: 'ServicePeriod', description: 'The time that it is for; from start, before end.' },
      ),
    ),
    tax_category: Type.Optional(TaxCategory),
  },
  {
    ...closed,
    title: 'OneOffLine',
    description: 'It has `amount`, or `unit_amount` and `quantity`, whose product is rounded once to minor units.',
  },
);

export const OneOffLines = Type.Array(OneOffLine, { minItems: 1, maxItems: oneOffLinesMax });

export const NewOneOffInvoice = Type.Object(
  {
    customer_id: CustomerName,
    currency: CurrencyCode,
    lines: OneOffLines,
    ...said,
    discounts: Type.Optional(
      Type.Array(idOf('dsc'), {
        maxItems: 20,
        uniqueItems: true,
        description: 'The discounts of the customer that it has; without it, none.',
      }),
    ),
    finalize: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether it is finalized at once, rather than left as a draft.' }),
    ),
    finalize_at: Type.Optional(FinalizeAt),
  },
  {
    ...closed,
    title: 'NewOneOffInvoice',
    examples: [
      {
        customer_id: newCustomerExample.external_id,
        currency: 'USD',
        lines: [
          { description: 'Workshop', unit_amount: '180.00', quantity: '6' },
          { description: 'Goodwill', amount: '-50.00' },
        ],
        memo: 'Thank you.',
      },
    ],
  },
);
