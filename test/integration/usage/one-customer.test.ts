/** [I29] A customer is one group, whichever of its names events bear: in every aggregation, on every page. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';

let pipeline: Pipeline;
const { start, end } = lastMonth();
const hourMs = 3_600_000;
const iso = (at: number): string => new Date(at).toISOString();
const span = `from=${iso(start)}&to=${iso(end)}`;
const ids = new Map<string, string>();
const idOf = (name: string): string => ids.get(name) ?? '';
const unknown = `cus_${'0'.repeat(32)}`;

const aggregations = {
  count: {},
  sum: { property: 'n' },
  min: { property: 'n' },
  max: { property: 'n' },
  latest: { property: 'n' },
  average: { property: 'n' },
  weighted_sum: { property: 'n' },
  unique: { property: 'n' },
  percentile: { property: 'n', percentile: { rank: '50', method: 'linear' } },
};

/** Who is named how, and what the events say: one after another, an hour apart. */
const events: readonly (readonly [customer: string, n: string, model: string])[] = [
  ['both', '1', 'a'],
  ['id of both', '5', 'a'],
  ['id of both', '3', 'b'],
  ['both', '5', 'a'],
  ['by-name', '2', 'a'],
  ['id of by-id', '2', 'a'],
  ['zeta', '7', 'a'],
  ['id of zeta', '9', 'b'],
  ['nobody', '4', 'a'],
  ['unknown id', '6', 'a'],
];
const nameOf = (text: string): string =>
  text === 'unknown id' ? unknown : text.startsWith('id of ') ? idOf(text.slice('id of '.length)) : text;

