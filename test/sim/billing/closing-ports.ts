/** The ports of the scheduler and of test clocks over the tables in memory. */
import type { Instant } from '#schemas/period.ts';
import type { AdvancingClock, ClockPorts } from '../../../invoicer/clocks/advance-clock.ts';
import type { ClosePorts } from '../../../invoicer/periods/close-due.ts';
import { type EndedRun, endedRunsMax, type Standing } from '../../../invoicer/periods/next-close.ts';
import type { Process } from '../scheduler.ts';
import { periodsIn } from './cut-store.ts';
import { organizationId, type Run, type Tables, type TestClock } from './tables.ts';
import { ask, type World } from './world.ts';

export const isOpen = ({ state }: Run): boolean => state === 'queued' || state === 'running';

const earliest = (instants: readonly (Instant | undefined)[]): Instant | undefined => {
  const known = instants.filter((at) => at !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

const toEnded = ({ shards }: Tables, { id, dueUntil, updatedAt, state }: Run): EndedRun => ({
  endedAt: updatedAt,
  dueUntil,
  hasFailed: state === 'failed',
  hasFailures: false,
  wasEmpty: !shards.some(({ runId }) => runId === id),
});

const livesByTheHour = ({ customers }: Tables, { customerId }: { readonly customerId: string }): boolean =>
  customers.get(customerId)?.clockId === null;

const standingOf = (tables: Tables): Standing => {
  const own = [...tables.runs.values()].filter(({ askedBy }) => askedBy === 'scheduler');
  const last = own.slice(-(endedRunsMax + 1)).toReversed();
  const open = periodsIn(tables).filter((one) => one.state === 'open' && !one.isCarried && livesByTheHour(tables, one));
  const subscriptions = [...tables.subscriptions.values()].filter((one) => livesByTheHour(tables, one));
  return {
    organizationId,
    closing: { isAutomatic: true, graceMs: tables.graceMs },
    nextDueAt: earliest(subscriptions.map(({ nextDueAt }) => nextDueAt)),
    openDueAt: earliest(open.map(({ dueAt }) => dueAt)),
    finalizeAt: undefined,
    hasOpenRun: own.some(isOpen),
    endedRuns: last.filter((run) => !isOpen(run)).map((run) => toEnded(tables, run)),
  };
};

export type NewRun = Pick<Run, 'askedBy' | 'dueUntil' | 'arrearsUntil'> &
  Partial<Pick<Run, 'subscriptionsMax' | 'subscriptionId' | 'clockId'>>;

export const addRun = ({ tables, clock, nextId }: World, asked: NewRun): string => {
  const id = nextId('run');
  tables.runs.set(id, {
    subscriptionsMax: null,
    subscriptionId: null,
    clockId: null,
    ...asked,
    id,
    state: 'queued',
    isCut: false,
    watermark: undefined,
    failure: undefined,
    attempts: 0,
    leasedUntil: null,
    createdAt: clock.nowMs(),
    updatedAt: clock.nowMs(),
  });
  return id;
};

export const closePorts = (world: World, process: Process): ClosePorts => {
  const { tables, clock, random } = world;
  const call = <T>(what: string, apply: () => T): Promise<T> => ask(world, process, what, apply);
  return {
    dueStandings: (until, after) =>
      call('what is due', () => {
        const standing = standingOf(tables);
        const first = earliest([standing.nextDueAt, standing.openDueAt]);
        return after === '' && first !== undefined && first <= until ? [standing] : [];
      }),
    standing: () => call('where it stands', () => standingOf(tables)),
    startRun: (_of, { dueUntil, arrearsUntil }, now) =>
      call(`start a run up to ${new Date(dueUntil).toISOString()}`, () => {
        if (standingOf(tables).hasOpenRun || now > clock.nowMs()) return undefined;
        const subscriptionsMax = random.chance(0.3) ? 1 : 100;
        return addRun(world, { askedBy: 'scheduler', dueUntil, arrearsUntil, subscriptionsMax });
      }),
    nowMs: () => clock.nowMs(),
  };
};

const toAdvancing = (tables: Tables, { id, now, target }: TestClock): AdvancingClock => {
  const own = [...tables.subscriptions.values()].filter(
    ({ customerId }) => tables.customers.get(customerId)?.clockId === id,
  );
  return {
    id,
    organizationId,
    now,
    target,
    graceMs: tables.graceMs,
    failure: undefined,
    hasOpenRun: [...tables.runs.values()].some((run) => run.clockId === id && isOpen(run)),
    nextDueAt: earliest(own.map(({ nextDueAt }) => nextDueAt)),
  };
};

export const clockPorts = (world: World, process: Process): ClockPorts => {
  const { tables } = world;
  return {
    waiting: () =>
      ask(world, process, 'which clocks advance', () =>
        [...tables.clocks.values()].filter(({ now, target }) => now < target).map(({ id }) => id),
      ),
    step: (id, decide) =>
      ask(world, process, `a step of ${id}`, () => {
        const clock = tables.clocks.get(id) as TestClock;
        if (clock.now >= clock.target) return undefined;
        const next = decide(toAdvancing(tables, clock));
        if (next.step === 'arrive') clock.now = clock.target;
        if (next.step === 'bill') {
          const { dueUntil, arrearsUntil } = next;
          addRun(world, { askedBy: 'clock', dueUntil, arrearsUntil, clockId: id });
          clock.now = dueUntil;
        }
        return next.step;
      }),
  };
};
