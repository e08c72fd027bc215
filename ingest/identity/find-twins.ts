/** Which rows are later twins of others: the rule, without its reading. */
import type { KeyRow } from './key-rows.ts';

/** What a stored row says, its times apart: twins that say the same tell it from a conflict. */
export type Said = {
  readonly sequence: number;
  readonly event: string;
  readonly customer: string;
  /** A hash of the properties. */
  readonly payload: bigint;
};

/** The rows of a key of one day of receipt. */
export type KeyDay = {
  readonly tenant: string;
  readonly digest: string;
  /** Days since 1970, UTC. */
  readonly receivedDay: number;
  /** The row with the lowest sequence. */
  readonly first: Said;
  /** Those of the rows that were asked about, and maybe more. */
  readonly asked: readonly Said[];
};

/** `twin`: says the same as the first, times apart; `conflict`: says something else. */
export type Twin = {
  readonly row: KeyRow;
  readonly said: Said;
  readonly firstSequence: number;
  readonly reason: 'twin' | 'conflict';
};

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
 * A row is a twin where its key has one with a lower sequence, received at most `windowDays` days before. `days` are
 * those of the rows' keys. Whole days, as then a key that was sent a million times has as many firsts as days; the
 * answer depends on what is stored and on nothing else. A first that is void itself counts as well: else the third of
 * three twins would be billed, once the first has left the window. A row that is not stored, since its message was put
 * aside as unreadable, is nothing that could be void.
 */
export const findTwins = (rows: readonly KeyRow[], days: readonly KeyDay[], rule: TwinRule): Twin[] => {
  const daysOf = Map.groupBy(days, identityOf);
  return rows.flatMap((row): Twin[] => {
    const fromDay = isBackfill(row, rule)
      ? Number.NEGATIVE_INFINITY
      : Math.floor(row.receivedAtMs / dayMs) - rule.windowDays;
    let first: Said | undefined;
    let said: Said | undefined;
    for (const day of daysOf.get(identityOf(row)) ?? []) {
      said ??= day.asked.find(({ sequence }) => sequence === row.sequence);
      if (day.receivedDay >= fromDay && day.first.sequence < (first?.sequence ?? row.sequence)) first = day.first;
    }
    if (!first || !said) return [];
    const isSame = first.event === said.event && first.customer === said.customer && first.payload === said.payload;
    return [{ row, said, firstSequence: first.sequence, reason: isSame ? 'twin' : 'conflict' }];
  });
};
