/**
 * The fates of events as ClickHouse tells them, against a plain reading of the same words: of random customers,
 * subscriptions, invoices, events and voids.
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import type { Filter } from '#schemas/filter.ts';
import type { Meter } from '#schemas/meter.ts';
import { toFateReason } from '#schemas/unbilled-reasons.ts';
import {
  type ChargedMeter,
  chargesName,
  type Fate,
  type FateCounts,
  fates,
  type KnownSubscription,
  noFates,
  usageCustomers,
} from '../../api/events/billed-usage.ts';
import { type Billing, billingOf, type EventVersion, type SubscriptionFacts } from '../../api/events/event-fate.ts';
import { addFates, fateStatements } from '../../api/events/fate-query.ts';
import { createStoredUsage } from '../../api/reconciliation/stored-usage.clickhouse.ts';
import { createInsert } from '../../ingest/sink/usage-store.clickhouse.ts';
import {
  insertVoids,
  oneAfterTheOther,
  type Properties,
  rareWorlds,
  type SentEvent,
  type World,
} from '../support/fate-worlds.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';
import { plainTerms } from '../support/plain-terms.ts';
import { scaled } from '../support/scale.ts';
import { toMessage, toRow } from '../support/usage-rows.ts';

let clickhouse: ReturnType<typeof connectClickHouse>;
let insert: ReturnType<typeof createInsert>;
beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = await freshStores(inject('serverUrls'));
  await migrateAll({ databaseUrl, clickhouseUrl, databasePassword });
  clickhouse = connectClickHouse(clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 2 });
  insert = createInsert(clickhouse);
});
afterAll(() => clickhouse?.close());

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const beginMs = Date.UTC(2026, 10, 1);

const meter = (code: string, event: string, some: Partial<Meter> = {}): Meter => ({
  code,
  version: 1,
  event,
  aggregation: 'count',
  property: null,
  expression: null,
  filter: null,
  groupBy: [],
  rounding: null,
  percentile: null,
  ...some,
});
const tokens = meter('tokens', 'call', { aggregation: 'sum', property: 'tokens' });
const month = { unit: 'month', count: 1 } as const;
/** The second is the property that the price reads an amount from. */
const charged = (of: Meter, amountProperty?: string): ChargedMeter => ({ meter: of, amountProperty, interval: month });
const currency = 'USD';
const isLarge: Filter = { property: 'size', operator: 'eq', value: 'large' };

/** What each plan charges by; whether an event counts, and whether it has a value, said once more in plain words. */
const plans = new Map<string, readonly ChargedMeter[]>([
  ['plan_count', [charged(meter('calls', 'call'))]],
  ['plan_sum', [charged(tokens)]],
  ['plan_amounts', [charged(tokens, 'cost')]],
  ['plan_both', [charged(tokens, 'cost'), charged(meter('calls', 'call', { filter: isLarge }))]],
  [
    'plan_large',
    [
      charged(meter('large', 'call', { filter: isLarge })),
      charged(meter('bytes', 'upload', { aggregation: 'max', property: 'a.b' })),
    ],
  ],
  ['plan_flat', []],
]);
/** By the interval of the charges, waived or not, and all of a version at once, as periods from before have them. */
const meters = new Map(
  [{ interval: month }, { interval: month, isWaived: true }, { interval: undefined }].flatMap((stretch) =>
    [...plans].map(([planVersionId, of]) => [chargesName({ planVersionId, currency, ...stretch }), of] as const),
  ),
);
const isNumber = (text: string | undefined): boolean => text !== undefined && /^-?\d+(\.\d+)?$/.test(text);
type Plainly = { readonly counted: boolean; readonly measured: boolean; readonly charged?: boolean };
const plainly: Readonly<Record<string, (event: string, properties: Properties) => Plainly>> = {
  plan_count: (event) => ({ counted: event === 'call', measured: event === 'call' }),
  plan_sum: (event, { tokens }) => ({ counted: event === 'call', measured: event === 'call' && isNumber(tokens) }),
  plan_amounts: (event, { tokens: value, cost }) => {
    const isMeasured = event === 'call' && isNumber(value);
    return { counted: event === 'call', measured: isMeasured, charged: isMeasured && isNumber(cost) };
  },
  plan_both: (event, { tokens: value, cost, size }) => {
    const isMeasured = event === 'call' && isNumber(value);
    const isOfSize = event === 'call' && size === 'large';
    return {
      counted: event === 'call',
      measured: isMeasured || isOfSize,
      charged: isOfSize || (isMeasured && isNumber(cost)),
    };
  },
  plan_large: (event, properties) => {
    const isCounted = event === 'call' && properties.size === 'large';
    return {
      counted: isCounted || event === 'upload',
      measured: isCounted || (event === 'upload' && isNumber(properties['a.b'])),
    };
  },
  plan_flat: () => ({ counted: false, measured: false }),
};

