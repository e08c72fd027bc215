/** Worlds of subscriptions, invoices, events and voids, of which the fates of events are told. */
import type { connectClickHouse } from '#platform/stores/clickhouse.ts';

/** Billing periods of a subscription never overlap. */
export const oneAfterTheOther = (periods: readonly { gap: number; days: number; watermark: number }[]) => {
  let from = 0;
  return periods.map(({ gap, days, watermark }) => {
    const period = { from: from + gap, days, watermark };
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
