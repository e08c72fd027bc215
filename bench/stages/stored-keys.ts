/**
 * A window of keys for the identity check: written into the store directly, under sequences below those of any stream,
 * as if they had come over the days of the window; and generations over them, as the checker makes them.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { systemClock } from '#platform/process/clock.ts';
import {
  type CheckLimits,
  type CheckPorts,
  createIdentityCheck,
  type IdentityCheck,
} from '../../ingest/identity/check-identity.ts';
import { createKeyFilters } from '../../ingest/identity/key-filters.clickhouse.ts';
import { mergeLimits } from '../../ingest/identity/merge-generations.ts';
import { createUsageKeys } from '../../ingest/identity/usage-keys.clickhouse.ts';

export const keysPerMessage = 200;
export const windowDays = 35;
const dayMs = 86_400_000;
export const keysTenant = 'org_bench_identity';

/** The idempotency key of a number, also as ClickHouse writes it. */
export const keyOf = (number: number): string => `bench-identity-${number}`;

// The digest is that of the sink.
const insert = `
INSERT INTO usage_keys (tenant, key_digest, stream_sequence, received_at, event, customer, occurred_at, payload)
SELECT {tenant:String}, substring(SHA256(concat({tenant:String}, '\\0bench-identity-', toString(number))), 1, 16),
  {sequence:UInt64} + intDiv(number - {first:UInt64}, {perMessage:UInt64}),
  fromUnixTimestamp64Milli(toInt64({fromMs:Int64} + number * {stepMs:Float64}), 'UTC') AS at, 'llm.request',
  concat('customer-', toString(number % 1000)), at, number
FROM numbers({from:UInt64}, {count:UInt64})`;

type Keys = {
  /** The number of the first, and how many. */
  readonly first: number;
  readonly count: number;
  /** Of the message that the first is in. */
  readonly sequence: number;
  readonly receivedFromMs: number;
  readonly receivedUntilMs: number;
};

export const storeKeys = async (clickhouse: ClickHouseClient, keys: Keys): Promise<void> => {
  const { first, count, sequence, receivedFromMs, receivedUntilMs } = keys;
  const stepMs = (receivedUntilMs - receivedFromMs) / count;
  const perInsert = 500_000;
  for (let from = first; from < first + count; from += perInsert) {
    await clickhouse.command({
      query: insert,
      query_params: {
        tenant: keysTenant,
        perMessage: keysPerMessage,
        first,
        sequence,
        stepMs,
        fromMs: Math.floor(receivedFromMs - first * stepMs),
        from,
        count: Math.min(perInsert, first + count - from),
      },
    });
  }
};

/** So many keys of the days of the window, from sequence 1 on. */
export const storeWindow = async (clickhouse: ClickHouseClient, count: number): Promise<void> => {
  const nowMs = Date.now();
  const receivedFromMs = nowMs - windowDays * dayMs;
  await storeKeys(clickhouse, { first: 0, count, sequence: 1, receivedFromMs, receivedUntilMs: nowMs });
};

const limits: Omit<CheckLimits, 'generationKeysMax'> = {
  rowsMax: 100_000,
  windowDays,
  horizonMs: windowDays * dayMs,
  ...mergeLimits,
};

export type CheckedRange = { readonly from: number; readonly to: number; readonly generationKeysMax: number };

/** A check over a range, whose ports `wrap` may put others in the place of. */
export const checkerOf = (
  clickhouse: ClickHouseClient,
  stream: string,
  { from, to, generationKeysMax }: CheckedRange,
  wrap = (ports: CheckPorts) => ports,
): IdentityCheck =>
  createIdentityCheck(
    { ...limits, generationKeysMax },
    wrap({
      clock: systemClock,
      readStored: async () => ({ last: to, stored: to }),
      checked: { read: async () => from, advance: async () => {} },
      keys: createUsageKeys(clickhouse),
      filters: createKeyFilters(clickhouse, stream),
      report: { checked: () => {}, again: () => {} },
    }),
  );

const quietMs = 2_000;

/** Until nothing is left to do; merges that wait for the store are waited for. */
export const checkAll = async ({ check }: IdentityCheck): Promise<void> => {
  for (let quietFromMs = performance.now(); performance.now() - quietFromMs < quietMs; ) {
    if (await check()) quietFromMs = performance.now();
    else await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
