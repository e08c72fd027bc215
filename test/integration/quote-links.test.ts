/** The links of quotes: whoever has one needs no key, and whoever has none gets nowhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { logPath } from '#platform/local/home.ts';
import { parts } from '../support/parts.ts';
import { call, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { addTenant, type Call, makeKey, unique } from '../support/tenants.ts';

let pipeline: Pipeline;
let anyone: Call;
let sandbox: Call;
let other: Call;
beforeAll(async () => {
  const settings = { MILLRACE_LOG_LEVEL: 'debug' };
  pipeline = await startPipeline(inject('serverUrls'), settings, { services: parts.catalog });
  anyone = call(pipeline.stack.apiUrl, '');
  sandbox = (await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: 'test' })).api;
  other = (await addTenant(pipeline)).api;
});
afterAll(() => pipeline?.stop());

const made = async (api: Call, path: string, body?: object) => {
  const answer = await api('POST', path, body);
  expect(answer.status, `${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer.body;
};
/** A new customer with an offer. */
const sentBy = async (api: Call) => {
  const [code, customer] = [`p-${unique()}`, `c-${unique()}`];
  const charges = [{ code: 'fee', name: 'Fee', price: { model: 'flat', amount: '9.00' } }];
  await made(api, '/v1/plans', { code, name: 'A plan', currency: 'USD', charges });
  await made(api, '/v1/customers', { external_id: customer, name: 'A customer' });
  const offer = { customer_id: customer, plan: code, valid_until: '2040-01-01T00:00:00Z' };
  const { id } = await made(api, '/v1/quotes', offer);
  const quote = await made(api, `/v1/quotes/${id}/send`);
  return { id: id as string, customer, ...(quote.link as { token: string; path: string }) };
};
const acceptance = { accepted_by: 'Ada Lovelace' };

