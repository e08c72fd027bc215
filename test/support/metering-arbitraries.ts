/**
 * Random events, meters, filters and windows around awkward values: for the tests that hold queries against
 * `usage-reference.ts`.
 */
import fc from 'fast-check';
import type { Condition, Filter } from '#schemas/filter.ts';
import {
  type Aggregation,
  aggregations,
  type Meter,
  meterDefinitionFromJson,
  meterDefinitionToJson,
} from '#schemas/meter.ts';
import {
  type ReferenceEvent,
  type ReferenceMeter,
  type ReferenceVoid,
  type Tree,
  textOfTree,
} from './usage-reference.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/**
 * Clocks of New York and Berlin change within a week of it; months of UTC end at it. Lord Howe Island adds an offset of
 * half an hour.
 */
const anchorMs = Date.UTC(2026, 9, 31, 23);

const paths = ['n', 'a.b', 'odd name', 'm'] as const;
const aPath = fc.constantFrom<string>(...paths);

const awkwardTexts = [
  ...['0', '1', '1.0', '-1', '-0', '007', '0.5', '-0.000000000001', '0.1', '3', '2.5', '1000000', '0.333333333333'],
  ...[
    '999999999999999999.999999999999',
    '-999999999999999999.999999999999',
    '1234567890123456789',
    '9'.repeat(40),
    `-${'9'.repeat(40)}`,
  ],
  ...[
    '9'.repeat(41),
    '0.1234567890123',
    '',
    ' 1',
    '1 ',
    '1\n',
    '+1',
    '.5',
    '1.',
    '1e3',
    '0x10',
    'NaN',
    'inf',
    '-',
    '1.2.3',
    '१',
    'true',
    'null',
    '\\N',
  ],
  ...["x'; DROP TABLE usage_events; --", '{v0:String}', 'grün', '`', '"', '\\', '%', 'e.*>', '😀'],
];
const smallText = fc.integer({ min: -50, max: 50 }).map((value) => (value % 4 === 0 ? `${value / 4}` : `${value}.25`));
const aValue = fc.oneof(
  { weight: 3, arbitrary: smallText },
  { weight: 2, arbitrary: fc.constantFrom(...awkwardTexts) },
);

const aTime = fc.oneof(
  fc.integer({ min: anchorMs - 4 * dayMs, max: anchorMs + 4 * dayMs }),
  fc
    .tuple(fc.integer({ min: -8, max: 8 }), fc.constantFrom(-1, 0, 1))
    .map(([halfDays, off]) => anchorMs + (halfDays * dayMs) / 2 + off),
  fc
    .tuple(fc.integer({ min: -40, max: 40 }), fc.constantFrom(-1, 0))
    .map(([halfHours, off]) => anchorMs + (halfHours * hourMs) / 2 + off),
);

export const customers = ['c1', 'c2', "ç'); DROP TABLE usage_events; --`{customers:String}\\"] as const;
/** Which of them are one customer: none, two, or all. */
export const someMerged = fc.option(
  fc.constantFrom(
    { names: [customers[0]], groups: [customers[1]] },
    { names: [customers[1]], groups: [customers[0]] },
    { names: [customers[1]], groups: [customers[2]] },
    { names: [customers[0], customers[2]], groups: [customers[1], customers[1]] },
  ),
);
const eventNames = ['e', "f'; {events:String} `\\.*>"] as const;

const aPayload = fc.record({
  event: fc.constantFrom<string>(eventNames[0], eventNames[0], eventNames[1]),
  customer: fc.constantFrom<string>(...customers),
  occurredAtMs: aTime,
  properties: fc.uniqueArray(fc.tuple(aPath, aValue), { maxLength: 4, selector: ([path]) => path }),
});
type Payload = typeof aPayload extends fc.Arbitrary<infer T> ? T : never;

/**
 * What happens to the stream next. A twin has the payload of an earlier event, stamped anew, or another one; an
 * amendment voids or replaces.
 */
const aStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('event' as const), payload: aPayload }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('twin' as const),
      of: fc.nat(),
      payload: fc.option(aPayload),
      laterMs: fc.constantFrom(0, 1, hourMs, dayMs),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('amendment' as const), of: fc.nat(), payload: fc.option(aPayload) }),
  },
);

/** One message of the stream: an event, or an amendment of one. */
export type Message = {
  readonly sequence: number;
  readonly event: ReferenceEvent | null;
  readonly amends: { readonly id: string; readonly target: ReferenceEvent; readonly isReplaced: boolean } | null;
};
export type History = {
  readonly messages: readonly Message[];
  readonly events: readonly ReferenceEvent[];
  readonly voids: readonly ReferenceVoid[];
};

const eventOf = (
  { event, customer, occurredAtMs, properties }: Payload,
  key: string,
  sequence: number,
): ReferenceEvent => ({
  event,
  customer,
  occurredAtMs,
  key,
  sequence,
  properties: new Map(properties),
});

