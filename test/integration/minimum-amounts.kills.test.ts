/**
 * Rater and invoicer are killed at each step around what is carried over, and two invoicers share it: no billing period
 * is lost, none is billed twice, and what a run says of it is the same as where nobody dies.
 */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { FailPointName } from '#platform/process/fail-point.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { type HandStarted, startByHand } from '../support/raters.ts';
import { flat } from '../support/story-parts.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

const settings = { MILLRACE_JOB_LEASE_SECONDS: '5', MILLRACE_RATER_SHARD_SIZE: '2' };
type Dying = 'rater' | 'invoicer';

let pipeline: Pipeline;
let armed: { readonly service: Dying; readonly failPoint: string } | undefined;
let other: HandStarted | undefined;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), settings, {
    services: parts.billedUsage,
    extraOf: (service): NodeJS.ProcessEnv => {
      if (service !== armed?.service) return {};
      const { failPoint } = armed;
      // One life ends by it; the one after it has to do the work.
      armed = undefined;
      return { MILLRACE_FAIL_POINT: failPoint };
    },
  });
});
afterAll(async () => {
  other?.process.kill('SIGKILL');
  await pipeline?.stop();
});

const made = async (path: string, body: object) => {
  const answer = await pipeline.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
};

const last = Temporal.PlainYearMonth.from(lastMonth().name);
/** Four months that are over, the first of them first. */
const months = [3, 2, 1, 0].map((ago) => last.subtract({ months: ago }).toString());
const startOf = (month = ''): string => `${month}-01T00:00:00Z`;

/** Each is charged 4.00 a month, and those of every third customer 11.00: of these nothing is carried over. */
const customersPerRound = 9;
const feeOf = (index: number): string => (index % 3 === 2 ? '11.00' : '4.00');

type Round = { readonly ids: readonly string[]; readonly customers: readonly string[] };

const subscribed = async (): Promise<Round> => {
  const plans = new Map<string, string>();
  for (const amount of ['4.00', '11.00']) {
    const code = `p-${unique()}`;
    await made('/v1/plans', { code, name: code, currency: 'USD', charges: [flat('fee', amount)] });
    plans.set(amount, code);
  }
  const customers = Array.from({ length: customersPerRound }, () => `c-${unique()}`);
  const ids: string[] = [];
  for (const [index, external_id] of customers.entries()) {
    await made('/v1/customers', { external_id, name: external_id, minimum_invoice_amounts: { USD: '10.00' } });
    const body = { customer_id: external_id, plan: plans.get(feeOf(index)), started_at: startOf(months[0]) };
    ids.push((await made('/v1/subscriptions', body)).id);
  }
  return { ids, customers };
};

const pidOf = (name: Dying): number => pipeline.stack.processes.find((process) => process.name === name)?.pid ?? 0;
const another = (name: Dying, than: number): Promise<number> =>
  until(
    async () => pidOf(name),
    (pid) => pid !== 0 && pid !== than,
  );

const ask = async (month: string | undefined): Promise<string> =>
  (await made('/v1/invoices/run', { period: month })).id;
const ended = async (id: string) => {
  const { body } = await until(
    () => pipeline.api('GET', `/v1/invoices/runs/${id}?wait_seconds=25`),
    ({ body: run }) => run.state !== 'queued' && run.state !== 'running',
  );
  expect(body).toMatchObject({ state: 'completed', failure: null });
  return body;
};

/** A run of a month, in which a process ends at a pass of a place. */
const runDying = async (month: string | undefined, service: Dying, point: FailPointName, pass: number) => {
  const before = pidOf(service);
  armed = { service, failPoint: `${point}:${pass}` };
  process.kill(before, 'SIGKILL');
  const dies = await another(service, before);
  const id = await ask(month);
  await another(service, dies);
  // What a dead process held is free when its lease is over; who lives and loses one by this has to bear that.
  for (const table of ['billing_runs', 'billing_run_shards', 'invoice_series'])
    await pipeline.asOwner.query(`UPDATE ${table} SET leased_until = now() WHERE leased_until > now()`);
  return ended(id);
};

type Billed = { subscription_id: string; invoice: string; month: string; amount: string; total: string };
/** Lines, as `<subscription> <month> <amount>`, by invoice, each with its total at the end. */
const billedOf = async ({ ids }: Round): Promise<string[][]> => {
  const { rows } = await pipeline.asOwner.query<Billed>(
    `SELECT p.subscription_id, i.id AS invoice, to_char(p.span_start AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
       l.amount::numeric(12, 2)::text AS amount, i.total::numeric(12, 2)::text AS total
     FROM invoice_lines l JOIN billing_periods p ON p.id = l.billing_period_id JOIN invoices i ON i.id = l.invoice_id
     WHERE p.subscription_id = ANY ($1) AND p.invoice_id = i.id ORDER BY p.subscription_id, p.span_start`,
    [ids],
  );
  return [...Map.groupBy(rows, ({ invoice }) => invoice).values()].map((lines) => [
    ...lines.map(({ subscription_id: id, month, amount }) => `${id} ${month} ${amount}`),
    lines[0]?.total ?? '',
  ]);
};

