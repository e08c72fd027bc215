/** Billing runs and rating runs in requests and answers. */
import { Type } from 'typebox';
import { RatingOutput } from '#schemas/http/explain.ts';
import {
  CurrencyCode,
  CustomerName,
  closed,
  Decimal,
  ExternalId,
  formed,
  Instant,
  idOf,
  nullable,
  Period,
  Sequence,
} from '#schemas/http/fields.ts';
import { Closing } from '#schemas/http/organization.ts';
import { ratingFailureCodes } from '#schemas/rating-failure.ts';

const monthForm = '^[2-9][0-9]{3}-(0[1-9]|1[0-2])$';
const monthExpected = 'a month from 2000-01 on, such as 2026-10';
const whom = { customer_id: Type.Optional(CustomerName), subscription_id: Type.Optional(ExternalId) };

export const NewBillingRun = Type.Object(
  {
    period: Type.Optional(
      formed(monthForm, monthExpected, {
        description:
          'A month that has ended, from 2000-01 on, such as 2026-10; all that is due now where nothing is said.',
      }),
    ),
    ...whom,
  },
  { ...closed, title: 'NewBillingRun' },
);

export const NewRatingRun = Type.Object(
  {
    period: formed(monthForm, monthExpected, {
      description: 'A month such as 2026-10: one that has begun for a dry run, one that has ended otherwise.',
    }),
    ...whom,
    watermark: Type.Optional(
      Type.Unsafe<string>({
        ...Sequence,
        description: 'The highest sequence that counts, at most the end of the stream; that end where nothing is said.',
      }),
    ),
    dry_run: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Whether the lines are kept apart from what is billed, and no billing period is opened.',
      }),
    ),
  },
  { ...closed, title: 'NewRatingRun' },
);

export const runStates = ['queued', 'running', 'completed', 'failed'] as const;

const count = (description: string) => Type.Integer({ minimum: 0, description });

const RunProgress = Type.Object(
  {
    started_at: Type.Union([Instant, Type.Null()], { description: 'When its work was cut into shards.' }),
    shards_total: count('Parts that are worked on at the same time; one may be cut in two on the way.'),
    shards_done: count('Of a billing run those that are issued, of a rating run those that are rated.'),
    billing_periods_total: count('What there is to rate: as a rule one for each subscription.'),
    billing_periods_done: count('Those of the shards that are done, and those that failed.'),
    billing_periods_per_second: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], {
      description: 'Since the start; null before something is done.',
    }),
    remaining_seconds: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'Estimated by that pace; 0 when the run is over.',
    }),
  },
  { ...closed, title: 'RunProgress' },
);

const runHead = {
  id: idOf('run'),
  customer_id: nullable(idOf('cus')),
  subscription_id: nullable(idOf('sub')),
  state: Type.Enum([...runStates], { title: 'BillingRunState' }),
  watermark: nullable(Type.String({ pattern: '^[0-9]+$' })),
};
const runEnd = {
  failures: count('Billing periods that could not be rated; they stay open, and are listed under `/failures`.'),
  progress: RunProgress,
  failure: Type.Union([Type.String(), Type.Null()], { description: 'Why the run as a whole failed.' }),
  created_at: Instant,
  updated_at: Instant,
};

export const BillingRun = Type.Object(
  {
    ...runHead,
    period: Type.Union([Period, Type.Null()], { description: 'The month; null of a run of what is due.' }),
    asked_by: Type.Enum(['caller', 'scheduler', 'clock'], {
      title: 'BillingRunAsker',
      description: 'Whether a caller asked for it, or the scheduler or a test clock found something due.',
    }),
    invoice_id: Type.Union([idOf('inv'), Type.Null()], {
      description: 'The draft that it finalizes, where somebody asked for that; it does nothing else then.',
    }),
    drafts_made: Type.Integer({ minimum: 0 }),
    due_until: Type.Union([Instant, Type.Null()], {
      description: 'It bills all that falls due until then; null of a run of a month.',
    }),
    arrears_until: Type.Union([Instant, Type.Null()], {
      description: 'Of usage that is billed in arrears only what ended until then, as late events are waited for.',
    }),
    invoices_issued: Type.Integer({ minimum: 0 }),
    invoices_already_issued: Type.Integer({ minimum: 0 }),
    invoices_carried_over: count(
      'Those that would have come to less than the minimum of their payer: what they bill is listed under `/carried-over`.',
    ),
    unmeasured_events: Type.Integer({ minimum: 0 }),
    rating_ms: Type.Integer({ minimum: 0 }),
    issuing_ms: Type.Integer({ minimum: 0 }),
    ...runEnd,
  },
  { ...closed, title: 'BillingRun' },
);

