/** Subscriptions in requests and answers. */
import { Type } from 'typebox';
import { addOnQuantityMax } from '#schemas/add-on.ts';
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleHead, exampleId, exampleMonth } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  CustomerName,
  closed,
  formed,
  GivenInstant,
  Instant,
  idOf,
  idParam,
  Metadata,
  nullable,
  Period,
  resourceFields,
  TimeZone,
} from '#schemas/http/fields.ts';
import { intervalSchema } from '#schemas/http/plan-terms.ts';
import { ChangePreview, LedgerEntry, PausedUsageName, seatsMax } from '#schemas/http/subscription-changes.ts';
import { cancellationRefunds, finalUsages, subscriptionStates, trialEndActions } from '#schemas/subscription-state.ts';

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
  seats: 1,
  add_ons: [],
  state: 'active',
  started_at: exampleMonth.start,
  ended_at: null,
  trial: null,
  pause: null,
  cancellation: null,
  pending_changes: [],
  billing_cycle: {
    interval: { unit: 'month', count: 1 },
    anchor: '2000-01-01T00:00:00.000',
    time_zone: 'UTC',
  },
  current_period: { start: exampleMonth.end, end: '2026-12-01T00:00:00.000Z' },
  next_due_at: '2026-12-01T00:00:00.000Z',
  ...exampleHead,
};

export const SubscriptionId = idParam(subscriptionExample.id);

export const BillingAnchor = formed(
  '^(calendar|anniversary|\\d{4}-\\d{2}-\\d{2})$',
  'calendar, anniversary, or a date such as 2026-01-31',
  {
    description:
      'Where billing periods are counted from: `calendar`, the default, is the first day of a month, quarter or year, or a Monday; `anniversary` is the moment at which the subscription starts; a date is its midnight. One on the 31st is on the last day of shorter months.',
    examples: ['anniversary'],
  },
);

/** Counted from the anchor, by the calendar and the clock of the zone. */
const BillingCycle = Type.Object(
  {
    interval: intervalSchema(''),
    anchor: Type.String({
      description: 'When a period begins, by the calendar and the clock of the zone; all others follow from it.',
    }),
    time_zone: TimeZone,
  },
  { ...closed, title: 'BillingCycle' },
);

/** Different ones. */
export const addOnsMax = 100;

export const Seats = Type.Integer({ minimum: 1, maximum: seatsMax, description: 'How many seats there are.' });

export const WantedAddOn = Type.Object(
  {
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan of the kind add_on.' }),
    quantity: Type.Optional(
      Type.Integer({ minimum: 1, maximum: addOnQuantityMax, default: 1, description: 'How many times it is taken.' }),
    ),
  },
  { ...closed, title: 'WantedAddOn', examples: [{ plan: 'more-storage', quantity: 2 }] },
);

/** Five years of 366 days. */
const trialDaysMax = 1830;

export const TrialEndAction = Type.Enum([...trialEndActions], {
  title: 'TrialEndAction',
  description:
    'What the end of the trial does: `activate` begins billing, `cancel` ends the subscription, `pause` pauses it until it is resumed.',
});

export const NewTrial = Type.Object(
  {
    ends_at: Type.Optional(GivenInstant),
    days: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: trialDaysMax,
        description: "Instead of `ends_at`: days of the calendar from the start, in the customer's time zone.",
      }),
    ),
    end_action: Type.Optional(TrialEndAction),
  },
  {
    ...closed,
    title: 'NewTrial',
    description: 'Nothing of a trial is billed. `ends_at` or `days` says how long it is; by default its end activates.',
    examples: [{ days: 14, end_action: 'activate' }],
  },
);

export const NewSubscription = Type.Object(
  {
    customer_id: CustomerName,
    // An id is of the form of a code, too.
    plan: Type.Unsafe<string>({ ...Code, description: 'Code or id of a plan; its active version is taken.' }),
    currency: Type.Optional(CurrencyCode),
    started_at: Type.Optional(GivenInstant),
    billing_anchor: Type.Optional(BillingAnchor),
    seats: Type.Optional(Seats),
    add_ons: Type.Optional(Type.Array(WantedAddOn, { maxItems: addOnsMax })),
    trial: Type.Optional(NewTrial),
    metadata: Type.Optional(Metadata),
  },
  {
    ...closed,
    title: 'NewSubscription',
    description:
      "`currency` is what is charged in, for good: that of the customer, where it has one; else one that the plan has prices in, by default the plan's own. Billing periods are of the plan's interval, in the customer's time zone as it is now.",
    examples: [newSubscriptionExample],
  },
);

