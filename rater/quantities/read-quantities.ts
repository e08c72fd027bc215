/**
 * The use case of reading quantities for billing: from totals where these hold, from events else, and from both where
 * some days have changed since or are cut by a span. Either way gives the same answer to the last digit, for ever.
 */
import { type HeldStatement, heldFromRows, heldStatement, isOfTotals, mergeRows } from '../aggregate/quantity-cells.ts';
import {
  isInParts,
  type Measure,
  type Quantities,
  type QuantityAsk,
  type QuantityQuery,
  quantitiesFromRows,
  quantityAsks,
  quantityStatement,
  readsBefore,
  type StatementAnswer,
  type StatementRow,
  shapeOf,
} from '../aggregate/quantity-query.ts';
import { areDays } from '../totals/total-days.ts';

/** What answered, and why events did: the word of a metric. */
export type QuantitiesWay =
  | 'totals'
  | 'both'
  | 'events_measure'
  | 'events_few'
  | 'events_days'
  | 'events_range'
  | 'events_fault';

export type QuantityPorts = {
  readonly read: <R>(statement: HeldStatement) => Promise<R[]>;
  readonly stopwatch: () => () => number;
  /** Whether it is the totals that can't be read, and not the store. */
  readonly isOfTotals: (error: unknown) => boolean;
  readonly report: { readonly way: (way: QuantitiesWay) => void; readonly fault: (error: unknown) => void };
};

export type QuantityLimits = {
  /**
   * Where rows of totals stand for fewer stored events on average, the events are read with less work. A row is what
   * one meter version makes of a day.
   */
  readonly eventsPerRowMin: number;
  /** Where more days than that share would be read from events, all are. */
  readonly daysOfEventsMax: number;
  /** Where totals were of no use, statements alike do not ask for them for so long. */
  readonly lookAgainMs: number;
};

export const quantityLimits: QuantityLimits = { eventsPerRowMin: 3, daysOfEventsMax: 0.5, lookAgainMs: 60_000 };

/** From totals, however little they are worth: to hold them against events. */
export const totalsAnyway: QuantityLimits = { eventsPerRowMin: 0, daysOfEventsMax: 1, lookAgainMs: 0 };

/** Days that are read by one statement: each takes 13 bytes of its address, of which ClickHouse takes a megabyte. */
export const daysPerStatement = 20_000;

/** Of the others it is asked anew. */
const askersMax = 1_000;

/** Statements are alike where they ask for the same meter versions of an organization. */
const nameOf = ({ tenant, measures }: QuantityAsk): string =>
  JSON.stringify([tenant, ...measures.map(({ meter }) => meter.versionId)]);

/**
 * What goes by totals, and what by events: of events that are read for one measure all the others are measured too, as
 * that costs next to nothing.
 */
const splitMeasures = ({ measures }: QuantityQuery) => {
  const whole = measures.filter((measure) => !isOfTotals(measure) && !isInParts(measure));
  const read = new Set(whole.map(({ meter }) => meter.event));
  const goesByTotals = (measure: Measure): boolean =>
    isOfTotals(measure) && (readsBefore(measure.meter) || !read.has(measure.meter.event));
  return { held: measures.filter(goesByTotals), others: measures.filter((measure) => !goesByTotals(measure)) };
};

export const createReadFromTotals = (
  limits: QuantityLimits,
  ports: QuantityPorts,
): ((wanted: QuantityQuery) => Promise<Quantities>) => {
  const elapsedMs = ports.stopwatch();
  /** Until when statements of a name are read from events without a look. */
  const without = new Map<string, number>();

  const fromEvents = async (ask: QuantityAsk, way: QuantitiesWay): Promise<StatementAnswer> => {
    const statement = quantityStatement(ask);
    const rows = await ports.read<StatementRow>(statement);
    ports.report.way(way);
    return { statement, rows };
  };

  const leaveOut = (name: string): void => {
    if (without.size >= askersMax) without.clear();
    without.set(name, elapsedMs() + limits.lookAgainMs);
  };

  const fromTotals = async (ask: QuantityAsk): Promise<StatementAnswer[]> => {
    const name = nameOf(ask);
    if (elapsedMs() < (without.get(name) ?? 0)) return [await fromEvents(ask, 'events_few')];
    const held = heldFromRows(ask, await ports.read<Record<string, unknown>>(heldStatement(ask)));
    if (held.heldEvents < held.heldRows * limits.eventsPerRowMin) leaveOut(name);
    const { days } = held;
    if (days.length > (held.heldDays + days.length) * limits.daysOfEventsMax) {
      leaveOut(name);
      return [await fromEvents(ask, 'events_days')];
    }
    if (days.length > daysPerStatement) {
      if (ask.spans.length === 1) return [await fromEvents(ask, 'events_days')];
      const middle = Math.ceil(ask.spans.length / 2);
      const halves = [ask.spans.slice(0, middle), ask.spans.slice(middle)];
      const answers: StatementAnswer[] = [];
      for (const spans of halves) answers.push(...(await fromTotals({ ...ask, spans })));
      return answers;
    }
    const statement = shapeOf(ask);
    if (days.length === 0) {
      ports.report.way('totals');
      return [{ statement, rows: held.rows }];
    }
    const spanIds = new Set(days.map(({ spanId }) => spanId));
    const spans = ask.spans.filter(({ spanId }) => spanIds.has(spanId));
    const read = await ports.read<StatementRow>(quantityStatement({ ...ask, spans }, days));
    ports.report.way('both');
    return [{ statement, rows: mergeRows(statement, held.rows, read) }];
  };

  const answersOf = async (ask: QuantityAsk): Promise<StatementAnswer[]> => {
    if (!ask.spans.every(({ period }) => areDays(period))) return [await fromEvents(ask, 'events_range')];
    try {
      return await fromTotals(ask);
    } catch (error) {
      if (!ports.isOfTotals(error)) throw error;
      ports.report.fault(error);
      leaveOut(nameOf(ask));
      return [await fromEvents(ask, 'events_fault')];
    }
  };

  return async (wanted) => {
    const { held, others } = splitMeasures(wanted);
    const answers: StatementAnswer[] = [];
    for (const ask of quantityAsks({ ...wanted, measures: held })) answers.push(...(await answersOf(ask)));
    for (const ask of quantityAsks({ ...wanted, measures: others }))
      answers.push(await fromEvents(ask, 'events_measure'));
    return quantitiesFromRows(answers);
  };
};
