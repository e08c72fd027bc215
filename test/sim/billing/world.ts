/** What a run of billing consists of beside its tables: the hour, chance, locks, and calls that may fare badly. */
import type { Shard } from '#schemas/billing-run.ts';
import type { Instant } from '#schemas/period.ts';
import type { Process, Random, Scheduler } from '../scheduler.ts';
import type { BillingBug } from './planted-bugs.ts';
import type { Tables } from './tables.ts';

export type World = {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly tables: Tables;
  readonly bug: BillingBug;
  readonly clock: { readonly nowMs: () => Instant };
  /** How likely a call is lost, late, or not answered. */
  readonly faults: { network: number };
  /** What was thrown and is no fault that passes. */
  readonly broken: unknown[];
  /** Shards that raters hold on to while they work on them. */
  readonly held: Set<{ readonly process: Process; readonly shard: Shard }>;
  /** How often a process found something to do. */
  readonly found: { count: number };
  /** Processes that have nothing to do, until somebody wakes them. */
  readonly idle: { readonly process: Process; readonly wake: () => void }[];
  readonly nextId: (prefix: string) => string;
};

export const leaseMs = 60_000;

/** The connection was lost; what was asked for may have happened all the same. */
class LostConnectionError extends Error {
  readonly code = 'ECONNRESET';
}

/** A statement that is a transaction of its own. Nobody waits for it in the order in which it was sent. */
export const ask = async <T>(world: World, process: Process, what: string, apply: () => T): Promise<T> => {
  const { random, scheduler, faults } = world;
  const fate = random.chance(faults.network) ? random.pick(['lost', 'unanswered', 'late'] as const) : 'answered';
  try {
    return await scheduler.call(process, what, fate, apply);
  } catch (error) {
    throw fate === 'answered' ? error : new LostConnectionError(`no answer to ${what}`, { cause: error });
  }
};

/** A transaction that is open: its locks are free once it ended, or whoever holds it is gone. */
export type Transaction = { readonly process: Process; isOver: boolean; readonly writes: (() => void)[] };

export const createLocks = () => {
  const held = new Map<string, Transaction>();
  const isHeld = (name: string, by: Transaction): boolean => {
    const holder = held.get(name);
    return holder !== undefined && holder !== by && !holder.isOver && holder.process.alive;
  };
  return { isHeld, take: (name: string, by: Transaction): void => void held.set(name, by) };
};
export type Locks = ReturnType<typeof createLocks>;

export const begin = (process: Process): Transaction => ({ process, isOver: false, writes: [] });

/** A step of a transaction that needs a lock: it is done once nobody else holds it. */
export const underLock = <T>(
  { scheduler }: World,
  locks: Locks,
  transaction: Transaction,
  name: string,
  what: string,
  step: () => T,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const { process } = transaction;
    const attempt = (): void => {
      if (!process.alive) return;
      if (locks.isHeld(name, transaction)) {
        scheduler.later(`${process.name}: ${what} waits`, attempt);
        return;
      }
      locks.take(name, transaction);
      try {
        const value = step();
        scheduler.later(`${process.name}: ${what} is answered`, () => process.alive && resolve(value));
      } catch (error) {
        transaction.isOver = true;
        scheduler.later(`${process.name}: ${what} is rolled back`, () => process.alive && reject(error));
      }
    };
    if (process.alive) scheduler.later(`${process.name}: ${what} arrives`, attempt);
  });

/** All that it writes, or nothing: its process may be gone by then. */
export const commit = (world: World, transaction: Transaction, what: string): Promise<void> => {
  const { process, writes } = transaction;
  return new Promise((resolve, reject) => {
    const { random, scheduler, faults } = world;
    const isHeard = !random.chance(faults.network);
    const isLost = !isHeard && random.chance(0.5);
    scheduler.later(`${process.name}: ${what} commits${isLost ? ', lost' : ''}`, () => {
      transaction.isOver = true;
      // The answer to a commit may be lost, and so may the commit; a process that died before has sent none.
      if (!process.alive) return;
      try {
        if (!isLost) for (const write of writes) write();
      } catch (error) {
        scheduler.later(`${process.name}: ${what} is rolled back`, () => process.alive && reject(error));
        return;
      }
      scheduler.later(`${process.name}: ${what} is answered`, () => {
        if (!process.alive) return;
        if (isHeard) resolve();
        else reject(new LostConnectionError(`no answer to ${what}`));
      });
    });
  });
};

/** Resolves once somebody has it look again. */
export const rest = ({ idle }: World, process: Process): Promise<void> =>
  new Promise((wake) => {
    if (process.alive) idle.push({ process, wake });
  });

/** Whether nobody holds the row. */
export const isFree = ({ leasedUntil }: { leasedUntil: Instant | null }, now: Instant): boolean =>
  leasedUntil === null || leasedUntil < now;
