/** The organization's own settings, on real servers: how its lines are rounded, to the cent. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { firstTenant, makeKey, type Tenant } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

const month = lastMonth();
// Half cents whose lower neighbour is even, odd and zero; and what is more than a half.
const charges = ['0.125', '0.135', '0.005', '0.1250000001'].map((amount, index) => ({
  code: `flat-${index}`,
  name: amount,
  price: { model: 'per_unit', unit_amount: amount },
  meter: 'calls',
}));

let pipeline: Pipeline;
let tenant: Tenant;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  tenant = await firstTenant(pipeline);
  await pipeline.api('POST', '/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
  await pipeline.api('POST', '/v1/plans', { code: 'halves', name: 'Halves', currency: 'USD', charges });
  for (const customer of ['first', 'second']) {
    const { body } = await pipeline.api('POST', '/v1/customers', { external_id: customer, name: customer });
    await pipeline.api('POST', '/v1/subscriptions', {
      customer_id: body.id,
      plan: 'halves',
      started_at: new Date(month.start).toISOString(),
    });
    const sent = await pipeline.sendEvents({
      idempotency_key: `${customer}-1`,
      event: 'call',
      customer_id: customer,
      timestamp: new Date(month.end - 3_600_000).toISOString(),
    });
    expect(sent.body.accepted).toBe(1);
  }
});
afterAll(() => pipeline?.stop());

const billed = async (customer: string): Promise<string[]> => {
  const run = await pipeline.closePeriod({ period: month.name, customer_id: customer });
  expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 1 });
  const { body } = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
  const invoice = await pipeline.api('GET', `/v1/invoices/${body.items[0].id}`);
  return [
    ...invoice.body.lines.map(({ rounding, amount }: Record<string, string>) => `${rounding} ${amount}`),
    invoice.body.total,
  ];
};
const preview = async (more: object = {}): Promise<string> => {
  const price = { model: 'per_unit', unit_amount: '0.125' };
  const { body } = await pipeline.api('POST', '/v1/prices/preview', { price, currency: 'USD', quantity: '1', ...more });
  return `${body.rounding} ${body.amount}`;
};

describe('the organization of a key', () => {
  it('is read with its tier and settings, and changed against its version', async () => {
    const read = await pipeline.api('GET', '/v1/organization');
    expect(read.body).toMatchObject({
      id: tenant.organizationId,
      name: 'First organization',
      tier: 'scale',
      rounding: 'half_up',
      metadata: {},
      version: 1,
    });
    expect(read.headers.get('etag')).toBe('"1"');
    const stale = await pipeline.api('PATCH', '/v1/organization', { name: 'x' }, { 'if-match': '"7"' });
    expect([stale.status, stale.body.error_code]).toEqual([412, 'VERSION_MISMATCH']);
    for (const body of [{}, { rounding: 'up' }, { rounding: null }, { tier: 'scale' }])
      expect((await pipeline.api('PATCH', '/v1/organization', body)).status).toBe(422);
    const named = { name: 'Acme Inc.', metadata: { region: 'eu' } };
    const changed = await pipeline.api('PATCH', '/v1/organization', named, { 'if-match': '"1"' });
    expect(changed.body).toMatchObject({ ...named, rounding: 'half_up', version: 2 });
    const { body: log } = await pipeline.api('GET', `/v1/audit-log?object_id=${tenant.organizationId}`);
    expect(log.items[0]).toMatchObject({ action: 'organization.updated', object_type: 'organization', result: '200' });
  });

  it('needs scopes of its own', async () => {
    const { api } = await makeKey(pipeline, tenant.api, { scopes: ['read:organization'] });
    expect((await api('GET', '/v1/organization')).status).toBe(200);
    expect((await api('PATCH', '/v1/organization', { name: 'x' })).status).toBe(403);
    const other = await makeKey(pipeline, tenant.api, { scopes: ['write:meters', 'read:meters'] });
    expect((await other.api('GET', '/v1/organization')).status).toBe(403);
  });

  it('[I12] rounds a half as it says when a line is rated; lines from before are rated again by what they say', async () => {
    expect(await preview()).toBe('half_up 0.13');
    expect(await billed('first')).toEqual(['half_up 0.13', 'half_up 0.14', 'half_up 0.01', 'half_up 0.13', '0.41']);
    const { body } = await pipeline.api('PATCH', '/v1/organization', { rounding: 'half_even' });
    expect(body).toMatchObject({ name: 'Acme Inc.', rounding: 'half_even', version: 3 });
    expect(await preview()).toBe('half_even 0.12');
    expect(await preview({ rounding: 'half_up' })).toBe('half_up 0.13');
    expect(await billed('second')).toEqual([
      'half_even 0.12',
      'half_even 0.14',
      'half_even 0.00',
      'half_even 0.13',
      '0.39',
    ]);
    const ratings = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', {
      CLICKHOUSE_URL: pipeline.clickhouseUrl,
    });
    expect(ratings.stdout).toMatch(/rating: 8 lines of 2 billing periods rated again/);
    expect([ratings.code, ratings.faults]).toEqual([0, []]);
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [] });
  });

  it('has settings of its own in the sandbox, on the tier of the live world', async () => {
    const test = await makeKey(pipeline, tenant.api, { scopes: ['admin'], world: 'test' });
    const { body } = await test.api('GET', '/v1/organization');
    expect(body).toMatchObject({ id: tenant.sandboxId, tier: 'scale', rounding: 'half_up', version: 1 });
    expect((await test.api('PATCH', '/v1/organization', { name: 'Tried out' })).body.version).toBe(2);
    expect((await pipeline.api('GET', '/v1/organization')).body.name).toBe('Acme Inc.');
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [] });
  });
});