describe('a link', () => {
  it('is of 256 random bits, shown once, and kept as a keyed hash', async () => {
    const { id, token, path } = await sentBy(pipeline.api);
    expect(token).toMatch(/^mr_quote_[A-Za-z0-9_-]{43}$/);
    expect((await pipeline.api('GET', `/v1/quotes/${id}`)).body).not.toHaveProperty('link');
    expect((await anyone('GET', path)).status).toBe(200);
    const { rows } = await pipeline.asOwner.query<{ row: string }>('SELECT q::text AS row FROM quotes q');
    const secret = token.slice('mr_quote_'.length);
    const texts = [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret, 'base64url').toString('hex')];
    for (const text of texts) expect(rows.map(({ row }) => row).join()).not.toContain(text);
  });

  it('that is guessed, cut off or made up is answered like any other that is none, whatever is asked of it', async () => {
    const { token } = await sentBy(pipeline.api);
    const guesses = [
      `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
      token.slice(0, -1),
      `${token}A`,
      token.toLowerCase(),
      token.replace('mr_quote_', 'mr_live_'),
      `mr_quote_${'A'.repeat(43)}`,
      'x',
      '%00',
      "'%20OR%201=1",
    ];
    const shapes = new Set<string>();
    for (const guess of guesses)
      for (const [method, more, body] of [
        ['GET', '', undefined],
        ['POST', '/accept', acceptance],
        ['POST', '/accept', { nonsense: true }],
        ['POST', '/decline', {}],
      ] as const) {
        const answer = await anyone(method, `/v1/quote-links/${guess}${more}`, body);
        const { request_id: _id, ...shape } = answer.body;
        const names = [...answer.headers.keys()].filter((name) => name !== 'date').toSorted();
        shapes.add(JSON.stringify([answer.status, shape, names]));
        if (answer.status === 429) throw new Error('too many guesses for one test');
      }
    expect([...shapes]).toHaveLength(1);
    expect(JSON.parse([...shapes][0] as string)[1]).toMatchObject({ error_code: 'QUOTE_LINK_NOT_FOUND', status: 404 });
  });

  it('that is too long, can not be decoded or goes on is none either, and is said again nowhere', async () => {
    const mark = unique();
    const problems = new Set<string>();
    for (const [method, path] of [
      ['GET', `${mark}${'A'.repeat(600)}`],
      ['POST', `${mark}${'A'.repeat(600)}/accept`],
      ['GET', `${mark}%E0%A4%A`],
      ['POST', `${mark}%zz/decline`],
      ['GET', `${mark}/else`],
      ['GET', `${mark}/accept/else`],
      ['GET', `${mark}/`],
      ['GET', `${mark}%2F${mark}`],
    ] as const) {
      const answer = await anyone(method, `/v1/quote-links/${path}`, method === 'POST' ? acceptance : undefined);
      expect(`${JSON.stringify(answer.body)} ${JSON.stringify([...answer.headers])}`, path).not.toContain(mark);
      const { request_id: _id, ...problem } = answer.body;
      problems.add(JSON.stringify(problem));
    }
    expect([...problems]).toHaveLength(1);
    expect(JSON.parse([...problems][0] as string)).toMatchObject({ status: 404, error_code: 'QUOTE_LINK_NOT_FOUND' });
    const elsewhere = await anyone('GET', `/v1/customers/${mark}%zz`);
    expect(elsewhere).toMatchObject({ status: 404, body: { error_code: 'NOT_FOUND' } });
    expect(JSON.stringify(elsewhere.body)).not.toContain(mark);
    const other = await anyone('PUT', `/v1/quote-links/${mark}`);
    expect([other.status, JSON.stringify(other.body).includes(mark)]).toEqual([405, false]);
    const folder = dirname(logPath(pipeline.stack.home, 'api'));
    expect(
      readdirSync(folder)
        .map((name) => readFileSync(join(folder, name), 'utf8'))
        .join('\n'),
    ).not.toContain(mark);
  });

  it('is of one quote of one organization and one world, whatever key comes with it', async () => {
    const [live, test, foreign] = [await sentBy(pipeline.api), await sentBy(sandbox), await sentBy(other)];
    for (const [one, api] of [
      [live, other],
      [test, pipeline.api],
      [foreign, sandbox],
    ] as const) {
      // The key is not even looked at.
      const { body } = await api('POST', `${one.path}/accept`, acceptance);
      expect(body.state).toBe('accepted');
      expect((await api('GET', `/v1/subscriptions/${body.subscription_id}`)).status).toBe(404);
      expect((await api('POST', `/v1/quotes/${one.id}/accept`, acceptance)).body.error_code).toBe('QUOTE_NOT_FOUND');
    }
    const own = await pipeline.api('GET', `/v1/subscriptions?customer_id=${live.customer}`);
    expect(own.body.pagination.total).toBe(1);
    expect((await sandbox('GET', `/v1/subscriptions?customer_id=${test.customer}`)).body.pagination.total).toBe(1);
    // A token is no key, and opens nothing but its link.
    const asKey = call(pipeline.stack.apiUrl, live.token);
    expect((await asKey('GET', '/v1/quotes')).status).toBe(401);
  });

  it('has Idempotency-Keys of its own, and takes none of the organization', async () => {
    const { path } = await sentBy(pipeline.api);
    const key = { 'idempotency-key': `order-${unique()}` };
    const first = await anyone('POST', `${path}/accept`, acceptance, key);
    const again = await anyone('POST', `${path}/accept`, acceptance, key);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body).toEqual(first.body);
    const customer = { external_id: `c-${unique()}`, name: 'A customer' };
    expect((await pipeline.api('POST', '/v1/customers', customer, key)).status).toBe(201);
  });

  it('is said to no reader of the audit log as an actor, and in no line of a log', async () => {
    const { id, token, path } = await sentBy(pipeline.api);
    await anyone('GET', path);
    await anyone('POST', `${path}/accept`, { nonsense: true });
    await pipeline.asOwner.query(
      "CREATE FUNCTION fail_link() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$",
    );
    await pipeline.asOwner.query(
      'CREATE TRIGGER fail_link BEFORE UPDATE ON quotes FOR EACH ROW EXECUTE FUNCTION fail_link()',
    );
    expect((await anyone('POST', `${path}/accept`, acceptance)).status).toBe(500);
    await pipeline.asOwner.query('DROP TRIGGER fail_link ON quotes');
    await anyone('POST', `${path}/accept`, acceptance);
    const { items } = (await pipeline.api('GET', `/v1/audit-log?object_id=${id}`)).body;
    expect(items[0]).toMatchObject({ action: 'quote.accepted', actor: 'quote-link' });
    const folder = dirname(logPath(pipeline.stack.home, 'api'));
    const logs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const metrics = (await anyone('GET', '/metrics')).body as string;
    const { rows } = await pipeline.asOwner.query<{ row: string }>(
      `SELECT a::text AS row FROM audit_log a UNION ALL SELECT o::text FROM outbox o
       UNION ALL SELECT i.headers::text FROM idempotency_keys i`,
    );
    const texts = [...logs, metrics, ...rows.map(({ row }) => row)].join('\n');
    expect(texts).toContain('/v1/quote-links/:token/accept');
    expect(texts).not.toContain(token.slice('mr_quote_'.length));
  });

  it('is slowed down by the address that it comes from, before it is looked up', async () => {
    const ask = () => anyone('GET', `/v1/quote-links/mr_quote_${'B'.repeat(43)}`);
    const answers = await Promise.all(Array.from({ length: 120 }, ask));
    const statuses = new Set(answers.map(({ status }) => status));
    expect(statuses).toEqual(new Set([404, 429]));
    const refused = answers.find(({ status }) => status === 429);
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    // Who has a key is not held up by it.
    expect((await pipeline.api('GET', '/v1/quotes')).status).toBe(200);
  });
});
