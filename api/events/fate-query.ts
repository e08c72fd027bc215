/**
 * The one query for the fates of events (billed-usage.ts), by hour of receipt. Pure: text and parameters. What an
 * invoice's line counts is told by the rater's own conditions, of the meter versions that the plan version was made
 * with, and of the amounts that prices read from events.
 */
import { type UnbilledReason, unbilledReasons } from '#schemas/unbilled-reasons.ts';
import { type Bindings, createBindings } from '../../rater/aggregate/bindings.ts';
import { scaledSql } from '../../rater/aggregate/exact.ts';
import { meterColumns } from '../../rater/aggregate/meter-columns.ts';
import { parameterBytesMax } from '../../rater/aggregate/quantity-query.ts';
import {
  type ChargedMeter,
  type ChargedMeters,
  chargesName,
  type Fate,
  type FateCounts,
  noFates,
  sumOfFates,
  type UsageCustomer,
} from './billed-usage.ts';

export type FateWanted = {
  readonly tenant: string;
  /** Rows up to this sequence, and voids up to it. All of them were held against what came before. */
  readonly watermark: bigint;
  /** Hours of receipt, in epoch milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly customers: readonly UsageCustomer[];
  readonly meters: ChargedMeters;
};

export type FateStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string | number>>;
};

export type FateRow = { readonly hour: number; readonly fate: Fate; readonly events: number };

/** ClickHouse takes about 1,000 parameters in a request; some are the statement's own. */
const parametersMax = 900;

const inSpan = 'at >= s AND at < e';

/**
 * `counted`, `measured` and `charged` have a place for the charges of each plan version in a currency, which the spans
 * name from 1 on.
 */
const isBilled = `arrayExists((s, e, w, p) -> ${inSpan} AND stream_sequence <= w AND charged[p]
  AND (void_at = 0 OR void_at > w), starts, ends, watermarks, plans)`;

/** At which place spans name what is free; nothing charges there. 0 where none is: places begin with 1. */
type FreePlaces = Readonly<Record<'trial' | 'paused', number>> & {
  /** What would be charged for there is waived. */
  readonly waived: readonly number[];
};

/** Of all spans that hold the event one is of the reason, and none is charged for. */
const isFreeIn = (reason: 'trial' | 'paused', { trial, paused }: FreePlaces): string => {
  const place = { trial, paused }[reason];
  return `arrayExists((s, e, p) -> ${inSpan} AND p = ${place}, starts, ends, plans)
    AND NOT arrayExists((s, e, p) -> ${inSpan} AND p NOT IN (${trial}, ${paused}), starts, ends, plans)`;
};

/** The place is none of those that are waived. */
const isCharged = ({ waived }: FreePlaces): string =>
  waived.length === 0 ? 'charged[p]' : `charged[p] AND p NOT IN (${waived.join(', ')})`;

/**
 * Each holds by itself; which is told is for the order of `unbilledReasons` to say. An event that is charged for in a
 * span is late where no span is open.
 */
const holdsOf = (places: FreePlaces): Readonly<Record<UnbilledReason, string>> => ({
  voided: "void_at > 0 AND void_reason = 'voided'",
  replaced: "void_at > 0 AND void_reason = 'replaced'",
  no_customer: 'NOT is_known',
  no_subscription: `NOT arrayExists((s, e) -> ${inSpan}, starts, ends)`,
  trial: isFreeIn('trial', places),
  paused: isFreeIn('paused', places),
  no_charge: `NOT arrayExists((s, e, p) -> ${inSpan} AND counted[p], starts, ends, plans)`,
  unmeasured: `NOT arrayExists((s, e, p) -> ${inSpan} AND measured[p], starts, ends, plans)`,
  no_amount: `NOT arrayExists((s, e, p) -> ${inSpan} AND charged[p], starts, ends, plans)`,
  waived: `NOT arrayExists((s, e, p) -> ${inSpan} AND ${isCharged(places)}, starts, ends, plans)`,
  period_open: `arrayExists((s, e, w, p) -> ${inSpan} AND ${isCharged(places)} AND w = 0,
    starts, ends, watermarks, plans)`,
  late: '1',
});
const fateOf = (places: FreePlaces): string => {
  const holds = holdsOf(places);
  return `multiIf(${isBilled}, 'billed',
  ${unbilledReasons.map((reason) => `${holds[reason]}, '${reason}'`).join(',\n  ')}, '')`;
};

/** Of one plan version: whether a charge counts an event, finds a value in it, and charges something for it. */
type PlanColumns = { readonly counted: string; readonly measured: string; readonly charged: string };

const received = `received_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND received_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`;
const voids = `FROM usage_voids WHERE tenant = {tenant:String} AND customer IN {customers:Array(String)}
  AND void_sequence <= {watermark:UInt64}`;

/**
 * PREWHERE leaves rows out before FINAL does: of twins it may leave the later one, which is void up to the watermark
 * and left out by that. FINAL is there for rows that were stored twice.
 */
const statement = (plans: readonly PlanColumns[], columns: readonly string[], places: FreePlaces): string => `
SELECT hour, fate, toFloat64(count()) AS events FROM (
  SELECT toUnixTimestamp(toStartOfHour(received_at)) AS hour, toUnixTimestamp64Milli(occurred_at) AS at,
    ${(['counted', 'measured', 'charged'] as const)
      .map((name) => `[${plans.map((plan) => plan[name]).join(', ')}]::Array(UInt8) AS ${name}`)
      .join(', ')},
    ${fateOf(places)} AS fate
  FROM (
    SELECT customer, event, occurred_at, received_at, stream_sequence,
      ${['key_digest', ...columns].join(', ')}
    FROM usage_events FINAL
    PREWHERE ${received} AND stream_sequence <= {watermark:UInt64}
    WHERE tenant = {tenant:String} AND customer IN {customers:Array(String)}
      AND (key_digest, stream_sequence) NOT IN (SELECT row_digest, row_sequence ${voids} AND row_sequence > 0)
  ) AS usage
  INNER JOIN (
    SELECT c.1 AS customer, c.2 AS is_known, c.3 AS starts, c.4 AS ends, c.5 AS watermarks, c.6 AS plans
    FROM (SELECT arrayJoin(arrayZip({customers:Array(String)}, {known:Array(UInt8)}, {starts:Array(Array(Int64))},
      {ends:Array(Array(Int64))}, {watermarks:Array(Array(UInt64))}, {plans:Array(Array(UInt16))})) AS c)
  ) AS who ON usage.customer = who.customer
  LEFT JOIN (
    SELECT row_digest, min(void_sequence) AS void_at, argMin(reason, void_sequence) AS void_reason ${voids}
      AND row_sequence = 0 GROUP BY row_digest
  ) AS amended ON usage.key_digest = amended.row_digest
)
GROUP BY hour, fate`;

const columnsOf = (meters: readonly ChargedMeter[], bindings: Bindings): PlanColumns => {
  const columns = meters.map(({ meter, amountProperty }) => {
    const { counted, value } = meterColumns(meter, bindings);
    const measured = `${counted} AND isNotNull(${value})`;
    const amount = amountProperty === undefined ? undefined : scaledSql(bindings.property(amountProperty));
    return { counted, measured, charged: amount === undefined ? measured : `${measured} AND isNotNull(${amount})` };
  });
  const oneOf = (conditions: readonly string[]) =>
    conditions.length === 0 ? '0' : conditions.map((one) => `(${one})`).join(' OR ');
  return {
    counted: oneOf(columns.map(({ counted }) => counted)),
    measured: oneOf(columns.map(({ measured }) => measured)),
    charged: oneOf(columns.map(({ charged }) => charged)),
  };
};

const oneStatement = ({ tenant, watermark, from, to, customers, meters }: FateWanted): FateStatement => {
  const plans = [...new Set(customers.flatMap(({ spans }) => spans.map(chargesName)))];
  const placeOf = new Map(plans.map((plan, index) => [plan, index + 1]));
  const bindings = createBindings();
  const columns = plans.map((plan) => columnsOf(meters.get(plan) ?? [], bindings));
  const ofSpans = <T>(of: (span: UsageCustomer['spans'][number]) => T): T[][] =>
    customers.map(({ spans }) => spans.map(of));
  return {
    query: statement(columns, bindings.columns(), {
      trial: placeOf.get('trial') ?? 0,
      paused: placeOf.get('paused') ?? 0,
      waived: [
        ...new Set(
          customers.flatMap(({ spans }) =>
            spans.flatMap((span) => (span.isWaived ? (placeOf.get(chargesName(span)) ?? []) : [])),
          ),
        ),
      ],
    }),
    params: {
      tenant,
      from,
      to,
      watermark: watermark.toString(),
      customers: customers.map(({ name }) => name),
      known: customers.map(({ isKnown }) => (isKnown ? 1 : 0)),
      starts: ofSpans(({ start }) => start),
      ends: ofSpans(({ end }) => end),
      watermarks: ofSpans((span) => span.watermark),
      plans: ofSpans((span) => placeOf.get(chargesName(span))),
      ...bindings.params(),
    },
    // Granules that hold nothing of the span may be left out before FINAL, as rows may.
    settings: {
      do_not_merge_across_partitions_select_final: 1,
      use_skip_indexes_if_final: 1,
      use_skip_indexes_if_final_exact_mode: 0,
    },
  };
};

/** A sequence and an instant have up to 20 digits, and a comma that is encoded in three. */
const spanBytes = 24;

const bytesOf = ({ name, spans }: UsageCustomer): number =>
  Math.max(encodeURIComponent(JSON.stringify(name)).length + 3, 10 + spanBytes * spans.length);

/** How many parameters the meters of these plan versions take. */
const parametersOf = (plans: Iterable<string>, meters: ChargedMeters): number => {
  const bindings = createBindings();
  for (const plan of plans) columnsOf(meters.get(plan) ?? [], bindings);
  return Object.keys(bindings.params()).length;
};

/** One statement, or as many as the bounds of a request ask for; each customer is in one of them. */
export const fateStatements = (wanted: FateWanted): FateStatement[] => {
  const statements: FateStatement[] = [];
  let run: UsageCustomer[] = [];
  let bytes = 0;
  let plans = new Set<string>();
  const close = (): void => {
    if (run.length > 0) statements.push(oneStatement({ ...wanted, customers: run }));
    run = [];
    bytes = 0;
    plans = new Set();
  };
  for (const customer of wanted.customers) {
    const more = bytesOf(customer);
    const fresh = customer.spans.map(chargesName).filter((plan) => !plans.has(plan));
    const isFull =
      bytes + more > parameterBytesMax ||
      (fresh.length > 0 && parametersOf([...plans, ...fresh], wanted.meters) > parametersMax);
    if (isFull) close();
    run.push(customer);
    bytes += more;
    for (const span of customer.spans) plans.add(chargesName(span));
  }
  close();
  return statements;
};

/** Adds the answer of a statement to those before. */
export const addFates = (hours: Map<number, FateCounts>, rows: readonly FateRow[]): void => {
  for (const { hour, fate, events } of rows) {
    const at = hour * 1_000;
    hours.set(at, sumOfFates([hours.get(at) ?? noFates, { ...noFates, [fate]: events }]));
  }
};
