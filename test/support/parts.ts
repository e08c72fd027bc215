/**
 * The processes that a test file needs. Each takes half a second of CPU to start (the rater and the API a whole one)
 * and some more all the time. A file that shares a stack starts none (`shared-pipeline.ts`).
 */
import type { ProcessName } from '#platform/config/processes.ts';

const catalog = ['api'] as const;
const keys = ['api', 'gateway'] as const;
const usage = ['api', 'gateway', 'sink', 'checker'] as const;

export const parts = {
  /** What is made and read through the API alone. */
  catalog,
  /** Both hosts, where nobody asks what became of an event. */
  keys,
  /** Events, until they are stored and checked, and what is read of them. */
  usage,
  amendedUsage: [...usage, 'relay'],
  /** Simulations and rating runs. */
  ratedUsage: [...usage, 'rater'],
  /** Everything but amendments. */
  billedUsage: [...usage, 'rater', 'invoicer'],
} as const satisfies Readonly<Record<string, readonly ProcessName[]>>;
