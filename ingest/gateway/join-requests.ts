/**
 * Small requests of one organization that come together are claimed and published together: one script of Redis and one
 * message for all of them. It costs a request no time while the gateway is idle: the first one goes at once, and those
 * that come while it is under way go together when it is done. A backfill is joined with backfills alone, as a message
 * is one or is none.
 */

import type { EventBlock } from '../parse/event-block.ts';
import type { Accepted, Outcomes } from './accept-events.ts';

export type Joined<R> = {
  readonly block: EventBlock;
  readonly receivedAtMs: number;
  readonly isBackfill?: boolean;
  readonly request: R;
};

export type Answered = { readonly outcomes: Outcomes; readonly unclaimed: boolean };

export type JoinOptions<R> = {
  readonly accept: (joined: readonly Joined<R>[]) => Promise<Accepted>;
  /** A request with more rows goes by itself. */
  readonly rowsMax: number;
  /** Groups of one organization that are under way at a time; more would only be smaller. */
  readonly groupsMax: number;
  readonly groupRowsMax: number;
};

type Waiting<R> = Joined<R> & {
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: unknown) => void;
};
type Queue<R> = { readonly waiting: Waiting<R>[]; underWay: number };

/** Returns how to hand a request in. */
export const joinRequests = <R>(options: JoinOptions<R>): ((joined: Joined<R>) => Promise<Answered>) => {
  const queues = new Map<string, Queue<R>>();

  const run = async (queue: Queue<R>, name: string, group: readonly Waiting<R>[]): Promise<void> => {
    queue.underWay += 1;
    try {
      const { outcomes, unclaimed } = await options.accept(group);
      for (const [place, { resolve }] of group.entries()) resolve({ outcomes: outcomes[place] as Outcomes, unclaimed });
    } catch (error) {
      for (const { reject } of group) reject(error);
    } finally {
      queue.underWay -= 1;
      if (queue.waiting.length > 0) next(queue, name);
      else if (queue.underWay === 0) queues.delete(name);
    }
  };
  const next = (queue: Queue<R>, name: string): void => {
    let rows = 0;
    let count = 0;
    for (const { block } of queue.waiting) {
      rows += block.ends.length;
      if (count > 0 && rows > options.groupRowsMax) break;
      count += 1;
    }
    void run(queue, name, queue.waiting.splice(0, count));
  };

  return async (joined) => {
    const { tenant, ends } = joined.block;
    if (ends.length > options.rowsMax) {
      const { outcomes, unclaimed } = await options.accept([joined]);
      return { outcomes: outcomes[0] as Outcomes, unclaimed };
    }
    const name = joined.isBackfill ? `${tenant} backfill` : tenant;
    const queue = queues.get(name) ?? { waiting: [], underWay: 0 };
    queues.set(name, queue);
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    queue.waiting.push({ ...joined, resolve, reject });
    if (queue.underWay < options.groupsMax) next(queue, name);
    return promise;
  };
};
