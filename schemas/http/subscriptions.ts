/** Subscriptions in requests and answers. */
import { Type } from 'typebox';
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleHead, exampleId, exampleMonth } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  nullable,
  Period,
  resourceFields,
} from '#schemas/http/fields.ts';

const newSubscriptionExample = {
  customer_id: customerExample.external_id,
  plan: planExample.code,
  started_at: '2026-10-01T00:00:00Z',
};
export const subscriptionExample = {
  id: exampleId('sub', 6),
  customer_id: customerExample.id,
  plan_id: planExample.id,
  plan_code: planExample.code,
  plan_version_id: planExample.plan_version_id,
  currency: planExample.currency,
  state: 'active',
  started_at: exampleMonth.start,
  ended_at: null,
  current_period: { start: exampleMonth.end, end: '2026-12-01T00:00:00.000Z' },
  ...exampleHead,
};

export const SubscriptionId = idParam(subscriptionExample.id);

export const NewSubscription = Type.Object(
  {
    customer_id: CustomerName,
    // An id is of the form of a code, too.
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan; its active version is taken.' }),
    currency: Type.Optional(CurrencyCode),
    started_at: Type.Optional(GivenInstant),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'NewSubscription',
    description:
      "`currency` is what is charged in, for good: that of the customer, where it has one; else one that the plan has prices in, by default the plan's own.",
    examples: [newSubscriptionExample],
  },
);

export const SubscriptionPatch = Type.Object(
  { metadata: Metadata },
  { ...closed, title: 'SubscriptionPatch', examples: [{ metadata: { contract: '2026-117' } }] },
);

export const Subscription = Type.Object(
  {
    id: idOf('sub'),
    customer_id: idOf('cus'),
    plan_id: idOf('pln'),
    plan_code: Code,
    plan_version_id: idOf('plv'),
    currency: CurrencyCode,
    state: Type.Enum(['active', 'ended'], { title: 'SubscriptionState' }),
    started_at: Instant,
    ended_at: nullable(Instant),
    current_period: Period,
    ...resourceFields,
  },
  { ...closed, title: 'Subscription', examples: [subscriptionExample] },
);
