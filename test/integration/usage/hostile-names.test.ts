/** Names and expressions that want to be something else: text of a query, of a subject, of a page. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  expect((await pipeline.api('POST', '/v1/meters', { code: 'honest', name: 'Honest', event: 'work', aggregation: 'count' })).status).toBe(
    201,
  );
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
    const sent = { idempotency_key: `hostile-${code}`, event: name, customer_id: 'acme', timestamp: new Date().toISOString() };
    expect((await pipeline.sendEvents({ ...sent, properties: { p: name, q: name } })).body).toMatchObject({ accepted: 1 });
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
  ])('an expression %s is 422 within a second', async (_name, expression) => {
    const begin = performance.now();
    const body = { code: 'expression', name: 'Expression', event: 'work', aggregation: 'sum', expression };
    expect(await pipeline.api('POST', '/v1/meters', body)).toMatchObject({ status: 422, body: { errors: [{ field: 'expression' }] } });
    expect(performance.now() - begin).toBeLessThan(1_000);
  });
});