export const SubscriptionPatch = Type.Object(
  { metadata: Metadata },
  { ...closed, title: 'SubscriptionPatch', examples: [{ metadata: { contract: '2026-117' } }] },
);

export const Reason = formed(
  '^[^\\u0000-\\u001f\\u007f]{1,500}$',
  '1 to 500 characters, none of them a control character',
);

export const CancellationRefund = Type.Enum([...cancellationRefunds], {
  title: 'CancellationRefund',
  description:
    'What becomes of what was charged in advance for time after the end: `prorated`, the default, credits it; `none` does not.',
});

export const FinalUsageName = Type.Enum([...finalUsages], {
  title: 'FinalUsage',
  description:
    'What becomes of usage of the billing period in which the subscription ends, or that ends with it: `billed`, the default, or `waived`. What is flat in it is charged either way.',
});

export const SubscriptionCancellation = Type.Object(
  {
    at: Type.Optional(
      Type.String({
        maxLength: 64,
        description:
          '`now`, `period_end` (the default: the end of the current billing period), or an instant that is not past. One that has not begun never begins, whatever is said.',
        examples: ['period_end'],
      }),
    ),
    reason: Type.Optional(Reason),
    refund: Type.Optional(CancellationRefund),
    final_usage: Type.Optional(FinalUsageName),
  },
  { ...closed, title: 'SubscriptionCancellation', examples: [{ at: 'period_end', reason: 'too expensive' }] },
);

const Cancellation = Type.Object(
  {
    requested_at: Instant,
    effective_at: Instant,
    reason: nullable(Reason),
    refund: CancellationRefund,
    final_usage: FinalUsageName,
  },
  { ...closed, title: 'Cancellation' },
);

const TakenAddOn = Type.Object(
  { plan_id: idOf('pln'), plan_code: Code, plan_version_id: idOf('plv'), quantity: Type.Integer({ minimum: 1 }) },
  { ...closed, title: 'TakenAddOn' },
);

const Trial = Type.Object({ ends_at: Instant, end_action: TrialEndAction }, { ...closed, title: 'Trial' });

const Pause = Type.Object(
  {
    since: Instant,
    usage: PausedUsageName,
    resumes_at: nullable(Instant),
  },
  { ...closed, title: 'Pause' },
);

const subscriptionFields = {
  id: idOf('sub'),
  customer_id: idOf('cus'),
  plan_id: Type.Unsafe<string>({ ...idOf('pln'), description: 'Of the plan that holds now.' }),
  plan_code: Code,
  plan_version_id: idOf('plv'),
  currency: CurrencyCode,
  seats: Type.Integer({ minimum: 1, description: 'How many there are now.' }),
  add_ons: Type.Array(TakenAddOn, { description: 'Those that are taken now, by their codes.' }),
  state: Type.Enum([...subscriptionStates], {
    title: 'SubscriptionState',
    description: 'Follows from the times and the hour: docs/subscriptions.md.',
  }),
  started_at: Instant,
  ended_at: nullable(
    Type.Unsafe<string>({ ...Instant, description: 'May lie ahead, where a cancellation waits to take effect.' }),
  ),
  trial: nullable(Trial),
  pause: nullable(Pause),
  cancellation: nullable(Cancellation),
  pending_changes: Type.Array(LedgerEntry, { description: 'Those that lie ahead, the next one first.' }),
  billing_cycle: BillingCycle,
  current_period: Period,
  next_due_at: nullable(
    Type.Unsafe<string>({
      ...Instant,
      description:
        'When the subscription is looked at next for what is due to be billed: nothing falls due before. Past where something is due and not billed yet, null once nothing more is to come.',
    }),
  ),
  ...resourceFields,
};

export const Subscription = Type.Object(subscriptionFields, {
  ...closed,
  title: 'Subscription',
  examples: [subscriptionExample],
});

/** The answer to a change that can be asked what it would do. */
export const ChangedSubscription = Type.Object(
  { ...subscriptionFields, preview: nullable(ChangePreview) },
  {
    ...closed,
    title: 'ChangedSubscription',
    description:
      'The subscription with the change. With `?preview=true` it is as it was, and `preview` says what the change would charge.',
    examples: [{ ...subscriptionExample, preview: null }],
  },
);
