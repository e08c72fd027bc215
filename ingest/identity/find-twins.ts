/** Which rows are later twins of others: the rule, without its reading. */
import type { KeyRow } from './key-rows.ts';

/** The row of a key with the lowest sequence of one day of receipt. */
export type FirstOfDay = {
  readonly tenant: string;
  readonly digest: string;
  /** Days since 1970, UTC. */
  readonly receivedDay: number;
  readonly sequence: number;
  readonly event: string;
  readonly customer: string;
  readonly payload: bigint;
};

/** `twin`: says the same as the first, times apart; `conflict`: says something else. */
export type Twin = { readonly row: KeyRow; readonly firstSequence: number; readonly reason: 'twin' | 'conflict' };

export type TwinRule = {
  /** An earlier event of the same key counts for so many days of receipt. */
  readonly windowDays: number;
  /**
   * An event that occurred longer before its receipt is a backfill: for it every earlier event of its key counts,
   * however old.
   */
  readonly horizonMs: number;
};

const dayMs = 86_400_000;

export const isBackfill = (
  row: { readonly receivedAtMs: number; readonly occurredAtMs: number },
  rule: TwinRule,
): boolean => row.occurredAtMs < row.receivedAtMs - rule.horizonMs;

const identityOf = ({ tenant, digest }: { readonly tenant: string; readonly digest: string }): string =>
  `${digest} ${tenant}`;

/**
 * A row is a twin where its key has one with a lower sequence, received at most `windowDays` days before. `firsts` are
 * those of the rows' keys, this very row among them. Whole days, as then a key that was sent a million times has as
 * many firsts as days; the answer depends on what is stored and on nothing else. A first that is void itself counts as
 * well: else the third of three twins would be billed, once the first has left the window.
 */
export const findTwins = (rows: readonly KeyRow[], firsts: readonly FirstOfDay[], rule: TwinRule): Twin[] => {
  const firstsOf = Map.groupBy(firsts, identityOf);
  return rows.flatMap((row): Twin[] => {
    const fromDay = isBackfill(row, rule)
      ? Number.NEGATIVE_INFINITY
      : Math.floor(row.receivedAtMs / dayMs) - rule.windowDays;
    let first: FirstOfDay | undefined;
    for (const one of firstsOf.get(identityOf(row)) ?? []) {
      if (one.receivedDay >= fromDay && one.sequence < (first?.sequence ?? row.sequence)) first = one;
    }
    if (!first) return [];
    const isSame = first.event === row.event && first.customer === row.customer && first.payload === row.payload;
    return [{ row, firstSequence: first.sequence, reason: isSame ? 'twin' : 'conflict' }];
  });
};
