/** What stories by a test clock are told with: charges, plans of them, and usage. */
import type { Pipeline } from './pipeline.ts';
import { unique } from './tenants.ts';
import { type Sandbox, sandboxOf } from './test-clock.ts';

export const flat = (code: string, amount: string, more: object = {}) => ({
  code,
  name: code,
  price: { model: 'flat', amount },
  ...more,
});

/** By the meter `calls`. */
export const calls = (unit_amount: string, more: object = {}) => ({
  code: 'calls',
  name: 'calls',
  meter: 'calls',
  price: { model: 'per_unit', unit_amount },
  ...more,
});

/** An event that the meter counts. */
export const call = (customer_id: string, timestamp: string) => ({
  idempotency_key: unique(),
  event: 'call',
  customer_id,
  timestamp,
});

/** Resolves with the code of a new plan. */
export const newPlan = async (
  sandbox: Sandbox,
  currency: string,
  charges: readonly object[],
  terms: object = {},
): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency, charges, ...terms });
  return code;
};

/** A sandbox of its own, with the meter of `calls`. */
export const sandboxOfCalls = async (pipeline: Pipeline): Promise<Sandbox> => {
  const sandbox = await sandboxOf(pipeline);
  await sandbox.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
  return sandbox;
};
