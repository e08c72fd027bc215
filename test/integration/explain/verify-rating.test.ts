/**
 * [I12] What was billed, rated again from the store at its watermark: not a byte differs, and whatever was touched is
 * named.
 */

import { createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmRequest, makeLlmPro } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { storeByHand } from '../../support/stored.ts';
import { firstTenant } from '../../support/tenants.ts';
import { type Verdict, verify } from '../../support/verify-command.ts';

const month = lastMonth();
const at = month.end - 3_600_000;
const customers = ['one', 'two', 'three', 'four', 'five'];

let pipeline: Pipeline;
let organizationId: string;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  ({ organizationId } = await firstTenant(pipeline));
  await makeLlmPro(pipeline, customers, month.start);
  const events = customers.flatMap((customer, index) =>
    Array.from({ length: index + 1 }, (_, n) =>
      llmRequest(`${customer}-${n}`, customer, at + n, { input: 200_000, output: 1_000 }),
    ),
  );
  expect((await pipeline.sendEvents(events)).body.accepted).toBe(events.length);
  // Two runs: billing periods have watermarks of their own.
  await pipeline.closePeriod({ period: month.name, customer_id: 'one' });
  await pipeline.sendEvents(llmRequest('late', 'one', at + 100, { input: 1, output: 1 }));
  expect((await pipeline.closePeriod({ period: month.name })).body.invoices_issued).toBe(4);
});
afterAll(() => pipeline?.stop());

const run = (...words: string[]): Promise<Verdict> =>
  verify(pipeline.databaseUrl, words, 'rater/verify/rating.main.ts', {
    CLICKHOUSE_URL: pipeline.clickhouseUrl,
    MILLRACE_RATER_SHARD_SIZE: '2',
  });

/** As the owner of the database may who means ill. */
const tamper = async (sql: string): Promise<void> => {
  await pipeline.asOwner.transaction(async (client) => {
    await client.query("SET LOCAL session_replication_role = 'replica'");
    const { rowCount } = await client.query(sql);
    expect(rowCount).toBeGreaterThan(0);
  });
};

const lineOf = async (customer: string, charge: string) => {
  const { rows } = await pipeline.asOwner.query<{ id: string; period: string; line: string; invoice: string }>(
    `SELECT l.id, p.id AS period, l.line::text AS line, p.invoice_id AS invoice FROM rated_lines l
     JOIN billing_periods p ON p.id = l.billing_period_id
     JOIN customers c ON c.id = p.customer_id WHERE c.external_id = $1 AND l.charge_code = $2`,
    [customer, charge],
  );
  return rows[0] as (typeof rows)[number];
};

/** The faults, without the organization. */
const faultsOf = ({ faults }: Verdict): string[] =>
  faults.map((line) => line.replace(`${organizationId} rating: FAULT `, ''));

