/** Subscriptions in requests and answers. */
import { Type } from 'typebox';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  GivenInstant,
  Instant,
  idOf,
  Metadata,
  nullable,
  Period,
  resourceFields,
} from '#schemas/http/fields.ts';

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
  },
);

export const SubscriptionPatch = Type.Object({ metadata: Metadata }, { ...closed, title: 'SubscriptionPatch' });

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
  { ...closed, title: 'Subscription' },
);
