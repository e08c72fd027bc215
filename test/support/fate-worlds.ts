/** Worlds of subscriptions, invoices, events and voids, of which the fates of events are told. */
import type { connectClickHouse } from '#platform/stores/clickhouse.ts';

export type Properties = Readonly<Record<string, string>>;
export type SentEvent = {
  readonly name: string;
  readonly event: string;
  readonly day: number;
  readonly hour: number;
  readonly properties: Properties;
  readonly void: 'twin' | 'voided' | 'replaced' | undefined;
  readonly voidAt: number;
};
type Billed = {
  readonly days: number;
  readonly watermark: number;
  /** The watermarks of its deltas. */
  readonly deltas: readonly number[];
};
type WorldPeriod = Billed & { readonly from: number };

export type World = {
  readonly subscriptions: readonly {
    readonly customer: number;
    readonly plan: string;
    readonly from: number;
    readonly to: number | null;
    readonly trialDays: number | null;
    readonly pause: { readonly from: number; readonly days: number } | null;
    readonly waives: boolean;
    readonly invoices: readonly WorldPeriod[];
  }[];
  readonly events: readonly SentEvent[];
  readonly watermark: number;
  /** So many customers are asked for in a statement of their own. */
  readonly cut: number;
};

/** Billing periods of a subscription never overlap. */
export const oneAfterTheOther = (periods: readonly (Billed & { readonly gap: number })[]): WorldPeriod[] => {
  let from = 0;
  return periods.map(({ gap, days, watermark, deltas }) => {
    const period = { from: from + gap, days, watermark, deltas: deltas.map((behind) => watermark + behind) };
    from += gap + days;
    return period;
  });
};

/** As the store has them; digests are hexadecimal. */
export const insertVoids = async (
  clickhouse: ReturnType<typeof connectClickHouse>,
  voids: readonly object[],
): Promise<void> => {
  const columns = 'tenant, event, customer, reason, amendment_id, row_sequence, void_sequence';
  await clickhouse.insert({
    table: `usage_voids (${columns}, occurred_at, received_at, row_digest)
      SELECT ${columns}, fromUnixTimestamp64Milli(occurred_at), fromUnixTimestamp64Milli(received_at),
      toFixedString(unhex(digest), 16)
      FROM input('tenant String, event String, customer String, reason String, amendment_id String, row_sequence UInt64,
      void_sequence UInt64, occurred_at Int64, received_at Int64, digest String')`,
    values: voids,
    format: 'JSONEachRow',
  });
};

/** The second event comes after the invoice of its day, which chance rarely makes of few worlds. */
const late: World = {
  subscriptions: [
    {
      customer: 2,
      plan: 'plan_count',
      from: 0,
      to: null,
      trialDays: null,
      pause: null,
      waives: false,
      invoices: [{ from: 0, days: 15, watermark: 1, deltas: [] }],
    },
  ],
  events: [0, 1].map((hour) => ({
    name: 'cus_c',
    event: 'call',
    day: 1,
    hour,
    properties: {},
    void: undefined,
    voidAt: 0,
  })),
  watermark: 60,
  cut: 0,
};
const changed = (subscription: Partial<World['subscriptions'][number]>, properties: Properties = {}): World => ({
  ...late,
  subscriptions: late.subscriptions.map((one) => ({ ...one, invoices: [], ...subscription })),
  events: late.events.map((event) => ({ ...event, properties })),
});
/** So it is of each of these alone. */
export const rareWorlds: readonly World[] = [
  late,
  changed({ invoices: [{ from: 0, days: 15, watermark: 1, deltas: [2] }] }),
  changed({ pause: { from: 0, days: 20 } }),
  changed({ to: 20, waives: true }),
  changed({ plan: 'plan_amounts' }, { tokens: '12' }),
  changed({ plan: 'plan_sum' }),
  changed({ trialDays: 8 }),
  changed({}),
];
