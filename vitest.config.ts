import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

const shared = {
  // For a machine that is three times slower than the one on which they were written, and busy; a test that hangs is
  // still ended. A test says a time of its own where it takes longer.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  // Of tests within a file that say they may run at the same time: they wait for time to pass.
  maxConcurrency: 20,
  // What was found says itself, whole: of a failure that comes once in many runs the message is all that is left.
  chaiConfig: { truncateThreshold: 600 },
};

export default defineConfig({
  test: {
    // For two cores: a file waits for leases, restarts and disks for a quarter of its time, so that two files at a time
    // leave a fifth of the machine idle.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/*.test.ts', 'test/{unit,contract,sim}/**/*.test.ts'],
          // A process for each of so many small files took more than a third of their CPU. There is nothing to keep
          // apart: our modules have no singletons, and who changes a timer puts it back.
          isolate: false,
        },
      },
      { test: { ...shared, name: 'local', include: ['test/integration/local/**/*.test.ts'] } },
      {
        test: {
          ...shared,
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/tour/**/*.test.ts'],
          exclude: ['test/integration/local/**'],
          globalSetup: ['test/support/global-servers.ts'],
          // A process for each file took 0.6 s of CPU. What a file starts are processes of its own, by its own hooks.
          isolate: false,
        },
      },
    ],
  },
});
