/** The identity check in the process of a test, for tests that store rows by themselves and run no checker. */

import { systemClock } from '#platform/process/clock.ts';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  type Checked,
  type CheckLimits,
  type CheckPorts,
  createIdentityCheck,
  type IdentityCheck,
} from '../../ingest/identity/check-identity.ts';
import { createCheckedSequence } from '../../ingest/identity/checked-sequence.postgres.ts';
import { createKeyFilters } from '../../ingest/identity/key-filters.clickhouse.ts';
import { createUsageKeys } from '../../ingest/identity/usage-keys.clickhouse.ts';

export type CheckedStores = {
  readonly clickhouseUrl: string;
  /** As `millrace_worker`, or the owner. */
  readonly postgres: Queryable;
  readonly streamName: string;
};

const dayMs = 86_400_000;

const defaultLimits: CheckLimits = {
  rowsMax: 100_000,
  generationKeysMax: 1_000_000,
  mergedMin: 4,
  mergedKeysMax: 4_000_000,
  mergedDaysMax: 8,
  windowDays: 35,
  horizonMs: 35 * dayMs,
};

export type TestChecker = IdentityCheck & {
  /** What each batch found. */
  readonly found: readonly Checked[];
  /** Checks until nothing is left to do. */
  readonly checkAll: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export type TestCheckerOptions = {
  readonly limits?: Partial<CheckLimits>;
  /** Puts others in the place of some ports, given the real ones. */
  readonly wrap?: (ports: CheckPorts) => CheckPorts;
  /** Where the stream ends, as this checker sees it; by default where the store does. */
  readonly last?: () => Promise<number>;
};

/** A checker over real stores. Its stream ends where the store does. */
export const openChecker = (
  stores: CheckedStores,
  { limits = {}, wrap = (ports) => ports, last }: TestCheckerOptions = {},
): TestChecker => {
  const clickhouse = connectClickHouse(stores.clickhouseUrl, { requestTimeoutMs: 60_000, connectionsMax: 4 });
  const found: Checked[] = [];
  const highestStored = async (): Promise<number> => {
    const rows = await readRows<{ last: string }>(clickhouse, {
      query: 'SELECT toString(max(stream_sequence)) AS last FROM usage_keys',
      params: {},
    });
    return Number(rows[0]?.last ?? 0);
  };
  const identity = createIdentityCheck(
    { ...defaultLimits, ...limits },
    wrap({
      clock: systemClock,
      readStored: async () => {
        const stored = await (last ?? highestStored)();
        return { last: stored, stored };
      },
      checked: createCheckedSequence(stores.postgres, stores.streamName),
      keys: createUsageKeys(clickhouse),
      filters: createKeyFilters(clickhouse, stores.streamName),
      report: { checked: (checked) => found.push(checked), again: () => {} },
    }),
  );
  return {
    ...identity,
    found,
    checkAll: async () => {
      while (await identity.check());
    },
    close: () => clickhouse.close(),
  };
};

/** How far the checker of a running pipeline has come. */
export const checkedSequence = (postgres: Queryable, streamName: string): Promise<number> =>
  createCheckedSequence(postgres, streamName).read();
