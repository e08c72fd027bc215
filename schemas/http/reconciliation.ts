/** The balance of ingest in answers. */
import { Type } from 'typebox';
import { closed, GivenInstant, Instant, idOf, nullable, Period, Sequence } from './fields.ts';

const count = (description: string) => Type.Integer({ minimum: 0, description });

const stages = {
  received: count('Events in requests that were answered; the sum of the next ones but `repeated`.'),
  accepted: count('Answered `accepted`.'),
  duplicates: count('Answered `duplicate`.'),
  conflicts: count('Answered `conflict`.'),
  rejected: count('Answered `invalid`, `too_old` or `in_future`.'),
  not_final: count('Answered `unavailable` or `in_flight`: to be sent again.'),
  repeated: count(
    'Of the accepted: sent again where nobody knew of the first, and recognized by the stream, which stored them once.',
  ),
  published: count('Events of the stream messages that reached the store, twins included.'),
  backfilled: count('Of the published: sent with `backfill=true`.'),
  distinct: count('Events in the store by their idempotency key, the first of each; what can be billed.'),
  twins_removed: count('published - distinct.'),
  twins: count('Later events of a key with the same payload, which slipped by the answer `duplicate`; not billed.'),
  stored_conflicts: count(
    'Later events of a key with another payload, which slipped by the answer `conflict`; not billed.',
  ),
  voided: count('Amendments that void an event, received in this hour.'),
  replaced: count(
    'Amendments that replace an event, received in this hour. Each brings a replacement, which counts like an event of this hour.',
  ),
  billed: nullable(
    count(
      'Of distinct and replacements: counted by a line of an invoice, in the version of its meter. Null with events of more than 200,000 customers.',
    ),
  ),
  unbilled: nullable(
    Type.Object(
      {
        unchecked: count('Not held against earlier events of their key yet; takes about a second.'),
        voided: count('Made void by an amendment before an invoice counted them.'),
        replaced: count('Replaced by an amendment before an invoice counted them.'),
        no_customer: count('No customer has their customer_id as its id, its external_id or an alias.'),
        no_subscription: count('The customer had no subscription at their time.'),
        trial: count('Their time lies in a trial.'),
        paused: count('The subscription is paused at their time.'),
        no_charge: count('No meter of a plan that the customer had at their time counts them.'),
        unmeasured: count('A meter counts them and finds no usable value.'),
        no_amount: count('They have a value, and lack the amount that the price of their charge reads from events.'),
        waived: count('Of the billing period in which their subscription ended, whose usage was waived.'),
        period_open: count('Their period has no invoice yet.'),
        late: count('The invoice of their period was made before they were stored.'),
      },
      {
        ...closed,
        title: 'Unbilled',
        description: 'Of distinct and replacements: what is on no invoice, by the first reason that holds.',
      },
    ),
  ),
  unanswered: count(
    'Stored without a counted answer `accepted`: the answer was lost or said to try again, or its gateway died before it wrote its counts.',
  ),
  on_the_way: count('accepted - repeated - published while the store has not followed the stream.'),
  missing: count('accepted - repeated - published once it has: accepted events that are not in the store.'),
  differences: Type.Array(
    Type.Object(
      {
        stage: Type.Enum(['received', 'published', 'distinct', 'billed']),
        difference: Type.Integer({
          description:
            'What the stage lacks of what led to it; below zero: what it has too much. In the total what its hours lack and have too much, added up.',
        }),
      },
      { ...closed, title: 'StageDifference' },
    ),
    { description: 'Stages that do not add up.' },
  ),
  is_balanced: Type.Boolean({
    description:
      'Whether the stages add up: every accepted event is in the store, the store holds no event that no message brought, and every event is billed or has a reason why not.',
  }),
};

export const ReconciliationSpan = Type.Object(
  { from: Type.Optional(GivenInstant), to: Type.Optional(GivenInstant) },
  closed,
);

export const Reconciliation = Type.Object(
  {
    period: Period,
    is_settled: Type.Boolean({
      description: 'Whether the store has everything that the stream held when this was asked.',
    }),
    is_balanced: Type.Boolean({ description: 'Whether every hour is balanced.' }),
    watermark: Type.Unsafe<string>({
      ...Sequence,
      description:
        'The stream sequence at which the store was read: up to there every event was held against all before it.',
    }),
    total: Type.Object(stages, { ...closed, title: 'IngestStages' }),
    hours: Type.Array(Type.Object({ hour: Instant, ...stages }, { ...closed, title: 'IngestHour' }), {
      description: 'By hour of receipt (UTC); hours without events are left out.',
    }),
    unreported_gateways: Type.Array(
      Type.Object(
        { id: idOf('gtw'), reported_at: Instant },
        {
          ...closed,
          title: 'UnreportedGateway',
          description: 'What it answered after `reported_at` is not counted; up to about a second of answers.',
        },
      ),
      {
        description:
          'Processes that died without writing down their last counts. Their events are not lost, but show as `unanswered`.',
      },
    ),
    losses: Type.Array(
      Type.Object(
        {
          from_sequence: Sequence,
          to_sequence: Sequence,
          detected_at: Instant,
          stored_messages: count('Of your messages in this range, how many the store has all the same.'),
        },
        { ...closed, title: 'StreamLoss' },
      ),
      {
        description:
          'Ranges of messages, of all organizations, that the stream had acknowledged and lost, by the time when that was found.',
      },
    ),
    dead_letters: nullable(
      count('Messages of all organizations that lie aside as unreadable; null where the stream does not answer.'),
    ),
  },
  {
    ...closed,
    title: 'Reconciliation',
    description: 'Of the whole hours (UTC) that hold the span that was asked for.',
  },
);
