/** The export of all that is stored about one customer. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lastMonth, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import {
  addTenant,
  firstTenant,
  makeKey,
  makeObjects,
  type Objects,
  type Tenant,
  unique,
} from '../../support/tenants.ts';
import { lifeFrom, sandboxOf } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(tenant.api, 'the-customer', tenant.ingest);
});
afterAll(() => pipeline?.stop());

const exportOf = (id: string, api = tenant.api) => api('GET', `/v1/customers/${id}/export`);
const idsOf = (items: readonly { id: string }[]) => items.map(({ id }) => id);

describe('an export', () => {
  it('holds the customer and all that hangs on it, each as its own route answers it', async () => {
    const { api } = tenant;
    const child = (
      await api('POST', '/v1/customers', { external_id: 'a-child', name: 'A child', parent_id: objects.customer })
    ).body.id;
    const price = { model: 'flat', amount: '1.00' };
    const override = await api('POST', '/v1/price-overrides', {
      plan: objects.plan,
      charge_code: 'base',
      customer_id: objects.customer,
      price,
      effective_from: '2040-01-01T00:00:00Z',
    });
    const { status, headers, body } = await exportOf('the-customer');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(Object.keys(body)).toEqual([
      'exported_at',
      'withheld',
      'customer',
      'details',
      'children',
      'subscriptions',
      'one_time_charges',
      'discounts',
      'rated_lines',
      'price_overrides',
      'quotes',
      'invoices',
      'credit_notes',
      'billed_to',
      'usage',
      'audit_log',
    ]);
    expect(body.withheld).toEqual([]);
    expect(body.customer).toEqual((await api('GET', `/v1/customers/${objects.customer}`)).body);
    expect(body.children).toEqual([child]);
    expect(idsOf(body.subscriptions)).toEqual([objects.subscription]);
    const { current_period: _period, ...subscription } = body.subscriptions[0];
    expect((await api('GET', `/v1/subscriptions/${objects.subscription}`)).body).toMatchObject(subscription);
    expect(body.invoices).toEqual([(await api('GET', `/v1/invoices/${objects.invoice}`)).body]);
    expect(body.credit_notes).toEqual([(await api('GET', `/v1/credit-notes/${objects.creditNote}`)).body]);
    expect(body.discounts).toEqual(
      (await api('GET', `/v1/customers/${objects.customer}/discounts?sort=created_at`)).body.items,
    );
    expect(body.discounts).toHaveLength(2);
    expect(body.price_overrides).toEqual(override.status === 201 ? [override.body] : []);
    expect(body.quotes).toEqual([(await api('GET', `/v1/quotes/${objects.quote}`)).body]);
    expect(body.rated_lines.length).toBeGreaterThan(0);
    const lines = body.rated_lines.reduce((sum: number, one: { lines: string }) => sum + Number(one.lines), 0);
    expect(lines).toBe(body.invoices[0].lines.length);
    const about = new Set(body.audit_log.map((entry: { object_id: string }) => entry.object_id));
    expect([objects.customer, objects.subscription, objects.invoice].filter((id) => !about.has(id))).toEqual([]);
  });

  it('has the one-time charges of its subscriptions in each state, and the entries about them', async () => {
    const sandbox = await sandboxOf(pipeline);
    const { api } = sandbox;
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const code = `p-${unique()}`;
    const charges = [{ code: 'base', name: 'Base', price: { model: 'flat', amount: '1.00' } }];
    await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges });
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: code });
    const url = `/v1/subscriptions/${id}/charges`;
    const charged = async (at: string): Promise<string> =>
      (await sandbox.made(url, { name: 'Onboarding', amount: '9.00', at, invoice: 'now' })).id;
    const [billed, pending] = [await charged('now'), await charged('2027-01-20T00:00:00Z')];
    const removed = await charged('2027-01-20T00:00:00Z');
    expect((await api('DELETE', `${url}/${removed}`)).status).toBe(200);
    await life.until('2027-01-02T00:00:00Z');
    const { body } = await exportOf(life.customer, api);
    const stateOf = ({ state }: { state: string }) => state;
    expect(body.one_time_charges.map(stateOf).toSorted()).toEqual(['billed', 'pending', 'removed']);
    expect(body.one_time_charges).toEqual((await api('GET', `${url}?sort=created_at`)).body.items);
    const entries = body.audit_log.filter((entry: { object_id: string }) => entry.object_id.startsWith('otc_'));
    expect(new Set(entries.map((entry: { object_id: string }) => entry.object_id))).toEqual(
      new Set([billed, pending, removed]),
    );
    expect(entries.map(({ action }: { action: string }) => action).toSorted()).toEqual([
      'subscription.charge_added',
      'subscription.charge_added',
      'subscription.charge_added',
      'subscription.charge_removed',
    ]);
  });

  it('counts the events that stand, by month and event, under whichever name of the customer they came', async () => {
    const name = `c-${unique()}`;
    const { id } = (await tenant.api('POST', '/v1/customers', { external_id: name, name: 'C' })).body;
    const event = (more: object) => ({ idempotency_key: unique(), event: 'llm.request', customer_id: name, ...more });
    const at = new Date(lastMonth().end - 1_000).toISOString();
    const twin = event({ timestamp: at });
    for (const events of [
      [twin, event({ customer_id: id }), event({ event: 'other' }), event({ timestamp: at })],
      [twin],
    ])
      expect((await tenant.ingest('POST', '/v1/events', events)).status).toBe(200);
    const { body } = await until(
      () => exportOf(name),
      (answer) => answer.body.usage.length === 3,
    );
    const now = new Date().toISOString().slice(0, 7);
    expect(body.usage).toEqual([
      { month: at.slice(0, 7), event: 'llm.request', events: '2' },
      { month: now, event: 'llm.request', events: '1' },
      { month: now, event: 'other', events: '1' },
    ]);
  });

  it('leaves out what the key may not read, and says so', async () => {
    const { api } = await makeKey(pipeline, tenant.api, { scopes: ['read:customers', 'read:invoices'] });
    const { body } = await exportOf(objects.customer, api);
    expect(body.withheld).toEqual([
      'subscriptions',
      'one_time_charges',
      'discounts',
      'rated_lines',
      'price_overrides',
      'quotes',
      'credit_notes',
      'usage',
      'audit_log',
    ]);
    expect(Object.keys(body)).toEqual([
      'exported_at',
      'withheld',
      'customer',
      'details',
      'children',
      'invoices',
      'billed_to',
    ]);
    expect(idsOf(body.invoices)).toEqual([objects.invoice]);
    const writer = await makeKey(pipeline, tenant.api, { scopes: ['write:customers', 'read:invoices'] });
    expect((await exportOf(objects.customer, writer.api)).status).toBe(403);
  });

  it('of a customer of another organization is that of nobody', async () => {
    const other = await addTenant(pipeline);
    for (const id of [objects.customer, 'the-customer', 'nobody'])
      expect((await exportOf(id, other.api)).body.error_code).toBe('CUSTOMER_NOT_FOUND');
  });

  it('of more rows than a page has is whole, each row once', async () => {
    const name = `c-${unique()}`;
    const { id } = (await tenant.api('POST', '/v1/customers', { external_id: name, name: 'C' })).body;
    await pipeline.asOwner.query(
      `INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at,
         parent_id)
       SELECT 'cus_' || md5($2 || n), $1, $2 || n, 'C', '{}', 1, now(), now(), $3
       FROM generate_series(1, 450) AS n`,
      [tenant.organizationId, name, id],
    );
    const { body } = await exportOf(id);
    expect(new Set(body.children).size).toBe(450);
    expect(body.children).toHaveLength(450);
  });

  it('of an erased customer has what stayed, and nothing personal', async () => {
    const made = await tenant.api('POST', '/v1/customers', { external_id: `c-${unique()}`, name: 'Ada Lovelace' });
    await tenant.api('POST', `/v1/customers/${made.body.id}/erase`);
    const { body } = await exportOf(made.body.id);
    expect(body.customer).toMatchObject({ id: made.body.id, name: 'Erased customer' });
    expect(JSON.stringify(body)).not.toContain('Ada');
    expect(body.audit_log.map(({ action }: { action: string }) => action)).toEqual([
      'customer.created',
      'customer.erased',
    ]);
  });
});
