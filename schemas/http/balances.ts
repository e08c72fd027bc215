/** What customers owe as of now: in answers. */
import { Type } from 'typebox';
import { planExample } from '#schemas/http/catalog.ts';
import { CurrencyCode, closed, Decimal, Instant, idOf, Sequence } from '#schemas/http/fields.ts';
import { Unknown } from '#schemas/http/subscription-changes.ts';
import { UpcomingLine, upcomingLineExample } from '#schemas/http/subscription-views.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';

const count = Type.Integer({ minimum: 0 });

const RunningTotals = Type.Object(
  {
    subtotal: Decimal,
    discount_total: Decimal,
    tax_total: { ...Decimal, description: 'Taxes that are added; inclusive ones are in the subtotal.' },
    total: { ...Decimal, description: '`subtotal` - `discount_total` + `tax_total`.' },
  },
  {
    ...closed,
    title: 'RunningTotals',
    description:
      'What has begun and is on no issued invoice, with the discounts and taxes of the invoices that it would be.',
  },
);

const OpenInvoices = Type.Object(
  { count, amount_due: Decimal, overdue_count: count, amount_overdue: Decimal },
  { ...closed, title: 'OpenInvoices', description: 'Issued invoices of which something is due.' },
);

const CurrencyBalance = Type.Object(
  {
    currency: CurrencyCode,
    running: RunningTotals,
    open_invoices: OpenInvoices,
    total: { ...Decimal, description: '`running.total` + `open_invoices.amount_due`.' },
  },
  { ...closed, title: 'CurrencyBalance' },
);

const SubscriptionBalance = Type.Object(
  {
    subscription_id: idOf('sub'),
    customer_id: { ...idOf('cus'), description: 'Whose it is; another one where that is billed to this customer.' },
    currency: CurrencyCode,
    lines: Type.Array(UpcomingLine),
    subtotal: Decimal,
    unknown: Type.Array(Unknown, { description: 'What can not be rated as things stand, and is in no sum.' }),
  },
  { ...closed, title: 'SubscriptionBalance' },
);

export const Balance = Type.Object(
  {
    customer_id: idOf('cus'),
    as_of: Instant,
    watermark: { ...Sequence, description: 'Usage counts up to this sequence of the stream.' },
    currencies: Type.Array(CurrencyBalance, {
      description: 'By their codes; the one that the customer pays in is always there.',
    }),
    subscriptions: Type.Array(SubscriptionBalance, { description: 'Of which something has begun and is not billed.' }),
  },
  {
    ...closed,
    title: 'Balance',
    examples: [
      {
        customer_id: subscriptionExample.customer_id,
        as_of: '2026-11-20T12:00:00.000Z',
        watermark: '1843',
        currencies: [
          {
            currency: planExample.currency,
            running: { subtotal: '9.00', discount_total: '0.00', tax_total: '0.00', total: '9.00' },
            open_invoices: { count: 1, amount_due: '20.00', overdue_count: 0, amount_overdue: '0.00' },
            total: '29.00',
          },
        ],
        subscriptions: [
          {
            subscription_id: subscriptionExample.id,
            customer_id: subscriptionExample.customer_id,
            currency: planExample.currency,
            lines: [upcomingLineExample],
            subtotal: '9.00',
            unknown: [],
          },
        ],
      },
    ],
  },
);
