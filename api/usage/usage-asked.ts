/** What a query for usage asks for: read in full, with all faults together, each with its cure. Pure. */

import type { Static } from 'typebox';
import { parseJsonBody } from '#platform/http/json-body.ts';
import { parseExpression, propertiesOf } from '#schemas/expression.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { unknownFieldMessage } from '#schemas/fault.ts';
import { conditionsOf, type Filter, filterFromJson } from '#schemas/filter.ts';
import { MeterUsageQuery, type UsageSpan, usageFilterCharactersMax } from '#schemas/http/usage.ts';
import type { Meter } from '#schemas/meter.ts';
import { type Instant, monthOf, type Period, periodOf } from '#schemas/period.ts';
import { timeZoneFault, timeZoneFromText } from '#schemas/time-zone.ts';
import { windowsMax } from '../../rater/aggregate/usage-query.ts';
import { readInstant } from '../route/resource-fields.ts';
import { type WindowName, windowNames, windowStarts } from './windows.ts';

export type UsageAsked = {
  readonly period: Period;
  readonly window: WindowName | null;
  readonly windowStarts: readonly Instant[] | null;
  readonly timeZone: string;
  readonly watermark: bigint;
  readonly groupBy: readonly string[];
  readonly filter: Filter | null;
  readonly limit: number;
  readonly format: 'json' | 'csv';
  /** Whether the answer tells which way it went. */
  readonly explains: boolean;
};

/** What a page before settled: pages are of one moment. */
export type SettledUsage = { readonly period: Period; readonly watermark: bigint };

export type Texts = ReadonlyMap<string, string>;

const known = Object.keys(MeterUsageQuery.properties);
const minuteMs = 60_000;
/** ClickHouse's times reach to 2299, and no event may lie so far ahead. */
const latest = Date.UTC(2200);

const faultsMax = 50;
/** The first faults of a query, as `BAD_REQUEST`. */
export const refuseQuery = (faults: readonly Fault[]): void => {
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults.slice(0, faultsMax));
};

/**
 * Each known parameter that was given once. An unknown one would be a misspelt one, and the answer would be of
 * something else.
 */
export const textsOf = (query: Readonly<Record<string, unknown>>, faults: Fault[]): Texts => {
  const texts = new Map<string, string>();
  for (const [name, value] of Object.entries(query).slice(0, 100)) {
    if (!known.includes(name))
      faults.push({ field: name.slice(0, 64), code: 'unknown_field', message: unknownFieldMessage(known) });
    else if (typeof value !== 'string') faults.push({ field: name, code: 'duplicate', message: 'may be given once' });
    else if (value === '')
      faults.push({ field: name, code: 'wrong_length', message: 'must not be empty; leave it out for its default' });
    else texts.set(name, value);
  }
  return texts;
};

const readWhole = (texts: Texts, name: string, max: number, faults: Fault[]): number | undefined => {
  const text = texts.get(name);
  if (text === undefined) return undefined;
  const value = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  faults.push({ field: name, code: 'out_of_range', message: `must be a whole number from 1 to ${max}` });
  return undefined;
};

/** `newest` is the number of the meter's newest version. */
export const readMeterVersion = (texts: Texts, newest: number, faults: Fault[]): number =>
  readWhole(texts, 'meter_version', newest, faults) ?? newest;

const readOneOf = <T extends string>(
  texts: Texts,
  name: string,
  choices: readonly T[],
  faults: Fault[],
): T | undefined => {
  const text = texts.get(name);
  const choice = choices.find((one) => one === text);
  if (text !== undefined && choice === undefined)
    faults.push({ field: name, code: 'not_allowed', message: `must be one of ${choices.join(', ')}` });
  return choice;
};