/** The first customer's external id is the second one's id. */
const customers = [
  ['cus_a', 'cus_b'],
  ['cus_b', "o'brien\\"],
  ['cus_c', '日本'],
] as const;
const names = ['cus_a', 'cus_b', "o'brien\\", 'cus_c', '日本', 'nobody', '{x:String}'];

const day = fc.integer({ min: 0, max: 20 });
const sentEvent: fc.Arbitrary<SentEvent> = fc.record({
  name: fc.constantFrom(...names),
  event: fc.constantFrom('call', 'call', 'upload', 'other'),
  day,
  hour: fc.integer({ min: 0, max: 3 }),
  properties: fc.dictionary(
    fc.constantFrom('tokens', 'cost', 'size', 'a.b'),
    fc.constantFrom('large', '12', '0.5', 'many'),
    {
      maxKeys: 4,
    },
  ),
  void: fc.constantFrom(undefined, undefined, undefined, 'twin', 'voided', 'replaced'),
  voidAt: fc.integer({ min: 0, max: 45 }),
});
const world: fc.Arbitrary<World> = fc.record({
  subscriptions: fc.array(
    fc.record({
      customer: fc.integer({ min: 0, max: customers.length - 1 }),
      plan: fc.constantFrom('plan_count', ...plans.keys()),
      from: day,
      to: fc.option(fc.integer({ min: 1, max: 20 })),
      trialDays: fc.option(fc.integer({ min: 1, max: 8 })),
      pause: fc.option(fc.record({ from: day, days: fc.integer({ min: 1, max: 8 }) })),
      waives: fc.boolean(),
      invoices: fc
        .array(
          fc.record({
            gap: fc.integer({ min: 0, max: 8 }),
            days: fc.integer({ min: 3, max: 10 }),
            watermark: fc.integer({ min: 1, max: 25 }),
            deltas: fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 2 }),
          }),
          { maxLength: 3 },
        )
        .map(oneAfterTheOther),
    }),
    { maxLength: 6, size: 'max' },
  ),
  events: fc.array(sentEvent, { minLength: 1, maxLength: 40, size: 'max' }),
  watermark: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 40, max: 60 })),
  cut: fc.integer({ min: 0, max: 6 }),
});

const atDay = (of: number) => beginMs + of * dayMs;
const monthOf = (instant: number) => (instant < Date.UTC(2026, 11, 1) ? beginMs : Date.UTC(2026, 11, 1));
const occurredAt = ({ day: of }: SentEvent, index: number) => atDay(of) + index * 1_000;
const receivedAt = ({ hour }: SentEvent) => beginMs + 25 * dayMs + hour * hourMs;
const sequenceOf = (index: number) => index + 1;
/** A void is behind what it voids. */
const voidSequenceOf = (event: SentEvent, index: number) =>
  event.void === 'twin' ? sequenceOf(index) : sequenceOf(index) + 1 + event.voidAt;

const known = ({ subscriptions }: World): KnownSubscription[] =>
  subscriptions.map(({ customer, plan, from, to, trialDays, pause, waives, invoices }) => ({
    ...plainTerms({
      planVersionId: plan,
      startedAt: atDay(from),
      endedAt: to === null ? null : atDay(from + to),
      trialEndsAt: trialDays === null ? null : atDay(from + trialDays),
      waivesFinalUsage: waives,
      changes: pause
        ? [
            { kind: 'pause', usage: 'unbilled', effectiveAt: atDay(pause.from), bills: 'next' },
            { kind: 'resume', effectiveAt: atDay(pause.from + pause.days), bills: 'next' },
          ]
        : [],
    }),
    names: customers[customer] as readonly string[],
    currency,
    periods: invoices.map((invoice) => ({
      span: { start: atDay(invoice.from), end: atDay(invoice.from + invoice.days) },
      watermark: BigInt(invoice.watermark),
      laterWatermarks: invoice.deltas.map(BigInt),
      planVersionId: plan,
      item: 'plan',
      interval: undefined,
    })),
  }));
