/** What invoices would be: in requests and answers. */
import { Type } from 'typebox';
import { newCustomerExample } from '#schemas/http/customers.ts';
import {
  CurrencyCode,
  CustomerName,
  closed,
  Decimal,
  ExternalId,
  GivenInstant,
  Instant,
  idOf,
} from '#schemas/http/fields.ts';
import { carryFields, InvoiceLine, InvoicePeriod, termsFields, totalsFields } from '#schemas/http/invoices.ts';

export const InvoicePreviewAsked = Type.Object(
  {
    customer_id: Type.Optional(CustomerName),
    subscription_id: Type.Optional(ExternalId),
    at: Type.Optional(GivenInstant),
  },
  {
    ...closed,
    title: 'InvoicePreviewAsked',
    description:
      'One of `customer_id` and `subscription_id`. With `at` all that falls due until then, at most a year ahead; without it what falls due next.',
    examples: [{ customer_id: newCustomerExample.external_id }],
  },
);

const PreviewedInvoice = Type.Object(
  {
    due_at: Instant,
    customer_id: { ...idOf('cus'), description: 'Who would be billed.' },
    ...termsFields,
    currency: CurrencyCode,
    periods: Type.Array(InvoicePeriod),
    lines: Type.Array(InvoiceLine),
    subtotal: Decimal,
    ...totalsFields,
    ...carryFields,
    failures: Type.Array(
      Type.Object(
        { subscription_id: idOf('sub'), message: Type.String() },
        { ...closed, title: 'PreviewFailure', description: 'What can not be rated as things stand; it is in no sum.' },
      ),
    ),
  },
  {
    ...closed,
    title: 'PreviewedInvoice',
    description: 'With the discounts and taxes that it would have if it were issued when it falls due.',
  },
);

export const InvoicePreview = Type.Object(
  {
    as_of: Instant,
    watermark: Type.String({ pattern: '^[0-9]+$', description: 'Usage counts up to this sequence of the stream.' }),
    invoices: Type.Array(PreviewedInvoice, { description: 'In the order in which they fall due.' }),
  },
  { ...closed, title: 'InvoicePreview', description: 'What invoices would be; nothing of it is written.' },
);
