/** One-time charges of subscriptions in requests and answers. */
import { Type } from 'typebox';
import { decimalPattern } from '#schemas/fault.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  CurrencyCode,
  closed,
  Decimal,
  ExternalId,
  formed,
  Instant,
  idOf,
  Metadata,
  Name,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';
import { TaxCategory } from '#schemas/http/tax-rates.ts';
import { oneTimeChargeStates, oneTimeIntegerDigitsMax, oneTimeQuantityMax } from '#schemas/one-time-charge.ts';
import { changeBillings } from '#schemas/subscription-terms.ts';

const newChargeExample = { name: 'Migration of your data', amount: '250.00', at: 'now' };
const chargeExample = {
  id: exampleId('otc', 41),
  subscription_id: subscriptionExample.id,
  name: newChargeExample.name,
  amount: '250.00',
  unit_amount: null,
  quantity: null,
  currency: 'USD',
  tax_category: null,
  state: 'pending',
  effective_at: exampleCreatedAt,
  invoice: 'next',
  billing_period_id: null,
  invoice_id: null,
  removed_at: null,
  ...exampleHead,
};

export const OneTimeChargeId = Type.Object(
  {
    id: Type.Unsafe<string>({ ...ExternalId, description: 'Its id.', examples: [subscriptionExample.id] }),
    charge_id: Type.Unsafe<string>({
      ...ExternalId,
      description: 'The id of a one-time charge.',
      examples: [chargeExample.id],
    }),
  },
  closed,
);

const Invoice = Type.Enum([...changeBillings], {
  title: 'ChargeInvoice',
  description:
    'When it is billed: `next`, the default, with what falls due at the end of the billing period; `now`, at the instant from which it is charged.',
});

const given = (description: string) =>
  formed(decimalPattern, 'a decimal that is not negative, such as "250.00"', {
    description: `${description} It has at most the digits of the currency's minor unit, and ${oneTimeIntegerDigitsMax} before the point.`,
  });

export const NewOneTimeCharge = Type.Object(
  {
    name: Type.Unsafe<string>({ ...Name, description: 'Printed on the invoice line.' }),
    amount: Type.Optional(given("More than zero, in the subscription's currency.")),
    unit_amount: Type.Optional(given('Instead of `amount`, with `quantity`: what one costs.')),
    quantity: Type.Optional(Type.Integer({ minimum: 1, maximum: oneTimeQuantityMax, description: 'How many.' })),
    at: Type.Optional(
      Type.String({
        maxLength: 64,
        description:
          'From when on it is charged: `now`, the default; `period_end` (the end of the current billing period, or of the subscription within it), or an instant that is not past, up to the very end of the subscription.',
        examples: ['now'],
      }),
    ),
    invoice: Type.Optional(Invoice),
    tax_category: Type.Optional(TaxCategory),
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewOneTimeCharge', examples: [newChargeExample] },
);

export const OneTimeCharge = Type.Object(
  {
    id: idOf('otc'),
    subscription_id: idOf('sub'),
    name: Name,
    amount: Type.Unsafe<string>({ ...Decimal, description: 'All of it.' }),
    unit_amount: nullable(Type.Unsafe<string>({ ...Decimal, description: 'Of one, where there is a quantity.' })),
    quantity: nullable(Type.Integer({ minimum: 1 })),
    currency: CurrencyCode,
    // An answer that is repeated may be from before there were any.
    tax_category: Type.Optional(nullable(TaxCategory)),
    state: Type.Enum([...oneTimeChargeStates], {
      title: 'OneTimeChargeState',
      description:
        '`billed` from when it is written down to be billed on: it can not be removed any more, and `invoice_id` says by which invoice, once that is issued.',
    }),
    effective_at: Instant,
    invoice: Invoice,
    billing_period_id: nullable(idOf('bpd')),
    invoice_id: nullable(idOf('inv')),
    removed_at: nullable(Instant),
    ...resourceFields,
  },
  { ...closed, title: 'OneTimeCharge', examples: [chargeExample] },
);