/** As the versions say it. */
const intervalsOf = () => (planVersionId: string) => (plans.get(planVersionId)?.length ? [month] : []);

/** In plain words; undefined where it is not one of those that are told. */
const plainFate = (all: World, event: SentEvent, index: number): Fate | undefined => {
  const [at, sequence, voidAt] = [occurredAt(event, index), sequenceOf(index), voidSequenceOf(event, index)];
  const isVoidAt = (watermark: number) => event.void !== undefined && voidAt <= watermark;
  if (sequence > all.watermark || (event.void === 'twin' && isVoidAt(all.watermark))) return undefined;
  const own = all.subscriptions.filter(({ customer }) => customers[customer]?.some((name) => name === event.name));
  const isBilled = ({ from, days }: { from: number; days: number }) => atDay(from) <= at && at < atDay(from + days);
  // What is billed stays so, whenever the subscription began and ended.
  const covering = own.filter(
    ({ from, to, invoices }) =>
      (atDay(from) <= at && (to === null || at < atDay(from + to))) || invoices.some(isBilled),
  );
  const isTrial = ({ from, trialDays }: World['subscriptions'][number]) =>
    trialDays !== null && at < atDay(from + trialDays);
  const isPaused = ({ pause }: World['subscriptions'][number]) =>
    pause !== null && atDay(pause.from) <= at && at < atDay(pause.from + pause.days);
  const taking = covering.filter((one) => one.invoices.some(isBilled) || !(isTrial(one) || isPaused(one)));
  // Of the calendar's month that it ends in.
  const isWaived = ({ from, to, waives }: World['subscriptions'][number]) =>
    waives && to !== null && at >= monthOf(atDay(from + to) - 1);
  const judged = taking.map((subscription) => ({
    ...(plainly[subscription.plan]?.(event.event, event.properties) ?? { counted: false, measured: false }),
    invoices: subscription.invoices.filter(isBilled),
    isWaived: isWaived(subscription),
  }));
  const isCharged = ({ measured, charged: said }: Plainly) => said ?? measured;
  // An amendment that lies behind the watermark is not known there.
  const isAmended = isVoidAt(all.watermark);
  const isOn = ({ watermark, deltas }: { watermark: number; deltas: readonly number[] }) =>
    [watermark, ...deltas].some((one) => sequence <= one && !(isAmended && voidAt <= one));
  if (judged.some((one) => isCharged(one) && one.invoices.some(isOn))) return 'billed';
  if (isAmended && event.void !== 'twin') return event.void;
  if (!customers.some((of) => of.some((name) => name === event.name))) return 'no_customer';
  if (covering.length === 0) return 'no_subscription';
  if (taking.length === 0) return covering.some(isTrial) ? 'trial' : 'paused';
  if (!judged.some(({ counted }) => counted)) return 'no_charge';
  if (!judged.some(({ measured }) => measured)) return 'unmeasured';
  if (!judged.some(isCharged)) return 'no_amount';
  const charging = judged.filter(isCharged);
  if (charging.some(({ invoices, isWaived: isFree }) => invoices.length === 0 && !isFree)) return 'period_open';
  return charging.some(({ invoices }) => invoices.length > 0) ? 'late' : 'waived';
};

const digestOf = (tenant: string, key: string) =>
  createHash('sha256').update(`${tenant}\0${key}`).digest('hex').slice(0, 32);

