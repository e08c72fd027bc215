/** A customer that is renamed: its names stay its own, and whatever they bear is counted once. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { scaled } from '../../support/scale.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
const { start, end } = lastMonth();
const hourMs = 3_600_000;
const iso = (at: number): string => new Date(at).toISOString();
const span = `from=${iso(start)}&to=${iso(end)}`;

const call = async (method: string, path: string, body?: object, status = 200) => {
  const answer = await pipeline.api(method, path, body);
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBe(status);
  return answer.body;
};
const made = (name: string): Promise<{ id: string }> => call('POST', '/v1/customers', { external_id: name, name }, 201);
const rename = (customer: string, name: string, status = 200) =>
  call('PATCH', `/v1/customers/${encodeURIComponent(customer)}`, { external_id: name }, status);

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: [...parts.billedUsage, 'relay'] });
  const meter = { code: 'work', name: 'Work', event: 'work', aggregation: 'sum', property: 'n' };
  await call('POST', '/v1/meters', meter, 201);
  const price = { model: 'per_unit', unit_amount: '1' };
  const charges = [{ code: 'work', name: 'Work', meter: 'work', price }];
  await call('POST', '/v1/plans', { code: 'plan', name: 'Plan', currency: 'EUR', charges }, 201);
});
afterAll(() => pipeline?.stop());

let sent = 0;
const send = async (...events: readonly (readonly [customer: string, n: string, at?: number])[]): Promise<void> => {
  const before = (await call('GET', '/v1/meters/work/usage?from=2000-01-01T00:00:00Z')).items[0]?.events ?? '0';
  await pipeline.sendEvents(
    events.map(([customer, n, at = start + hourMs]) => {
      sent += 1;
      return {
        idempotency_key: `event-${sent}`,
        event: 'work',
        customer_id: customer,
        timestamp: iso(at),
        properties: { n },
      };
    }),
  );
  await until(
    () => call('GET', '/v1/meters/work/usage?from=2000-01-01T00:00:00Z'),
    ({ items }) => Number(items[0]?.events ?? 0) === Number(before) + events.length,
  );
};

describe('a customer that is renamed', () => {
  it('is told by all of its names, and its usage under each of them is billed once, on one invoice', async () => {
    const { id } = await made('old');
    const subscribed = { customer_id: 'old', plan: 'plan', started_at: iso(start) };
    await call('POST', '/v1/subscriptions', subscribed, 201);
    await send(['old', '1'], [id, '2'], ['new', '4'], ['stranger', '100']);
    const before = await call('GET', '/v1/customers/old');
    expect(before).toMatchObject({ external_id: 'old', aliases: [] });

    const renamed = await rename('old', 'new');
    expect(renamed).toMatchObject({ id, external_id: 'new', aliases: ['old'], version: before.version + 1 });
    await send(['old', '8'], [id, '16'], ['new', '32']);
    for (const name of [id, 'old', 'new']) {
      expect(await call('GET', `/v1/customers/${name}`)).toEqual(renamed);
      expect((await call('GET', `/v1/customers/${name}/usage?${span}`)).items).toMatchObject([{ quantity: '63' }]);
      expect((await call('GET', `/v1/subscriptions?customer_id=${name}`)).items).toHaveLength(1);
      expect(
        (
          await call(
            'GET',
            `/v1/events?customer_id=${name}&occurred_at_after=${iso(start - 1)}&occurred_at_before=${iso(end)}`,
          )
        ).items,
      ).toHaveLength(6);
    }
    for (const name of ['old', 'new'])
      expect((await call('GET', `/v1/customers?external_id=${name}`)).items).toMatchObject([{ id }]);
    const groups = await call('GET', `/v1/meters/work/usage?${span}&group_by=customer_id`);
    expect(groups.items).toMatchObject([
      { group: { customer_id: 'old' }, customer: { id, external_id: 'new' }, quantity: '63', events: '6' },
      { group: { customer_id: 'stranger' }, customer: null, quantity: '100' },
    ]);

    // A balance may be of a moment ago.
    for (const name of [id, 'old', 'new'])
      await until(
        () => call('GET', `/v1/customers/${name}/balance`),
        ({ currencies }) => currencies[0]?.running.subtotal === '63.00',
      );
    expect((await pipeline.closePeriod({})).body).toMatchObject({ state: 'completed' });
    const { items: invoices } = await until(
      () => call('GET', `/v1/customers/old/invoices`),
      ({ items }) => items.length > 0,
    );
    expect(invoices).toMatchObject([{ customer_id: id, total: '63.00' }]);
    const line = `/v1/invoices/${invoices[0].id}/line-items/1/explain`;
    const explained = await call('GET', line);
    expect(explained.hashes.is_as_rated).toBe(true);
    expect(explained.query.customers).toEqual([id, 'old', 'new']);
    const { items: events } = await call('GET', explained.events.url);
    expect(events).toHaveLength(6);
    const fate = await call('GET', '/v1/events/event-1');
    expect(JSON.stringify(fate)).toContain(invoices[0].id);

    // Of all that came, the events of a stranger alone are nobody's.
    const counted = await call('GET', '/v1/reconciliation');
    expect(counted.total).toMatchObject({ billed: 6, unbilled: { no_customer: 1 }, is_balanced: true });

    // A name that comes later is none of those that it was counted under.
    await rename(id, 'newest');
    const again = await call('GET', line);
    expect(again).toEqual(explained);
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
    const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
    const rating = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store);
    expect([rating.code, rating.faults]).toEqual([0, []]);
    // Usage under it goes on with the next billing period, and what comes late under any name is found.
    await send(['newest', '5', end], ['old', '7']);
    const balance = await call('GET', `/v1/customers/${id}/usage?from=${iso(start)}&to=${iso(end + 1)}`);
    expect(balance.items).toMatchObject([{ quantity: '75' }]);
    expect((await pipeline.closePeriod({})).body).toMatchObject({ state: 'completed' });
    for (const name of [id, 'old', 'newest'])
      expect((await call('GET', `/v1/late-usage?customer_id=${name}`)).items).toMatchObject([{ customer_id: id }]);
  });

  it('keeps its names: nobody else is given one, whether it is renamed or made', async () => {
    const [one, two] = [await made('one'), await made('two')];
    await rename('one', 'uno');
    for (const name of ['one', 'uno', 'two']) {
      const refused = await pipeline.api('POST', '/v1/customers', { external_id: name, name });
      expect([refused.status, refused.body.error_code], name).toEqual([409, 'CUSTOMER_ALREADY_EXISTS']);
    }
    for (const name of ['one', 'uno'])
      expect((await rename('two', name, 409)).error_code).toBe('CUSTOMER_ALREADY_EXISTS');
    for (const form of [one.id, two.id, '..'])
      expect((await rename('two', form, 422)).error_code).toBe('VALIDATION_FAILED');
    // What is no name is told before anything else.
    const old = { 'if-match': '"7"' };
    expect((await pipeline.api('PATCH', '/v1/customers/two', { external_id: '..' }, old)).status).toBe(422);
    expect((await pipeline.api('PATCH', '/v1/customers/two', { external_id: 'zwei' }, old)).status).toBe(412);
    expect(await call('GET', '/v1/customers/two')).toMatchObject({ external_id: 'two', aliases: [], version: 1 });
    // Its own it may have again, and none gets lost.
    expect(await rename('uno', 'one')).toMatchObject({ id: one.id, external_id: 'one', aliases: ['uno'] });
    expect(await rename('uno', 'one')).toMatchObject({ id: one.id, external_id: 'one', aliases: ['uno'] });
    expect(await rename('one', 'eins')).toMatchObject({ external_id: 'eins', aliases: ['one', 'uno'] });
  });

  it('is not given a name whose events lie in time that is billed to it already', async () => {
    await send(['late name', '3'], ['next name', '3', end]);
    const refused = await rename('newest', 'late name', 409);
    expect(refused.error_code).toBe('CUSTOMER_NAME_USED');
    expect(await rename('newest', 'next name')).toMatchObject({ external_id: 'next name' });
    expect(await rename('next name', 'old')).toMatchObject({ aliases: ['new', 'newest', 'next name'] });
  });

  it('has 50 aliases at most', async () => {
    await made('name 0');
    for (let number = 1; number <= 50; number += 1) await rename(`name ${number - 1}`, `name ${number}`);
    expect((await rename('name 50', 'name 51', 422)).errors).toMatchObject([{ field: 'external_id' }]);
    expect((await rename('name 50', 'name 0')).aliases).toHaveLength(50);
  });

  it('is given no new name while a billing run is under way', async () => {
    await made('during');
    const rater = pipeline.stack.processes.find(({ name }) => name === 'rater')?.pid ?? 0;
    process.kill(rater, 'SIGSTOP');
    const run = await call('POST', '/v1/invoices/run', { period: iso(start).slice(0, 7) }, 202);
    const refused = await rename('during', 'afterwards', 409);
    expect(refused.error_code).toBe('CUSTOMER_NAME_USED');
    expect(await call('GET', '/v1/customers/during')).toMatchObject({ external_id: 'during', aliases: [], version: 1 });
    process.kill(rater, 'SIGCONT');
    await until(
      () => call('GET', `/v1/invoices/runs/${run.id}?wait_seconds=5`),
      ({ state }) => state === 'completed',
    );
    expect(await rename('during', 'afterwards')).toMatchObject({ aliases: ['during'] });
  });

  it('of renames, and of a rename and a new customer, that come at once, a name is given once', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, (_, number) => made(`racer-${number}`)));
    for (let round = 0; round < 8; round += 1) {
      const name = `prize-${round}`;
      const answers = await Promise.all([
        ...all.map(({ id }) => pipeline.api('PATCH', `/v1/customers/${id}`, { external_id: name })),
        pipeline.api('POST', '/v1/customers', { external_id: name, name }),
        pipeline.api('POST', '/v1/customers', { external_id: `racer-${round % 6}`, name }),
      ]);
      const statuses = answers.map(({ status }) => status);
      expect(
        statuses.filter((status) => status < 300),
        JSON.stringify(statuses),
      ).toHaveLength(1);
      expect(statuses.filter((status) => status === 409)).toHaveLength(answers.length - 1);
    }
    // One customer that is given several names keeps all of them, and each answer tells those up to its own.
    const { id } = await made('same');
    const given = await Promise.all(['same-1', 'same-2', 'same-3'].map((name) => rename(id, name)));
    expect(given.map(({ aliases }) => aliases.length).sort()).toEqual([1, 2, 3]);
    const kept = await call('GET', `/v1/customers/${id}`);
    expect([kept.external_id, ...kept.aliases].sort()).toEqual(['same', 'same-1', 'same-2', 'same-3']);
    // Two that would have the name of one another.
    const [a, b] = [await made('left'), await made('right')];
    const swapped = await Promise.all([rename(a.id, 'right', 409), rename(b.id, 'left', 409)]);
    expect(swapped.map(({ error_code }) => error_code)).toEqual(['CUSTOMER_ALREADY_EXISTS', 'CUSTOMER_ALREADY_EXISTS']);
    const { rows } = await pipeline.asOwner.query<{ name: string; holders: number }>(
      `SELECT name, count(DISTINCT id)::integer AS holders FROM (
         SELECT external_id AS name, id FROM customers UNION ALL SELECT name, customer_id FROM customer_aliases) n
       GROUP BY name HAVING count(DISTINCT id) > 1`,
    );
    expect(rows).toEqual([]);
  });

  it('has no name of another one, whatever is made and renamed', async () => {
    const aStep = fc.record({ customer: fc.option(fc.nat(3), { freq: 4 }), name: fc.nat(5) });
    let runs = 0;
    const property = fc.asyncProperty(fc.array(aStep, { minLength: 15, maxLength: 25 }), async (steps) => {
      runs += 1;
      const holders = new Map<string, string>();
      const current = new Map<string, string>();
      for (const step of steps) {
        const name = `property-${runs}-${step.name}`;
        const id = step.customer === null ? undefined : [...current.keys()][step.customer];
        if (id === undefined) {
          const { status, body } = await pipeline.api('POST', '/v1/customers', { external_id: name, name });
          expect(status).toBe(holders.has(name) ? 409 : 201);
          if (status === 409) continue;
          holders.set(name, body.id);
          current.set(body.id, name);
        } else {
          const isFree = (holders.get(name) ?? id) === id;
          await rename(id, name, isFree ? 200 : 409);
          if (!isFree) continue;
          holders.set(name, id);
          current.set(id, name);
        }
      }
      for (const [name, id] of holders) {
        const found = await call('GET', `/v1/customers/${name}`);
        expect([found.id, found.external_id]).toEqual([id, current.get(id)]);
        const own = [...holders].filter(([, holder]) => holder === id).map(([one]) => one);
        expect([found.external_id, ...found.aliases].sort()).toEqual(own.sort());
      }
    });
    await fc.assert(property, { numRuns: scaled(8), endOnFailure: true });
  });

  it('on pages of usage has the names of their first one', async () => {
    const { id } = await made('first');
    await send(['first', '1'], ['second', '2'], [id, '4'], ['third', '8']);
    const query = `/v1/meters/work/usage?${span}&group_by=customer_id`;
    const whole = await call('GET', query);
    const paged = async (between: () => Promise<unknown>) => {
      const items = [];
      let cursor = '';
      do {
        const page = await call('GET', `${query}&watermark=${whole.watermark}&limit=1${cursor && `&cursor=${cursor}`}`);
        items.push(...page.items);
        if (cursor === '') await between();
        cursor = page.pagination.next_cursor ?? '';
      } while (cursor !== '');
      return items.map(({ group, quantity }) => [group.customer_id, quantity]);
    };
    const groups = (items: { group: { customer_id: string }; quantity: string }[]) =>
      items.map(({ group, quantity }) => [group.customer_id, quantity]);
    expect(await paged(() => rename(id, 'second'))).toEqual(groups(whole.items));
    const { items } = await call('GET', query);
    expect(groups(items)).toContainEqual(['first', '7']);
    expect(groups(items)).toContainEqual(['third', '8']);
    expect(await paged(async () => {})).toEqual(groups(items));
  });

  it('is in its export and its audit log with all names, and keeps them when it is erased', async () => {
    const { id } = await made('to-forget');
    await rename('to-forget', 'forgotten');
    await send(['to-forget', '1'], ['forgotten', '1']);
    const exported = await call('GET', `/v1/customers/${id}/export`);
    expect(exported.customer).toMatchObject({ external_id: 'forgotten', aliases: ['to-forget'] });
    expect(exported.usage).toMatchObject([{ event: 'work', events: '2' }]);
    expect(exported.audit_log.map(({ action }: { action: string }) => action)).toEqual(
      expect.arrayContaining(['customer.created', 'customer.updated']),
    );
    const erased = await call('POST', '/v1/customers/to-forget/erase');
    expect(erased).toMatchObject({ external_id: 'forgotten', aliases: ['to-forget'], erased_at: expect.any(String) });
    expect((await rename(id, 'anew', 409)).error_code).toBe('CUSTOMER_ERASED');
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });
});
