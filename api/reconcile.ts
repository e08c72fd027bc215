/**
 * Whether what was answered is what is stored, per hour of receipt [I11]. Pure.
 *
 *   received = accepted + duplicates + conflicts + rejected + not final
 *   accepted - repeated <= published    a message that the stream took is counted once as new; the store has more where an answer was lost, or was no success
 *   distinct <= published               the difference are twins, which the store removed
 */
import type { AnsweredHour } from './ingest-counts.postgres.ts';
import type { EventsByHour } from './stored-usage.clickhouse.ts';

export type Stages = {
  readonly received: number;
  readonly accepted: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly rejected: number;
  readonly not_final: number;
  readonly published: number;
  readonly distinct: number;
  readonly twins_removed: number;
  /** In the store without an answer that said so: the answer was lost, or was not counted, or said to try again. */
  readonly unanswered: number;
  /** Accepted and not in the store yet, while the store has not followed the stream. */
  readonly on_the_way: number;
  /** Accepted and not in the store, although it has followed the stream. */
  readonly missing: number;
  readonly is_balanced: boolean;
};

export type ReconciledHour = Stages & { readonly hourMs: number };

export type Evidence = {
  readonly answered: readonly AnsweredHour[];
  readonly published: EventsByHour;
  readonly distinct: EventsByHour;
  /** Whether the store had all that the stream held when it was read. */
  readonly isSettled: boolean;
};

const stagesOf = (answered: AnsweredHour | undefined, published: number, distinct: number, isSettled: boolean): Stages => {
  const of = (name: Exclude<keyof AnsweredHour, 'hour'>): number => Number(answered?.[name] ?? 0n);
  const counts = {
    ...{ received: of('received'), accepted: of('accepted'), repeated: of('repeated'), duplicates: of('duplicates') },
    ...{ conflicts: of('conflicts'), rejected: of('rejected'), not_final: of('not_final') },
  };
  const difference = counts.accepted - counts.repeated - published;
  const wanting = Math.max(0, difference);
  const outcomes = counts.accepted + counts.duplicates + counts.conflicts + counts.rejected + counts.not_final;
  return {
    ...counts,
    ...{ published, distinct, twins_removed: Math.max(0, published - distinct), unanswered: Math.max(0, -difference) },
    ...{ on_the_way: isSettled ? 0 : wanting, missing: isSettled ? wanting : 0 },
    is_balanced: counts.received === outcomes && wanting === 0 && distinct <= published,
  };
};

/** Sums but for `is_balanced`, which holds where it holds for each: what one hour has too much does not make up for what another lacks. */
const sumOf = (hours: readonly Stages[]): Stages => {
  const { is_balanced: _, ...none } = stagesOf(undefined, 0, 0, true);
  const sum = { ...none } as { -readonly [K in keyof typeof none]: number };
  for (const hour of hours) for (const name of Object.keys(none) as (keyof typeof none)[]) sum[name] += hour[name];
  return { ...sum, is_balanced: hours.every((hour) => hour.is_balanced) };
};

/** Whether an hour holds events that no message brought, as far as it was read. */
export const hasSurplus = ({ published, distinct }: Pick<Evidence, 'published' | 'distinct'>): boolean =>
  [...distinct].some(([hour, events]) => events > (published.get(hour) ?? 0));

/** The hours in which anything was received or stored, in order, and all of them together. */
export const reconcile = ({
  answered,
  published,
  distinct,
  isSettled,
}: Evidence): { readonly total: Stages; readonly hours: readonly ReconciledHour[] } => {
  const answeredBy = new Map(answered.map((row) => [row.hour.getTime(), row]));
  const hours = [...new Set([...answeredBy.keys(), ...published.keys(), ...distinct.keys()])]
    .sort((a, b) => a - b)
    .map((hourMs) => ({
      hourMs,
      ...stagesOf(answeredBy.get(hourMs), published.get(hourMs) ?? 0, distinct.get(hourMs) ?? 0, isSettled),
    }));
  return { total: sumOf(hours), hours };
};
