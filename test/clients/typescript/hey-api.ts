/** A client of @hey-api/openapi-ts. */
import { createClient } from './hey-api/api/client/index.ts';
import {
  createBillingRun,
  createCustomer,
  createMeter,
  createPlan,
  createSubscription,
  deleteMeter,
  getBillingRun,
  getCustomerUsage,
  getInvoice,
  listCustomerInvoices,
  updateCustomer,
} from './hey-api/api/sdk.gen.ts';
import { createClient as createIngestClient } from './hey-api/ingest/client/index.ts';
import { createEvents } from './hey-api/ingest/sdk.gen.ts';
import type { Event } from './hey-api/ingest/types.gen.ts';
import { must, task, until } from './task.ts';

const client = createClient({ baseUrl: task.api, auth: task.key });
const ingest = createIngestClient({ baseUrl: task.ingest, auth: task.key });

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
  await createMeter({
    client,
    body: { code, name: 'Tokens', event: `llm.request.${task.name}`, aggregation: 'sum', property: 'tokens' },
  }),
);
const plan = must(
  await createPlan({
    client,
    body: {
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
    },
  }),
);
const tiers = plan.charges.flatMap(({ price }) =>
  price.model === 'graduated' ? price.tiers.map(({ up_to }) => up_to) : [],
);

const newCustomer = { external_id: task.name, name: 'Acme Inc.', metadata: { contract: '2026-117' } };
const made = await createCustomer({ client, body: newCustomer, headers: { 'Idempotency-Key': task.name } });
const customer = must(made);
const again = await createCustomer({ client, body: newCustomer });
must(
  await createSubscription({ client, body: { customer_id: task.name, plan: plan.code, started_at: task.monthStart } }),
);

const single = must(await createEvents({ client: ingest, body: event(1, 700), query: { receipt: true } }));
const batch = must(
  await createEvents({ client: ingest, body: { events: [event(1, 700), event(2, 800), event(3, 500)] } }),
);
const rejected = await createEvents({ client: ingest, body: { ...event(4, 1), event: '' } });

const usage = await until(
  async () =>
    must(await getCustomerUsage({ client, path: { id: task.name }, query: { from: task.monthStart } })).items.find(
      (item) => item.meter === code,
    )?.quantity,
  (quantity) => quantity === '2000',
);
const run = must(await createBillingRun({ client, body: { period: task.month, customer_id: task.name } }));
const ended = must(await getBillingRun({ client, path: { id: run.id }, query: { wait_seconds: 25 } }));
const page = must(await listCustomerInvoices({ client, path: { id: task.name }, query: { limit: 1 } }));
const invoice = must(await getInvoice({ client, path: { id: page.items[0]?.id ?? '' } }));

const stale = await updateCustomer({
  client,
  path: { id: task.name },
  headers: { 'If-Match': '"7"' },
  body: { email: 'billing@acme.example' },
});
const missing = await getInvoice({ client, path: { id: `inv_${'0'.repeat(32)}` } });
const unused = must(
  await createMeter({
    client,
    body: { code: `unused-${task.name}`, name: 'Unused', event: 'nothing', aggregation: 'count' },
  }),
);
const deleted = await deleteMeter({ client, path: { id: unused.id } });

console.log(
  JSON.stringify({
    location: made.response?.headers.get('location') === `/v1/customers/${customer.id}`,
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
    deleted: deleted.response?.status,
  }),
);
