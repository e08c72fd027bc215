import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Starting real servers takes seconds; a test that hangs is still ended.
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Two cores: more files at a time would only share them.
    maxWorkers: 2,
    reporters: ['default'],
  },
});
