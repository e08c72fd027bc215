/** Usage as it is read: of a meter in windows and groups, of a customer, of a subscription against its limits. */
import { Type } from 'typebox';
import type { Fault } from '#schemas/failures.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import { MeterId } from '#schemas/http/meters.ts';
import { SubscriptionId } from '#schemas/http/subscriptions.ts';
import { CustomerUsage, MeterUsage, MeterUsageQuery, SubscriptionUsage, UsageSpan } from '#schemas/http/usage.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod, type Instant, intersect, monthOf, type Period } from '#schemas/period.ts';
import { chargeFromJson, chargeJsonIn } from '#schemas/plan.ts';
import { type MeterVersion, meterOf } from '#schemas/stored-meter.ts';
import { currentPeriod, hourOf } from '#schemas/subscription-state.ts';
import { termsAt } from '#schemas/subscription-terms.ts';
import type { UsageRow } from '../../rater/aggregate/usage-query.ts';
import type { UsageWay } from '../../rater/totals/read-usage.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { Meter as CatalogMeter } from '../catalog/meters.postgres.ts';
import type { CustomerNames } from '../customers/customer-names.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Cursors } from '../route/cursors.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import type { Subscription, SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { limitsOf } from './limits.ts';
import { mergeAllNames, mergedMax, mergeOwnNames, type NamesAsked, type UsageNames } from './merge-names.ts';
import type { ReadUsage } from './usage.clickhouse.ts';
import {
  readMeterVersion,
  readUsageAsked,
  readUsageSpan,
  refuseQuery,
  type Texts,
  textsOf,
  type UsageAsked,
} from './usage-asked.ts';
import { usageCsv } from './usage-csv.ts';
import { readUsageCursor, scopeOf, type UsagePosition, usageCursor } from './usage-cursor.ts';
import type { ReadWatermark, RecentWatermark } from './watermark.postgres.ts';

export type UsagePorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly catalog: CatalogStore;
  readonly cursors: Cursors;
  readonly readUsage: ReadUsage;
  readonly usageNames: UsageNames;
  readonly readWatermark: ReadWatermark;
  readonly recentWatermark: RecentWatermark;
};

/** A query that its own reader judges. */
const anyQuery = Type.Object({}, { additionalProperties: true });

/** By the names that groups go by. */
type KnownCustomers = ReadonlyMap<string, CustomerNames>;

const customerJson = (known: KnownCustomers, name: string | null | undefined) => {
  const customer = known.get(name ?? '');
  return customer ? { id: customer.id, external_id: customer.externalId } : null;
};

const rowsJson = (rows: readonly UsageRow[], { period, windowStarts, groupBy }: UsageAsked, known: KnownCustomers) => {
  const place = groupBy.indexOf('customer_id');
  const starts = windowStarts ?? [period.start];
  const ends = new Map(starts.map((start, index) => [start, starts[index + 1] ?? period.end]));
  return rows.map((row) => {
    const start = row.windowStart ?? period.start;
    return {
      window_start: formatInstant(start),
      window_end: formatInstant(ends.get(start) ?? period.end),
      group: Object.fromEntries(groupBy.map((name, index) => [name, row.group[index] ?? null])),
      ...(place >= 0 && { customer: customerJson(known, row.group[place]) }),
      quantity: row.quantity,
      events: row.events,
      unmeasured_events: row.unmeasuredEvents,
    };
  });
};

const wayJson = (way: UsageWay) =>
  way.from === 'events'
    ? { from: way.from, reason: way.reason }
    : { from: way.from, days_of_events: way.daysOfEvents.map((day) => formatInstant(day).slice(0, 10)) };

