/**
 * Which invoice a delta is on: the next one of whoever was billed for the period; one of its own where there will be no
 * next one. Until there is one it waits. What is only reported waits for nothing; nor does what may be credited, as it
 * has to be rated to tell whether it comes to less: where it does not, it waits then (`credit-deltas.ts`). Pure.
 */
import type { LateUsagePolicy } from '#schemas/late-usage.ts';
import type { Instant } from '#schemas/period.ts';

/** A billed period for which usage came late, or was amended. */
export type LatePeriod = {
  readonly id: string;
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly currency: string;
  /** Who was billed for it, and whether all that falls due together is one invoice of theirs by now. */
  readonly payerId: string;
  readonly isConsolidated: boolean;
  readonly lateUsage: LateUsagePolicy;
  /** How many deltas of it there are. */
  readonly corrections: number;
  /** Whether the payer will be billed again on an invoice that the delta could be on. */
  readonly hasNext: boolean;
};

/** What a run bills of a payer at an instant: an invoice. */
export type DueInvoice = {
  readonly payerId: string;
  readonly isConsolidated: boolean;
  /** Whose it is, where it is not consolidated. */
  readonly subscriptionId: string;
  readonly currency: string;
  readonly dueAt: Instant;
  readonly month: string;
};

/** A run, as far as a delta that is on no other invoice of it falls due with it. */
export type RunTime = { readonly dueAt: Instant; readonly month: string };

export type PlacedDelta = RunTime & {
  readonly period: LatePeriod;
  /** From 1. */
  readonly correction: number;
};

const isOf = (period: LatePeriod, due: DueInvoice): boolean =>
  due.payerId === period.payerId &&
  due.currency === period.currency &&
  due.isConsolidated === period.isConsolidated &&
  (period.isConsolidated || due.subscriptionId === period.subscriptionId);

/** The one that falls due first; undefined where the delta waits. */
const timeOf = (period: LatePeriod, due: readonly DueInvoice[], run: RunTime): RunTime | undefined => {
  if (period.lateUsage === 'report_only') return run;
  const [next] = due.filter((one) => isOf(period, one)).toSorted((a, b) => a.dueAt - b.dueAt);
  if (next) return { dueAt: next.dueAt, month: next.month };
  return period.hasNext && period.lateUsage !== 'credit_note' ? undefined : run;
};

export const placeDeltas = (
  periods: readonly LatePeriod[],
  due: readonly DueInvoice[],
  run: RunTime,
): readonly PlacedDelta[] => {
  const byPayer = Map.groupBy(due, ({ payerId }) => payerId);
  return periods.flatMap((period) => {
    const time = timeOf(period, byPayer.get(period.payerId) ?? [], run);
    return time ? [{ period, correction: period.corrections + 1, dueAt: time.dueAt, month: time.month }] : [];
  });
};
