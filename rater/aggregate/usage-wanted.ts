/** What is asked of the usage of a meter, and the windows and groups that it is asked in. */
import type { Filter } from '#schemas/filter.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Instant, Period } from '#schemas/period.ts';

export type TotalsUnit = 'day' | 'quarter';

/** As long as one another: the customer named by the one is in the group of the other. */
export type MergedNames = { readonly names: readonly string[]; readonly groups: readonly string[] };

export type UsageWanted = {
  readonly tenant: string;
  /** The highest stream sequence that counts. The same watermark gives the same answer for ever. */
  readonly watermark: bigint;
  readonly meter: Meter;
  readonly period: Period;
  /**
   * Where windows begin, ascending, the first at the period's start, the last before its end; null for one window
   * without a name. At most 10,000.
   */
  readonly windowStarts: readonly number[] | null;
  /** Names under which events may have come; null for every customer. */
  readonly customers: readonly string[] | null;
  /**
   * Several reads in one: for each of the names, which read it belongs to. The number of the read is then the first
   * group, and the limit is that of each. Absent for a read by itself.
   */
  readonly readNumbers?: readonly number[];
  /** 'customer_id', which is the customer as events name it, or paths of properties. */
  readonly groupBy: readonly string[];
  /**
   * Where events name one customer in several ways: they are one group, which goes by one of the names. Absent where
   * each customer is named in one way.
   */
  readonly merged?: MergedNames;
  /** Beside the meter's own. */
  readonly filter: Filter | null;
  /** Where the page before ended: the window and the group of its last row. */
  readonly after: { readonly windowStart: number | null; readonly group: readonly (string | null)[] } | null;
  readonly limit: number;
  /**
   * Read from totals, but for the days (UTC, by their begin, ascending) that these do not hold; the others are held by
   * windows whole, or only quarters of an hour are. Absent: from events alone.
   */
  readonly totals?: {
    readonly meterVersion: string;
    readonly unit: TotalsUnit;
    readonly daysOfEvents: readonly Instant[];
  };
};

/** The end of each window: where the next one begins. */
export const startsOf = ({ windowStarts, period }: UsageWanted): readonly number[] => windowStarts ?? [period.start];
export const endsOf = (wanted: UsageWanted): number[] => [...startsOf(wanted).slice(1), wanted.period.end];

/** A level is carried into windows from all that came before them. */
export const isCarried = ({ meter }: Pick<UsageWanted, 'meter'>): boolean => meter.aggregation === 'weighted_sum';

/** A page that goes on reads no earlier window, but where levels are carried. */
export const firstRead = (wanted: UsageWanted): number =>
  isCarried(wanted) ? wanted.period.start : (wanted.after?.windowStart ?? wanted.period.start);
