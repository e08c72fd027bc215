/**
 * Whether what was answered is what is stored, and what is stored is billed or not billed for a reason, per hour of
 * receipt [I11]. Pure.
 *
 *   received = accepted + duplicates + conflicts + rejected + not final
 *   accepted - repeated <= published
 *   published = distinct + twins + stored conflicts
 *   distinct + replaced = billed + unbilled
 *
 * A message that the stream took is counted once as new; the store has more where an answer was lost, or was no
 * success. Twins and stored conflicts are later events of a key, which the identity check made void. A replacement
 * counts like an event, in the hour of the amendment that brought it.
 *
 * The last two hold exactly for what the identity check has passed: nothing changes there any more. What it has not
 * come to yet is unbilled as `unchecked`.
 */
import { type UnbilledReason, unbilledReasons } from '#schemas/unbilled-reasons.ts';
import { type FateCounts, type FatesByHour, noFates } from '../events/billed-usage.ts';
import type { AnsweredHour } from './ingest-counts.postgres.ts';
import type { DistinctByHour, PublishedByHour, VoidsByHour } from './stored-usage.clickhouse.ts';

type Unbilled = Readonly<Record<UnbilledReason | 'unchecked', number>>;

const balancedStages = ['received', 'published', 'distinct', 'billed'] as const;
/**
 * What a stage lacks of what led to it; less than zero: what it has too much. In the total, what its hours lack and
 * have too much, together.
 */
type Difference = { readonly stage: (typeof balancedStages)[number]; readonly difference: number };

type Counts = {
  readonly received: number;
  readonly accepted: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly rejected: number;
  readonly not_final: number;
  readonly published: number;
  readonly backfilled: number;
  readonly distinct: number;
  readonly twins_removed: number;
  readonly twins: number;
  readonly stored_conflicts: number;
  readonly voided: number;
  readonly replaced: number;
  /** In the store without an answer that said so: the answer was lost, or was not counted, or said to try again. */
  readonly unanswered: number;
  /** Accepted and not in the store yet, while the store has not followed the stream. */
  readonly on_the_way: number;
  /** Accepted and not in the store, although it has followed the stream. */
  readonly missing: number;
};

export type Stages = Counts & {
  /** Null where there were too many customers to look at. */
  readonly billed: number | null;
  readonly unbilled: Unbilled | null;
  readonly differences: readonly Difference[];
  readonly is_balanced: boolean;
};

export type ReconciledHour = Stages & { readonly hourMs: number };

/** All of one watermark: up to there every event was held against all before it. */
export type Evidence = {
  readonly answered: readonly AnsweredHour[];
  readonly published: PublishedByHour;
  readonly distinct: DistinctByHour;
  readonly voids: VoidsByHour;
  /** Undefined where there were too many customers to look at. */
  readonly fates: FatesByHour | undefined;
  /** Whether the store had all that the stream held when it was read. */
  readonly isSettled: boolean;
};

const noPublished = { events: 0, checked: 0, backfilled: 0 };
const noDistinct = { events: 0, checked: 0 };
const noVoids = { twins: 0, conflicts: 0, voided: 0, replaced: 0 };

const unbilledOf = (fates: FateCounts, unchecked: number): Unbilled => {
  const { billed: _, ...reasons } = fates;
  return { unchecked, ...reasons };
};

const differencesOf = (all: Readonly<Record<Difference['stage'], number>>): Difference[] =>
  balancedStages.flatMap((stage) => (all[stage] === 0 ? [] : [{ stage, difference: all[stage] }]));

type HourEvidence = {
  readonly answered: AnsweredHour | undefined;
  readonly published: { readonly [N in keyof typeof noPublished]: number };
  readonly distinct: { readonly [N in keyof typeof noDistinct]: number };
  readonly voids: { readonly [N in keyof typeof noVoids]: number };
  readonly fates: FateCounts | undefined;
  readonly isSettled: boolean;
};

