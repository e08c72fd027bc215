/**
 * The use case of the scheduler: what is due -> billing runs, which rater and invoicer work off. Two jobs of a queue
 * have it look, and neither says what is due: that stands in the subscriptions.
 *
 *   look_for_due   each minute, and when a process starts: finds the organizations of which something falls due within
 *                  the next minute, and adds a job for each, to be done at that instant
 *   close_due      of one organization: at that instant, when its last run came to its end, and when it turns closing
 *                  on. The order of effects:
 *                    1. read what is due and how the last runs ended, and decide
 *                    2. in one transaction: the run, its audit entry, the notice that wakes a rater
 *
 * A process may die anywhere. Before the commit nothing happened, and the next look finds the same due; after it the
 * run is there, and an index lets no second one be under way. Which time is billed is decided by neither: the run's cut
 * locks the subscriptions, and a billing period is there once and is billed once.
 */
import type { Instant } from '#schemas/period.ts';
import { boundsAt, nextCloseAt, type RunBounds, type Standing } from './next-close.ts';

/** An organization whose next close is at an instant. */
export type Appointment = { readonly organizationId: string; readonly at: Instant };

export type ClosePorts = {
  /**
   * Those with automatic closing of which something is due until an instant, in the order of their ids, some at a time,
   * after an id.
   */
  readonly dueStandings: (until: Instant, after: string) => Promise<readonly Standing[]>;
  readonly standing: (organizationId: string) => Promise<Standing | undefined>;
  /** Step 2; resolves with the id of the run, or undefined where one is under way. */
  readonly startRun: (organizationId: string, bounds: RunBounds, now: Instant) => Promise<string | undefined>;
  readonly nowMs: (organizationId: string) => Instant;
};

/** A look comes each minute; what falls due within the time between two has a job of its own. */
const aheadMs = 75_000;

/** All appointments until the look after the next. */
export const findAppointments = async (ports: ClosePorts, now: Instant): Promise<Appointment[]> => {
  const appointments: Appointment[] = [];
  for (let after = ''; ; ) {
    const standings = await ports.dueStandings(now + aheadMs, after);
    const last = standings.at(-1);
    if (!last) return appointments;
    after = last.organizationId;
    for (const standing of standings) {
      const at = nextCloseAt(standing);
      if (at !== undefined && at <= now + aheadMs) appointments.push({ organizationId: standing.organizationId, at });
    }
  }
};

/** What became of a job of one organization. */
export type Closed =
  | { readonly outcome: 'started'; readonly runId: string; readonly bounds: RunBounds }
  /** It is to be looked at then; what is further away is found by a look. */
  | { readonly outcome: 'early'; readonly at: Instant }
  | { readonly outcome: 'nothing' };

export const closeDue = async (ports: ClosePorts, organizationId: string): Promise<Closed> => {
  const standing = await ports.standing(organizationId);
  const at = standing && nextCloseAt(standing);
  if (at === undefined) return { outcome: 'nothing' };
  const now = ports.nowMs(organizationId);
  if (at > now) return at <= now + aheadMs ? { outcome: 'early', at } : { outcome: 'nothing' };
  const bounds = boundsAt(standing as Standing, now);
  const runId = await ports.startRun(organizationId, bounds, now);
  return runId === undefined ? { outcome: 'nothing' } : { outcome: 'started', runId, bounds };
};
