/**
 * What tests import as `vitest` while mutants run: `describe` and `it` collect, and `runCollected` runs what they
 * collected until one fails. `expect` is the one of vitest. So a file of tests can be loaded a thousand times in one
 * process.
 */
import { expect } from 'vitest';

export { expect };

type Test = { readonly name: string; readonly run: (...row: unknown[]) => unknown; readonly row: readonly unknown[] };

let tests: Test[] = [];

const rowOf = (row: unknown): readonly unknown[] => (Array.isArray(row) ? row : [row]);

const addTest = (name: string, run: Test['run']): void => void tests.push({ name, run, row: [] });

export const it = Object.assign(addTest, {
  each: (rows: readonly unknown[]) => (name: string, run: Test['run']) => {
    for (const row of rows) tests.push({ name, run, row: rowOf(row) });
  },
});

const group = (_name: string, body: (...row: unknown[]) => void): void => body();

export const describe = Object.assign(group, {
  each: (rows: readonly unknown[]) => (_name: string, body: (...row: unknown[]) => void) => {
    for (const row of rows) body(...rowOf(row));
  },
});

/** How many passed, and the name of the first that failed. */
export type Outcome = { readonly passed: number; readonly failed?: string };

export const runCollected = async (): Promise<Outcome> => {
  const collected = tests;
  tests = [];
  let passed = 0;
  for (const { name, run, row } of collected) {
    try {
      await run(...row);
      passed += 1;
    } catch {
      return { passed, failed: name };
    }
  }
  return { passed };
};
