/** When the scheduler bills an organization next, and up to where. Pure. */
import type { Instant } from '#schemas/period.ts';

/** How an organization has its periods closed. */
export type Closing = {
  readonly isAutomatic: boolean;
  /** How long late events of usage in arrears are waited for. */
  readonly graceMs: number;
};

/** A run of the scheduler that came to its end. */
export type EndedRun = {
  readonly endedAt: Instant;
  readonly dueUntil: Instant;
  /** It failed as a whole. */
  readonly hasFailed: boolean;
  /** It could not rate single billing periods, and the others were billed. */
  readonly hasFailures: boolean;
  /** It found nothing to bill: what was due waits for late events, or is billed elsewhere. */
  readonly wasEmpty: boolean;
};

/** What is due in an organization, and how the last runs of the scheduler ended, the newest first. */
export type Standing = {
  readonly organizationId: string;
  readonly closing: Closing;
  /** The earliest instant at which a subscription is to be looked at. */
  readonly nextDueAt: Instant | undefined;
  /** When the earliest billing period fell due that is written down and not billed. */
  readonly openDueAt: Instant | undefined;
  /** When the first draft of an invoice is to be finalized, whether periods are closed by themselves or not. */
  readonly finalizeAt: Instant | undefined;
  readonly hasOpenRun: boolean;
  readonly endedRuns: readonly EndedRun[];
};

const minuteMs = 60_000;
const dayMs = 86_400_000;
const pauseMsMax = 6 * 60 * minuteMs;

/** As many of its last runs as decide anything: the pause grows no more after them. */
export const endedRunsMax = 6;

/**
 * Where so many runs in a row found nothing. Each says when its subscriptions are due again, so that another one behind
 * it finds others: this is a bound and no plan.
 */
const inVainMs = 10_000;

/** After so many faults in a row: 1, 4, 16, 64 and 256 minutes, then always six hours. Nothing due is given up. */
export const pauseMsAfter = (faults: number): number =>
  faults === 0 ? 0 : Math.min(pauseMsMax, minuteMs * 4 ** (faults - 1));

const leading = (runs: readonly EndedRun[], test: (run: EndedRun) => boolean): number => {
  const end = runs.findIndex((run) => !test(run));
  return end < 0 ? runs.length : end;
};

/**
 * Undefined where nothing is due, where somebody else decides it, or where a run is under way, whose end has this be
 * asked again. What single billing periods were refused for is tried again after a pause, which new dues do not wait
 * for; a run that failed as a whole would fail of new ones as well.
 */
export const nextCloseAt = ({
  closing,
  nextDueAt,
  openDueAt,
  finalizeAt,
  hasOpenRun,
  endedRuns,
}: Standing): Instant | undefined => {
  if (hasOpenRun) return undefined;
  const last = endedRuns[0];
  const rested = (pauseMs: number): Instant => (last ? last.endedAt + pauseMs : 0);
  const failed = leading(endedRuns, ({ hasFailed }) => hasFailed);
  const faulty = leading(endedRuns, ({ hasFailed, hasFailures }) => hasFailed || hasFailures);
  const candidates: Instant[] = [];
  for (const dueAt of closing.isAutomatic ? [nextDueAt, finalizeAt] : [finalizeAt]) {
    if (dueAt === undefined) continue;
    const inVain = leading(endedRuns, ({ wasEmpty, dueUntil }) => wasEmpty && dueUntil >= dueAt);
    const pauseMs = failed > 0 ? pauseMsAfter(failed) : inVain >= endedRunsMax ? inVainMs : 0;
    candidates.push(Math.max(dueAt, rested(pauseMs)));
  }
  if (closing.isAutomatic && openDueAt !== undefined)
    candidates.push(Math.max(openDueAt + closing.graceMs, rested(pauseMsAfter(Math.max(faulty, 1)))));
  return candidates.length === 0 ? undefined : Math.min(...candidates);
};

/** Up to where a run bills. */
export type RunBounds = {
  readonly dueUntil: Instant;
  readonly arrearsUntil: Instant;
  /** It finalizes drafts, and closes nothing. */
  readonly draftsOnly: boolean;
};

/**
 * A run takes less than a day of what is due, the oldest first: after a downtime of days the invoices of each day are
 * numbered before those of the next. Late events are waited for up to now, and not once more for time long past.
 */
export const boundsAt = ({ closing, nextDueAt, finalizeAt }: Standing, now: Instant): RunBounds => {
  if (!closing.isAutomatic) return { dueUntil: now, arrearsUntil: now, draftsOnly: true };
  const first = nextDueAt === undefined ? now : Math.min(nextDueAt, finalizeAt ?? nextDueAt);
  const dueUntil = Math.min(now, first + dayMs - 1);
  return { dueUntil, arrearsUntil: Math.min(dueUntil, now - closing.graceMs), draftsOnly: false };
};

/**
 * For how long what is due was left, beyond the time that late events have: what an alarm is raised by. A pause after a
 * fault counts, and so does a run that does not come to its end.
 */
export const lateMsAt = ({ closing, nextDueAt, openDueAt, finalizeAt }: Standing, now: Instant): number => {
  const draftsMs = Math.max(0, now - (finalizeAt ?? now));
  if (!closing.isAutomatic) return draftsMs;
  const oldest = Math.min(nextDueAt ?? now, openDueAt ?? now);
  return Math.max(draftsMs, now - oldest - closing.graceMs);
};
