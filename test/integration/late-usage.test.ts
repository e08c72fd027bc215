/** [I15] [I16] Late usage while processes are killed and runs come at the same moment: one delta, once. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { verifyChain } from '../../invoicer/invoices/invoice-hash.ts';
import { invoiceChain } from '../support/invoice-chain.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { startRaterByHand } from '../support/raters.ts';
import { call, calls } from '../support/story-parts.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
const month = lastMonth();
const at = new Date(month.end - 3_600_000).toISOString();
const customers = Array.from({ length: 24 }, (_, index) => `late-${index}`);
const leases = { MILLRACE_JOB_LEASE_SECONDS: '5', ...shortLeases };

const made = async (path: string, body: object) => {
  const answer = await pipeline.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
};
const send = async (events: readonly object[]): Promise<void> => {
  expect((await pipeline.sendEvents(events)).body).toMatchObject({ accepted: events.length });
};
const pidOf = (name: string): number => pipeline.stack.processes.find((process) => process.name === name)?.pid ?? 0;
const kill = async (name: string): Promise<void> => {
  const pid = await until(
    async () => pidOf(name),
    (now) => now > 0,
  );
  process.kill(pid, 'SIGKILL');
  await until(
    async () => pidOf(name),
    (now) => now > 0 && now !== pid,
  );
};
const allEnded = () =>
  until(
    () => pipeline.asOwner.query<{ state: string; failure: string }>('SELECT state, failure FROM billing_runs'),
    ({ rows }) => rows.every(({ state }) => state === 'completed'),
    60_000,
  );
const deltasOf = async (customer: string) => {
  const { items } = (await pipeline.api('GET', `/v1/late-usage?customer_id=${customer}&sort=created_at`)).body;
  return items.map(({ state, amount }: { state: string; amount: string }) => `${state} ${amount}`);
};
const linesOf = async (customer: string): Promise<string[]> => {
  const { items } = (await pipeline.api('GET', `/v1/invoices?customer_id=${customer}&sort=number`)).body;
  const invoices = await Promise.all(
    items.map(({ id }: { id: string }) => pipeline.api('GET', `/v1/invoices/${id}`).then(({ body }) => body)),
  );
  return invoices.map(({ lines }) =>
    lines.map(({ kind, amount }: { kind: string; amount: string }) => `${kind} ${amount}`).join(', '),
  );
};

beforeAll(async () => {
  const services = [...parts.billedUsage, ...parts.amendedUsage];
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_RATER_SHARD_SIZE: '4', ...leases }, { services });
  await made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
  await made('/v1/plans', { code: 'used', name: 'Used', currency: 'USD', charges: [calls('1.00')] });
  for (const customer of customers) {
    await made('/v1/customers', { external_id: customer, name: 'C' });
    const started_at = new Date(month.start).toISOString();
    const { id } = await made('/v1/subscriptions', { customer_id: customer, plan: 'used', started_at });
    subscriptions.push(id);
  }
  await send(customers.map((customer) => call(customer, at)));
  expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({ state: 'completed' });
});
const subscriptions: string[] = [];
afterAll(() => pipeline?.stop());

it('is on the next invoice once, whoever is killed in the middle of the run', async () => {
  await send(customers.flatMap((customer) => [call(customer, at), call(customer, at)]));
  for (const id of subscriptions) await made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
  const another = await startRaterByHand(pipeline, inject('serverUrls'), { ...leases, MILLRACE_JOB_POLL_MS: '50' });
  const asked = pipeline.api('POST', '/v1/invoices/run', {});
  for (const name of ['rater', 'invoicer', 'rater', 'invoicer']) await kill(name);
  expect((await asked).status).toBe(202);
  await allEnded();
  another.process.kill('SIGKILL');
  for (const customer of customers) {
    expect(await linesOf(customer)).toEqual(['charge 1.00', 'charge 0.00, delta 2.00']);
    expect(await deltasOf(customer)).toEqual(['billed 2.00']);
  }
  expect(verifyChain(await invoiceChain(pipeline))).toEqual({ ok: true });
});

it('is an invoice of its own of what has ended, once, of however many runs that come at one moment', async () => {
  await send(customers.map((customer) => call(customer, at)));
  const [first, second] = customers;
  const bodies = [{}, { customer_id: first }, { customer_id: second }, { period: month.name }, {}];
  const asked = await Promise.all(bodies.map((body) => pipeline.api('POST', '/v1/invoices/run', body)));
  expect(asked.map(({ status }) => status)).toEqual(bodies.map(() => 202));
  await allEnded();
  // Whatever a run that went before could not look at yet is looked at by this one.
  await pipeline.closePeriod({});
  for (const customer of customers) {
    expect(await deltasOf(customer)).toEqual(['billed 2.00', 'billed 1.00']);
    expect((await linesOf(customer)).slice(2)).toEqual(['delta 1.00']);
  }
  expect((await pipeline.closePeriod({})).body).toMatchObject({ state: 'completed', invoices_issued: 0 });
  const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
  expect((await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store)).faults).toEqual([]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  const { total } = (await pipeline.api('GET', '/v1/reconciliation')).body;
  expect(total).toMatchObject({ is_balanced: true, billed: 4 * customers.length, unbilled: { late: 0 } });
});

it('[I32] that takes something back is billed, or its invoice is credited, and never both', async () => {
  // The next test has the first one as it is.
  const raced = customers.slice(1);
  const sent = raced.map((customer) => call(customer, at));
  await send(sent);
  await pipeline.closePeriod({});
  const amendments = sent.map(({ idempotency_key }) => ({ idempotency_key, action: 'void', reason: 'a test' }));
  const { items } = await made('/v1/events/amendments', { amendments });
  for (const { id } of items)
    await until(
      () => pipeline.api('GET', `/v1/events/amendments/${id}`),
      ({ body }) => body.state === 'applied',
    );
  const before = await Promise.all(raced.map(linesOf));
  const firstOf = async (customer: string): Promise<string> =>
    (await pipeline.api('GET', `/v1/invoices?customer_id=${customer}&sort=number`)).body.items[0].id;
  const firsts = await Promise.all(raced.map(firstOf));
  const running = pipeline.api('POST', '/v1/invoices/run', {});
  const answers: number[] = [];
  for (const invoice_id of firsts)
    answers.push((await pipeline.api('POST', '/v1/credit-notes', { invoice_id, reason: 'other' })).status);
  expect((await running).status).toBe(202);
  await allEnded();
  for (const [index, customer] of raced.entries()) {
    const isCredited = answers[index] === 201;
    const states = await deltasOf(customer);
    expect([customer, states.at(-1)]).toEqual([customer, isCredited ? 'reported -1.00' : 'billed -1.00']);
    if (!isCredited) expect(answers[index]).toBe(409);
    expect((await linesOf(customer)).length - (before[index]?.length ?? 0)).toBe(isCredited ? 0 : 1);
  }
});

it('that comes to nothing, as a void and what brings it back, makes no invoice', async () => {
  const [customer] = customers;
  const event = call(customer as string, at);
  await send([event]);
  await pipeline.closePeriod({});
  const before = await linesOf(customer as string);
  await pipeline.closePeriod({});
  expect(await linesOf(customer as string)).toEqual(before);
  // It is no usage of any meter: what was billed may change by it, and does not.
  await send([{ ...call(customer as string, at), event: 'other' }]);
  await pipeline.closePeriod({});
  expect(await linesOf(customer as string)).toEqual(before);
  expect(await deltasOf(customer as string)).toEqual(['billed 2.00', 'billed 1.00', 'billed 1.00', 'unchanged 0.00']);
});