const store = async (tenant: string, { events }: World): Promise<void> => {
  const messages = events.map((event, index) => ({
    sequence: sequenceOf(index),
    // No two batches of two worlds are the same to the store.
    publishedAtMs: 1_000 * tenants + index,
    body: toMessage([
      toRow({
        tenant,
        idempotencyKey: `key-${index}`,
        event: event.event,
        customer: event.name,
        occurredAtMs: occurredAt(event, index),
        receivedAtMs: receivedAt(event),
        properties: Object.entries(event.properties).sort(),
      }),
    ]),
    ack: () => {},
    working: () => {},
  }));
  await insert(messages);
  // What was delivered again in another batch is there twice.
  await insert(messages.slice(0, 3));
  const voids = events.flatMap((event, index) =>
    event.void === undefined
      ? []
      : [
          {
            tenant,
            event: event.event,
            customer: event.name,
            reason: event.void,
            amendment_id: event.void === 'twin' ? '' : `amd-${index}`,
            occurred_at: occurredAt(event, index),
            received_at: receivedAt(event),
            digest: digestOf(tenant, `key-${index}`),
            row_sequence: event.void === 'twin' ? sequenceOf(index) : 0,
            void_sequence: voidSequenceOf(event, index),
          },
        ],
  );
  await insertVoids(clickhouse, voids);
};

const span = { from: new Date(beginMs + 25 * dayMs), to: new Date(beginMs + 25 * dayMs + 3 * hourMs) };
let tenants = 0;
const seen = new Set<Fate>();

