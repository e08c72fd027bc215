/** Reads of several customers that come together are made as one, and nobody can tell. */

import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { openRawMessages } from '../../support/raw-messages.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { firstTenant } from '../../support/tenants.ts';

let pipeline: Pipeline;
let watermark: string;
const customers = Array.from({ length: 12 }, (_, number) => `customer-${number}`);
const start = Date.UTC(2026, 9, 1);

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  const { organizationId: tenant } = await firstTenant(pipeline);
  const ids = new Map<string, string>();
  for (const name of customers)
    ids.set(name, (await pipeline.api('POST', '/v1/customers', { external_id: name, name })).body.id);
  for (const aggregation of ['sum', 'weighted_sum', 'unique', 'latest'])
    await pipeline.api('POST', '/v1/meters', {
      code: aggregation,
      name: aggregation,
      event: 'work',
      aggregation,
      property: 'units',
      group_by: ['model'],
    });
  // Some events name a customer by its id, some by its external id; the last customers have none.
  const events = Array.from({ length: 400 }, (_, number) => {
    const name = customers[(number * 7) % 10] as string;
    return {
      tenant,
      idempotencyKey: `event-${number}`,
      event: 'work',
      customer: number % 3 === 0 ? (ids.get(name) as string) : name,
      occurredAtMs: start + number * 3_600_000,
      receivedAtMs: start + number * 3_600_000,
      properties: [['units', `${number % 11}.5`], ...(number % 4 === 0 ? [] : [['model', `m${number % 3}`]])] as [
        string,
        string,
      ][],
    };
  });
  const raw = await openRawMessages(inject('serverUrls').nats, pipeline.streamName);
  const sequence = BigInt(await raw.send(...events));
  await raw.close();
  const answer = await until(
    () => pipeline.api('GET', '/v1/meters/sum/usage'),
    ({ body }) => BigInt(body.watermark) >= sequence,
  );
  watermark = answer.body.watermark;
});
afterAll(() => pipeline?.stop());

it.each([
  ['sum', ''],
  ['sum', '&window=day'],
  ['sum', '&window=day&group_by=model&limit=5'],
  ['weighted_sum', '&window=day'],
  ['unique', '&group_by=model'],
  ['latest', '&group_by=customer_id,model'],
])('the %s of twelve customers at once is that of each by itself%s', async (meter, more) => {
  const ask = (customer: string) =>
    pipeline.api(
      'GET',
      `/v1/meters/${meter}/usage?from=2026-10-01T00:00:00Z&to=2026-10-25T00:00:00Z&watermark=${watermark}&customer_id=${customer}${more}`,
    );
  const alone = [];
  for (const customer of customers) alone.push((await ask(customer)).body);
  const together = (await Promise.all(customers.map(ask))).map(({ body }) => body);
  expect(together).toEqual(alone);
  expect(alone.slice(0, 10).every(({ items }) => items.length > 0)).toBe(true);
  expect(alone.slice(10).every(({ items }) => items.length === 0)).toBe(true);
});

it('their further pages are those of each by itself too', async () => {
  const path =
    '/v1/meters/sum/usage?from=2026-10-01T00:00:00Z&to=2026-10-25T00:00:00Z&window=day&group_by=model&limit=3';
  const ask = (customer: string, cursor: string) =>
    pipeline.api('GET', `${path}&watermark=${watermark}&customer_id=${customer}&cursor=${encodeURIComponent(cursor)}`);
  const whose = customers.slice(0, 6);
  const firsts = [];
  for (const customer of whose)
    firsts.push((await pipeline.api('GET', `${path}&watermark=${watermark}&customer_id=${customer}`)).body);
  const cursors = firsts.map(({ pagination }) => pagination.next_cursor as string);
  const alone = [];
  for (const [index, customer] of whose.entries()) alone.push(await ask(customer, cursors[index] as string));
  expect(alone.map(({ status }) => status)).toEqual(whose.map(() => 200));
  const together = await Promise.all(whose.map((customer, index) => ask(customer, cursors[index] as string)));
  expect(together.map(({ body }) => body)).toEqual(alone.map(({ body }) => body));
});
