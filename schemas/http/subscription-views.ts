/** What lies ahead of subscriptions, their trials and their cancellations: in answers. */
import { Type } from 'typebox';
import { partTimings } from '#schemas/due-parts.ts';
import { planExample } from '#schemas/http/catalog.ts';
import { exampleMonth } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  Instant,
  idOf,
  nullable,
  Period,
  Sequence,
} from '#schemas/http/fields.ts';
import { carryExample, carryFields, totalsExample, totalsFields } from '#schemas/http/invoices.ts';
import { LedgerEntry, Unknown } from '#schemas/http/subscription-changes.ts';
import {
  CancellationRefund,
  FinalUsageName,
  Reason,
  subscriptionExample,
  TrialEndAction,
} from '#schemas/http/subscriptions.ts';
import { toldTo } from '#schemas/http/withheld.ts';
import { subscriptionStates } from '#schemas/subscription-state.ts';
import { cancellationStates, trialOutcomes, trialStatuses, upcomingKinds } from '#schemas/subscription-views.ts';

const whose = { subscription_id: idOf('sub'), customer_id: idOf('cus') };
const whoseExample = { subscription_id: subscriptionExample.id, customer_id: subscriptionExample.customer_id };

export const SubscriptionTrial = Type.Object(
  {
    ...whose,
    plan_id: Type.Unsafe<string>({ ...idOf('pln'), description: 'Of the plan that holds now.' }),
    plan_code: Code,
    status: Type.Enum([...trialStatuses], {
      title: 'TrialStatus',
      description:
        '`ended`: it went on to its end; `canceled`: the subscription was over before that; `pending`: the subscription has not begun.',
    }),
    started_at: Instant,
    ends_at: Instant,
    end_action: TrialEndAction,
    converts_to: Type.Enum([...trialOutcomes], {
      title: 'TrialOutcome',
      description: 'What the subscription is from the end of the trial on, or will be as things stand.',
    }),
  },
  {
    ...closed,
    title: 'SubscriptionTrial',
    examples: [
      {
        ...whoseExample,
        plan_id: planExample.id,
        plan_code: planExample.code,
        status: 'running',
        started_at: '2026-11-20T00:00:00.000Z',
        ends_at: '2026-12-04T00:00:00.000Z',
        end_action: 'activate',
        converts_to: 'active',
      },
    ],
  },
);

export const UpcomingLine = Type.Object(
  {
    charge_code: Type.String(),
    description: Type.String(),
    plan_code: Code,
    meter: nullable(Code),
    timing: Type.Enum([...partTimings], {
      title: 'UpcomingTiming',
      description: 'A `credit` takes back what was charged in advance.',
    }),
    quantity: Decimal,
    amount: Decimal,
    period: Period,
  },
  { ...closed, title: 'UpcomingLine' },
);
export const upcomingLineExample = {
  charge_code: 'base',
  description: 'Base fee',
  plan_code: planExample.code,
  meter: null,
  timing: 'arrears',
  quantity: '1',
  amount: '9.00',
  period: { start: exampleMonth.end, end: '2026-12-01T00:00:00.000Z' },
};
const KnownLines = Type.Array(UpcomingLine, {
  description: 'What is charged and credited without a look at usage: flat charges, seats, add-ons.',
});

const unknown = Type.Array(Unknown, { description: 'What can not be rated as things stand, and why.' });

