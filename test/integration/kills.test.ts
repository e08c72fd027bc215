/** Our own processes are killed with SIGKILL in the middle of their work: nothing is lost, doubled or left undone. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { verifyChain } from '../../invoicer/invoices/invoice-hash.ts';
import { invoiceChain } from '../support/invoice-chain.ts';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { startLoad } from '../support/load.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { type HandStartedRater, startRaterByHand } from '../support/raters.ts';
import { untilAllStored } from '../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
const leases = { MILLRACE_JOB_LEASE_SECONDS: '5', ...shortLeases };
const customers = Array.from({ length: 200 }, (_, index) => `kills-${index}`);

beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_RATER_SHARD_SIZE: '5',
      MILLRACE_RATER_WORKERS: '2',
      ...leases,
    },
    { services: parts.billedUsage },
  );
});
afterAll(() => pipeline?.stop());

/** Others of the same installation, as on other machines. */
const byHand: HandStartedRater[] = [];
afterAll(() => {
  for (const { process: rater } of byHand) rater.kill('SIGKILL');
});
const startRater = async (): Promise<HandStartedRater> => {
  const rater = await startRaterByHand(pipeline, inject('serverUrls'), { ...leases, MILLRACE_JOB_POLL_MS: '50' });
  byHand.push(rater);
  return rater;
};

const pidOf = (name: string): number => pipeline.stack.processes.find((process) => process.name === name)?.pid ?? 0;

/** In which each of three raters should have had a shard of forty. */
const runsMax = 20;

/** Kills the process and waits until the supervisor has another one. */
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

describe('a process of ours that is killed', () => {
  it.each(['gateway', 'sink'])(
    '[I2] [I5] the %s under load: every event is stored once, and what was accepted stays known',
    async (name) => {
      const known = llmRequest(`known-${name}`, 'known', Date.now(), { input: 1, output: 1 });
      expect(await pipeline.sendEvents(known)).toMatchObject({ status: 200, body: { accepted: 1 } });
      const load = startLoad(pipeline, { customer: name, atMs: Date.now(), lanes: 4, batch: 25, pauseMs: 0 });
      for (let round = 0; round < 3; round += 1) {
        const taken = load.taken();
        await until(
          async () => load.taken(),
          (now) => now >= taken + 20,
        );
        await kill(name);
        const again = await until(
          () => pipeline.sendEvents(known).catch(() => undefined),
          (answer) => answer?.status === 200,
        );
        expect(again?.body).toMatchObject({ accepted: 0, duplicates: 1 });
      }
      const taken = load.taken();
      await until(
        async () => load.taken(),
        (now) => now >= taken + 20,
      );
      const sent = await load.finish();
      expect(await untilAllStored(pipeline, name, sent)).toEqual({ billed: sent, distinct: sent });
    },
    120_000,
  );

  it('[I12] [I16] [I18] rater and invoicer in the middle of a run: each invoice is issued once, numbered without gap, on an unbroken chain, and uses its discount up once', async () => {
    await makeLlmPro(pipeline, customers, month.start);
    const off = {
      kind: 'amount',
      amount: '0.15',
      currency: 'USD',
      duration: 'once',
      max_redemptions: customers.length,
    };
    await pipeline.api('POST', '/v1/coupons', { code: 'once', name: 'Once', ...off });
    for (const customer of customers)
      await pipeline.api('POST', `/v1/customers/${customer}/discounts`, { coupon: 'once' });
    await pipeline.sendEvents(
      customers.map((customer) => llmRequest(customer, customer, month.end - 1, { input: 150_000, output: 100 })),
    );
    // The API that takes the request is killed, too: its answer is lost, the run is not.
    const asked = pipeline.api('POST', '/v1/invoices/run', { period: month.name }).catch(() => undefined);
    for (const name of ['rater', 'invoicer', 'rater', 'invoicer', 'api']) {
      await kill(name);
    }
    await asked;
    const issued = await until(
      () => pipeline.asOwner.query('SELECT state, failure FROM billing_runs'),
      ({ rows }) => rows.every(({ state }) => state === 'completed'),
      60_000,
    );
    expect(issued.rows).toHaveLength(1);
    const chain = await invoiceChain(pipeline);
    expect(chain).toHaveLength(customers.length);
    expect(verifyChain(chain)).toEqual({ ok: true });
    // 1 request (free), 150,000 tokens in: 0.15, 100 tokens out: 0.0015 -> 0.00; 0.15 off
    expect(new Set(chain.map(({ total }) => total))).toEqual(new Set([20_000_000_000_000n]));
    const used = await pipeline.asOwner.query(
      `SELECT count(*)::integer AS uses, count(DISTINCT discount_id)::integer AS discounts,
         sum(amount)::float8 AS amount
       FROM discount_uses WHERE is_once`,
    );
    expect(used.rows).toEqual([{ uses: customers.length, discounts: customers.length, amount: 30 }]);
  });

  it('[I12] raters in the middle of a rating run, and three of them: the lines are equal to the byte', async () => {
    const linesOf = async (runId: string): Promise<string[]> => {
      const lines: string[] = [];
      for (let cursor = ''; ; ) {
        const { body } = await pipeline.api('GET', `/v1/rating-runs/${runId}/lines?limit=1000${cursor}`);
        lines.push(...body.items.map((item: unknown) => JSON.stringify(item)));
        if (!body.pagination.has_more) return lines;
        cursor = `&cursor=${body.pagination.next_cursor}`;
      }
    };
    const ask = async (body: object): Promise<string> => (await pipeline.api('POST', '/v1/rating-runs', body)).body.id;
    const ended = (runId: string) =>
      until(
        () => pipeline.api('GET', `/v1/rating-runs/${runId}`).then(({ body }) => body),
        ({ state }) => state !== 'queued' && state !== 'running',
        60_000,
      );
    const first = await ended(await ask({ period: month.name }));
    expect(first).toMatchObject({ state: 'completed', failures: 0, lines: 800 });
    const { watermark } = first;
    const expected = await linesOf(first.id);
    expect(expected).toHaveLength(800);

    const killed = await ask({ period: month.name, watermark });
    for (let round = 0; round < 3; round += 1) await kill('rater');
    expect(await ended(killed)).toMatchObject({ state: 'completed', totals: first.totals, watermark });
    expect(await linesOf(killed)).toEqual(expected);

    const others = await Promise.all([startRater(), startRater()]);
    // On a machine that is busy one of them may sleep through a whole run.
    const hadPart = () => others.every(({ rated }) => rated() > 0);
    for (let run = 0; run === 0 || (run < runsMax && !hadPart()); run += 1) {
      const shared = await ask({ period: month.name, watermark });
      expect(await ended(shared)).toMatchObject({ state: 'completed', totals: first.totals });
      expect(await linesOf(shared)).toEqual(expected);
    }
    await until(async () => hadPart(), Boolean);
    await Promise.all(others.map(({ stop }) => stop()));
  });
});
