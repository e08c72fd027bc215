/**
 * Runs tests against mutants that its parent sends, one after the other, in one process: every file of the repository
 * is loaded anew under the mutant's number, packages stay loaded. An endless loop is ended by the parent.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Mutant } from './mutants.ts';
import { withMutant } from './mutants.ts';

export type Task = { readonly id: number; readonly mutant: Mutant | null; readonly tests: readonly string[] };
export type Verdict = { readonly id: number; readonly passed: number; readonly failed?: string };

const root = new URL('../../', import.meta.url).href;
const collector = new URL('./collected-tests.ts', import.meta.url).href;

let task: Task | undefined;

registerHooks({
  resolve: (specifier, context, nextResolve) => {
    const parent = context.parentURL ?? '';
    if (specifier === 'vitest' && !parent.startsWith(collector)) return { url: collector, shortCircuit: true };
    const resolved = nextResolve(specifier, context);
    const isOurs = resolved.url.startsWith(root) && !resolved.url.includes('/node_modules/');
    return isOurs && task && parent.includes('?mutant=')
      ? { ...resolved, url: `${resolved.url.split('?')[0]}?mutant=${task.id}` }
      : resolved;
  },
  load: (url, context, nextLoad) => {
    const mutant = task?.mutant;
    if (!mutant || url.split('?')[0] !== root + mutant.path) return nextLoad(url, context);
    const source = withMutant(readFileSync(fileURLToPath(url), 'utf8'), mutant);
    return { format: 'module-typescript', source, shortCircuit: true };
  },
});

const { runCollected } = (await import(collector)) as typeof import('./collected-tests.ts');

const judge = async ({ id, tests }: Task): Promise<Verdict> => {
  let passed = 0;
  for (const path of tests) {
    try {
      await import(`${root}${path}?mutant=${id}`);
    } catch (error) {
      await runCollected();
      return { id, passed, failed: `${path} does not load: ${(error as Error).message}` };
    }
    const outcome = await runCollected();
    passed += outcome.passed;
    if (outcome.failed !== undefined) return { id, passed, failed: outcome.failed };
  }
  return { id, passed };
};

process.on('message', async (message: Task) => {
  task = message;
  process.send?.(await judge(message));
});
process.send?.({ id: -1, passed: 0 } satisfies Verdict);
