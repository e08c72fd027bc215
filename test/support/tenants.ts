/** Organizations beside the first one, keys of every kind, and one of every object. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '#platform/process/ids.ts';
import { hashApiKey, hintOfApiKey, newApiKey, type World } from '#schemas/api-key.ts';
import { llmProMeters, llmProPlan } from './llm-pro.ts';
import { type ApiAnswer, call, lastMonth, type Pipeline, until } from './pipeline.ts';

export type Call = Pipeline['api'];
export type Hosts = { readonly key: string; readonly api: Call; readonly ingest: Call };
export type Tenant = Hosts & { readonly organizationId: string; readonly sandboxId: string };

export const hostsOf = (pipeline: Pipeline, key: string): Hosts => ({
  key,
  api: call(pipeline.stack.apiUrl, key),
  ingest: call(pipeline.stack.ingestUrl, key),
});

/** A key with all scopes, put there by hand as the bootstrap does it. */
const addAdminKey = async (pipeline: Pipeline, organizationId: string, world: World = 'live'): Promise<Hosts> => {
  const key = newApiKey(randomBytes, world);
  const pepper = readFileSync(join(pipeline.stack.home, 'key-pepper'), 'utf8').trim();
  await pipeline.asOwner.query(
    `INSERT INTO api_keys (id, organization_id, name, hint, key_hash, scopes, created_at, updated_at)
     VALUES ($1, $2, 'By hand', $3, $4, '{admin}', now(), now())`,
    [newId('key'), organizationId, hintOfApiKey(key), hashApiKey(pepper, key)],
  );
  return hostsOf(pipeline, key);
};

/** The organization of the pipeline's key. */
export const firstTenant = async (pipeline: Pipeline): Promise<Tenant> => {
  const { organization } = pipeline;
  if (organization)
    return { ...hostsOf(pipeline, pipeline.key), organizationId: organization.id, sandboxId: organization.sandboxId };
  const { rows } = await pipeline.asOwner.query<{ id: string; sandbox: string }>(
    `SELECT o.id, s.id AS sandbox FROM organizations o JOIN organizations s ON s.sandbox_of = o.id
     ORDER BY o.created_at, o.id LIMIT 1`,
  );
  return { ...hostsOf(pipeline, pipeline.key), organizationId: rows[0]?.id ?? '', sandboxId: rows[0]?.sandbox ?? '' };
};

/** Another organization with its sandbox and a key. */
export const addTenant = async (pipeline: Pipeline): Promise<Tenant> => {
  const [organizationId, sandboxId] = [newId('org'), newId('org')];
  await pipeline.asOwner.query(
    `INSERT INTO organizations (id, name, created_at, tier, sandbox_of) VALUES ($1, 'Another', now(), 'scale', NULL),
       ($2, 'Another', now(), 'scale', $1)`,
    [organizationId, sandboxId],
  );
  return { ...(await addAdminKey(pipeline, organizationId)), organizationId, sandboxId };
};

const made = async (api: Call, path: string, body: unknown): Promise<ApiAnswer['body']> => {
  const answer = await api('POST', path, body);
  if (answer.status >= 300) throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
};

/** A key that the tenant's own key makes: the answer that shows it, and how to call with it. */
export const makeKey = async (pipeline: Pipeline, api: Call, body: Record<string, unknown>) => {
  const shown = await made(api, '/v1/api-keys', { name: 'A key', ...body });
  return { ...hostsOf(pipeline, shown.key), id: shown.id as string, shown };
};

/** What stands of everything in an organization: ids by kind. The invoice is over the base fee alone. */
export type Objects = Readonly<
  Record<
    | 'meter'
    | 'plan'
    | 'customer'
    | 'subscription'
    | 'oneTimeCharge'
    | 'coupon'
    | 'discount'
    | 'quote'
    | 'run'
    | 'invoice'
    | 'draft'
    | 'creditNote'
    | 'ratedLine'
    | 'simulation'
    | 'planMigration'
    | 'apiKey'
    | 'event'
    | 'amendment',
    string
  >
> & {
  readonly externalId: string;
};

