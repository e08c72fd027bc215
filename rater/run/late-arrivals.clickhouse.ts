/** What came between two sequences and occurred before an instant, by customer and month. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { LookPorts } from './look-for-late-usage.ts';

// From the keys: their parts are left out by the sequences that they hold. Twins count nowhere.
const statement = `
SELECT customer, toString(toUnixTimestamp64Milli(min(occurred_at))) AS first_at,
  toString(toUnixTimestamp64Milli(max(occurred_at))) AS last_at, toString(max(stream_sequence)) AS sequence
FROM usage_keys
PREWHERE tenant = {tenant:String} AND stream_sequence > {after:UInt64} AND stream_sequence <= {upTo:UInt64}
  AND occurred_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
WHERE (key_digest, stream_sequence) NOT IN (
  SELECT row_digest, row_sequence FROM usage_voids WHERE tenant = {tenant:String} AND row_sequence > {after:UInt64}
    AND row_sequence <= {upTo:UInt64} AND void_sequence <= {upTo:UInt64})
GROUP BY customer, toYYYYMM(occurred_at)`;

type Row = { customer: string; first_at: string; last_at: string; sequence: string };

export const createArrivals =
  (clickhouse: ClickHouseClient): LookPorts['arrivals'] =>
  async (tenant, { after, upTo, billedUntil }) => {
    const params = { tenant, after: after.toString(), upTo: upTo.toString(), until: billedUntil };
    const rows = await readRows<Row>(clickhouse, { query: statement, params });
    return rows.map(({ customer, first_at, last_at, sequence }) => ({
      customer,
      firstAt: Number(first_at),
      lastAt: Number(last_at),
      sequence: BigInt(sequence),
    }));
  };