type Step = typeof aStep extends fc.Arbitrary<infer T> ? T : never;
const historyOf = (steps: readonly Step[]): History => {
  const messages: Message[] = [];
  const voids: ReferenceVoid[] = [];
  const firsts: ReferenceEvent[] = [];
  const amended = new Set<string>();
  for (const [index, step] of steps.entries()) {
    const sequence = index + 1;
    const first = step.kind === 'event' ? undefined : firsts[step.of % Math.max(1, firsts.length)];
    if (step.kind === 'event') {
      const event = eventOf(step.payload, `key.${index}`, sequence);
      firsts.push(event);
      messages.push({ sequence, event, amends: null });
    } else if (first && step.kind === 'twin') {
      const same = { ...first, occurredAtMs: first.occurredAtMs + step.laterMs, sequence };
      const event = step.payload ? eventOf(step.payload, first.key, sequence) : same;
      messages.push({ sequence, event, amends: null });
      voids.push({ key: first.key, sequence, voidSequence: sequence });
    } else if (first && step.kind === 'amendment' && !amended.has(first.key)) {
      amended.add(first.key);
      const id = `am_${sequence}`;
      const event = step.payload && eventOf(step.payload, `${first.key}\0${id}`, sequence);
      messages.push({ sequence, event, amends: { id, target: first, isReplaced: event !== null } });
      voids.push({ key: first.key, sequence: null, voidSequence: sequence });
    }
  }
  return { messages, voids, events: messages.flatMap(({ event }) => event ?? []) };
};

export const aHistory: fc.Arbitrary<History> = fc.array(aStep, { maxLength: 50 }).map(historyOf);
/** One in which most days of customers have several events. */
export const aLongHistory: fc.Arbitrary<History> = fc
  .array(aStep, { minLength: 60, maxLength: 80, size: 'max' })
  .map(historyOf);

const aCondition: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ property: aPath, operator: fc.constantFrom('eq', 'ne', 'prefix'), value: aValue }),
  fc.record({
    property: aPath,
    operator: fc.constantFrom('in', 'not_in'),
    value: fc.array(aValue, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    property: aPath,
    operator: fc.constantFrom('gt', 'gte', 'lt', 'lte'),
    value: fc.oneof(smallText, fc.constantFrom('1', '-0', '9'.repeat(40))),
  }),
  fc.record({ property: aPath, operator: fc.constant('exists' as const), value: fc.boolean() }),
) as fc.Arbitrary<Condition>;

export const aFilter: fc.Arbitrary<Filter> = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    aCondition,
    fc.record({ and: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ or: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
  ),
})).filter;

export const aTree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    fc.record({ path: aPath }),
    fc.record({ literal: fc.constantFrom('0', '2', '3', '0.5', '1000', '00.250', '0.000000000001', '123456789.125') }),
    fc.record({ minus: tie('tree') }),
    fc.record({ left: tie('tree'), sign: fc.constantFrom('+', '-', '*', '/'), right: tie('tree') }),
  ),
})).tree;

const aRounding = fc.option(
  fc.record({
    mode: fc.constantFrom('half_up', 'half_even', 'up', 'down'),
    decimals: fc.constantFrom(0, 1, 2, 11, 12),
  }),
);
const aPercentile = fc.record({
  rank: fc.constantFrom('50', '95', '100', '0.0001', '99.9999', '33.3333', '1', '75.5'),
  method: fc.constantFrom('nearest_rank', 'linear'),
});

/** A meter as the reader of the API takes it; what it refuses (a tree of too many digits) is no meter. */
const aMeter = (aggregation: Aggregation, code: string = aggregation): fc.Arbitrary<ReferenceMeter> =>
  fc
    .record({
      path: aPath,
      tree: fc.option(aTree),
      filter: fc.option(aFilter),
      rounding: aRounding,
      percentile: aPercentile,
    })
    .map(({ path, tree, filter, rounding, percentile }): ReferenceMeter | undefined => {
      const measured =
        aggregation === 'count'
          ? {}
          : tree && aggregation !== 'unique'
            ? { expression: textOfTree(tree) }
            : { property: path };
      const json = {
        event: eventNames[0],
        aggregation,
        ...measured,
        filter,
        rounding,
        ...(aggregation === 'percentile' && { percentile }),
      };
      const parsed = meterDefinitionFromJson(json);
      if (!parsed.ok) return undefined;
      const again = meterDefinitionFromJson(JSON.parse(JSON.stringify(meterDefinitionToJson(parsed.value))));
      if (!again.ok) throw new Error('a meter that was written can be read');
      const meter: Meter = { ...again.value, code, version: 1 };
      return { meter, tree: meter.expression === null ? null : tree };
    })
    .filter((meter) => meter !== undefined);

/** One of each aggregation. */
export const someMeters: fc.Arbitrary<ReferenceMeter[]> = fc.tuple(
  ...aggregations.map((aggregation) => aMeter(aggregation)),
);

const zones = ['UTC', 'America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe', 'Asia/Kolkata'];

/** A period and the starts of its windows, by the calendar and clock of a zone. */
export const someWindows = fc
  .record({
    zone: fc.constantFrom(...zones),
    unit: fc.constantFrom('minute', 'hour', 'day', 'month', null),
    startMs: aTime,
    lengthMs: fc.integer({ min: 1, max: 5 * dayMs }),
  })
  .map(({ zone, unit, startMs, lengthMs }) => {
    const end = startMs + (unit === 'minute' ? Math.min(lengthMs, 2 * hourMs) : lengthMs);
    if (unit === null) return { period: { start: startMs, end }, windowStarts: null };
    const at = Temporal.Instant.fromEpochMilliseconds(startMs).toZonedDateTimeISO(zone);
    const first =
      unit === 'month' ? at.with({ day: 1 }).startOfDay() : at.round({ smallestUnit: unit, roundingMode: 'floor' });
    const starts = [startMs];
    for (let step = 1; ; step += 1) {
      const next = first.add({ [`${unit}s`]: step }).epochMilliseconds;
      if (next >= end) return { period: { start: startMs, end }, windowStarts: starts };
      if (next > (starts.at(-1) as number)) starts.push(next);
    }
  });
