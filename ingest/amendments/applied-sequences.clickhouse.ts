/** From which sequence on the store has an amendment. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { EventPlace } from '#schemas/amendment.ts';
import { placeParams, placesSql, runsOfPlaces } from '#schemas/event-places.ts';

const appliedStatement = `
SELECT amendment_id AS id, toString(min(void_sequence)) AS sequence FROM usage_voids
WHERE tenant = {tenant:String} AND void_sequence <= {watermark:UInt64} AND row_sequence = 0
  AND (event, customer, toDate(occurred_at), row_digest) IN ${placesSql} AND amendment_id IN {ids:Array(String)}
GROUP BY amendment_id`;

/** The lowest sequence that the store has of each of the amendments, up to the watermark. */
export const createAppliedSequences =
  (clickhouse: ClickHouseClient) =>
  async (
    tenant: string,
    amendments: readonly { readonly id: string; readonly removed: readonly EventPlace[] }[],
    watermark: bigint,
  ): Promise<Map<string, bigint>> => {
    const sequences = new Map<string, bigint>();
    const places = amendments.flatMap(({ id, removed }) => removed.map((place) => ({ ...place, id })));
    for (const run of runsOfPlaces(places)) {
      const ids = [...new Set(run.map(({ id }) => id))];
      const params = { tenant, watermark: watermark.toString(), ids, ...placeParams(run) };
      const rows = await whileAvailable(() =>
        readRows<{ id: string; sequence: string }>(clickhouse, { query: appliedStatement, params }),
      );
      for (const { id, sequence } of rows) {
        const before = sequences.get(id);
        if (before === undefined || BigInt(sequence) < before) sequences.set(id, BigInt(sequence));
      }
    }
    return sequences;
  };
