/** The names of customers that events of a meter bear. Of days whole: names are looked for, and nothing is counted. */
import type { ClickHouseClient } from '@clickhouse/client';
import { type ClickHouseStatement, readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { Instant } from '#schemas/period.ts';
import { createBindings } from '../../rater/aggregate/bindings.ts';
import { dayMs } from '../../rater/aggregate/cells.ts';
import { encodedBytes, inRuns } from '../../rater/aggregate/in-runs.ts';
import { isCarried } from '../../rater/aggregate/usage-wanted.ts';
import type { CustomerPorts } from '../customers/customer-routes.ts';
import type { NameKind, NamesAsked, UsageNames } from './merge-names.ts';

const idPattern = '^cus_[0-9a-f]{32}$';

/** The range lets the index find ids among other names. */
const kindSql: Readonly<Record<NameKind, string>> = {
  ids: `customer >= 'cus_' AND customer < 'cus\`' AND match(customer, '${idPattern}')`,
  others: `NOT match(customer, '${idPattern}')`,
};

const daysSql = (asked: NamesAsked): string =>
  `${isCarried(asked) ? '' : 'AND day >= toDate({from:Int64}) '}AND day <= toDate({to:Int64})`;

/** The store's days are of 1970 to 2149; what lies outside of them stands under the first and the last one. */
const dayOf = (instant: Instant): number => Math.min(Math.max(Math.floor(instant / dayMs), 0), 65_535);

const paramsOf = ({ tenant, watermark, meter, period }: NamesAsked) => ({
  tenant,
  event: meter.event,
  watermark: watermark.toString(),
  from: dayOf(period.start),
  to: dayOf(period.end - 1),
});

const namesStatement = (asked: NamesAsked, kind: NameKind, after: string, limit: number): ClickHouseStatement => ({
  query: `
SELECT DISTINCT customer FROM usage_days
WHERE tenant = {tenant:String} AND event = {event:String} AND customer > {after:String} AND ${kindSql[kind]}
  ${daysSql(asked)}
ORDER BY customer LIMIT {limit:UInt64}`,
  params: { ...paramsOf(asked), after, limit },
});

/** A day of which nothing is behind the watermark had its events then; any other may have had them or not. */
const daysStatement = (asked: NamesAsked, names: readonly string[]): ClickHouseStatement => {
  const bindings = createBindings();
  return {
    query: `
SELECT customer, max(last <= {watermark:UInt64}) AS is_known
FROM (
  SELECT customer, day, max(sequence) AS last FROM usage_days
  WHERE tenant = {tenant:String} AND event = {event:String} AND customer IN ${bindings.strings(names)}
    ${daysSql(asked)}
  GROUP BY customer, day
)
GROUP BY customer`,
    params: { ...paramsOf(asked), ...bindings.params() },
  };
};

const eventsStatement = (asked: NamesAsked, names: readonly string[]): ClickHouseStatement => {
  const bindings = createBindings();
  const from = isCarried(asked) ? '' : 'AND toDate(occurred_at) >= toDate({from:Int64}) ';
  return {
    query: `
SELECT DISTINCT customer FROM usage_events
WHERE tenant = {tenant:String} AND event = {event:String} AND customer IN ${bindings.strings(names)}
  ${from}AND toDate(occurred_at) <= toDate({to:Int64}) AND stream_sequence <= {watermark:UInt64}`,
    params: { ...paramsOf(asked), ...bindings.params() },
  };
};

const firstDayStatement = `
SELECT toString(count()) AS days, toString(toInt64(min(day))) AS first FROM usage_days
WHERE tenant = {tenant:String} AND customer = {name:String}`;

/** Statements travel in a URL, which the store takes up to 1 MiB of; a name is there as it is encoded. */
const bytesPerStatementMax = 400_000;

export const createUsageNames = (clickhouse: ClickHouseClient): UsageNames & CustomerPorts['usageNames'] => {
  const read = <R>(statement: ClickHouseStatement): Promise<R[]> =>
    whileAvailable(() => readRows<R>(clickhouse, statement));
  const borneOf = async (asked: NamesAsked, names: readonly string[]): Promise<string[]> => {
    const rows = await read<{ customer: string; is_known: number }>(daysStatement(asked, names));
    const known = rows.filter(({ is_known }) => is_known === 1).map(({ customer }) => customer);
    const unsure = rows.filter(({ is_known }) => is_known !== 1).map(({ customer }) => customer);
    const more = unsure.length === 0 ? [] : await read<{ customer: string }>(eventsStatement(asked, unsure));
    return [...known, ...more.map(({ customer }) => customer)];
  };
  return {
    names: async (asked, kind, after, limit) =>
      (await read<{ customer: string }>(namesStatement(asked, kind, after, limit))).map(({ customer }) => customer),
    borne: async (asked, names) => {
      const borne = [];
      for (const some of inRuns(names, encodedBytes, bytesPerStatementMax)) borne.push(...(await borneOf(asked, some)));
      return new Set(borne);
    },
    firstDay: async (tenant, name) => {
      const [row] = await read<{ days: string; first: string }>({ query: firstDayStatement, params: { tenant, name } });
      return row === undefined || row.days === '0' ? undefined : Number(row.first) * dayMs;
    },
  };
};
