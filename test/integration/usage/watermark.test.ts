/** A query at a watermark is of one moment for ever, whatever arrives, falls, is put right or is merged meanwhile. */

import { type ClickHouseClient, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { UsageEvent } from '#schemas/usage-event.ts';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { openRawMessages, type RawMessages } from '../../support/raw-messages.ts';
import { firstTenant } from '../../support/tenants.ts';

let pipeline: Pipeline;
let raw: RawMessages;
let clickhouse: ClickHouseClient;
let tenant: string;
const dayMs = 86_400_000;
const now = Date.now();
const span = `from=${new Date(now - 20 * dayMs).toISOString()}&to=${new Date(now + 60_000).toISOString()}`;

const queries = [
  `/v1/meters/spent/usage?${span}&window=day&group_by=model`,
  `/v1/meters/spent/usage?${span}&window=hour&time_zone=Australia/Lord_Howe&customer_id=c-1`,
  `/v1/meters/level/usage?${span}&window=day&group_by=customer_id&time_zone=America/New_York&limit=1000`,
  `/v1/meters/models/usage?${span}&group_by=customer_id`,
  `/v1/meters/last/usage?${span}&window=month&format=csv`,
  `/v1/meters/slow/usage?${span}&filter=${encodeURIComponent('{"property":"model","operator":"ne","value":"model-1"}')}`,
  `/v1/customers/c-1/usage?${span}`,
];

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.amendedUsage });
  ({ organizationId: tenant } = await firstTenant(pipeline));
  raw = await openRawMessages(inject('serverUrls').nats, pipeline.streamName);
  clickhouse = createClient({ url: pipeline.clickhouseUrl });
  const common = { event: 'work', group_by: ['model'] };
  for (const meter of [
    { code: 'spent', aggregation: 'sum', property: 'amount' },
    { code: 'level', aggregation: 'weighted_sum', property: 'change' },
    { code: 'models', aggregation: 'unique', property: 'model' },
    { code: 'last', aggregation: 'latest', property: 'amount' },
    {
      code: 'slow',
      aggregation: 'percentile',
      expression: 'amount * 3 / 7',
      percentile: { rank: '90', method: 'linear' },
    },
  ])
    expect((await pipeline.api('POST', '/v1/meters', { ...common, name: meter.code, ...meter })).status).toBe(201);
  for (const customer of ['c-0', 'c-1', 'c-2'])
    expect((await pipeline.api('POST', '/v1/customers', { external_id: customer, name: customer })).status).toBe(201);
});
afterAll(async () => {
  await raw?.close();
  await clickhouse?.close();
  await pipeline?.stop();
});

let count = 0;
const eventOf = (number: number): UsageEvent => ({
  tenant,
  idempotencyKey: `key-${number}`,
  event: 'work',
  customer: `c-${number % 3}`,
  occurredAtMs: now - (number % 400) * 3_600_000,
  receivedAtMs: now,
  properties: [
    ['amount', `${number % 97}.0${number % 10}`],
    ['change', `${(number % 7) - 3}`],
    ['model', `model-${number % 4}`],
  ],
});
const next = (): UsageEvent => {
  count += 1;
  return eventOf(count);
};

