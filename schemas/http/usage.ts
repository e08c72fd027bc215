/** Usage in requests and answers. */
import { Type } from 'typebox';
import {
  Code,
  closed,
  Decimal,
  ExternalId,
  GivenInstant,
  Instant,
  idOf,
  nullable,
  Period,
  Sequence,
} from '#schemas/http/fields.ts';
import { MeterVersionNumber } from '#schemas/http/meters.ts';

const Watermark = Type.Unsafe<string>({
  ...Sequence,
  description: 'The highest stream sequence that is counted. The same watermark gives the same answer for ever.',
});
const GivenWatermark = Type.Optional(
  Type.Unsafe<string>({
    ...Sequence,
    description: 'Count up to this stream sequence; by default the highest that is checked.',
  }),
);

const optionalText = (description: string, more: object = {}) =>
  Type.Optional(Type.String({ minLength: 1, description, ...more }));
export const usageFilterCharactersMax = 8_000;

const UsageWindow = Type.Enum(['minute', 'hour', 'day', 'month'], {
  title: 'UsageWindow',
  description: 'At most 10,000 in an answer; without it one row per group.',
});

/** Read by `readUsageAsked`, which names every fault with its cure; this is for the documents. */
export const MeterUsageQuery = Type.Object(
  {
    from: Type.Optional(
      Type.Unsafe<string>({ ...GivenInstant, description: 'Default: the begin of the current month in `time_zone`.' }),
    ),
    to: Type.Optional(
      Type.Unsafe<string>({ ...GivenInstant, description: 'Not in it. Default: the end of the running minute.' }),
    ),
    window: Type.Optional(UsageWindow),
    time_zone: optionalText(
      'An IANA name such as Europe/Berlin, whose clock and calendar windows follow. Default: UTC.',
    ),
    group_by: optionalText(
      'Separated by commas: `customer_id`, and properties that the meter has in its `group_by`. One with a comma in it stands in double quotes.',
    ),
    filter: optionalText("A filter as meters have it, as JSON, over the meter's own properties.", {
      maxLength: usageFilterCharactersMax,
    }),
    customer_id: Type.Optional(
      Type.Unsafe<string>({ ...ExternalId, description: 'Id or external id of a customer. Default: all.' }),
    ),
    watermark: GivenWatermark,
    meter_version: Type.Optional(Type.Integer({ minimum: 1, maximum: 999_999, description: 'Default: the newest.' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'How many rows a page has at most.' }),
    ),
    cursor: optionalText(
      'The `next_cursor` of the page before, with the same query. Pages are of one moment, whatever arrives meanwhile.',
    ),
    format: Type.Optional(Type.Enum(['json', 'csv'], { default: 'json' })),
    explain: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Tell whether totals or events answered, and why. It changes no number.',
      }),
    ),
  },
  closed,
);

const UsageExplanation = Type.Union(
  [
    Type.Object(
      {
        from: Type.Literal('totals'),
        days_of_events: Type.Array(Type.String({ format: 'date' }), {
          description:
            'Days (UTC) that were read from their events: they have changed since their totals were made, a window begins or ends within them, or they have too many groups.',
        }),
      },
      { ...closed, title: 'UsageFromTotals' },
    ),
    Type.Object(
      {
        from: Type.Literal('events'),
        reason: Type.Enum(['customer', 'aggregation', 'filter', 'windows', 'range', 'fault'], {
          description:
            'Why no totals answer: one customer is asked for; of the aggregation none are kept; the filter is over a property that is not in the `group_by` of the meter; windows are shorter than a quarter of an hour; the period reaches out of 1970 to 2148; the totals could not be read.',
        }),
      },
      { ...closed, title: 'UsageFromEvents' },
    ),
  ],
  { title: 'UsageExplanation' },
);

const Events = Type.String({ pattern: '^[0-9]+$' });
const MeterUsageRow = Type.Object(
  {
    window_start: Instant,
    window_end: Instant,
    group: Type.Record(Type.String(), nullable(Type.String()), {
      description:
        'By the names of `group_by`; null where events have no such property. Of a customer whose events bear several names `customer_id` is one of these: its external id rather than its id.',
    }),
    customer: Type.Optional(
      nullable(
        Type.Object(
          { id: idOf('cus'), external_id: ExternalId },
          { ...closed, title: 'UsageCustomer', description: 'Null where there is no customer of that name.' },
        ),
      ),
    ),
    quantity: Type.Union([Decimal, Type.Null()], {
      description: 'Null where no event has a value, and the aggregation has none of nothing.',
    }),
    events: Type.Unsafe<string>({ ...Events, description: 'How many events of the meter there are.' }),
    unmeasured_events: Type.Unsafe<string>({
      ...Events,
      description: 'How many of them have no value that can be measured.',
    }),
  },
  { ...closed, title: 'MeterUsageRow' },
);

export const MeterUsage = Type.Object(
  {
    meter_id: idOf('mtr'),
    meter: Code,
    meter_version: MeterVersionNumber,
    customer_id: nullable(idOf('cus')),
    period: Period,
    window: nullable(UsageWindow),
    time_zone: Type.String(),
    watermark: Watermark,
    items: Type.Array(MeterUsageRow),
    pagination: Type.Object(
      {
        page_size: Type.Integer({ minimum: 0 }),
        has_more: Type.Boolean(),
        next_cursor: Type.Union([Type.String(), Type.Null()]),
      },
      { ...closed, title: 'UsagePagination' },
    ),
    explanation: Type.Optional(UsageExplanation),
  },
  { ...closed, title: 'MeterUsage' },
);

const spanFields = { from: Type.Optional(GivenInstant), to: Type.Optional(GivenInstant), watermark: GivenWatermark };
export const UsageSpan = Type.Object(spanFields, closed);

const Count = Type.Integer({ minimum: 0 });
export const CustomerUsage = Type.Object(
  {
    customer_id: idOf('cus'),
    external_id: ExternalId,
    period: Period,
    watermark: Watermark,
    items: Type.Array(
      Type.Object(
        { meter: Code, meter_version: MeterVersionNumber, quantity: Decimal, unmeasured_events: Count },
        { ...closed, title: 'CustomerUsageItem' },
      ),
    ),
  },
  { ...closed, title: 'CustomerUsage' },
);

const UsedTier = Type.Object(
  {
    up_to: nullable(Decimal),
    quantity: Type.Unsafe<string>({ ...Decimal, description: 'How much of the usage lies in the tier.' }),
  },
  { ...closed, title: 'UsedTier', description: 'Bounds count the units after the free ones.' },
);
export const SubscriptionUsage = Type.Object(
  {
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    plan_version_id: idOf('plv'),
    period: Period,
    watermark: Watermark,
    items: Type.Array(
      Type.Object(
        {
          charge: Code,
          name: Type.String(),
          meter: Code,
          meter_version: MeterVersionNumber,
          quantity: Decimal,
          unmeasured_events: Count,
          free_units: Decimal,
          free_units_left: Decimal,
          tiers: Type.Array(UsedTier, { description: 'Of a graduated price; empty for any other.' }),
        },
        { ...closed, title: 'SubscriptionUsageItem' },
      ),
      { description: 'One for each charge that prices a meter.' },
    ),
  },
  { ...closed, title: 'SubscriptionUsage' },
);
