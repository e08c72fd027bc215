/** Closing by itself, from the subscription to the invoice, by the processes as they run. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { llmProPlan, llmRequest, makeLlmPro } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { untilAllStored } from '../../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
const customers = Array.from({ length: 5 }, (_, index) => `customer-${index}`);
const at = month.end - 3_600_000;
const dayMs = 86_400_000;

beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    // So that a run takes several steps.
    { MILLRACE_CLOSING_SUBSCRIPTIONS_MAX: '2' },
    { services: parts.billedUsage },
  );
  await makeLlmPro(pipeline, customers, month.start);
  const sent = customers.map((customer) => llmRequest(customer, customer, at, { input: 200_000, output: 1_000 }));
  expect(await pipeline.sendEvents(sent)).toMatchObject({ status: 200, body: { accepted: sent.length } });
  await untilAllStored(pipeline, customers[0] ?? '', 1);
});
afterAll(() => pipeline?.stop());

const read = async (path: string) => (await pipeline.api('GET', path)).body;
const invoicesOf = async (customer: string) => (await read(`/v1/customers/${customer}/invoices?sort=number`)).items;
const untilInvoices = (customer: string, count: number) =>
  until(
    () => invoicesOf(customer),
    (items) => items.length === count,
  );
const untilNothingRuns = () =>
  until(
    () => read('/v1/billing-runs?sort=-created_at'),
    ({ items }) => items.every(({ state }: { state: string }) => state === 'completed'),
  );

const makeCustomer = async (customer: string, more: object = {}): Promise<void> => {
  const body = { external_id: customer, name: customer, ...more };
  expect((await pipeline.api('POST', '/v1/customers', body)).status).toBe(201);
};

const subscribe = async (customer: string, plan: string, startedAt: number): Promise<void> => {
  const started_at = new Date(startedAt).toISOString();
  const answer = await pipeline.api('POST', '/v1/subscriptions', { customer_id: customer, plan, started_at });
  expect(answer.status).toBe(201);
};

/** The look that comes each minute. */
const look = () =>
  pipeline.asOwner.query("SELECT graphile_worker.add_job('look_for_due', '{}', job_key => 'look_for_due')");

it('a run without a month bills all that is due now, of one customer where one is named', async () => {
  expect(await read('/v1/billing-runs/due')).toMatchObject({
    closing: { automatic: false, grace_minutes: 60 },
    subscriptions: { due: customers.length },
    is_running: false,
    next_run_at: null,
    late_seconds: 0,
  });
  const { body } = await pipeline.closePeriod({ customer_id: customers[0] });
  expect(body).toMatchObject({ state: 'completed', asked_by: 'caller', period: null, invoices_issued: 1 });
  expect(body.arrears_until).toBe(body.due_until);
  expect(await invoicesOf(customers[0] ?? '')).toMatchObject([{ total: '20.32' }]);
  expect(await invoicesOf(customers[1] ?? '')).toEqual([]);
});

it('an organization that turns closing on has what is due billed within seconds, once, and nobody asked', async () => {
  const changed = await pipeline.api('PATCH', '/v1/organization', { closing: { automatic: true, grace_minutes: 0 } });
  expect(changed).toMatchObject({ status: 200, body: { closing: { automatic: true, grace_minutes: 0 } } });
  for (const customer of customers) expect(await untilInvoices(customer, 1)).toMatchObject([{ total: '20.32' }]);
  const { items } = await untilNothingRuns();
  const runs = items.filter(({ asked_by }: { asked_by: string }) => asked_by === 'scheduler');
  expect(runs.at(-1)).toMatchObject({ period: null, failures: 0, failure: null });
  // One was billed by hand; the others by one run, in as many steps as it takes.
  expect(runs[0]).toMatchObject({
    invoices_issued: customers.length - 1,
    progress: { shards_total: 2, shards_done: 2 },
  });
  expect(await read(`/v1/billing-runs/${runs[0].id}`)).toEqual(runs[0]);
  expect(await read('/v1/billing-runs/due')).toMatchObject({
    closing: { automatic: true, grace_minutes: 0 },
    subscriptions: { due: 0 },
    billing_periods: { open: 0, oldest_due_at: null },
    is_running: false,
    late_seconds: 0,
  });
});

it('days that were left are billed in their order, over all customers', async () => {
  const billing_interval = { unit: 'day', count: 1 };
  const charges = [{ code: 'day', name: 'Day', billing_interval, price: { model: 'flat', amount: '1.00' } }];
  const plan = { code: 'daily', name: 'Daily', currency: 'USD', charges };
  expect((await pipeline.api('POST', '/v1/plans', plan)).status).toBe(201);
  const today = Math.floor(Date.now() / dayMs) * dayMs;
  const daily = ['daily-b', 'daily-a'];
  for (const customer of daily) await makeCustomer(customer);
  for (const customer of daily) await subscribe(customer, 'daily', today - 4 * dayMs);
  await look();
  const invoices = [];
  for (const customer of daily) invoices.push(...(await untilInvoices(customer, 4)));
  const days = invoices
    .toSorted((a, b) => Number(a.number) - Number(b.number))
    .map(({ period }: { period: { start: string } }) => (Date.parse(period.start) - today) / dayMs);
  expect(days).toEqual([-4, -4, -3, -3, -2, -2, -1, -1]);
});