const ask = async (meter: string, query: string) => {
  const { status, body, ...rest } = await pipeline.api('GET', `/v1/meters/${meter}/usage?${span}&${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return { body, ...rest };
};
// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
const told = (body: any) => body.items.map(({ group, quantity }: any) => [...Object.values(group), quantity]);

beforeAll(async () => {
  const settings = { MILLRACE_TOTALS_QUIET_SECONDS: '0' };
  pipeline = await startPipeline(inject('serverUrls'), settings, { services: [...parts.ratedUsage, 'relay'] });
  for (const name of ['both', 'by-name', 'by-id', 'zeta'])
    ids.set(name, (await pipeline.api('POST', '/v1/customers', { external_id: name, name })).body.id);
  for (const [aggregation, more] of Object.entries(aggregations)) {
    const meter = { code: aggregation, name: aggregation, event: 'llm', aggregation, group_by: ['model'], ...more };
    expect((await pipeline.api('POST', '/v1/meters', meter)).status).toBe(201);
  }
  await pipeline.sendEvents(
    events.map(([customer, n, model], index) => ({
      idempotency_key: `${index}`,
      event: 'llm',
      customer_id: nameOf(customer),
      timestamp: iso(start + index * hourMs),
      properties: { n, model },
    })),
  );
  // All that was accepted is told, and of totals alone where there are any.
  await until(
    () => ask('count', 'explain=true'),
    ({ body }) => body.items[0]?.quantity === `${events.length}` && body.explanation.days_of_events?.length === 0,
  );
});
afterAll(() => pipeline?.stop());

const both = {
  count: '4',
  sum: '14',
  min: '1',
  max: '5',
  latest: '5',
  average: '3.5',
  unique: '3',
  percentile: '4',
};

describe('usage by customer', () => {
  it.each(Object.entries(both))(
    'is one %s of all that a customer did, whatever it was called',
    async (meter, quantity) => {
      const { body } = await ask(meter, 'group_by=customer_id&explain=true');
      expect(told(body).map(([name]: string[]) => name)).toEqual(
        ['both', 'by-name', 'nobody', 'zeta', unknown, idOf('by-id')].sort(),
      );
      expect(told(body)).toContainEqual(['both', quantity]);
      const hours = (await ask(meter, `group_by=customer_id&customer_id=${idOf('both')}`)).body;
      expect(told(hours)).toEqual([['both', quantity]]);
    },
  );

  it('is one level, which all changes of it come into', async () => {
    const { body } = await ask('weighted_sum', 'group_by=customer_id');
    const levels = new Map(told(body));
    const hours = (end - start) / hourMs;
    const area = [1, 5, 3, 5].reduce((sum, n, index) => sum + n * (hours - index), 0);
    expect(Number(levels.get('both'))).toBeCloseTo(area / hours, 9);
    const own = await ask('weighted_sum', `customer_id=both`);
    expect(levels.get('both')).toBe(own.body.items[0].quantity);
  });

  it('names the customer of a group by its id and its external id, and nobody where there is none', async () => {
    const { body } = await ask('sum', 'group_by=model,customer_id');
    const customers = new Map(
      // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
      body.items.map(({ group, customer }: any) => [group.customer_id, customer]),
    );
    expect(Object.fromEntries(customers as Map<string, object>)).toEqual({
      both: { id: idOf('both'), external_id: 'both' },
      'by-name': { id: idOf('by-name'), external_id: 'by-name' },
      [idOf('by-id')]: { id: idOf('by-id'), external_id: 'by-id' },
      zeta: { id: idOf('zeta'), external_id: 'zeta' },
      nobody: null,
      [unknown]: null,
    });
    expect((await ask('sum', 'group_by=model')).body.items[0]).not.toHaveProperty('customer');
  });

  it('is the same from totals as from events', async () => {
    for (const query of ['group_by=customer_id', 'group_by=customer_id,model&window=day']) {
      const totals = (await ask('sum', `${query}&explain=true`)).body;
      expect(totals.explanation).toEqual({ from: 'totals', days_of_events: [] });
      const filter = encodeURIComponent('{"property":"n","operator":"exists","value":true}');
      const fromEvents = (await ask('sum', `${query}&explain=true&filter=${filter}`)).body;
      expect(fromEvents.explanation).toEqual({ from: 'events', reason: 'filter' });
      expect(totals.items).toEqual(fromEvents.items);
    }
  });

  it('comes in pages without a gap or a twin, though a name comes and customers are made meanwhile', async () => {
    let accepted = events.length;
    for (const query of [
      'group_by=customer_id,model',
      'group_by=customer_id&window=hour',
      'group_by=model,customer_id',
    ]) {
      const whole = (await ask('sum', query)).body;
      const items = [];
      let cursor = '';
      for (let page = 0; page === 0 || cursor !== ''; page += 1) {
        const { body } = await ask('sum', `${query}&limit=2${cursor && `&cursor=${cursor}`}`);
        items.push(...body.items);
        cursor = body.pagination.next_cursor ?? '';
        // Behind the moment of the pages: it is named both ways from now on, and someone is called `nobody`.
        if (page > 0) continue;
        await pipeline.api('POST', '/v1/customers', { external_id: 'nobody', name: 'Nobody' });
        const key = `${query} ${page}`;
        const late = { idempotency_key: key, event: 'llm', timestamp: iso(start), properties: { n: '1', model: 'a' } };
        accepted += 2;
        await pipeline.sendEvents([
          { ...late, customer_id: idOf('by-name') },
          { ...late, idempotency_key: `${key} 2`, customer_id: 'by-id' },
        ]);
        await until(
          () => ask('count', 'limit=1'),
          (now) => now.body.items[0].quantity === `${accepted}`,
        );
      }
      expect(items.map(({ customer: _, ...row }) => row)).toEqual(
        whole.items.map(({ customer: _, ...row }: { customer: unknown }) => row),
      );
    }
    const now = (await ask('sum', 'group_by=customer_id')).body;
    expect(told(now).map(([name]: string[]) => name)).toEqual(
      ['both', 'by-id', 'by-name', 'nobody', 'zeta', unknown].sort(),
    );
  });

  it('is told in CSV with who it is', async () => {
    const { body } = await pipeline.api('GET', `/v1/meters/max/usage?${span}&group_by=customer_id&format=csv`);
    const [head, ...lines] = `${body}`.trimEnd().split('\r\n');
    expect(head).toBe(
      'window_start,window_end,customer_id,quantity,events,unmeasured_events,customer.id,customer.external_id',
    );
    expect(lines).toContain(`${iso(start)},${iso(end)},both,5,4,0,${idOf('both')},both`);
    expect(lines).toContain(`${iso(start)},${iso(end)},${unknown},6,1,0,,`);
  });
});
