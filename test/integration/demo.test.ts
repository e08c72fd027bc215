/** The demo itself, small: as a user starts it, twice. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { newHome } from '../support/pipeline.ts';

const run = promisify(execFile);
const home = newHome();
afterAll(() => rmSync(home, { recursive: true, force: true }));

const demo = async () => {
  const words = ['platform/local/bootstrap.mjs', 'demo', '--exit', '--json', '--events', '3000', '--customers', '25'];
  const { stdout } = await run(process.execPath, words, {
    env: { ...process.env, MILLRACE_HOME: home, MILLRACE_API_PORT: '0', MILLRACE_INGEST_PORT: '0' },
  });
  expect(stdout.trim().split('\n')).toHaveLength(1);
  return JSON.parse(stdout);
};

it('bills what was sent; run again it says so and doubles nothing', async () => {
  const first = await demo();
  expect(first).toMatchObject({
    ran_before: false,
    events: { sent: 3000, accepted: 3000, duplicates: 0, stored: 3000 },
    conservation: { received: 3000, accepted: 3000, published: 3000, distinct: 3000, missing: 0, is_balanced: true },
    invoices: { issued: 25, already_issued: 0, unmeasured_events: 0 },
  });
  expect(first.examples).toHaveLength(3);
  // 240 calls beside the base fee: 9 packages at 0.50, 451,200 tokens for 0.90, and 94,800 for 1.42.
  const live = { before: '20.00', after: '26.82' };
  expect(first.balances.customers).toEqual(
    [1, 2, 3].map((number) => ({ customer: `demo_customer_000${number}`, ...live })),
  );
  const second = await demo();
  expect(second).toMatchObject({
    ran_before: true,
    events: { sent: 3000, accepted: 0, duplicates: 3000, stored: 3000 },
    conservation: { missing: 0, unanswered: 0, is_balanced: true },
    invoices: { issued: 0, already_issued: 25, total: first.invoices.total },
  });
  // What is used now is new.
  expect(second.balances.customers[0].before).toBe('26.82');
});
