/**
 * Rounds of the scheduler: what falls due over several days is closed by itself while a process ends at a step of its
 * way from the job to the invoice. One pipeline serves all rounds, as each has subscriptions of its own. Its steps:
 *
 *   1. make subscriptions that began on several days of the months before, with an event each, and nothing due
 *   2. arm the process under test: it is killed, and its next life ends itself at the pass of the place
 *   3. have all fall due; the scheduler takes them in several runs
 *   4. wait until all is billed, and compare: the time of each subscription is covered once, each period has one
 *      invoice and each charge one line, each event is in one quantity, and no number of the series is missing
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type FailPointName, failPointNames } from '#platform/process/fail-point.ts';
import { llmProMeters, llmProPlan, llmRequest } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, startPipeline, type TestServers, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { untilAllStored } from '../support/stored.ts';
import { verify } from '../support/verify-command.ts';
import { pidOf } from './faults.ts';
import type { RoundResult } from './round.ts';

/** The steps of a close, in their order. */
export const closingPoints = failPointNames.filter((name) => /^(?:closing|rater|invoicer)\./.test(name));

const processOf = (point: FailPointName): 'rater' | 'invoicer' => (point.startsWith('rater.') ? 'rater' : 'invoicer');

const subscriptionsPerRound = 6;
const settings = {
  ...shortLeases,
  MILLRACE_JOB_LEASE_SECONDS: '5',
  // Several steps and several shards a run, so that there is a step between two others.
  MILLRACE_RATER_SHARD_SIZE: '2',
  MILLRACE_CLOSING_SUBSCRIPTIONS_MAX: '4',
};

type Armed = { service: string; failPoint: string } | undefined;

export type ClosingRig = {
  readonly pipeline: Pipeline;
  readonly arm: (armed: Armed) => void;
  readonly stop: () => Promise<void>;
};

export const startClosingRig = async (servers: TestServers): Promise<ClosingRig> => {
  let armed: Armed;
  const pipeline = await startPipeline(servers.urls, settings, {
    extraOf: (service): NodeJS.ProcessEnv => {
      if (armed?.service !== service) return {};
      const { failPoint } = armed;
      // One life ends by it; the one after it has to do the work.
      armed = undefined;
      return { MILLRACE_FAIL_POINT: failPoint };
    },
  });
  for (const meter of llmProMeters) await pipeline.api('POST', '/v1/meters', meter);
  await pipeline.api('POST', '/v1/plans', llmProPlan);
  await pipeline.api('PATCH', '/v1/organization', { closing: { automatic: true, grace_minutes: 0 } });
  return {
    pipeline,
    arm: (next) => {
      armed = next;
    },
    stop: pipeline.stop,
  };
};

type Subscribed = { readonly id: string; readonly startedAt: number; readonly tokens: number };

const dayMs = 86_400_000;

/** Step 1. They began on days of last month and of the one before, by the seed. */
const subscribe = async ({ api, asOwner, sendEvents }: Pipeline, name: string, seed: number): Promise<Subscribed[]> => {
  const { end } = lastMonth();
  const subscribed: Subscribed[] = [];
  for (let index = 0; index < subscriptionsPerRound; index += 1) {
    const customer = `${name}-${index}`;
    const startedAt = end - (5 + index * 9 + (seed % 4)) * dayMs;
    await api('POST', '/v1/customers', { external_id: customer, name: customer });
    const started_at = new Date(startedAt).toISOString();
    const { body } = await api('POST', '/v1/subscriptions', {
      customer_id: customer,
      plan: llmProPlan.code,
      started_at,
    });
    subscribed.push({ id: body.id, startedAt, tokens: 1_000 + seed * 10 + index });
  }
  const events = subscribed.map(({ tokens }, index) =>
    llmRequest(`${name}-${index}`, `${name}-${index}`, end - 3_600_000, { input: tokens, output: 1 }),
  );
  const sent = await sendEvents(events);
  if (sent.body.accepted !== events.length) throw new Error(`the events were answered ${JSON.stringify(sent.body)}`);
  await asOwner.query('UPDATE subscriptions SET next_due_at = NULL WHERE id = ANY ($1)', [
    subscribed.map(({ id }) => id),
  ]);
  return subscribed;
};

type BilledRow = { subscription_id: string; span_start: Date; span_end: Date; lines: bigint; tokens: string | null };

const billedOf = async ({ asOwner }: Pipeline, ids: readonly string[]): Promise<BilledRow[]> => {
  const { rows } = await asOwner.query<BilledRow>(
    `SELECT p.subscription_id, p.span_start, p.span_end,
       (SELECT count(*) FROM invoice_lines l WHERE l.billing_period_id = p.id) AS lines,
       (SELECT sum(l.quantity)::text FROM invoice_lines l WHERE l.billing_period_id = p.id AND l.charge_code = 'input')
         AS tokens
     FROM billing_periods p WHERE p.subscription_id = ANY ($1) AND p.state = 'billed'
     ORDER BY p.subscription_id, p.span_start`,
    [ids],
  );
  return rows;
};