type CarriedItem = { customer_id: string; start: string; invoice_total: string; state: string };
/** What a run says that it carried over, of a round, as `<month> <total> <state>`. */
const carriedIn = async (runId: string, { customers }: Round): Promise<string[]> => {
  const found: string[] = [];
  for (const customer of customers) {
    const { items } = (await pipeline.api('GET', `/v1/invoices/runs/${runId}/carried-over?customer_id=${customer}`))
      .body;
    found.push(
      ...(items as CarriedItem[])
        .map(({ start, invoice_total, state }) => `${start.slice(0, 7)} ${invoice_total} ${state}`)
        .toSorted(),
    );
  }
  return found;
};

const [first, second, third, fourth] = months as [string, string, string, string];
/** As many customers as have something carried over. */
const carrying = (customersPerRound * 2) / 3;
const each = (...one: string[]): string[] => Array.from({ length: carrying }, () => one).flat();
/** The months of those that are carried over, by invoice; each of the others has one for each month. */
const expectBilled = async (round: Round, groups: readonly (readonly string[])[]) => {
  const expected = round.ids.flatMap((id, index) =>
    feeOf(index) === '4.00'
      ? groups.map((some) => [...some.map((month) => `${id} ${month} 4.00`), `${some.length * 4}.00`])
      : groups.flat().map((month) => [`${id} ${month} 11.00`, '11.00']),
  );
  expect((await billedOf(round)).toSorted()).toEqual(expected.toSorted());
};

// Five shards a run, of which the third is met.
it.each<[FailPointName, Dying, number]>([
  ['invoicer.before_issue', 'invoicer', 3],
  ['invoicer.before_commit', 'invoicer', 3],
  ['invoicer.after_issue', 'invoicer', 3],
  ['rater.before_cut', 'rater', 1],
  ['rater.after_cut', 'rater', 1],
  ['rater.after_lines', 'rater', 2],
])(
  '[I2] [I16] a death at %s, where something is carried over and where it is billed: each period is on one invoice',
  async (point, service, pass) => {
    const round = await subscribed();
    const runs = [
      await runDying(first, service, point, pass),
      await ended(await ask(second)),
      await runDying(third, service, point, pass),
    ];
    expect(runs.map((run) => [run.invoices_issued, run.invoices_carried_over])).toEqual([
      [customersPerRound - carrying, carrying],
      [customersPerRound - carrying, carrying],
      [customersPerRound, 0],
    ]);
    expect(await carriedIn(runs[0].id, round)).toEqual(each(`${first} 4.00 billed`));
    expect(await carriedIn(runs[1].id, round)).toEqual(each(`${first} 8.00 billed`, `${second} 8.00 billed`));
    expect(await carriedIn(runs[2].id, round)).toEqual([]);
    await expectBilled(round, [[first, second, third]]);
  },
);

it('[I2] [I16] two invoicers and three runs at once, with deaths of each: no period is lost, and none is on two invoices', async () => {
  const round = await subscribed();
  other = await startByHand('invoicer', pipeline, inject('serverUrls'), settings);
  const runs: Promise<unknown>[] = [];
  for (const month of [second, first, third, first, third, second]) {
    runs.push(ask(month).then(ended));
    const before = pidOf('invoicer');
    process.kill(before, 'SIGKILL');
    await another('invoicer', before);
  }
  other.process.kill('SIGKILL');
  await Promise.all(runs);
  // What a run left below the minimum is billed with the month after, whatever it comes to.
  const early = await billedOf(round);
  for (const lines of early) expect(Number(lines.at(-1))).toBeGreaterThanOrEqual(10);
  for (const customer of round.customers) {
    const set = await pipeline.api('PATCH', `/v1/customers/${customer}`, { minimum_invoice_amounts: { USD: '0.00' } });
    expect(set.status).toBe(200);
  }
  const { id } = await ended(await ask(fourth));
  expect(await carriedIn(id, round)).toEqual([]);
  const billed = await billedOf(round);
  const expected = round.ids.flatMap((id, index) => months.map((month) => `${id} ${month} ${feeOf(index)}`));
  expect(billed.flatMap((lines) => lines.slice(0, -1)).toSorted()).toEqual(expected.toSorted());
  for (const lines of billed) {
    const cents = lines.slice(0, -1).map((line) => (line.endsWith(' 4.00') ? 400 : 1_100));
    const sum = cents.reduce((total, one) => total + one, 0);
    expect(lines.at(-1)).toBe(`${sum / 100}.00`);
  }
  const { rows } = await pipeline.asOwner.query(
    'SELECT 1 FROM billing_periods WHERE subscription_id = ANY ($1) AND carried_at IS NOT NULL',
    [round.ids],
  );
  expect(rows).toEqual([]);
});

it('and all of it verifies', async () => {
  expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [] });
});