const ask = async (path: string, watermark: string | bigint): Promise<string> => {
  const { status, body } = await pipeline.api('GET', `${path}&watermark=${watermark}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return JSON.stringify(body);
};
const checked = async (): Promise<bigint> =>
  BigInt((await pipeline.api('GET', `/v1/customers/c-0/usage?${span}`)).body.watermark);
const askAll = async (watermark: bigint): Promise<string[]> => {
  const answers: string[] = [];
  for (const path of queries) answers.push(await ask(path, watermark));
  return answers;
};

/**
 * One step of the world: late events, twins of another day, customer or payload, events that are voided and replaced,
 * parts that are merged.
 */
const steps: readonly (() => Promise<unknown>)[] = [
  () => raw.send(next(), next(), next()),
  () => raw.send({ ...next(), occurredAtMs: now - 19 * dayMs }),
  () => raw.send({ ...eventOf(1 + (count % 20)), occurredAtMs: now - 3 * dayMs }),
  () => raw.send({ ...eventOf(2 + (count % 20)), customer: 'c-2', properties: [['amount', '1000']] }),
  () => raw.send(eventOf(3 + (count % 20))),
  () => raw.amend(eventOf(4 + (count % 20))),
  () => raw.amend(eventOf(5 + (count % 20)), { ...next(), customer: 'c-1', occurredAtMs: now - 2 * dayMs }),
  () => clickhouse.command({ query: 'OPTIMIZE TABLE usage_events FINAL' }),
  () => clickhouse.command({ query: 'OPTIMIZE TABLE usage_voids FINAL' }),
  () => {
    const { idempotencyKey, customer, occurredAtMs, properties } = next();
    const timestamp = new Date(occurredAtMs).toISOString();
    return pipeline.sendEvents({
      idempotency_key: idempotencyKey,
      event: 'work',
      customer_id: customer,
      timestamp,
      properties: Object.fromEntries(properties),
    });
  },
];

describe('[I12] usage at a watermark', () => {
  it('repeats byte for byte while events arrive late, twins fall, amendments follow and parts are merged', async () => {
    await raw.send(...Array.from({ length: 40 }, next));
    const moments: { readonly watermark: bigint; readonly answers: readonly string[] }[] = [];
    let before = 0n;
    let seed = 7;
    for (let round = 0; round < 4; round += 1) {
      for (let step = 0; step < 7; step += 1) {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        await steps[Math.floor((seed / 2_147_483_648) * steps.length)]?.();
      }
      await raw.send(next());
      const earlier = before;
      before = await until(checked, (sequence) => sequence > earlier);
      moments.push({ watermark: before, answers: await askAll(before) });
      for (const { watermark, answers } of moments.slice(0, 1)) expect(await askAll(watermark)).toEqual(answers);
    }
    for (const step of steps) await step();
    for (const { watermark, answers } of moments) expect(await askAll(watermark)).toEqual(answers);
    // Each moment differs from the one before, so it is no constant that repeats.
    expect(new Set(moments.map(({ answers }) => answers[0])).size).toBe(moments.length);
  }, 300_000);

  it('counts an event once, in the first of its copies, and what was voided or replaced no more', async () => {
    const of = (key: string, amount: string): UsageEvent => ({
      ...eventOf(1),
      idempotencyKey: key,
      customer: 'exact',
      occurredAtMs: now - dayMs,
      properties: [['amount', amount]],
    });
    await pipeline.api('POST', '/v1/customers', { external_id: 'exact', name: 'Exact' });
    const path = `/v1/meters/spent/usage?${span}&customer_id=exact`;
    const quantityAt = async (sequence: number) => {
      await until(checked, (watermark) => watermark >= BigInt(sequence));
      const [item] = JSON.parse(await ask(path, BigInt(sequence))).items;
      return item ? [item.quantity, item.events] : [];
    };
    const first = await raw.send(of('a', '1'), of('b', '10'), of('c', '100'));
    const twin = await raw.send(
      { ...of('a', '1'), occurredAtMs: now - 2 * dayMs },
      { ...of('b', '5'), occurredAtMs: now - 5 * dayMs },
    );
    const voided = await raw.amend(of('b', '10'));
    const replaced = await raw.amend(of('c', '100'), of('c', '50'));
    expect([
      await quantityAt(first),
      await quantityAt(twin),
      await quantityAt(voided),
      await quantityAt(replaced),
    ]).toEqual([
      ['111', '3'],
      ['111', '3'],
      ['101', '2'],
      ['51', '2'],
    ]);
    expect(await quantityAt(first)).toEqual(['111', '3']);
    expect(await quantityAt(first - 1)).toEqual([]);
  });

  it('is refused above the highest checked one, which it names', async () => {
    const highest = await checked();
    for (const path of [queries[0], queries[6]]) {
      const answer = await pipeline.api('GET', `${path}&watermark=${highest + 1_000_000n}`);
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'watermark', code: 'out_of_range' }] } });
      expect(answer.body.errors[0].message).toMatch(/at most \d+, the highest/);
    }
  });

  it('is one for all pages of a walk, and so is the period, while events arrive', async () => {
    const path = `/v1/meters/spent/usage?from=${new Date(now - 20 * dayMs).toISOString()}&window=hour&group_by=customer_id,model`;
    const pages: Awaited<ReturnType<Pipeline['api']>>['body'][] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { status, body } = await pipeline.api(
        'GET',
        `${path}&limit=${5 + pages.length}${cursor && `&cursor=${cursor}`}`,
      );
      expect(status, JSON.stringify(body)).toBe(200);
      pages.push(body);
      cursor = body.pagination.next_cursor;
      const sent = await raw.send(next(), { ...next(), occurredAtMs: now - 10 * dayMs });
      if (pages.length < 3) await until(checked, (watermark) => watermark >= BigInt(sent));
    }
    expect(pages.length).toBeGreaterThan(4);
    const [{ watermark, period }] = pages as [(typeof pages)[number]];
    for (const page of pages) expect(page).toMatchObject({ watermark, period });
    const whole = await pipeline.api('GET', `${path}&to=${period.end}&watermark=${watermark}&limit=1000`);
    expect(pages.flatMap(({ items }) => items)).toEqual(whole.body.items);
  });
});
