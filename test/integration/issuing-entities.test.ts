/** Who issues invoices, the numbers that they have, when they are due, and what they say beside their lines. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  const fee = { code: 'fee', name: 'fee', timing: 'advance', price: { model: 'flat', amount: '10.00' } };
  await sandbox.made('/v1/plans', { code: 'fee', name: 'fee', currency: 'USD', charges: [fee] });
});
afterAll(() => pipeline?.stop());

// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
type Body = any;

const entity = (prefix: string, more: object = {}): Promise<Body> =>
  sandbox.made('/v1/issuing-entities', { legal_name: `${prefix} GmbH`, number_format: { prefix }, ...more });

const patch = async (path: string, body: object) => sandbox.api('PATCH', path, body);
const patched = async (path: string, body: object): Promise<Body> => {
  const answer = await patch(path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

const invoicesOf = async (customer: string): Promise<Body[]> =>
  (await sandbox.api('GET', `/v1/invoices?customer_id=${customer}&sort=number&limit=1000`)).body.items;

/** A customer with a subscription of a month's fee, from an instant on. */
const subscriber = async (now: string, customer: object) => {
  const life = await lifeFrom(sandbox, now, customer);
  await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: 'fee', started_at: now });
  return life;
};

describe('issuing entities', () => {
  it('are made with defaults, changed in part, listed, and archived when they issue nothing', async () => {
    const made = await entity('LST-', { tax_ids: [{ type: 'eu_vat', value: 'DE136695976' }] });
    expect(made).toMatchObject({
      time_zone: 'UTC',
      number_format: { prefix: 'LST-', include_year: true, padding: 6, reset: 'yearly' },
      archived_at: null,
      version: 1,
    });
    const path = `/v1/issuing-entities/${made.id}`;
    expect(await patched(path, { number_format: { padding: 3 }, time_zone: 'Asia/Tokyo' })).toMatchObject({
      number_format: { prefix: 'LST-', padding: 3 },
      time_zone: 'Asia/Tokyo',
      version: 2,
    });
    await patched('/v1/organization', { issuing_entity_id: made.id });
    expect(await patch(path, { archived: true })).toMatchObject({
      status: 409,
      body: { error_code: 'ISSUING_ENTITY_IN_USE' },
    });
    await patched('/v1/organization', { issuing_entity_id: null });
    expect((await patched(path, { archived: true })).archived_at).not.toBeNull();
    const ids = async (query: string) =>
      (await sandbox.api('GET', `/v1/issuing-entities${query}`)).body.items.map(({ id }: Body) => id);
    expect(await ids('')).not.toContain(made.id);
    expect(await ids('?archived=only')).toContain(made.id);
    const named = { external_id: `c-${unique()}`, name: 'X', issuing_entity_id: made.id };
    expect(await sandbox.api('POST', '/v1/customers', named)).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'issuing_entity_id', code: 'not_allowed' }] },
    });
  });

  it('say all faults at once, and have a prefix of their own', async () => {
    const answer = await sandbox.api('POST', '/v1/issuing-entities', {
      legal_name: 'X',
      time_zone: 'Mars/Base',
      tax_ids: [{ type: 'eu_vat', value: 'DE136695977' }],
      number_format: { prefix: 'Q-', include_year: false },
    });
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map(({ field }: Body) => field)).toEqual([
      'time_zone',
      'tax_ids[0].value',
      'number_format.reset',
    ]);
    await entity('OWN-');
    const all = await Promise.all(
      ['OWN-', 'RACE-', 'RACE-', 'RACE-'].map((prefix) =>
        sandbox.api('POST', '/v1/issuing-entities', { legal_name: 'X', number_format: { prefix } }),
      ),
    );
    expect(all.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409]);
  });

  it('number invoices by the year of issue in their time zone, and go on where a prefix comes back', async () => {
    const { id } = await entity('TK-', { time_zone: 'Asia/Tokyo', number_format: { prefix: 'TK-', padding: 3 } });
    // In Tokyo 2027 begins at 15:00 of UTC: what is issued then is of 2027.
    const life = await subscriber('2026-10-31T15:00:00Z', { issuing_entity_id: id, time_zone: 'Asia/Tokyo' });
    await life.until('2027-01-01T00:00:00Z');
    await patched(`/v1/issuing-entities/${id}`, { number_format: { prefix: 'TKN-' } });
    await life.until('2027-02-01T00:00:00Z');
    await patched(`/v1/issuing-entities/${id}`, { number_format: { prefix: 'TK-' } });
    await life.until('2027-03-01T00:00:00Z');
    expect((await invoicesOf(life.customer)).map(({ document_number }) => document_number)).toEqual([
      'TK-2026-001',
      'TK-2026-002',
      'TK-2027-001',
      'TKN-2027-001',
      'TK-2027-002',
    ]);
    const other = { legal_name: 'X', number_format: { prefix: 'TKN-' } };
    expect((await sandbox.api('POST', '/v1/issuing-entities', other)).body.error_code).toBe('NUMBERING_PREFIX_TAKEN');
  });
});

describe('what invoices say beside their lines', () => {
  it('is that of the customer when they are issued, with whom issues them as it stood', async () => {
    const seller = { legal_name: 'Say GmbH', address: { line1: 'Weg 1', city: 'Bonn', country: 'DE' } };
    const made = await entity('SAY-', seller);
    const invoice_defaults = { purchase_order: 'PO-1', memo: 'Two\nlines', custom_fields: [{ name: 'A', value: '1' }] };
    const life = await subscriber('2026-03-15T12:00:00Z', {
      issuing_entity_id: made.id,
      invoice_defaults,
      payment_terms: { days: 14 },
      time_zone: 'Europe/Berlin',
    });
    await life.until('2026-03-20T00:00:00Z');
    await patched(`/v1/customers/${life.customer}`, { invoice_defaults: null, payment_terms: null });
    await patched(`/v1/issuing-entities/${made.id}`, { legal_name: 'Said GmbH' });
    await patched('/v1/organization', { payment_terms: { days: 30 } });
    await life.until('2026-04-20T00:00:00Z');
    const [first, second] = await invoicesOf(life.customer);
    expect(first).toMatchObject({
      content_version: 5,
      issuing_entity_id: made.id,
      seller: { ...seller, tax_ids: [] },
      payment_terms: { days: 14 },
      ...invoice_defaults,
    });
    // The clocks of Berlin were put forward in between.
    expect(Date.parse(first.due_at) - Date.parse(first.issued_at)).toBe((14 * 24 - 1) * 3_600_000);
    expect(second).toMatchObject({
      seller: { legal_name: 'Said GmbH' },
      payment_terms: { days: 30 },
      purchase_order: null,
      memo: null,
      custom_fields: [],
    });
    await patched('/v1/organization', { payment_terms: null });
  });

  it('[I17] verifies', async () => {
    const { code, stdout } = await verify(pipeline.databaseUrl);
    expect([code, stdout]).toEqual([0, expect.stringContaining('no fault')]);
  });
});