describe('[I11] the fates of events', () => {
  it('are those that the words say, for each hour of receipt, of whatever is stored and however statements are cut', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (all) => {
        tenants += 1;
        const tenant = `org_${tenants}`;
        await store(tenant, all);
        const stored = createStoredUsage(clickhouse);
        const watermark = BigInt(all.watermark);
        const found = await stored.customerNames(tenant, span, watermark, 100);
        const of = usageCustomers(found, new Set(customers.flat()), known(all), intervalsOf);
        const counted = new Map<number, FateCounts>();
        const wanted = { tenant, watermark, from: span.from.getTime(), to: span.to.getTime(), meters };
        const cut = [of.slice(0, all.cut), of.slice(all.cut)];
        for (const statement of cut.flatMap((some) => fateStatements({ ...wanted, customers: some })))
          addFates(counted, await stored.fates(statement));
        const expected = new Map<number, Record<string, number>>();
        for (const [index, event] of all.events.entries()) {
          const fate = plainFate(all, event, index);
          // The last hour lies behind the span.
          if (fate === undefined || event.hour === 3) continue;
          seen.add(fate);
          const counts = expected.get(receivedAt(event)) ?? { ...noFates };
          counts[fate] = (counts[fate] ?? 0) + 1;
          expected.set(receivedAt(event), counts);
        }
        expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(expected));
        const distinct = await stored.distinct(tenant, span, watermark);
        for (const [hour, { checked }] of distinct)
          expect(Object.values(counted.get(hour) ?? noFates).reduce((sum, events) => sum + events, 0)).toBe(checked);
      }),
      { numRuns: scaled(60), examples: rareWorlds.map((one): [World] => [one]) },
    );
    // A world in which some fate never comes to pass would prove nothing of it.
    expect([...seen].sort()).toEqual([...fates].sort());
  });

  it('are told alike by the counts and by the fate of each event, whatever is the matter with it at once', async () => {
    const tenant = 'org_alike';
    const [atMs, invoicedTo] = [beginMs + dayMs, 1_000];
    const spanOfInvoice = { start: beginMs, end: beginMs + 10 * dayMs };
    /** Customers by what is invoiced for them; the last one has no subscription, and `nobody` is no customer. */
    const watermarks: Readonly<Record<string, bigint | undefined>> = {
      billed: BigInt(invoicedTo),
      late: 1n,
      corrected: 1n,
      reported: 1n,
      open: undefined,
      trial: undefined,
      paused: undefined,
      waived: undefined,
    };
    const termsOf = (name: string) =>
      plainTerms({
        planVersionId: 'plan_amounts',
        startedAt: beginMs,
        trialEndsAt: name === 'trial' ? beginMs + 9 * dayMs : null,
        endedAt: name === 'waived' ? beginMs + 9 * dayMs : null,
        waivesFinalUsage: name === 'waived',
        changes:
          name === 'paused' ? [{ kind: 'pause', usage: 'unbilled', effectiveAt: beginMs + hourMs, bills: 'next' }] : [],
      });
    const measured = { planVersionId: 'plan_amounts', item: 'plan', interval: undefined };
    const laterOf = (name: string) => (name === 'corrected' ? [BigInt(invoicedTo)] : []);
    const own = [...Object.keys(watermarks), 'unsubscribed'];
    const sent = [...own, 'nobody'].flatMap((name) =>
      (['other', 'call with a number', 'call without one', 'call without an amount'] as const).flatMap((what) =>
        ([undefined, 'voided', 'replaced'] as const).flatMap((as) =>
          (as === undefined ? [undefined] : [invoicedTo, invoicedTo + 1]).map((voidAt) => ({ name, what, as, voidAt })),
        ),
      ),
    );
    /** The place that `store` gives each; one event an hour tells them apart. */
    const events = sent.map(
      ({ name, what, as, voidAt }, index): SentEvent => ({
        name,
        event: what === 'other' ? 'other' : 'call',
        day: 1,
        hour: index,
        properties: {
          ...(what === 'call with a number' || what === 'call without an amount' ? { tokens: '12' } : {}),
          ...(what === 'call with a number' ? { cost: '0.5' } : {}),
        },
        void: as,
        voidAt: voidAt === undefined ? 0 : voidAt - sequenceOf(index) - 1,
      }),
    );
    await store(tenant, { subscriptions: [], events, watermark: 0, cut: 0 });

    const of = usageCustomers(
      [...own, 'nobody'],
      new Set(own),
      Object.entries(watermarks).map(([name, watermark]) => ({
        ...termsOf(name),
        names: [name],
        currency,
        periods:
          watermark === undefined
            ? []
            : [{ ...measured, span: spanOfInvoice, watermark, laterWatermarks: laterOf(name) }],
      })),
      intervalsOf,
    );
    const counted = new Map<number, FateCounts>();
    const from = beginMs + 25 * dayMs;
    const wanted = { tenant, watermark: 2_000n, from, to: from + events.length * hourMs, meters, customers: of };
    for (const statement of fateStatements(wanted))
      addFates(counted, await createStoredUsage(clickhouse).fates(statement));

    const delta = { invoiceId: 'inv_2', lines: [{ position: 1, charge: 'tokens' }] };
    const subscriptions = Object.entries(watermarks).map(
      ([name, watermark]): SubscriptionFacts => ({
        ...termsOf(name),
        id: name,
        names: [name],
        versions: new Map([
          [
            'plan_amounts',
            {
              lateUsage: name === 'reported' ? ('report_only' as const) : ('bill_next' as const),
              charges: [{ code: 'tokens', meter: 'tokens', interval: month, amountProperty: 'cost' }],
              meters: new Map([['tokens', tokens]]),
            },
          ],
        ]),
        periods:
          watermark === undefined
            ? []
            : [
                {
                  ...measured,
                  span: spanOfInvoice,
                  invoiceId: 'inv',
                  watermark,
                  lines: [{ position: 1, charge: 'tokens' }],
                  deltas: [
                    ...laterOf(name).map((at) => ({ ...delta, state: 'billed' as const, watermark: at })),
                    ...(name === 'reported'
                      ? [{ ...delta, state: 'reported' as const, watermark: BigInt(invoicedTo) }]
                      : []),
                  ],
                },
              ],
      }),
    );
    const told = events.map((event, index): Billing | undefined => {
      const version: EventVersion = {
        event: event.event,
        customer: event.name,
        occurredAtMs: atMs,
        properties: Object.entries(event.properties),
        amendmentId: undefined,
        from: BigInt(sequenceOf(index)),
        until: event.void && BigInt(voidSequenceOf(event, index)),
        endedAs: event.void === 'voided' ? 'void' : event.void === 'replaced' ? 'replaced' : undefined,
      };
      const entries = billingOf(version, { customerNames: new Set(own), subscriptions });
      expect(entries).toHaveLength(1);
      return entries[0];
    });
    const fatesOf = events.map((event) => fates.find((fate) => counted.get(receivedAt(event))?.[fate] === 1));
    expect(told.map((entry) => entry?.reason ?? 'billed')).toEqual(
      fatesOf.map((fate) => (fate === undefined || fate === 'billed' ? fate : toFateReason(fate))),
    );
    expect(new Set(fatesOf)).toEqual(new Set(fates));
  });
});
