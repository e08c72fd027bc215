/**
 * Thousands of runs of ingest, each from a seed that is printed where it fails: `MILLRACE_SIM_SEED=17 npm test --
 * test/sim` runs that one again.
 */
import { AssertionError } from 'node:assert/strict';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { scaled } from '../support/scale.ts';
import { type PlantedBug, plantedBugs } from './planted-bugs.ts';
import { createRandom } from './scheduler.ts';
import { createSimulation } from './simulate.ts';

const given = process.env.MILLRACE_SIM_SEED;
const seeds = given === undefined ? Array.from({ length: scaled(1_000) }, (_, index) => index + 1) : [Number(given)];

beforeAll(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] }));
afterEach(() => void vi.restoreAllMocks());
afterAll(() => void vi.useRealTimers());

const timers = { advance: (ms: number) => void vi.advanceTimersByTime(ms) };

/** What went wrong under this seed, in words; undefined where nothing did. */
const failureOf = async (seed: number, bug?: PlantedBug): Promise<string | undefined> => {
  const jitter = createRandom(seed + 1_000_000);
  vi.spyOn(Math, 'random').mockImplementation(() => jitter.below(1_000_000) / 1_000_000);
  const { run, history } = createSimulation(seed, timers, bug);
  try {
    await run();
    return undefined;
  } catch (error) {
    const fault = error instanceof AssertionError ? error.message : (error as Error).stack;
    return `seed ${seed}: ${fault}\n  ${history().join('\n  ')}`;
  } finally {
    vi.clearAllTimers();
  }
};

describe('ingest in simulation', () => {
  it(`[I1] [I2] [I3] [I4] [I5] [I8] [I9] hold under ${seeds.length} seeds of crashes, loss, delay, repetition and outages`, {
    timeout: 300_000 + 200 * seeds.length,
  }, async () => {
    for (const seed of seeds) {
      const failure = await failureOf(seed);
      if (failure !== undefined) expect.fail(failure);
    }
  });

  it('the runs reach every outcome', async () => {
    const told = new Map<string, number>();
    for (let seed = 1; seed <= 100; seed += 1) {
      const simulation = createSimulation(seed, timers);
      await simulation.run();
      vi.clearAllTimers();
      for (const [status, count] of simulation.told) told.set(status, (told.get(status) ?? 0) + count);
    }
    for (const status of ['accepted', 'duplicate', 'conflict', 'unavailable', 'in_flight'])
      expect(told.get(status), status).toBeGreaterThan(100);
  });

  it('the same seed gives the same run', async () => {
    const bug: PlantedBug = { store: (ports) => ({ ...ports, insert: async () => {} }) };
    const [first, second] = [await failureOf(3, bug), await failureOf(3, bug)];
    expect(first).toContain('[I2]');
    expect(second).toBe(first);
  });

  it.each(Object.entries(plantedBugs))('finds a planted bug within 300 seeds: %s', async (_name, bug) => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const failure = await failureOf(seed, bug);
      if (failure === undefined) continue;
      expect(failure).toMatch(/\[I[1-9]\]/);
      return;
    }
    expect.fail('no seed found it');
  });
});