const meterUsageRoute = (
  { get }: Routes,
  { customers, catalog, cursors, readUsage, usageNames: names, recentWatermark }: UsagePorts,
): void => {
  /** The meter as that version of it measures. */
  const inVersion = async (db: Db, newest: CatalogMeter, number: number): Promise<MeterVersion> => {
    if (number === newest.versionNumber) return meterOf(newest);
    const version = found(await catalog.meterVersion(db, newest.id, number), 'METER_NOT_FOUND');
    return meterOf({
      code: newest.code,
      versionId: version.id,
      versionNumber: number,
      definition: version.definition,
    });
  };
  const customerOf = async (db: Db, texts: Texts, renames: number) => {
    const id = texts.get('customer_id');
    return id === undefined ? undefined : found(await customers.customerNames(db, id, renames), 'CUSTOMER_NOT_FOUND');
  };
  const mergedNames = async (db: Db, asked: NamesAsked, customer: CustomerNames | undefined) => {
    const ports = { usageNames: names, customers };
    const merged = customer ? await mergeOwnNames(ports, asked, customer) : await mergeAllNames(ports, db, asked);
    if (merged === 'too many') {
      const message = `has more than ${mergedMax} customers in this period that events name in several ways; ask for a shorter period, or for one customer`;
      refuseQuery([{ field: 'group_by', code: 'out_of_range', message }]);
    }
    return merged === 'too many' ? undefined : merged;
  };
  const knownIn = async (db: Db, groupBy: readonly string[], rows: readonly UsageRow[]): Promise<KnownCustomers> => {
    const place = groupBy.indexOf('customer_id');
    const called = new Set(place < 0 ? [] : rows.flatMap(({ group }) => group[place] ?? []));
    const found = called.size === 0 ? [] : await customers.customersNamed(db, [...called]);
    return new Map(found.flatMap((one) => one.names.map((name) => [name, one] as const)));
  };
  const positionIn = (scope: string, texts: Texts, faults: Fault[]): UsagePosition | undefined => {
    const cursor = texts.get('cursor');
    const position = cursor === undefined ? undefined : readUsageCursor(cursors, scope, cursor);
    if (cursor !== undefined && !position)
      faults.push({
        field: 'cursor',
        code: 'wrong_format',
        message: 'must be a next_cursor of this meter, with the same query; begin anew without it',
      });
    return position;
  };

  get(
    {
      url: '/v1/meters/:id/usage',
      operation: 'getMeterUsage',
      tag: 'Usage',
      summary: 'Usage of a meter in windows and groups, repeatable at its watermark',
      scope: 'read:usage',
      params: MeterId,
      query: anyQuery,
      documentedQuery: MeterUsageQuery,
      answers: { 200: MeterUsage },
      mediaTypes: ['application/json', 'text/csv'],
      answerHeaders: ['Millrace-Watermark', 'Millrace-Next-Cursor'],
      failures: ['METER_NOT_FOUND', 'CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, query, nowMs, setHeader, setType }) => {
      const faults: Fault[] = [];
      const texts = textsOf(query as Readonly<Record<string, unknown>>, faults);
      const [named, checked] = await Promise.all([
        catalog.meter(db, params.id),
        recentWatermark(db, texts.get('watermark')),
      ]);
      const newest = found(named, 'METER_NOT_FOUND');
      const { id, code } = newest;
      const scope = scopeOf(db.organizationId, id, texts);
      const position = positionIn(scope, texts, faults);
      const number = position?.moment.meterVersion ?? readMeterVersion(texts, newest.versionNumber, faults);
      const meter = await inVersion(db, newest, number);
      const asked = readUsageAsked(texts, meter, { nowMs, checked, settled: position?.moment }, faults);
      refuseQuery(faults);
      const renames = position?.moment.renames ?? (await customers.renames(db));
      const customer = await customerOf(db, texts, renames);
      const { period, watermark, windowStarts, groupBy, filter, limit, format, window, timeZone, explains } =
        asked as UsageAsked;
      const of = { tenant: db.organizationId, watermark, meter, period };
      const merged = groupBy.includes('customer_id') ? await mergedNames(db, { ...of, renames }, customer) : undefined;
      const { rows, way } = await readUsage.rows({
        ...of,
        renames,
        ...(merged && { merged }),
        windowStarts,
        groupBy,
        filter,
        customers: customer ? customer.names : null,
        after: position?.after ?? null,
        limit: limit + 1,
      });
      const shown = rows.slice(0, limit);
      const last = rows.length > limit ? shown.at(-1) : undefined;
      const moment = { period, watermark, meterVersion: number, renames };
      const next = last === undefined ? null : usageCursor(cursors, scope, { moment, after: last });
      if (next === undefined) {
        const message =
          'has a text that is too long for a page to end at; ask with a higher limit, a filter, or without that group';
        refuseQuery([{ field: 'group_by', code: 'wrong_length', message }]);
      }
      const items = rowsJson(shown, asked as UsageAsked, await knownIn(db, groupBy, shown));
      setHeader('Millrace-Watermark', watermark.toString());
      if (next) setHeader('Millrace-Next-Cursor', next);
      if (format === 'csv') {
        setType('text/csv; charset=utf-8');
        return usageCsv(groupBy, items);
      }
      return {
        meter_id: id,
        meter: code,
        meter_version: number,
        customer_id: customer?.id ?? null,
        period: formatPeriod(period),
        window,
        time_zone: timeZone,
        watermark: watermark.toString(),
        items,
        pagination: { page_size: items.length, has_more: last !== undefined, next_cursor: next ?? null },
        ...(explains && { explanation: wayJson(way) }),
      };
    },
  );
};

const customerUsageRoute = (
  { get }: Routes,
  { customers: store, catalog, readUsage, readWatermark }: UsagePorts,
): void =>
  get(
    {
      url: '/v1/customers/:id/usage',
      operation: 'getCustomerUsage',
      tag: 'Usage',
      summary: "A customer's quantity of every meter in a span of time",
      scope: 'read:usage',
      params: CustomerId,
      query: UsageSpan,
      answers: { 200: CustomerUsage },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, query, nowMs }) => {
      const hour = (await store.payer(db, params.id))?.clock?.now ?? nowMs;
      const { period, watermark } = readUsageSpan(query, monthOf(hour), await readWatermark(db));
      const customer = found(await store.customerNames(db, params.id), 'CUSTOMER_NOT_FOUND');
      const meters = (await catalog.allMeters(db)).map(meterOf);
      const customers = customer.names;
      const usage = await readUsage.quantities({
        organizationId: db.organizationId,
        watermark,
        customers,
        meters,
        period,
      });
      return {
        customer_id: customer.id,
        external_id: customer.externalId,
        period: formatPeriod(period),
        watermark: watermark.toString(),
        items: meters.map(({ code, version, versionId }) => ({
          meter: code,
          meter_version: version,
          quantity: usage.get(versionId)?.quantity ?? '0',
          unmeasured_events: Number(usage.get(versionId)?.unmeasuredEvents ?? 0n),
        })),
      };
    },
  );

