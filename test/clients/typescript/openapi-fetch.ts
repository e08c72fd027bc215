/** A client of openapi-typescript and openapi-fetch. */
import createClient from 'openapi-fetch';
import type { paths as ApiPaths, components } from './openapi-typescript/api.ts';
import type { paths as IngestPaths, components as ingestComponents } from './openapi-typescript/ingest.ts';
import { must, task, until } from './task.ts';

type Event = ingestComponents['schemas']['Event'];
type NewPlan = components['schemas']['NewPlan'];

const headers = { authorization: `Bearer ${task.key}` };
const api = createClient<ApiPaths>({ baseUrl: task.api, headers });
const ingest = createClient<IngestPaths>({ baseUrl: task.ingest, headers });

const code = `tokens-${task.name}`;
const event = (number: number, tokens: number): Event => ({
  idempotency_key: `${task.name}-${number}`,
  event: `llm.request.${task.name}`,
  customer_id: task.name,
  timestamp: task.occurredAt,
  properties: {
    tokens,
    model: 'small',
    cached: true,
    ratio: 0.25,
    tags: ['a', 1, null],
    nested: { deep: false },
    nothing: null,
  },
});

const meter = must(
  await api.POST('/v1/meters', {
    body: { code, name: 'Tokens', event: `llm.request.${task.name}`, aggregation: 'sum', property: 'tokens' },
  }),
);
const newPlan: NewPlan = {
  code: task.name,
  name: 'Starter',
  currency: 'USD',
  charges: [
    { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '9.00' } },
    {
      code: 'tokens',
      name: 'Tokens',
      meter: meter.code,
      price: {
        model: 'graduated',
        tiers: [
          { up_to: '1000', unit_amount: '0.01' },
          { up_to: null, unit_amount: '0.005' },
        ],
      },
    },
  ],
};
const plan = must(await api.POST('/v1/plans', { body: newPlan }));
const tiers = plan.charges.flatMap(({ price }) =>
  price.model === 'graduated' ? price.tiers.map(({ up_to }) => up_to) : [],
);

const newCustomer = { external_id: task.name, name: 'Acme Inc.', metadata: { contract: '2026-117' } };
const made = await api.POST('/v1/customers', {
  body: newCustomer,
  params: { header: { 'Idempotency-Key': task.name } },
});
const customer = must(made);
const again = await api.POST('/v1/customers', { body: newCustomer });
must(
  await api.POST('/v1/subscriptions', {
    body: { customer_id: task.name, plan: plan.code, started_at: task.monthStart },
  }),
);

const single = must(await ingest.POST('/v1/events', { body: event(1, 700), params: { query: { receipt: true } } }));
if (typeof single === 'string') throw new Error('the answer is text');
const batch = must(
  await ingest.POST('/v1/events', { body: { events: [event(1, 700), event(2, 800), event(3, 500)] } }),
);
if (typeof batch === 'string') throw new Error('the answer is text');
const rejected = await ingest.POST('/v1/events', { body: { ...event(4, 1), event: '' } });

const usage = await until(
  async () =>
    must(
      await api.GET('/v1/customers/{id}/usage', {
        params: { path: { id: task.name }, query: { from: task.monthStart } },
      }),
    ).items.find((item) => item.meter === code)?.quantity,
  (quantity) => quantity === '2000',
);
const run = must(await api.POST('/v1/invoices/run', { body: { period: task.month, customer_id: task.name } }));
const ended = must(
  await api.GET('/v1/invoices/runs/{id}', { params: { path: { id: run.id }, query: { wait_seconds: 25 } } }),
);
const page = must(
  await api.GET('/v1/customers/{id}/invoices', { params: { path: { id: task.name }, query: { limit: 1 } } }),
);
const invoice = must(await api.GET('/v1/invoices/{id}', { params: { path: { id: page.items[0]?.id ?? '' } } }));

const stale = await api.PATCH('/v1/customers/{id}', {
  params: { path: { id: task.name }, header: { 'If-Match': '"7"' } },
  body: { email: 'billing@acme.example' },
});
const missing = await api.GET('/v1/invoices/{id}', { params: { path: { id: `inv_${'0'.repeat(32)}` } } });
const unused = must(
  await api.POST('/v1/meters', {
    body: { code: `unused-${task.name}`, name: 'Unused', event: 'nothing', aggregation: 'count' },
  }),
);
const deleted = await api.DELETE('/v1/meters/{id}', { params: { path: { id: unused.id } } });

console.log(
  JSON.stringify({
    location: made.response.headers.get('location') === `/v1/customers/${customer.id}`,
    contract: customer.metadata.contract,
    tiers,
    again: again.error?.error_code,
    single: [single.accepted, single.receipt?.accepted],
    batch: [batch.accepted, batch.duplicates],
    rejected: rejected.error && 'results' in rejected.error ? rejected.error.results[0]?.errors[0]?.field : undefined,
    usage,
    run: [ended.state, ended.invoices_issued],
    total: invoice.total,
    lines: invoice.lines.map(({ amount, steps }) => [amount, ...steps.map(({ kind, units }) => `${kind} ${units}`)]),
    stale: stale.error?.error_code,
    missing: [missing.error?.status, missing.error?.error_code],
    deleted: deleted.response.status,
  }),
);