describe('ratings that were not touched', () => {
  it('are rated again without a byte of difference, over pages of two periods and both watermarks', async () => {
    const { code, faults, stdout } = await run();
    expect(faults).toEqual([]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${organizationId} rating: 20 lines of 5 billing periods rated again\n`);
    expect(stdout).toMatch(
      /^20 rated lines of 5 billing periods of 1 organizations were rated again, in [\d.]+ s; no fault$/m,
    );
  });

  it('can be asked for by organization and by invoice; a name of nothing is no success', async () => {
    const { invoice } = await lineOf('two', 'base');
    expect((await run('--invoice', invoice)).stdout).toContain('4 rated lines of 1 billing periods of 1 organizations');
    expect((await run('--organization', organizationId)).stdout).toContain('20 rated lines of 5 billing periods');
    expect(await run('--organization', 'org_x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nothing is billed'),
    });
    expect(await run('--colour', 'red')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('usage: npm run verify -- rating'),
    });
  });

  it('are told of where they are from before lines were hashed, and are compared all the same', async () => {
    const { id } = await lineOf('two', 'output');
    const { rows } = await pipeline.asOwner.query(
      'SELECT hash_version, input_hash, output_hash FROM rated_lines WHERE id = $1',
      [id],
    );
    await tamper(
      `UPDATE rated_lines SET hash_version = NULL, input_hash = NULL, output_hash = NULL, unmeasured_events = 7
       WHERE id = '${id}'`,
    );
    const verdict = await run();
    await tamper(
      `UPDATE rated_lines SET hash_version = 1, input_hash = '${rows[0].input_hash}',
         output_hash = '${rows[0].output_hash}', unmeasured_events = 0 WHERE id = '${id}'`,
    );
    expect(verdict.stdout).toContain(
      '20 lines of 5 billing periods rated again, 1 of them from before lines were hashed',
    );
    expect(faultsOf(verdict)).toEqual([
      expect.stringMatching(new RegExp(`^${id} .* unmeasured_events: stored 7, recomputed 0$`)),
    ]);
  });
});

describe('what was touched', () => {
  it('in a stored line is named by line and field, with both values', async () => {
    const { id, period, line } = await lineOf('three', 'output');
    const changed = line.replace('"amount":"0.05"', '"amount":"0.04"').replace('"units":"3000"', '"units":"2999"');
    await tamper(`UPDATE rated_lines SET line = '${changed}' WHERE id = '${id}'`);
    const verdict = await run();
    await tamper(`UPDATE rated_lines SET line = '${line}' WHERE id = '${id}'`);
    expect(verdict.code).toBe(1);
    expect(faultsOf(verdict)).toEqual([
      `${id} (${period} output) line.amount: stored "0.04", recomputed "0.05"`,
      `${id} (${period} output) line.steps[0].units: stored "2999", recomputed "3000"`,
    ]);
  });

  it.each([
    ['rated_lines', "position = 9 WHERE id = '{id}'", '{id} ({period} input) position: stored 9, recomputed 3'],
    ['rated_lines', "output_hash = 'x' WHERE id = '{id}'", '{id} ({period} input) output_hash: stored x, recomputed '],
    [
      'rated_lines',
      "line = replace(line::text, ',', ', ')::json WHERE id = '{id}'",
      '{id} ({period} input) line: stored {"billing_period_id"',
    ],
    [
      'rated_lines',
      "charge_code = 'x' WHERE id = '{id}'",
      '{id} ({period} x) line: stored is there, recomputed nothing',
    ],
    [
      'rated_lines',
      "charge_code = 'x' WHERE id = '{id}'",
      '({period} input) line: stored nothing, recomputed is there',
    ],
    [
      'invoice_lines',
      "amount = 0.5 WHERE invoice_id = '{invoice}' AND position = 3",
      '{invoice} line 3 ({period} input) amount: stored 0.5, recomputed ',
    ],
    [
      'invoice_lines',
      "charge_code = 'x' WHERE invoice_id = '{invoice}' AND position = 3",
      'on the invoice ({period} input) line: stored nothing, recomputed is there',
    ],
  ])('in a row of %s is named: %s', async (table, change, named) => {
    const { id, period, invoice } = await lineOf('four', 'input');
    const filled = (text: string) => text.replace('{id}', id).replace('{period}', period).replace('{invoice}', invoice);
    await tamper(`CREATE TABLE kept AS SELECT * FROM ${table}`);
    await tamper(`UPDATE ${table} SET ${filled(change)}`);
    const verdict = await run();
    await tamper(`DELETE FROM ${table}`);
    await tamper(`INSERT INTO ${table} SELECT * FROM kept`);
    await pipeline.asOwner.query('DROP TABLE kept');
    expect(faultsOf(verdict).map((fault) => fault.slice(0, filled(named).length))).toContain(filled(named));
  });

  it('in the charges of a plan version is named on every line that it changes, and nowhere else', async () => {
    const [{ charges }] = (await pipeline.asOwner.query('SELECT charges::text FROM plan_versions')).rows;
    await tamper(`UPDATE plan_versions SET charges = '${charges.replace('"0.000015"', '"0.000016"')}'`);
    const verdict = await run();
    const { invoice } = await lineOf('two', 'output');
    const explained = await pipeline.api('GET', `/v1/invoices/${invoice}/line-items/4/explain`);
    expect(explained.body.hashes.is_as_rated).toBe(false);
    expect(verdict.code).toBe(1);
    expect(verdict.faults.every((fault) => fault.includes(' output) '))).toBe(true);
    for (const field of ['input_hash', 'line.steps[0].unit_amount', 'line.precise_amount'])
      expect(verdict.faults.filter((fault) => fault.includes(` ${field}: stored `))).toHaveLength(5);
    // One that can't be read takes no other period with it.
    await tamper(`UPDATE plan_versions SET charges = '[{"code":"base"}]'`);
    const unreadable = await run();
    await tamper(`UPDATE plan_versions SET charges = '${charges}'`);
    expect(faultsOf(unreadable)).toEqual(
      Array.from({ length: 5 }, () =>
        expect.stringMatching(
          /^\(bpd_\w+\) line: stored is there, recomputed a charge of plan version plv_\w+ can't be read/,
        ),
      ),
    );
    expect((await run()).code).toBe(0);
  });

  it('in the store, below the watermark, is named on the lines of its customer', async () => {
    await storeByHand(pipeline, { customer: 'five', key: 'by-hand', atMs: at + 50, sequence: 1 });
    const verdict = await run();
    const clickhouse = createClient({ url: pipeline.clickhouseUrl });
    await clickhouse.command({ query: "DELETE FROM usage_events WHERE idempotency_key = 'by-hand'" });
    await clickhouse.close();
    const [requests, input] = [await lineOf('five', 'requests'), await lineOf('five', 'input')];
    const { period } = requests;
    expect(faultsOf(verdict)).toContain(
      `${requests.id} (${period} requests) line.quantity: stored "5", recomputed "6"`,
    );
    expect(faultsOf(verdict)).toContain(`${input.id} (${period} input) unmeasured_events: stored 0, recomputed 1`);
    expect(verdict.faults.every((fault) => fault.includes(`(${period} `))).toBe(true);
    expect((await run()).code).toBe(0);
  });
});