export const SubscriptionCancellationView = Type.Object(
  {
    ...whose,
    state: Type.Enum([...cancellationStates], { title: 'CancellationState' }),
    reason: nullable(Reason),
    requested_at: Instant,
    effective_at: Instant,
    refund: CancellationRefund,
    final_usage: FinalUsageName,
    final_invoice: Type.Object(
      {
        currency: CurrencyCode,
        renewal: nullable(
          Type.String({ description: 'Of one that is scheduled: where what it will bill is told with its usage.' }),
        ),
        lines: KnownLines,
        subtotal: Decimal,
        ...totalsFields,
        ...carryFields,
        unknown,
        invoice_ids: Type.Array(idOf('inv'), {
          description: 'Of one that took effect: the invoices that billed what fell due at its end.',
        }),
      },
      {
        ...closed,
        title: 'FinalInvoice',
        description:
          'What falls due when the cancellation takes effect. `lines` are of one that is scheduled, `invoice_ids` of one that took effect.',
      },
    ),
  },
  {
    ...closed,
    title: 'CancellationView',
    examples: [
      {
        ...whoseExample,
        state: 'scheduled',
        reason: 'too expensive',
        requested_at: '2026-11-20T00:00:00.000Z',
        effective_at: '2026-12-01T00:00:00.000Z',
        refund: 'prorated',
        final_usage: 'billed',
        final_invoice: {
          currency: planExample.currency,
          renewal: `/v1/subscriptions/${subscriptionExample.id}/renewal`,
          lines: [upcomingLineExample],
          subtotal: '9.00',
          ...totalsExample('9.00'),
          ...carryExample,
          unknown: [],
          invoice_ids: [],
        },
      },
    ],
  },
);

const Upcoming = Type.Object(
  {
    at: Instant,
    kind: Type.Enum([...upcomingKinds], {
      title: 'UpcomingKind',
      description: '`invoice`: something falls due to be billed, which `next_invoice` says of the first.',
    }),
    end_action: nullable(TrialEndAction),
    change: nullable(LedgerEntry),
  },
  { ...closed, title: 'UpcomingEvent' },
);

const UsageSoFar = Type.Object(
  {
    watermark: Sequence,
    lines: Type.Array(UpcomingLine),
    subtotal: Type.Unsafe<string>({ ...Decimal, description: 'Of these lines.' }),
    ...totalsFields,
    ...carryFields,
  },
  {
    ...closed,
    title: 'UsageSoFar',
    description:
      'Charges of usage, and what a period costs at least and at most, by what is measured at the watermark: more usage, and corrections of it, change them. Discounts, taxes and `total` are those of the invoice as a whole, with the lines of `next_invoice`.',
  },
);

const NextInvoice = Type.Object(
  {
    due_at: Instant,
    lines: KnownLines,
    subtotal: Decimal,
    ...totalsFields,
    ...carryFields,
    unknown,
  },
  {
    ...closed,
    title: 'NextInvoice',
    description: 'As it would be issued when it falls due, with discounts and taxes, if there were no usage.',
  },
);

export const SubscriptionRenewal = Type.Object(
  {
    ...whose,
    state: Type.Enum([...subscriptionStates], { title: 'RenewalState' }),
    as_of: Type.Unsafe<string>({ ...Instant, description: 'The hour that the subscription lives by.' }),
    currency: CurrencyCode,
    renews_at: nullable(
      Type.Unsafe<string>({
        ...Instant,
        description:
          'When its next billing period begins, or billing after a trial; null where it is over or paused by then.',
      }),
    ),
    upcoming: Type.Array(Upcoming, { description: 'The next one first.' }),
    next_invoice: nullable(NextInvoice),
    usage: Type.Optional(toldTo('read:usage', nullable(UsageSoFar))),
  },
  {
    ...closed,
    title: 'SubscriptionRenewal',
    description:
      'What happens next to a subscription, and what it is billed next as of now. It is of this subscription alone, where an invoice bills several.',
    examples: [
      {
        ...whoseExample,
        state: 'active',
        as_of: '2026-11-20T00:00:00.000Z',
        currency: planExample.currency,
        renews_at: '2026-12-01T00:00:00.000Z',
        upcoming: [
          { at: '2026-12-01T00:00:00.000Z', kind: 'period_end', end_action: null, change: null },
          { at: '2026-12-01T00:00:00.000Z', kind: 'invoice', end_action: null, change: null },
        ],
        next_invoice: {
          due_at: '2026-12-01T00:00:00.000Z',
          lines: [upcomingLineExample],
          subtotal: '9.00',
          ...totalsExample('9.00'),
          ...carryExample,
          unknown: [],
        },
        usage: { watermark: '812', lines: [], subtotal: '0.00', ...totalsExample('9.00'), ...carryExample },
      },
    ],
  },
);
