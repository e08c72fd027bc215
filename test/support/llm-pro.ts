/** The plan `llm-pro` of the real trace, made over the API with its meters. */
import type { Pipeline } from './pipeline.ts';

export const llmProMeters = [
  { code: 'requests', name: 'Requests', event: 'llm.request', aggregation: 'count' },
  { code: 'input_tokens', name: 'Input tokens', event: 'llm.request', aggregation: 'sum', property: 'input_tokens' },
  { code: 'output_tokens', name: 'Output tokens', event: 'llm.request', aggregation: 'sum', property: 'output_tokens' },
];

export const llmProPlan = {
  code: 'llm-pro',
  name: 'LLM Pro',
  currency: 'USD',
  charges: [
    { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '20.00' } },
    {
      code: 'requests',
      name: 'Requests',
      meter: 'requests',
      price: { model: 'package', package_amount: '0.50', package_size: '25', free_units: '20' },
    },
    {
      code: 'input',
      name: 'Input tokens',
      meter: 'input_tokens',
      price: {
        model: 'graduated',
        tiers: [
          { up_to: '100000', unit_amount: '0' },
          { up_to: '200000', unit_amount: '0.000003' },
          { up_to: null, unit_amount: '0.0000024' },
        ],
      },
    },
    {
      code: 'output',
      name: 'Output tokens',
      meter: 'output_tokens',
      price: { model: 'per_unit', unit_amount: '0.000015' },
    },
  ],
};

const made = async (pipeline: Pipeline, path: string, body: unknown): Promise<{ id: string }> => {
  const answer = await pipeline.api('POST', path, body);
  if (answer.status !== 201) throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
};

/** Customers are made over so many connections at a time. */
const lanes = 4;

/** Meters, plan, and a customer with a subscription since `startedAt` for each external id. */
export const makeLlmPro = async (
  pipeline: Pipeline,
  customers: readonly string[],
  startedAt: number,
): Promise<void> => {
  for (const meter of llmProMeters) await made(pipeline, '/v1/meters', meter);
  await made(pipeline, '/v1/plans', llmProPlan);
  const started_at = new Date(startedAt).toISOString();
  const left = customers.values();
  const lane = async (): Promise<void> => {
    for (const customer of left) {
      await made(pipeline, '/v1/customers', { external_id: customer, name: customer });
      await made(pipeline, '/v1/subscriptions', { customer_id: customer, plan: llmProPlan.code, started_at });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
};

export const llmRequest = (key: string, customer: string, atMs: number, tokens: { input: number; output: number }) => ({
  idempotency_key: key,
  event: 'llm.request',
  customer_id: customer,
  timestamp: new Date(atMs).toISOString(),
  properties: { input_tokens: tokens.input, output_tokens: tokens.output },
});