/** The months that a subscription covers, as far as they are over. */
const expectedSpans = (startedAt: number): { start: number; end: number }[] => {
  const spans: { start: number; end: number }[] = [];
  const { end: over } = lastMonth();
  for (let start = startedAt; start < over; ) {
    const date = new Date(start);
    const end = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    spans.push({ start, end });
    start = end;
  }
  return spans;
};

const nameOfSpan = (id: string, start: number, end: number): string =>
  `${id} ${new Date(start).toISOString()} to ${new Date(end).toISOString()}`;

/** Step 4. */
const judgeClosing = (subscribed: readonly Subscribed[], billed: readonly BilledRow[]) => {
  const found = billed.map((row) => nameOfSpan(row.subscription_id, row.span_start.getTime(), row.span_end.getTime()));
  const expected = subscribed.flatMap(({ id, startedAt }) =>
    expectedSpans(startedAt).map(({ start, end }) => nameOfSpan(id, start, end)),
  );
  const faults = found.filter((one) => !expected.includes(one)).map((one) => `billed and not expected: ${one}`);
  for (const row of billed)
    if (row.lines !== BigInt(llmProPlan.charges.length))
      faults.push(`${row.subscription_id} from ${row.span_start.toISOString()} has ${row.lines} lines`);
  for (const { id, tokens } of subscribed) {
    const counted = billed.filter((row) => row.subscription_id === id).map((row) => Number(row.tokens ?? 0));
    const sum = counted.reduce((total, one) => total + one, 0);
    if (sum !== tokens) faults.push(`${id} is billed ${sum} tokens, and used ${tokens}`);
  }
  return {
    expected,
    lost: expected.filter((one) => !found.includes(one)),
    doubled: found.filter((one, index) => found.indexOf(one) !== index),
    faults,
  };
};

export const untilAnother = (pipeline: Pipeline, service: string, pid: number): Promise<number> =>
  until(
    async () => pidOf(pipeline, service),
    (now) => now !== 0 && now !== pid,
    30_000,
  );

/** A place that is passed once for all that is due, and one that is passed for each run or shard. */
const passesOf = (point: FailPointName, seed: number): number =>
  point === 'closing.after_look' || point === 'closing.after_jobs' ? 1 : 1 + (seed % 3);

type Judged = {
  readonly expected: readonly string[];
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly faults: readonly string[];
};

/** What became of a round in which each billing period was to be billed once, its chains and its death among it. */
export const billedRound = async (
  { databaseUrl }: Pipeline,
  { expected, lost, doubled, faults: judged }: Judged,
  /** That the process did not end where it was to; undefined where it did. */
  alive: string | undefined,
  recoveredMs: number,
): Promise<RoundResult> => {
  const chains = await verify(databaseUrl);
  const faults = [
    ...judged,
    ...(alive === undefined ? [] : [alive]),
    ...(chains.code === 0 ? [] : [`verify ended with ${chains.code}: ${chains.faults.join('; ')}${chains.stderr}`]),
  ];
  return {
    accepted: expected.length,
    stored: expected.length - lost.length,
    billed: expected.length - lost.length,
    open: 0,
    lost,
    doubled,
    faults,
    recoveredMs,
    settledMs: recoveredMs,
    deaths: alive === undefined ? 2 : 1,
    resent: 0,
    sound: lost.length === 0 && doubled.length === 0 && faults.length === 0,
  };
};

export const runClosingRound = async (rig: ClosingRig, point: FailPointName, seed: number): Promise<RoundResult> => {
  const { pipeline, arm } = rig;
  const service = processOf(point);
  const name = `${point.replaceAll(/[._]/g, '-')}-${seed}`;
  const subscribed = await subscribe(pipeline, name, seed);
  await untilAllStored(pipeline, `${name}-0`, 1);
  const ids = subscribed.map(({ id }) => id);
  const before = pidOf(pipeline, service);
  await pipeline.asOwner.query('UPDATE subscriptions SET next_due_at = started_at WHERE id = ANY ($1)', [ids]);
  arm({ service, failPoint: `${point}:${passesOf(point, seed)}` });
  const beganMs = performance.now();
  process.kill(before, 'SIGKILL');
  const armed = await untilAnother(pipeline, service, before);
  // The look that comes each minute. An invoicer also looks when it starts.
  const look = () =>
    pipeline.asOwner.query("SELECT graphile_worker.add_job('look_for_due', '{}', job_key => 'look_for_due')");
  await look();
  const looks = setInterval(() => void look().catch(() => {}), 2_000);
  try {
    const count = subscribed.flatMap(({ startedAt }) => expectedSpans(startedAt)).length;
    await until(
      () => billedOf(pipeline, ids),
      (rows) => rows.length >= count,
      90_000,
    ).catch(() => {});
    const last = pidOf(pipeline, service);
    const recoveredMs = performance.now() - beganMs;
    // Whoever would bill something twice does so by then.
    await until(
      async () => (await pipeline.api('GET', '/v1/billing-runs?state=queued')).body.items.length,
      (left) => left === 0,
      30_000,
    );
    await pause(200);
    const judged = judgeClosing(subscribed, await billedOf(pipeline, ids));
    const alive = last === armed ? `${service} did not end at ${point}` : undefined;
    return await billedRound(pipeline, judged, alive, recoveredMs);
  } finally {
    clearInterval(looks);
    arm(undefined);
  }
};
