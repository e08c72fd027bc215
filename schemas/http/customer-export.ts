/** The export of a customer in answers. */
import { type TSchema, Type } from 'typebox';
import { AuditEntry } from '#schemas/http/audit-log.ts';
import { CreditNote } from '#schemas/http/credit-notes.ts';
import { Customer } from '#schemas/http/customers.ts';
import { Discount } from '#schemas/http/discounts.ts';
import { Code, CurrencyCode, closed, Instant, idOf, nullable } from '#schemas/http/fields.ts';
import { HashedInstant, Invoice, InvoiceLine, InvoicePeriod } from '#schemas/http/invoices.ts';
import { OneTimeCharge } from '#schemas/http/one-time-charges.ts';
import { PriceOverride } from '#schemas/http/price-overrides.ts';
import { ExportedQuote } from '#schemas/http/quotes.ts';
import { Subscription } from '#schemas/http/subscriptions.ts';

const Count = Type.String({ pattern: '^[0-9]{1,19}$', description: 'A number of rows.' });
const section = <S extends TSchema>(scope: string, item: S, about: string) =>
  Type.Optional(Type.Array(item, { description: `${about} Missing without the scope \`${scope}\`.` }));

const BilledToAnother = Type.Object(
  {
    customer_id: { ...idOf('cus'), description: 'Whose invoice it is.' },
    invoice_id: idOf('inv'),
    number: Type.Integer({ minimum: 1 }),
    issued_at: HashedInstant,
    currency: CurrencyCode,
    periods: Type.Array(InvoicePeriod),
    lines: Type.Array(InvoiceLine),
  },
  { ...closed, title: 'BilledToAnother' },
);

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const ExportedDetails = Type.Object(
  {
    version: Type.Integer({ minimum: 1 }),
    digest: { ...Digest, description: 'Which an invoice has in `buyer_digest`: docs/customers.md says of what.' },
    salt: Digest,
    name: Customer.properties.name,
    address: Customer.properties.address,
    tax_ids: Customer.properties.tax_ids,
    email: Customer.properties.email,
    replaced_at: nullable(Instant),
  },
  { ...closed, title: 'ExportedDetails' },
);

export const CustomerExport = Type.Object(
  {
    exported_at: Instant,
    withheld: Type.Array(Type.String(), { description: 'The sections that the key has no scope to read.' }),
    customer: Customer,
    details: section(
      'read:customers',
      ExportedDetails,
      'Each version of what invoices say of it, from the first one on; the last is the current one.',
    ),
    children: section('read:customers', idOf('cus'), 'The ids of customers that belong to it.'),
    subscriptions: section('read:subscriptions', Subscription, 'All of them, whatever their state.'),
    one_time_charges: section(
      'read:subscriptions',
      OneTimeCharge,
      'Of all its subscriptions: pending, billed and removed ones.',
    ),
    discounts: section('read:discounts', Discount, 'Its own and those of its subscriptions, whatever became of them.'),
    rated_lines: section(
      'read:subscriptions',
      Type.Object(
        { subscription_id: idOf('sub'), charge_code: Code, lines: Count },
        { ...closed, title: 'ExportedRatedLines' },
      ),
      'How many lines were rated, by subscription and charge.',
    ),
    price_overrides: section('read:price_overrides', PriceOverride, 'Prices of this customer alone.'),
    quotes: section('read:quotes', ExportedQuote, 'Offers to this customer, whatever became of them.'),
    invoices: section('read:invoices', Invoice, 'With their lines.'),
    credit_notes: section('read:credit_notes', CreditNote, 'With their lines.'),
    billed_to: section(
      'read:invoices',
      BilledToAnother,
      'What of it is on invoices of customers that it belongs to, and nothing else of them.',
    ),
    usage: section(
      'read:usage',
      Type.Object(
        { month: Type.String({ pattern: '^[0-9]{4}-[0-9]{2}$' }), event: Type.String(), events: Count },
        { ...closed, title: 'ExportedUsage' },
      ),
      'How many events stand, by month in UTC and by event; `GET /v1/events?customer_id=` has the events themselves.',
    ),
    audit_log: section(
      'read:audit-log',
      AuditEntry,
      'About the customer, and the subscriptions, one-time charges, discounts, prices, quotes, invoices and credit notes that are shown.',
    ),
  },
  { ...closed, title: 'CustomerExport' },
);
