/**
 * A month of usage that lies in the store: written into ClickHouse directly, as it is the reading that is measured. Its
 * sequences lie below those of the stream, so every watermark holds all of it.
 */
import type { ClickHouseClient } from '@clickhouse/client';

export type StoredMonth = {
  readonly tenant: string;
  readonly event: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly events: number;
  readonly customers: number;
};

const eventsPerInsert = 1_000_000;
/** Of one stream message, so of one sequence. */
const eventsPerMessage = 200;

const insert = `
INSERT INTO usage_events (tenant, event, customer, occurred_at, received_at, idempotency_key, key_digest, properties,
  stream_sequence)
SELECT {tenant:String}, {event:String}, concat('customer-', toString(number % {customers:UInt64})),
  fromUnixTimestamp64Milli(toInt64({start:Int64} + intHash64(number) % {span:UInt64}), 'UTC') AS at, at,
  concat('month-', toString(number)) AS key, substring(SHA256(concat({tenant:String}, '\\0', key)), 1, 16),
  CAST(concat('{"model":"model-', toString(intHash32(number) % 4), '","region":"', if(number % 3 = 0, 'eu', 'us'), '","input_tokens":"', toString(number % 4000),
    '","output_tokens":"', toString(number % 700),
    '","request":{"path":"/v1/messages","status":"200"},"cached":"false"}') AS JSON(max_dynamic_paths = 256)),
  intDiv(number, {perMessage:UInt64}) + 1
FROM numbers({from:UInt64}, {count:UInt64})`;

export const storeMonth = async (
  clickhouse: ClickHouseClient,
  month: StoredMonth,
  report: (stored: number) => void,
): Promise<void> => {
  const { tenant, event, customers, startMs, endMs, events } = month;
  for (let from = 0; from < events; from += eventsPerInsert) {
    const count = Math.min(eventsPerInsert, events - from);
    await clickhouse.command({
      query: insert,
      query_params: {
        tenant,
        event,
        customers,
        from,
        count,
        start: startMs,
        span: endMs - startMs,
        perMessage: eventsPerMessage,
      },
      clickhouse_settings: { max_partitions_per_insert_block: '0', wait_end_of_query: 1 },
    });
    report(from + count);
  }
};