const stagesOf = ({ answered, published, distinct, voids, fates, isSettled }: HourEvidence): Stages => {
  const of = (name: Exclude<keyof AnsweredHour, 'hourMs'>): number => Number(answered?.[name] ?? 0n);
  const counts = {
    received: of('received'),
    accepted: of('accepted'),
    repeated: of('repeated'),
    duplicates: of('duplicates'),
    conflicts: of('conflicts'),
    rejected: of('rejected'),
    not_final: of('notFinal'),
  };
  const wanting = counts.accepted - counts.repeated - published.events;
  const unchecked = distinct.events - distinct.checked;
  // Events that no message brought, of those that the identity check has not come to.
  const surplus = Math.max(0, unchecked - (published.events - published.checked));
  const unbilled = fates && unbilledOf(fates, unchecked);
  const stated = fates ? unbilledReasons.reduce((sum, reason) => sum + fates[reason], fates.billed) : 0;
  const differences = differencesOf({
    received:
      counts.received - (counts.accepted + counts.duplicates + counts.conflicts + counts.rejected + counts.not_final),
    published: Math.max(0, wanting),
    distinct: published.checked - distinct.checked - voids.twins - voids.conflicts - surplus,
    billed: fates ? distinct.checked + voids.replaced - stated : 0,
  });
  return {
    ...counts,
    published: published.events,
    backfilled: published.backfilled,
    distinct: distinct.events,
    twins_removed: Math.max(0, published.events - distinct.events),
    twins: voids.twins,
    stored_conflicts: voids.conflicts,
    voided: voids.voided,
    replaced: voids.replaced,
    unanswered: Math.max(0, -wanting),
    on_the_way: isSettled ? 0 : Math.max(0, wanting),
    missing: isSettled ? Math.max(0, wanting) : 0,
    billed: fates?.billed ?? null,
    unbilled: unbilled ?? null,
    differences,
    is_balanced: differences.length === 0,
  };
};

const sumOfUnbilled = (hours: readonly Stages[]): Unbilled | null => {
  const sum = { ...unbilledOf(noFates, 0) } as { -readonly [R in keyof Unbilled]: number };
  for (const { unbilled } of hours) {
    if (unbilled === null) return null;
    for (const reason of Object.keys(sum) as (keyof Unbilled)[]) sum[reason] += unbilled[reason];
  }
  return sum;
};

/** Sums but for what does not balance: what one hour has too much does not make up for what another lacks. */
const sumOf = (hours: readonly Stages[], empty: Stages): Stages => {
  const { billed: _, unbilled: __, differences: ___, is_balanced: ____, ...none } = empty;
  const sum = { ...none } as { -readonly [K in keyof Counts]: number };
  for (const hour of hours) for (const name of Object.keys(none) as (keyof Counts)[]) sum[name] += hour[name];
  const magnitudes = { received: 0, published: 0, distinct: 0, billed: 0 };
  for (const { stage, difference } of hours.flatMap(({ differences }) => differences))
    magnitudes[stage] += Math.abs(difference);
  const differences = differencesOf(magnitudes);
  const billed = hours.reduce<number | null>(
    (all, hour) => (all === null || hour.billed === null ? null : all + hour.billed),
    empty.billed,
  );
  return {
    ...sum,
    billed,
    unbilled: empty.unbilled && sumOfUnbilled(hours),
    differences,
    is_balanced: differences.length === 0,
  };
};

/** Whether an hour holds events that no message brought, as far as it was read. */
export const hasSurplus = ({ published, distinct }: Pick<Evidence, 'published' | 'distinct'>): boolean =>
  [...distinct].some(([hour, { events }]) => events > (published.get(hour)?.events ?? 0));

/** The hours in which anything was received or stored, in order, and all of them together. */
export const reconcile = (
  evidence: Evidence,
): { readonly total: Stages; readonly hours: readonly ReconciledHour[] } => {
  const { answered, published, distinct, voids, fates, isSettled } = evidence;
  const answeredBy = new Map(answered.map((row) => [row.hourMs, row]));
  const at = (hourMs: number): Stages =>
    stagesOf({
      answered: answeredBy.get(hourMs),
      published: published.get(hourMs) ?? noPublished,
      distinct: distinct.get(hourMs) ?? noDistinct,
      voids: voids.get(hourMs) ?? noVoids,
      fates: fates && (fates.get(hourMs) ?? noFates),
      isSettled,
    });
  const known = [answeredBy, published, distinct, voids, ...(fates ? [fates] : [])].flatMap((map) => [...map.keys()]);
  const hours = [...new Set(known)].sort((a, b) => a - b).map((hourMs) => ({ hourMs, ...at(hourMs) }));
  return { total: sumOf(hours, at(Number.NaN)), hours };
};
