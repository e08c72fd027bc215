/** What happens next, drawn from a seed: the same seed gives the same run to the last step. */

export type Random = {
  /** A whole number in [0, limit). */
  readonly below: (limit: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly pick: <T>(list: readonly T[]) => T;
};

/** mulberry32 (Tommy Ettinger, public domain). */
export const createRandom = (seed: number): Random => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: <T>(list: readonly T[]): T => {
      if (list.length === 0) throw new RangeError('nothing to pick from');
      return list[below(list.length)] as T;
    },
  };
};

/** A process that can be ended at any moment: what it is told afterwards is never heard. */
export type Process = { readonly name: string; alive: boolean };

type Step = { readonly what: string; readonly run: () => void };

/** Thrown by a call whose request or answer was lost: the caller gave up waiting. */
class SilenceError extends Error {
  constructor(what: string) {
    super(`no answer to ${what}`);
    this.name = 'SilenceError';
  }
}

/** How a call fares: it is lost on the way, its answer is, or it arrives after the caller gave up. */
export type Fate = 'answered' | 'lost' | 'unanswered' | 'late';

export type Scheduler = {
  readonly later: (what: string, run: () => void) => void;
  /** A call over the network: it arrives, and is answered, at moments of their own. */
  readonly call: <T>(caller: Process, what: string, fate: Fate, apply: () => T) => Promise<T>;
  /** Runs one of what is to come, drawn at random; false where there is nothing. */
  readonly runOne: () => boolean;
  readonly note: (what: string) => void;
  /** The last steps, for who has to find out why. */
  readonly history: () => readonly string[];
  /** Resolves once all that the last step set off has come to rest. */
  readonly settle: () => Promise<void>;
};

const historyMax = 300;
const turnsOfPromisesMax = 1_000;

export const createScheduler = (random: Random): Scheduler => {
  const steps: Step[] = [];
  const history: string[] = [];
  let turns = 0;
  const note = (what: string): void => {
    history.push(what);
    if (history.length > historyMax) history.shift();
  };
  const later: Scheduler['later'] = (what, run) => void steps.push({ what, run });
  return {
    later,
    note,
    history: () => history,
    settle: async () => {
      turns += 1;
      // Within a promise's turn, nextTick comes after all promises that are still to be heard. Timers and whoever runs
      // the tests come to their turn now and then alone: each time took a sixth of the CPU of a run.
      await null;
      await new Promise<void>((resolve) => {
        if (turns % turnsOfPromisesMax === 0) setImmediate(resolve);
        else process.nextTick(resolve);
      });
    },
    runOne: () => {
      const step = steps.length === 0 ? undefined : steps.splice(random.below(steps.length), 1)[0];
      if (!step) return false;
      note(step.what);
      step.run();
      return true;
    },
    call: <T>(caller: Process, what: string, fate: Fate, apply: () => T): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        // A process that is gone calls nobody, and nobody answers it.
        if (!caller.alive) return;
        const name = `${caller.name}: ${what}`;
        const answer = (with_: () => void) =>
          later(`${name} is answered`, () => {
            if (caller.alive) with_();
          });
        const silence = () => answer(() => reject(new SilenceError(what)));
        if (fate === 'lost') return silence();
        if (fate === 'late') silence();
        later(`${name} arrives${fate === 'answered' ? '' : `, ${fate}`}`, () => {
          try {
            const value = apply();
            if (fate === 'answered') answer(() => resolve(value));
            else if (fate === 'unanswered') silence();
          } catch (error) {
            if (fate === 'answered') answer(() => reject(error));
            else if (fate === 'unanswered') silence();
          }
        });
      }),
  };
};