const nullableInstant = (description: string) => Type.Union([Instant, Type.Null()], { description });

export const Due = Type.Object(
  {
    closing: Closing,
    subscriptions: Type.Object(
      {
        due: count('Those that are to be looked at by now, counted up to 10,000.'),
        next_due_at: nullableInstant('When the first one is, or was, to be looked at.'),
      },
      { ...closed, title: 'DueSubscriptions' },
    ),
    billing_periods: Type.Object(
      {
        open: count('Those that fell due, are written down and not billed, counted up to 10,000.'),
        oldest_due_at: nullableInstant('When the oldest of all that are not billed falls due, or did.'),
      },
      { ...closed, title: 'DueBillingPeriods' },
    ),
    is_running: Type.Boolean({ description: 'Whether a billing run of the scheduler is under way.' }),
    next_run_at: nullableInstant('When the scheduler starts its next one; null while one runs, or nobody closes.'),
    late_seconds: count('For how long something is due beyond the wait for late events; 0 where nobody closes.'),
  },
  { ...closed, title: 'Due', description: 'What is due and not billed: docs/closing.md.' },
);

const RunTotal = Type.Object(
  { currency: CurrencyCode, lines: Type.Integer({ minimum: 0 }), amount: Decimal },
  { ...closed, title: 'RunTotal', description: 'What the lines in one currency come to.' },
);

export const RatingRun = Type.Object(
  {
    ...runHead,
    period: Period,
    dry_run: Type.Boolean(),
    lines: Type.Integer({ minimum: 0 }),
    totals: Type.Array(RunTotal),
    unmeasured_events: Type.Integer({ minimum: 0 }),
    rating_ms: Type.Integer({ minimum: 0 }),
    ...runEnd,
  },
  { ...closed, title: 'RatingRun' },
);

export const RatingFailure = Type.Object(
  {
    id: idOf('rfl'),
    billing_period_id: idOf('bpd'),
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    code: Type.Enum([...ratingFailureCodes], {
      title: 'RatingFailureCode',
      description:
        'The plan or the meter as it is stored can not be read; the usage can not be; the price can not be worked out; lines of the same watermark stand that were rated at prices which changed since; or the worker died of it or did not end.',
    }),
    message: Type.String(),
    failed_at: Instant,
  },
  { ...closed, title: 'RatingFailure', description: 'A billing period that a run could not rate.' },
);

export const carriedStates = ['carried_over', 'open', 'billed', 'unchanged', 'reported'] as const;
export const CarriedPeriod = Type.Object(
  {
    billing_period_id: idOf('bpd'),
    customer_id: { ...idOf('cus'), description: 'Who is billed.' },
    subscription_id: idOf('sub'),
    start: Instant,
    end: Instant,
    state: Type.Enum([...carriedStates], {
      title: 'CarriedPeriodState',
      description:
        '`carried_over`: it waits for the next invoice; `open`: a run or a draft has taken it up; then as it came out.',
    }),
    carried_over_from: { ...Instant, description: 'When it fell due first.' },
    carried_at: Instant,
    currency: CurrencyCode,
    invoice_total: { ...Decimal, description: 'What the whole invoice would have come to.' },
    minimum_amount: { ...Decimal, description: 'What that lies below.' },
    invoice_id: Type.Union([idOf('inv'), Type.Null()], { description: 'The invoice, or the draft, that it is on.' }),
  },
  {
    ...closed,
    title: 'CarriedPeriod',
    description: 'A billing period that a run carried over: docs/minimum-amounts.md.',
  },
);

export const RatingRunLine = Type.Object(
  {
    ...RatingOutput.properties,
    unmeasured_events: Sequence,
    hashes: Type.Object(
      {
        version: Type.Integer({ minimum: 1 }),
        input: Type.String({ pattern: '^[0-9a-f]{64}$' }),
        output: Type.String({ pattern: '^[0-9a-f]{64}$' }),
      },
      { ...closed, title: 'RatingRunLineHashes', description: 'Of what went in and what came out: docs/explain.md.' },
    ),
  },
  { ...closed, title: 'RatingRunLine' },
);

export const RunWait = Type.Object(
  { wait_seconds: Type.Optional(formed('^([0-9]|1[0-9]|2[0-5])$', 'a whole number from 0 to 25')) },
  closed,
);
const waitSeconds = 'Answer when the run has ended, or after so many seconds (0 to 25).';
/** A query is text when it is read; to a caller it is a number. */
export const RunWaitDocument = Type.Object(
  { wait_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 25, description: waitSeconds })) },
  closed,
);
