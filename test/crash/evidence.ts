/** What a round left behind, read from the stores and the API. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { sinkConsumer } from '#schemas/usage-stream.ts';
import { checkedSequence } from '../support/checker.ts';
import { type Pipeline, until } from '../support/pipeline.ts';
import type { PrintedInvoices, StoredKey, Verdict } from './conservation.ts';

const rowsOf = async <R>(
  pipeline: Pipeline,
  query: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<R[]> => {
  const clickhouse = connectClickHouse(pipeline.clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 1 });
  try {
    return await readRows<R>(clickhouse, { query, params });
  } finally {
    await clickhouse.close();
  }
};

/** Rows of `usage_events` that count: of twins the first, and nothing that the identity check made void. */
const standing = '(key_digest, stream_sequence) NOT IN (SELECT row_digest, row_sequence FROM usage_voids)';

const storedByKey = `
SELECT idempotency_key AS key, toUInt32(count()) AS rows, groupUniqArray(customer) AS customers,
  toInt32(sum(toInt64OrZero(toString(properties.input_tokens)))) AS input,
  toInt32(sum(toInt64OrZero(toString(properties.output_tokens)))) AS output
FROM (SELECT * FROM usage_events FINAL) WHERE ${standing} AND {key:String} IN ('', idempotency_key)
GROUP BY idempotency_key`;

/** What is stored, as billing reads it; of one key, or of all. A store that is away holds nothing yet. */
export const readStored = (pipeline: Pipeline, key = ''): Promise<StoredKey[]> =>
  rowsOf<StoredKey>(pipeline, storedByKey, { key }).catch((error) => {
    if (key === '') throw error;
    return [];
  });

/**
 * Waits until the stream has nothing left for the sinks, neither to fetch nor to acknowledge, and all of it was
 * checked: then no row is on its way any more.
 */
export const untilSettled = async (pipeline: Pipeline, natsUrl: string): Promise<void> => {
  const connection = await connect({ servers: new URL(natsUrl).host });
  try {
    const manager = await jetstreamManager(connection);
    await until(
      () => manager.consumers.info(pipeline.streamName, sinkConsumer),
      ({ num_pending, num_ack_pending }) => num_pending === 0 && num_ack_pending === 0,
      180_000,
    );
    const last = (await manager.streams.info(pipeline.streamName)).state.last_seq;
    await until(
      () => checkedSequence(pipeline.asWorker, pipeline.streamName),
      (checked) => checked >= last,
      60_000,
    );
  } finally {
    await connection.close();
  }
};

/** The lines of the one invoice of each customer. */
export const readInvoices = async (pipeline: Pipeline, customers: readonly string[]): Promise<PrintedInvoices> => {
  const invoices = new Map<string, PrintedInvoices extends ReadonlyMap<string, infer L> ? L : never>();
  for (const customer of customers) {
    const { body: list } = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
    if (list.items.length !== 1) throw new Error(`${customer} has ${list.items.length} invoices`);
    const { body } = await pipeline.api('GET', `/v1/invoices/${list.items[0].id}`);
    invoices.set(customer, body.lines);
  }
  return invoices;
};

/**
 * What the product itself says of it: nothing that a gateway counted as accepted is missing, nothing is stored that no
 * message brought, and no stream is lost.
 */
const checkReconciliation = async (pipeline: Pipeline, accepted: number): Promise<string[]> => {
  const { body } = await until(
    () => pipeline.api('GET', '/v1/reconciliation'),
    // Twins that slipped by the claims are found by the identity check, a moment later.
    (answer) => answer.status === 200 && answer.body.is_settled && answer.body.total.unbilled?.unchecked === 0,
    60_000,
  );
  const { total, losses } = body;
  const holds =
    total.is_balanced &&
    total.missing === 0 &&
    total.accepted - total.repeated <= total.published &&
    total.distinct === accepted;
  return [
    ...(holds ? [] : [`the reconciliation does not hold for ${accepted} accepted events: ${JSON.stringify(total)}`]),
    // No fault of the matrix takes anything from the stream.
    ...(losses.length === 0
      ? []
      : [`the reconciliation tells losses of a stream that lost nothing: ${JSON.stringify(losses)}`]),
  ];
};

/**
 * The last step of a round: what the store itself says of what it holds, against the verdict. In words, what does not
 * add up.
 */
export const checkConservation = async (pipeline: Pipeline, { accepted, billed, open }: Verdict): Promise<string[]> => {
  const [counts] = await rowsOf<{ billed: number; distinct: number }>(
    pipeline,
    `SELECT toUInt32(count()) AS billed, toUInt32(uniqExact(tenant, idempotency_key)) AS distinct
     FROM (SELECT * FROM usage_events FINAL) WHERE ${standing}`,
  );
  return [
    ...(counts?.billed === counts?.distinct
      ? []
      : [`${counts?.billed} events are stored under ${counts?.distinct} keys`]),
    ...(counts?.distinct === accepted ? [] : [`${counts?.distinct} keys are stored, ${accepted} were accepted`]),
    ...(await checkReconciliation(pipeline, accepted)),
    ...(billed + open === accepted
      ? []
      : [`${billed} are billed and ${open} are of the open month, ${accepted} were accepted`]),
  ];
};