/** An event that is stored and checked, under its key, and an amendment of it. */
const makeAmendedEvent = async (api: Call, ingest: Call): Promise<{ event: string; amendment: string }> => {
  const event = `event-of-objects-${unique()}`;
  const payload = {
    event: 'llm.request',
    customer_id: 'someone',
    timestamp: new Date(Date.now() - 60_000).toISOString(),
  };
  await ingest('POST', '/v1/events', { idempotency_key: event, ...payload });
  const amendments = [{ idempotency_key: event, action: 'replace', reason: 'an example', replacement: payload }];
  const made = await until(
    () => api('POST', '/v1/events/amendments', { amendments }),
    ({ status }) => status === 201,
  );
  const amendment = made.body.items[0].id;
  await until(
    () => api('GET', `/v1/events/amendments/${amendment}`),
    ({ body }) => body.state === 'applied',
  );
  return { event, amendment };
};

/** A price that stands in years to come. */
export const newPriceOverride = (plan: string) => ({
  plan,
  charge: 'output',
  price: { model: 'per_unit', unit_amount: '0.00002' },
  effective_from: '2040-01-01T00:00:00Z',
});

/** What prices may refer to. */
const makePriceSources = async (api: Call): Promise<void> => {
  const effective_from = '2040-01-01T00:00:00Z';
  const book = { code: 'costs', name: 'Costs', dimensions: ['model'], currency: 'USD' };
  await made(api, '/v1/cost-books', book);
  const entries = [{ match: { model: 'small' }, unit_cost: '0.001' }];
  await made(api, '/v1/cost-books/costs/versions', { effective_from, entries });
  await made(api, '/v1/credit-units', { code: 'CRED', name: 'Credits' });
  await made(api, '/v1/credit-units/CRED/rates', { effective_from, unit: 'USD', amount: '0.01' });
};

/** Of a plan with two versions. */
export const newMigratedPlan = async (api: Call): Promise<string> => {
  const chargesOf = (amount: string) => [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount } }];
  const code = `moved-${unique()}`;
  await made(api, '/v1/plans', { code, name: 'A plan', currency: 'USD', charges: chargesOf('9.00') });
  const { status } = await api('PATCH', `/v1/plans/${code}`, { charges: chargesOf('12.00') });
  if (status !== 200) throw new Error(`the plan ${code} has no second version`);
  return code;
};

const makeMigration = async (api: Call): Promise<string> => {
  const { id } = await made(api, `/v1/plans/${await newMigratedPlan(api)}/migrations`, { from_version: 1 });
  const ended = await api('GET', `/v1/plan-migrations/${id}?wait_seconds=25`);
  if (ended.body.state !== 'completed') throw new Error(`the migration ended as ${JSON.stringify(ended.body)}`);
  return id;
};

export const newCoupon = () => ({
  code: `coupon-${unique()}`,
  name: 'Ten off',
  kind: 'percentage',
  percentage: '10',
  duration: 'forever',
});

export const newOneOffInvoice = (customer_id: string) => ({
  customer_id,
  currency: 'USD',
  lines: [{ description: 'A workshop', unit_amount: '180.00', quantity: '6' }],
});

/** Of a cent: an invoice takes many of them. */
export const newCreditNote = (invoice_id: string) => ({ invoice_id, reason: 'other', amount: '0.01' });

/** One that is issued, and that nothing else is done with. */
export const issueOneOff = async (api: Call, customer: string): Promise<string> => {
  const { id } = await made(api, '/v1/invoices', { ...newOneOffInvoice(customer), finalize: true });
  const issued = await api('GET', `/v1/invoices/${id}?wait_seconds=25`);
  if (issued.body.state !== 'issued') throw new Error(`the invoice ${id} is ${issued.body.state}`);
  return id;
};

