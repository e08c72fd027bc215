/**
 * Names and expressions that want to be something else: text of a query, of a subject, of a page, of a path, a field
 * that is none.
 */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { makeKey } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  expect(
    (await pipeline.api('POST', '/v1/meters', { code: 'honest', name: 'Honest', event: 'work', aggregation: 'count' }))
      .status,
  ).toBe(201);
  const event = { idempotency_key: 'honest', event: 'work', customer_id: 'acme', timestamp: new Date().toISOString() };
  expect((await pipeline.sendEvents(event)).body.accepted).toBe(1);
});
afterAll(() => pipeline?.stop());

const json = (value: unknown) => encodeURIComponent(JSON.stringify(value));
const usage = async (query: string, meter: string) => {
  const answer = await pipeline.api('GET', `/v1/meters/${meter}/usage?${query}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

describe('hostile names', () => {
  const names = [
    "'; DROP TABLE usage_events; --",
    '{tenant:String}',
    '{p:Identifier}',
    '%s $1 ? :x @x',
    'a.b.*.>',
    '$JS.API.>',
    '\u202e\ud83d\ude00 \u0301',
    '\\x27\\n',
    '`a` "b" \'c\'',
    '<script>alert(1)</script>',
    '=cmd|calc',
    '../../etc',
  ];
  it.each(names)('%j in every place of a meter is measured as it is, or refused at its place', async (name) => {
    const code = `hostile-${names.indexOf(name)}`;
    const post = (body: object) => pipeline.api('POST', '/v1/meters', { code, name: 'Hostile', ...body });
    const event = {
      event: name,
      aggregation: 'unique',
      property: 'p',
      filter: { property: 'q', operator: 'eq', value: name },
      group_by: ['q'],
    };
    expect((await post(event)).status).toBe(201);
    expect((await pipeline.api('GET', `/v1/meters?event=${encodeURIComponent(name)}`)).body.items).toHaveLength(1);
    const sent = {
      idempotency_key: `hostile-${code}`,
      event: name,
      customer_id: 'acme',
      timestamp: new Date().toISOString(),
    };
    expect((await pipeline.sendEvents({ ...sent, properties: { p: name, q: name } })).body).toMatchObject({
      accepted: 1,
    });
    const { items } = await until(
      () => usage(`group_by=customer_id,q&filter=${json({ property: 'q', operator: 'in', value: [name] })}`, code),
      (body) => body.items.length > 0,
    );
    expect(items).toMatchObject([{ group: { customer_id: 'acme', q: name }, quantity: '1', events: '1' }]);
    for (const [field, fields] of [
      ['property', { aggregation: 'sum', property: name }],
      ['filter.property', { aggregation: 'count', filter: { property: name, operator: 'exists', value: true } }],
      ['group_by[0]', { aggregation: 'count', group_by: [name] }],
    ] as const) {
      const answer = await post({ ...fields, event: 'work', code: `${code}-${field.replaceAll(/[^a-z]/g, '')}` });
      if (answer.status === 201) expect((await usage('', answer.body.id)).watermark).toMatch(/^\d+$/);
      else expect(answer).toMatchObject({ status: 422, body: { errors: [{ field }] } });
    }
    // The table is where it was.
    expect((await usage('', 'honest')).items).toMatchObject([{ quantity: '1' }]);
  });

  it.each([
    ['of 1,001 characters', `${'a+'.repeat(500)}a`],
    ['nested 2,000 deep', `${'('.repeat(2_000)}a${')'.repeat(2_000)}`],
    ['nested 40 deep', `${'('.repeat(40)}a${')'.repeat(40)}`],
    ['of minus signs', `${'-'.repeat(500)}a`],
    ['whose digits no number has', 'a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a'],
    ['that divides by nothing', 'a/0'],
    ['that calls something', "sleep(10) + system('ls')"],
    ['with a statement', 'a; SELECT 1'],
    ['of nothing', ''],
  ])('an expression %s is 422 at once', async (_name, expression) => {
    const begin = performance.now();
    const body = { code: 'expression', name: 'Expression', event: 'work', aggregation: 'sum', expression };
    expect(await pipeline.api('POST', '/v1/meters', body)).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'expression' }] },
    });
    expect(performance.now() - begin).toBeLessThan(10_000);
  });
});

const made = async (path: string, body: unknown): Promise<{ readonly id: string }> => {
  const answer = await pipeline.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

describe('a meter by a path that would find nothing', () => {
  it.each(['$.n', 'properties.n', 'items[0]'])('%s is 422 with the cure, made anew or changed', async (path) => {
    const sum = { code: `sum-${path.replaceAll(/[^a-z0-9]/g, '')}`, name: 'S', event: 'e', aggregation: 'sum' };
    const answer = await pipeline.api('POST', '/v1/meters', { ...sum, property: path });
    expect(answer).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'property', message: expect.stringContaining('would find nothing') }] },
    });
    const { id } = await made('/v1/meters', { ...sum, property: 'n' });
    for (const [body, field] of [
      [{ property: path }, 'property'],
      [{ group_by: ['region', path] }, 'group_by[1]'],
      [{ filter: { or: [{ property: path, operator: 'exists', value: true }] } }, 'filter.or[0].property'],
    ] as const)
      expect(await pipeline.api('PATCH', `/v1/meters/${id}`, body)).toMatchObject({
        status: 422,
        body: { errors: [{ field }] },
      });
  });

  it('from before is read, renamed and counted as it was', async () => {
    const { id } = await made('/v1/meters', {
      code: 'old-path',
      name: 'O',
      event: 'e',
      aggregation: 'sum',
      property: 'n',
    });
    await pipeline.asOwner.transaction(async (client) => {
      await client.query("SET LOCAL session_replication_role = 'replica'");
      await client.query(
        `UPDATE meter_versions SET definition = '{"event":"e","aggregation":"sum","property":"$.n"}'
         WHERE meter_id = $1`,
        [id],
      );
    });
    expect((await pipeline.api('PATCH', `/v1/meters/${id}`, { name: 'Old' })).body).toMatchObject({
      property: '$.n',
      version_number: 1,
    });
    expect((await pipeline.api('GET', `/v1/meters/${id}/usage`)).status).toBe(200);
    expect((await pipeline.api('PATCH', `/v1/meters/${id}`, { property: 'n' })).body).toMatchObject({
      property: 'n',
      version_number: 2,
    });
  });
});

describe('an unknown field', () => {
  it('is answered with all that is known, on both hosts, in an answer of bounded size', async () => {
    const known = async (answer: { readonly body: { readonly errors: readonly { readonly message: string }[] } }) =>
      answer.body.errors.map(({ message }) => message).join('\n');
    expect(
      await known(await pipeline.api('POST', '/v1/customers', { external_id: 'u', name: 'U', colour: 1 })),
    ).toMatch(/known are external_id, name, email, address, tax_ids, payment_reference, currency, .*, metadata/);
    expect(await known(await pipeline.api('GET', '/v1/events?colour=1'))).toMatch(
      /known are customer_id, event, idempotency_key, .*cursor/,
    );
    const key = await makeKey(pipeline, pipeline.api, { scopes: ['admin'] });
    expect(await known(await key.ingest('POST', '/v1/events?colour=1', []))).toMatch(
      /known are results, backfill, receipt/,
    );
    const rejected = await key.ingest('POST', '/v1/events', [{ colour: 1 }]);
    expect(JSON.stringify(rejected.body)).toMatch(
      /known are idempotency_key, event, customer_id, timestamp, properties/,
    );
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`f${index}`, 1]));
    for (const path of ['/v1/customers', '/v1/plans', '/v1/meters']) {
      const { status, body } = await pipeline.api('POST', path, many);
      expect([status, body.errors.length <= 110], path).toEqual([422, true]);
    }
  });
});
