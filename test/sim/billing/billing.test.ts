/**
 * Thousands of runs of billing, each from a seed that is printed where it fails: `MILLRACE_SIM_SEED=17 npm test --
 * test/sim/billing` runs that one again.
 */
import { AssertionError } from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { scaled } from '../../support/scale.ts';
import { type BillingBug, plantedBugs } from './planted-bugs.ts';
import { createBillingSimulation } from './simulate.ts';

const given = process.env.MILLRACE_SIM_SEED;
const seeds = given === undefined ? Array.from({ length: scaled(2_000) }, (_, index) => index + 1) : [Number(given)];

/** What went wrong under this seed, in words; undefined where nothing did. */
const failureOf = async (seed: number, bug?: BillingBug): Promise<string | undefined> => {
  const { run, history } = createBillingSimulation(seed, bug);
  try {
    await run();
    return undefined;
  } catch (error) {
    const fault = error instanceof AssertionError ? error.message : (error as Error).stack;
    return `seed ${seed}: ${fault}\n  ${history().join('\n  ')}`;
  }
};

describe('billing in simulation', () => {
  it(`[I2] [I14] [I15] [I16] [I17] [I18] [I19] [I32] hold under ${seeds.length} seeds of crashes, late usage and credits`, {
    timeout: 120_000 + 100 * seeds.length,
  }, async () => {
    for (const seed of seeds) {
      const failure = await failureOf(seed);
      if (failure !== undefined) expect.fail(failure);
    }
  });

  it('the same seed gives the same run', async () => {
    const bug = plantedBugs['what is billed already is billed once more by whoever has the shard after a crash'];
    for (const seed of [1, 2, 3]) expect(await failureOf(seed, bug)).toBe(await failureOf(seed, bug));
  });

  it.each(Object.entries(plantedBugs))('finds a planted bug within 300 seeds: %s', async (_name, bug) => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const failure = await failureOf(seed, bug);
      if (failure === undefined) continue;
      expect(failure).toMatch(/\[I[0-9]+\]|seed/);
      return;
    }
    expect.fail('no seed found it');
  });
});
