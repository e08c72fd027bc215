/**
 * [I29] What was billed from totals, measured again from events at its watermark: it is the same, and whatever was
 * touched is named.
 */
import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { readRows } from '#platform/stores/clickhouse.ts';
import { createReadMeters } from '../../../rater/totals/kept-meters.postgres.ts';
import { keepTotals } from '../../support/keep-totals.ts';
import { llmRequest, makeLlmPro } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { storeByHand } from '../../support/stored.ts';
import { firstTenant } from '../../support/tenants.ts';
import { type Verdict, verify } from '../../support/verify-command.ts';

const month = lastMonth();
const at = month.end - 3_600_000;
const customers = ['one', 'two', 'three'];
/** Higher than any of a stream. */
const allChecked = 9 * 10 ** 18;

let pipeline: Pipeline;
let clickhouse: ReturnType<typeof createClient>;
let organizationId: string;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  clickhouse = createClient({ url: pipeline.clickhouseUrl });
  ({ organizationId } = await firstTenant(pipeline));
  await makeLlmPro(pipeline, customers, month.start);
  const events = customers.flatMap((customer, index) =>
    Array.from({ length: index + 1 }, (_, n) =>
      llmRequest(`${customer}-${n}`, customer, at + n, { input: 200_000, output: 1_000 }),
    ),
  );
  expect((await pipeline.sendEvents(events)).body.accepted).toBe(events.length);
  // The states of days are there a moment after the events.
  await until(
    () =>
      readRows<{ rows: string }>(clickhouse, {
        query: 'SELECT toString(sum(rows)) AS rows FROM usage_days',
        params: {},
      }),
    ([row]) => Number(row?.rows) === events.length,
  );
  const meters = await createReadMeters(pipeline.asOwner)([organizationId]);
  expect(await keepTotals(clickhouse, meters, allChecked)).toBeGreaterThan(0);
  expect((await pipeline.closePeriod({ period: month.name })).body.invoices_issued).toBe(3);
});
afterAll(async () => {
  await clickhouse?.close();
  await pipeline?.stop();
});

const run = (...words: string[]): Promise<Verdict> =>
  verify(pipeline.databaseUrl, words, 'rater/verify/quantities.main.ts', {
    CLICKHOUSE_URL: pipeline.clickhouseUrl,
    MILLRACE_RATER_SHARD_SIZE: '2',
  });

const lineOf = async (customer: string, charge: string) => {
  const { rows } = await pipeline.asOwner.query<{ id: string; period: string; line: string }>(
    `SELECT l.id, p.id AS period, l.line::text AS line FROM rated_lines l
     JOIN billing_periods p ON p.id = l.billing_period_id
     JOIN customers c ON c.id = p.customer_id WHERE c.external_id = $1 AND l.charge_code = $2`,
    [customer, charge],
  );
  return rows[0] as (typeof rows)[number];
};

/** The faults, without the organization. */
const faultsOf = ({ faults }: Verdict): string[] =>
  faults.map((line) => line.replace(`${organizationId} quantities: FAULT `, ''));

it('they were read from totals by the run that billed them', async () => {
  const rater = pipeline.stack.processes.find(({ name }) => name === 'rater')?.url ?? '';
  const metrics = await (await fetch(new URL('/metrics', rater))).text();
  expect(metrics).toMatch(/^millrace_rater_quantity_reads_total\{from="totals"\} 1$/m);
  expect(metrics).not.toContain('from="events_');
  const output = await lineOf('three', 'output');
  expect(JSON.parse(output.line)).toMatchObject({ quantity: '3000', amount: '0.05' });
});

it('quantities that were not touched are the same of events, totals and lines, of whatever is asked', async () => {
  const { code, faults, stdout } = await run();
  expect([code, faults]).toEqual([0, []]);
  expect(stdout).toMatch(
    /^12 rated lines of 3 billing periods of 1 organizations were measured again, in [\d.]+ s; no fault$/m,
  );
  expect((await run('--period', month.name)).stdout).toContain('12 lines of 3 billing periods measured again');
  expect(await run('--period', '1999-01')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('nothing is billed'),
  });
  expect(await run('--colour', 'red')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('usage: npm run verify -- quantities'),
  });
});

it('a quantity that was touched in a line is named, with both values, and its price is not', async () => {
  const { id, period, line } = await lineOf('three', 'output');
  const write = async (text: string): Promise<void> => {
    await pipeline.asOwner.transaction(async (client) => {
      await client.query("SET LOCAL session_replication_role = 'replica'");
      await client.query('UPDATE rated_lines SET line = $2 WHERE id = $1', [id, text]);
    });
  };
  await write(line.replace('"quantity":"3000"', '"quantity":"2999"').replace('"amount":"0.05"', '"amount":"0.04"'));
  const verdict = await run();
  await write(line);
  expect(verdict.code).toBe(1);
  expect(faultsOf(verdict)).toEqual([`${id} (${period} output) quantity: stored "2999", recomputed "3000"`]);
});

it('totals that are of other events than the day has are named by billing period and meter', async () => {
  const { period } = await lineOf('two', 'output');
  const write = (more: number) =>
    clickhouse.command({
      query: `INSERT INTO usage_totals
        SELECT * REPLACE (arrayMap(value -> value + {more:Int256}, group_value) AS group_value) FROM usage_totals FINAL
        WHERE customer = 'two' AND tenant = {tenant:String} AND NOT empty(group_value)`,
      query_params: { tenant: organizationId, more: `${more}000000000000` },
    });
  await write(1);
  const verdict = await run();
  await write(-1);
  expect(verdict.code).toBe(1);
  expect(faultsOf(verdict)).toContain(`(${period} output_tokens) totals: stored 2001, recomputed 2000`);
  expect(faultsOf(verdict).filter((fault) => !fault.startsWith(`(${period} `))).toEqual([]);
  expect((await run()).faults).toEqual([]);
});

it('a row of usage that was put under the watermark is named by the lines that it would have changed', async () => {
  const { id, period } = await lineOf('one', 'requests');
  await storeByHand(pipeline, { customer: 'one', key: 'by-hand', atMs: at + 50, sequence: 1 });
  const verdict = await run();
  expect(verdict.code).toBe(1);
  expect(faultsOf(verdict)).toContain(`${id} (${period} requests) quantity: stored "1", recomputed "2"`);
  expect(verdict.faults.every((fault) => fault.includes(`(${period} `))).toBe(true);
});