/** The plan that holds at the end of a span, or now where that lies ahead, and for how long it holds. */
const planOver = (subscription: Subscription, period: Period, nowMs: Instant) => {
  const { startedAt, endedAt } = subscription;
  const end = endedAt ?? Number.POSITIVE_INFINITY;
  const instant = Math.max(startedAt, Math.min(period.end - 1, nowMs, end - 1));
  const { planVersionId } = termsAt(subscription, instant);
  const turns = subscription.changes.filter(({ kind }) => kind === 'plan').map(({ effectiveAt }) => effectiveAt);
  const start = Math.max(startedAt, ...turns.filter((turn) => turn <= instant));
  return { planVersionId, span: { start, end: Math.min(end, ...turns.filter((turn) => turn > instant)) } };
};

const subscriptionUsageRoute = (
  { get }: Routes,
  { customers: store, subscriptions, catalog, readUsage, readWatermark }: UsagePorts,
): void =>
  get(
    {
      url: '/v1/subscriptions/:id/usage',
      operation: 'getSubscriptionUsage',
      tag: 'Usage',
      summary: "A subscription's usage by charge, against the free units and tiers of its prices",
      scope: 'read:usage',
      params: SubscriptionId,
      query: UsageSpan,
      answers: { 200: SubscriptionUsage },
      failures: ['SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, params, query, nowMs }) => {
      const subscription = found(await subscriptions.subscription(db, params.id), 'SUBSCRIPTION_NOT_FOUND');
      const now = hourOf(subscription, nowMs);
      const current = currentPeriod(subscription, now);
      const { period, watermark } = readUsageSpan(query, current, await readWatermark(db));
      const customer = found(await store.customerNames(db, subscription.customerId), 'CUSTOMER_NOT_FOUND');
      const { planVersionId, span } = planOver(subscription, period, now);
      const meters = await catalog.pinnedMeters(db, planVersionId);
      const priced = await catalog.chargesOf(db, planVersionId);
      const charges = (priced?.charges ?? []).flatMap((json) => {
        const charge = priced && chargeJsonIn(json, subscription.currency, priced.currency);
        const parsed = chargeFromJson(charge);
        return parsed.ok ? [parsed.value] : [];
      });
      // As it is billed: of the span, what the plan covers.
      const covered = intersect(period, span);
      const customers = customer.names;
      const wanted = { organizationId: db.organizationId, watermark, customers, meters };
      const usage = covered ? await readUsage.quantities({ ...wanted, period: covered }) : new Map();
      return {
        subscription_id: subscription.id,
        customer_id: subscription.customerId,
        plan_version_id: planVersionId,
        period: formatPeriod(period),
        watermark: watermark.toString(),
        items: charges.flatMap(({ code, name, meter: meterCode, price }) => {
          const meter = meters.find((one) => one.code === meterCode);
          if (!meter) return [];
          const quantity: string = usage.get(meter.versionId)?.quantity ?? '0';
          return [
            {
              charge: code,
              name,
              meter: meter.code,
              meter_version: meter.version,
              quantity,
              unmeasured_events: Number(usage.get(meter.versionId)?.unmeasuredEvents ?? 0n),
              ...limitsOf(price, quantity),
            },
          ];
        }),
      };
    },
  );

export const usageRoutes = (routes: Routes, ports: UsagePorts): void => {
  meterUsageRoute(routes, ports);
  customerUsageRoute(routes, ports);
  subscriptionUsageRoute(routes, ports);
};