/** With `ingest` there is an event, too. */
export const makeObjects = async (api: Call, externalId: string, ingest?: Call): Promise<Objects> => {
  const meters: { id: string }[] = [];
  for (const meter of llmProMeters) meters.push(await made(api, '/v1/meters', meter));
  const feature = { code: 'included-requests', name: 'Requests', type: 'metered', meter: llmProMeters[0]?.code };
  await made(api, '/v1/features', feature);
  const entitlements = [{ feature: feature.code, allowance: '1000' }];
  const plan = await made(api, '/v1/plans', { ...llmProPlan, entitlements });
  const customer = await made(api, '/v1/customers', {
    external_id: `${externalId} before`,
    name: 'A customer',
    email: 'someone@example.com',
  });
  const renamed = await api('PATCH', `/v1/customers/${customer.id}`, { external_id: externalId });
  if (renamed.status !== 200) throw new Error(`the customer was not renamed: ${JSON.stringify(renamed.body)}`);
  await made(api, '/v1/price-overrides', newPriceOverride(plan.id));
  await makePriceSources(api);
  await made(api, '/v1/tax-rates', { code: 'vat', name: 'VAT', percentage: '19', country: 'DE' });
  const month = lastMonth();
  const started = new Date(month.start).toISOString();
  const subscription = await made(api, '/v1/subscriptions', {
    customer_id: externalId,
    plan: llmProPlan.code,
    started_at: started,
  });
  // It counts the billing period, and takes nothing off.
  const counting = { duration: 'repeating', duration_periods: 12, applies_to: { charges: ['none-of-these'] } };
  const { id: counted } = await made(api, '/v1/coupons', { ...newCoupon(), ...counting });
  await made(api, `/v1/subscriptions/${subscription.id}/discounts`, { coupon: counted });
  const run = await made(api, '/v1/invoices/run', { period: month.name });
  const ended = await api('GET', `/v1/invoices/runs/${run.id}?wait_seconds=25`);
  if (ended.body.state !== 'completed') throw new Error(`the billing run ended as ${JSON.stringify(ended.body)}`);
  const [invoice] = (await api('GET', '/v1/invoices')).body.items;
  // Its state has an entry of its own.
  const noted = await api('PATCH', `/v1/invoices/${invoice.id}`, { metadata: { noted: 'yes' } });
  if (noted.status !== 200) throw new Error(`the invoice was not changed: ${JSON.stringify(noted.body)}`);
  const explained = await api('GET', `/v1/invoices/${invoice.id}/line-items/2/explain`);
  const simulation = await made(api, '/v1/simulations', {
    from: started,
    to: new Date(month.end).toISOString(),
    customers: { all: true },
    candidates: [{ plan: llmProPlan.code }],
  });
  const simulated = await api('GET', `/v1/simulations/${simulation.id}?wait_seconds=25`);
  if (simulated.body.state !== 'completed')
    throw new Error(`the simulation ended as ${JSON.stringify(simulated.body)}`);
  // What is a part of a subscription from then on, once its month is billed.
  await made(api, `/v1/subscriptions/${subscription.id}/seats`, { change: 1 });
  const charge = await made(api, `/v1/subscriptions/${subscription.id}/charges`, { name: 'A charge', amount: '1.00' });
  const coupon = await made(api, '/v1/coupons', newCoupon());
  await made(api, '/v1/promotion-codes', { coupon: coupon.id, code: unique() });
  const discount = await made(api, `/v1/customers/${customer.id}/discounts`, { coupon: coupon.code });
  // Only a sandbox has one.
  const { status: clocked } = await api('POST', '/v1/test-clocks', {});
  if (clocked !== 201 && clocked !== 409) throw new Error(`a test clock was answered ${clocked}`);
  const draft = await made(api, '/v1/invoices', newOneOffInvoice(externalId));
  const creditNote = await made(api, '/v1/credit-notes', newCreditNote(invoice.id));
  await made(api, '/v1/issuing-entities', { legal_name: 'Example GmbH', number_format: { prefix: 'OBJ-' } });
  const offer = { customer_id: externalId, plan: llmProPlan.code, valid_until: '2040-01-01T00:00:00Z' };
  const quote = await made(api, '/v1/quotes', offer);
  await made(api, `/v1/quotes/${quote.id}/send`, undefined);
  const planMigration = await makeMigration(api);
  const key = await made(api, '/v1/api-keys', { name: 'A key of the objects', scopes: ['read:meters'] });
  return {
    meter: meters[0]?.id ?? '',
    plan: plan.id,
    customer: customer.id,
    subscription: subscription.id,
    oneTimeCharge: charge.id,
    coupon: coupon.id,
    discount: discount.id,
    quote: quote.id,
    run: run.id,
    invoice: invoice.id,
    draft: draft.id,
    creditNote: creditNote.id,
    ratedLine: explained.body.id,
    simulation: simulation.id,
    planMigration,
    apiKey: key.id,
    externalId,
    ...(ingest ? await makeAmendedEvent(api, ingest) : { event: '', amendment: '' }),
  };
};

/** The last part of a test's unique names. */
export const unique = (): string => randomBytes(6).toString('hex');
