/**
 * Thousands of runs of billing, each from a seed that is printed where it fails: `MILLRACE_SIM_SEED=17 npm test --
 * test/sim/billing` runs that one again.
 */
import assert, { AssertionError } from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { scaled } from '../../support/scale.ts';
import { deltaFaults } from './delta-rules.ts';
import { type BillingBug, plantedBugs } from './planted-bugs.ts';
import { createBillingSimulation } from './simulate.ts';

const given = process.env.MILLRACE_SIM_SEED;
const seeds = given === undefined ? Array.from({ length: scaled(2_000) }, (_, index) => index + 1) : [Number(given)];

/** What went wrong under this seed, in words; undefined where nothing did. */
const failureOf = async (seed: number, bug?: BillingBug): Promise<string | undefined> => {
  const { run, history, tables } = createBillingSimulation(seed, bug);
  try {
    await run();
    assert.deepEqual(deltaFaults(tables), [], '[I15] discounts and taxes of deltas are those of the whole period');
    return undefined;
  } catch (error) {
    const fault = error instanceof AssertionError ? error.message : (error as Error).stack;
    return `seed ${seed}: ${fault}\n  ${history().join('\n  ')}`;
  }
};

describe('billing in simulation', () => {
  it(`[I2] [I14] [I15] [I16] [I17] [I18] [I19] [I32] hold under ${seeds.length} seeds of crashes, late usage and credits`, {
    timeout: 300_000 + 500 * seeds.length,
  }, async () => {
    for (const seed of seeds) {
      const failure = await failureOf(seed);
      if (failure !== undefined) expect.fail(failure);
    }
  });

  it('the runs reach what they are to check', async () => {
    const reached = new Map<string, number>();
    for (let seed = 1; seed <= 60; seed += 1) {
      const { run, checks } = createBillingSimulation(seed);
      await run();
      for (const [name, count] of Object.entries(checks.counts)) reached.set(name, (reached.get(name) ?? 0) + count);
    }
    for (const [name, count] of reached) expect(count, name).toBeGreaterThan(2);
  });

  it('the same seed gives the same run', async () => {
    const bug = plantedBugs['what is billed already is billed once more by whoever has the shard after a crash'];
    for (const seed of [1, 2, 3]) expect(await failureOf(seed, bug)).toBe(await failureOf(seed, bug));
  });

  it.each(Object.entries(plantedBugs))(
    'finds a planted bug within 300 seeds: %s',
    { timeout: 600_000 },
    async (_name, bug) => {
      for (let seed = 1; seed <= 300; seed += 1) {
        const failure = await failureOf(seed, bug);
        if (failure === undefined) continue;
        // It says what does not hold, and no more than that something was thrown.
        expect(failure).not.toContain('    at ');
        return;
      }
      expect.fail('no seed found it');
    },
  );
});