const readGivenWatermark = (text: string | undefined, checked: bigint, faults: Fault[]): bigint => {
  if (text === undefined) return checked;
  const watermark = /^\d{1,19}$/.test(text) ? BigInt(text) : undefined;
  if (watermark !== undefined && watermark <= checked) return watermark;
  const [code, message] =
    watermark === undefined
      ? ['wrong_format', 'must be a stream sequence, such as an answer or an invoice has it as its watermark']
      : [
          'out_of_range',
          `must be at most ${checked}, the highest sequence that is checked now; leave it out to read up to that one`,
        ];
  faults.push({ field: 'watermark', code, message });
  return checked;
};

const refuseLate = (to: Instant, faults: Fault[]): void => {
  if (faults.length === 0 && to > latest)
    faults.push({ field: 'to', code: 'out_of_range', message: 'must not be after the year 2199' });
};

/** As long as the longest billing period is, and a month. */
const spanMsMax = 1_130 * 86_400_000;

/**
 * What both routes of one customer read: a span, by default the current one, and a watermark. Throws `BAD_REQUEST`.
 */
export const readUsageSpan = (
  query: Static<typeof UsageSpan>,
  current: Period,
  checked: bigint,
): { readonly period: Period; readonly watermark: bigint } => {
  const faults: Fault[] = [];
  const from = readInstant(query.from, 'from', faults) ?? current.start;
  const to = readInstant(query.to, 'to', faults) ?? current.end;
  refuseLate(to, faults);
  if (faults.length === 0 && from >= to)
    faults.push({ field: 'from', code: 'not_increasing', message: 'must be before to' });
  if (to - from > spanMsMax)
    faults.push({ field: 'to', code: 'out_of_range', message: 'must be at most 1,130 days after from' });
  const watermark = readGivenWatermark(query.watermark, checked, faults);
  refuseQuery(faults);
  return { period: periodOf(from, to), watermark };
};

const readTimeZone = (texts: Texts, faults: Fault[]): string => {
  const text = texts.get('time_zone') ?? 'UTC';
  const timeZone = timeZoneFromText(text);
  if (timeZone === undefined) faults.push(timeZoneFault('time_zone'));
  return timeZone ?? 'UTC';
};

/**
 * Half-open. Where a month begins depends on the zone. Without an end it is that of the running minute: reads that come
 * together then are of one period.
 */
const readPeriod = (texts: Texts, timeZone: string, nowMs: Instant, faults: Fault[]): Period | undefined => {
  const own: Fault[] = [];
  const from = readInstant(texts.get('from'), 'from', own) ?? monthOf(nowMs, timeZone).start;
  const to = readInstant(texts.get('to'), 'to', own) ?? (Math.floor(nowMs / minuteMs) + 1) * minuteMs;
  refuseLate(to, own);
  if (own.length === 0 && from >= to)
    own.push({
      field: 'from',
      code: 'not_increasing',
      message: `must be before to${texts.has('to') ? '' : ', which is the end of the running minute where it is left out'}`,
    });
  faults.push(...own);
  return own.length === 0 ? periodOf(from, to) : undefined;
};

const readWindows = (
  window: WindowName | null,
  period: Period | undefined,
  timeZone: string,
  faults: Fault[],
): Instant[] | null => {
  if (window === null || period === undefined) return null;
  const starts = windowStarts(period, window, timeZone, windowsMax);
  if (starts === undefined)
    faults.push({
      field: 'window',
      code: 'out_of_range',
      message: `gives more than ${windowsMax} windows; take a longer one or a shorter period`,
    });
  return starts ?? null;
};

/** Names between commas; one in double quotes may hold commas, as a property can't hold a quote. */
const namesIn = (text: string): string[] =>
  text.match(/"[^"]*"|[^,]+|(?<=^|,)(?=,|$)/g)?.map((name) => name.replace(/^"(.*)"$/, '$1')) ?? [];

