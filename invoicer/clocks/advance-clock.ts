/**
 * The use case of a test clock that advances: what falls due on the way is billed one instant after the other, by runs
 * like any other, as time itself would have it. A job of the queue has it look (`clock-jobs.ts`), when the clock is set
 * going and when a run of it came to its end. In one transaction, with the clock's row locked:
 *
 *   1. nothing where it does not advance, or a run of it is under way
 *   2. where its last run failed it stops, and says why
 *   3. where something falls due until its target: the hour is that instant, and a run of what is due then is asked for
 *   4. else the hour is the target, and the clock is ready
 *
 * A process may die anywhere: each transaction is one step, an index lets no second run of a clock be under way, and
 * another look finds a clock whose step nobody takes any more.
 */
import type { Instant } from '#schemas/period.ts';

export type AdvancingClock = {
  readonly id: string;
  readonly organizationId: string;
  readonly now: Instant;
  readonly target: Instant;
  /** For late events of usage in arrears, as the organization has it. */
  readonly graceMs: number;
  readonly hasOpenRun: boolean;
  /** Of the last run, where that failed after the clock was set going. */
  readonly failure: string | undefined;
  /** The earliest instant at which a subscription by it is to be looked at, or a draft to be finalized. */
  readonly nextDueAt: Instant | undefined;
};

export type ClockStep =
  | { readonly step: 'wait' }
  | { readonly step: 'stop'; readonly failure: string }
  | { readonly step: 'bill'; readonly dueUntil: Instant; readonly arrearsUntil: Instant }
  | { readonly step: 'arrive' };

/** What comes next. Pure. */
export const nextStep = ({ now, target, graceMs, hasOpenRun, failure, nextDueAt }: AdvancingClock): ClockStep => {
  if (hasOpenRun) return { step: 'wait' };
  if (failure !== undefined) return { step: 'stop', failure };
  if (nextDueAt === undefined || nextDueAt > target) return { step: 'arrive' };
  const dueUntil = Math.max(nextDueAt, now);
  return { step: 'bill', dueUntil, arrearsUntil: dueUntil - graceMs };
};

export type ClockPorts = {
  /** The ids of clocks that advance while no run of theirs is under way. */
  readonly waiting: () => Promise<readonly string[]>;
  /** All of it in one transaction; `decide` is asked where the clock advances. */
  readonly step: (
    clockId: string,
    decide: (clock: AdvancingClock) => ClockStep,
  ) => Promise<ClockStep['step'] | undefined>;
};

export const advanceClock = (ports: ClockPorts, clockId: string): Promise<ClockStep['step'] | undefined> =>
  ports.step(clockId, nextStep);