it('what is one invoice is not divided between two steps of a run, however few subscriptions a step takes', async () => {
  const plans = ['one', 'two', 'three'];
  for (const code of plans) expect((await pipeline.api('POST', '/v1/plans', { ...llmProPlan, code })).status).toBe(201);
  await pipeline.api('PATCH', '/v1/organization', { closing: { automatic: false } });
  for (const customer of ['alone', 'together']) {
    await makeCustomer(customer, customer === 'together' ? { invoicing: 'consolidated' } : {});
    for (const code of plans) await subscribe(customer, code, month.start);
  }
  await makeCustomer('family', { invoicing: 'consolidated' });
  for (const child of ['family-c', 'family-b', 'family-a']) {
    await makeCustomer(child, { invoicing: 'consolidated', parent_id: 'family' });
    await subscribe(child, 'one', month.start);
  }
  await pipeline.api('PATCH', '/v1/organization', { closing: { automatic: true } });
  expect(await untilInvoices('together', 1)).toMatchObject([{ total: '60.00' }]);
  expect(await untilInvoices('family', 1)).toMatchObject([{ total: '60.00' }]);
  await untilInvoices('alone', 3);
  await untilNothingRuns();
  for (const customer of ['together', 'family', 'family-a']) expect(await invoicesOf(customer)).toHaveLength(1);
});

it('a customer that can not be rated stops no other, is tried again after a pause, and is billed once it can be', async () => {
  await untilNothingRuns();
  const plan = { ...llmProPlan, code: 'breakable' };
  expect((await pipeline.api('POST', '/v1/plans', plan)).status).toBe(201);
  const write = (charges: unknown) =>
    pipeline.asOwner.transaction(async ({ query }) => {
      await query("SET LOCAL session_replication_role = 'replica'");
      await query(
        `UPDATE plan_versions SET charges = $1 WHERE plan_id = (SELECT id FROM plans WHERE code = 'breakable')
         RETURNING charges`,
        [JSON.stringify(charges)],
      );
    });
  const { rows } = await pipeline.asOwner.query<{ charges: { price: object }[] }>(
    "SELECT charges FROM plan_versions WHERE plan_id = (SELECT id FROM plans WHERE code = 'breakable')",
  );
  const charges = rows[0]?.charges ?? [];
  await write(charges.map((charge) => ({ ...charge, price: { model: 'gone' } })));
  for (const customer of ['broken', 'sound']) await makeCustomer(customer);
  await subscribe('broken', 'breakable', month.start);
  await subscribe('sound', llmProPlan.code, month.start);
  await look();
  await untilInvoices('sound', 1);
  await untilNothingRuns();
  expect(await invoicesOf('broken')).toEqual([]);
  const asked = Date.now();
  const due = await read('/v1/billing-runs/due');
  expect(due).toMatchObject({ billing_periods: { open: 1 }, subscriptions: { due: 0 }, is_running: false });
  expect(due.late_seconds).toBeGreaterThanOrEqual(Math.floor((asked - month.end) / 1000));
  const [run] = (await read('/v1/billing-runs?asked_by=scheduler')).items.filter(
    ({ failures }: { failures: number }) => failures > 0,
  );
  expect(Date.parse(due.next_run_at) - Date.parse(run.updated_at)).toBe(60_000);
  const { items } = await read(`/v1/invoices/runs/${run.id}/failures`);
  expect(items).toMatchObject([{ code: 'catalog_unreadable' }]);
  await write(charges);
  // As if the pause were over.
  await pipeline.asOwner.query(
    "UPDATE billing_runs SET updated_at = updated_at - interval '2 minutes' WHERE asked_by = 'scheduler'",
  );
  await look();
  await untilInvoices('broken', 1);
});

it('what is late, and what runs did, is in the metrics of an invoicer', async () => {
  const { url } = pipeline.stack.processes.find(({ name }) => name === 'invoicer') ?? {};
  const text = await (await fetch(new URL('/metrics', url))).text();
  expect(text).toMatch(/^millrace_closing_organizations\{state="automatic"\} 1$/m);
  expect(text).toMatch(/^millrace_closing_jobs_total\{outcome="started"\} [1-9]/m);
  expect(text).toMatch(/^millrace_closing_looks_total [1-9]/m);
  const late = () => fetch(new URL('/metrics', url)).then((answer) => answer.text());
  await until(late, (now) => /^millrace_closing_late_seconds 0$/m.test(now));
});

it('drafts are finalized at their time, once, also where nobody closes', async () => {
  const settings = { closing: { automatic: false }, invoicing: { draft_minutes: 60 } };
  expect((await pipeline.api('PATCH', '/v1/organization', settings)).status).toBe(200);
  await makeCustomer('drafted');
  await subscribe('drafted', llmProPlan.code, month.start);
  const closed = await pipeline.closePeriod({ customer_id: 'drafted' });
  expect(closed.body).toMatchObject({ state: 'completed', invoices_issued: 0, drafts_made: 1, invoice_id: null });
  const again = await pipeline.closePeriod({ customer_id: 'drafted' });
  expect(again.body).toMatchObject({ state: 'completed', invoices_issued: 0, drafts_made: 0 });
  const [draft, ...more] = await invoicesOf('drafted');
  expect([draft.state, more]).toEqual(['draft', []]);
  expect(await read('/v1/billing-runs/due')).toMatchObject({ billing_periods: { open: 0 } });
  const finalize_at = new Date(Date.now() + 4_000).toISOString();
  expect((await pipeline.api('PATCH', `/v1/invoices/${draft.id}`, { finalize_at })).status).toBe(200);
  const issued = await until(
    () => read(`/v1/invoices/${draft.id}`),
    ({ state }) => state === 'issued',
  );
  expect(issued.issued_at >= finalize_at).toBe(true);
  const periods = [{ subscription_id: draft.subscription_id }];
  expect(issued).toMatchObject({ number: expect.any(Number), subtotal: draft.subtotal, periods });
  await untilNothingRuns();
  expect(await invoicesOf('drafted')).toHaveLength(1);
  await pipeline.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 0 } });
});