const readGroupBy = (texts: Texts, meter: Meter, faults: Fault[]): string[] => {
  const text = texts.get('group_by');
  if (text === undefined) return [];
  const names = namesIn(text);
  const allowed = ['customer_id', ...meter.groupBy];
  for (const name of new Set(names.filter((one) => !allowed.includes(one)).slice(0, 20)))
    faults.push({
      field: 'group_by',
      code: 'not_allowed',
      message: `${JSON.stringify(name.slice(0, 64))} is not known; this version of the meter has ${allowed.join(', ')}. PATCH its group_by to add a property`,
    });
  if (new Set(names).size < names.length)
    faults.push({ field: 'group_by', code: 'duplicate', message: 'names something twice' });
  return names;
};

/** The properties that a meter itself tells of: by which it groups, filters and measures. */
const propertiesOfMeter = ({ groupBy, filter, property, expression }: Meter): string[] => {
  const parsed = expression === null ? undefined : parseExpression(expression);
  return [
    ...new Set([
      ...groupBy,
      ...(filter ? conditionsOf(filter).map((condition) => condition.property) : []),
      ...(property === null ? [] : [property]),
      ...(parsed?.ok ? propertiesOf(parsed.value) : []),
    ]),
  ];
};

const readFilter = (texts: Texts, meter: Meter, faults: Fault[]): Filter | null => {
  const text = texts.get('filter');
  if (text === undefined) return null;
  const read = text.length > usageFilterCharactersMax ? undefined : parseJsonBody(Buffer.from(text));
  if (!read?.ok) {
    const example = '{"property":"region","operator":"eq","value":"eu"}';
    const message = `must be JSON of at most ${usageFilterCharactersMax} characters such as ${example}, encoded for a URL`;
    faults.push({ field: 'filter', code: 'wrong_format', message: read ? `${message}: ${read.reason}` : message });
    return null;
  }
  const parsed = filterFromJson(read.value, 'filter');
  if (!parsed.ok) {
    faults.push(...parsed.faults);
    return null;
  }
  const own = propertiesOfMeter(meter);
  const unknown = conditionsOf(parsed.value).filter(({ property }) => !own.includes(property));
  for (const name of new Set(unknown.map(({ property }) => property)))
    faults.push({
      field: 'filter',
      code: 'not_allowed',
      message:
        name === 'customer_id'
          ? 'customer_id is no property; give it as the parameter customer_id'
          : `the property ${JSON.stringify(name.slice(0, 64))} is not known; this version of the meter has ${own.join(', ') || 'none'}. PATCH its group_by to add it`,
    });
  return parsed.value;
};

/**
 * What the query asks of that version of the meter, as far as no fault is added. `checked` is the highest watermark; a
 * page that goes on takes what is settled.
 */
export const readUsageAsked = (
  texts: Texts,
  meter: Meter,
  {
    nowMs,
    checked,
    settled,
  }: { readonly nowMs: Instant; readonly checked: bigint; readonly settled: SettledUsage | undefined },
  faults: Fault[],
): UsageAsked | undefined => {
  const timeZone = readTimeZone(texts, faults);
  const given = readPeriod(texts, timeZone, nowMs, faults);
  const period = settled?.period ?? given;
  const window = readOneOf(texts, 'window', windowNames, faults) ?? null;
  const asked = {
    window,
    windowStarts: readWindows(window, period, timeZone, faults),
    timeZone,
    watermark: settled?.watermark ?? readGivenWatermark(texts.get('watermark'), checked, faults),
    groupBy: readGroupBy(texts, meter, faults),
    filter: readFilter(texts, meter, faults),
    limit: readWhole(texts, 'limit', 1_000, faults) ?? 100,
    format: readOneOf(texts, 'format', ['json', 'csv'], faults) ?? 'json',
    explains: readOneOf(texts, 'explain', ['true', 'false'], faults) === 'true',
  };
  if (asked.explains && asked.format === 'csv')
    faults.push({ field: 'explain', code: 'not_allowed', message: 'is told in JSON only' });
  return period === undefined || faults.length > 0 ? undefined : { ...asked, period };
};
