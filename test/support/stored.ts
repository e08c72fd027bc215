import { createClient } from '@clickhouse/client';
import { type Pipeline, until } from './pipeline.ts';

export type StoredCount = { readonly billed: number; readonly distinct: number };

/** What billing would count of a customer's events, and how many distinct keys there are. */
export const countStored = async (pipeline: Pipeline, customer: string): Promise<StoredCount> => {
  const clickhouse = createClient({ url: pipeline.clickhouseUrl });
  try {
    const result = await clickhouse.query({
      query: `SELECT count() AS billed, uniqExact(key_digest) AS distinct FROM usage_events FINAL
         WHERE customer = {customer:String}`,
      query_params: { customer },
      format: 'JSONEachRow',
    });
    const [row] = await result.json<{ billed: string; distinct: string }>();
    return { billed: Number(row?.billed), distinct: Number(row?.distinct) };
  } finally {
    await clickhouse.close();
  }
};

/** Waits until every event that was sent is stored, and fails if any is there twice. */
export const untilAllStored = (pipeline: Pipeline, customer: string, sent: number): Promise<StoredCount> =>
  until(
    () => countStored(pipeline, customer),
    ({ billed, distinct }) => distinct === sent && billed === sent,
  );

/** Puts one `llm.request` into the store by hand, as the sink would at that sequence. */
export const storeByHand = async (
  pipeline: Pipeline,
  event: { readonly customer: string; readonly key: string; readonly atMs: number; readonly sequence: number },
): Promise<void> => {
  const { rows } = await pipeline.asOwner.query<{ id: string }>('SELECT id FROM organizations');
  const clickhouse = createClient({ url: pipeline.clickhouseUrl });
  const at = new Date(event.atMs).toISOString().replace('T', ' ').replace('Z', '');
  await clickhouse.insert({
    table: 'usage_events',
    values: [
      {
        tenant: rows[0]?.id,
        event: 'llm.request',
        customer: event.customer,
        occurred_at: at,
        received_at: at,
        idempotency_key: event.key,
        key_digest: event.key.padEnd(16).slice(0, 16),
        properties: {},
        stream_sequence: event.sequence,
      },
    ],
    format: 'JSONEachRow',
  });
  await clickhouse.close();
};
