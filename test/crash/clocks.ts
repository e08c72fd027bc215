/**
 * Rounds of test clocks: a clock is set going over months while an invoicer ends at a step of it. They share the
 * pipeline of the rounds of a close, in its sandbox, and each has a clock and subscriptions of its own. Its steps:
 *
 *   1. make a clock, subscriptions that begin on several days after it, and an event for each month of each
 *   2. arm the invoicer: it is killed, and its next life ends itself at the pass of the place
 *   3. set the clock going, and wait until it is ready
 *   4. compare: the clock is at its target and went there once, a run for each instant, one after the other; each
 *      period is billed once, with its line, at the clock's hour; each event is in one quantity
 */
import { type FailPointName, failPointNames } from '#platform/process/fail-point.ts';
import { until } from '../support/pipeline.ts';
import { untilAllStored } from '../support/stored.ts';
import { type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { billedRound, type ClosingRig, untilAnother } from './closing.ts';
import { pidOf } from './faults.ts';
import type { RoundResult } from './round.ts';

/** The steps of a clock. */
export const clockPoints = failPointNames.filter((name) => name.startsWith('clock.'));

const dayMs = 86_400_000;
const subscriptionsPerRound = 4;
const begin = Date.UTC(2027, 0, 1);
const monthStarts = [begin, Date.UTC(2027, 1, 1), Date.UTC(2027, 2, 1), Date.UTC(2027, 3, 1)];
const target = Date.UTC(2027, 2, 11);
/** Usage waits as long for late events where nothing else is said. */
const graceMs = 3_600_000;

export type ClockRig = { readonly closing: ClosingRig; readonly sandbox: Sandbox };

export const startClockRig = async (closing: ClosingRig): Promise<ClockRig> => {
  const sandbox = await sandboxOf(closing.pipeline);
  await sandbox.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
  const charges = [
    { code: 'fee', name: 'Fee', timing: 'advance', price: { model: 'flat', amount: '10.00' } },
    { code: 'calls', name: 'Calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '0.10' } },
  ];
  await sandbox.made('/v1/plans', { code: 'clocked', name: 'Clocked', currency: 'USD', charges });
  return { closing, sandbox };
};

type Subscribed = { readonly id: string; readonly startedAt: number };

const instant = (ms: number): string => new Date(ms).toISOString();

/** Step 1. */
const subscribe = async ({ closing, sandbox }: ClockRig, name: string, seed: number) => {
  const { id: clock } = await sandbox.made('/v1/test-clocks', { now: instant(begin) });
  const subscribed: Subscribed[] = [];
  for (let index = 0; index < subscriptionsPerRound; index += 1) {
    const customer_id = `${name}-${index}`;
    const startedAt = begin + (index * 5 + (seed % 4)) * dayMs;
    await sandbox.made('/v1/customers', { external_id: customer_id, name: customer_id });
    await sandbox.made(`/v1/test-clocks/${clock}/customers`, { customer_id });
    const body = { customer_id, plan: 'clocked', started_at: instant(startedAt) };
    subscribed.push({ id: (await sandbox.made('/v1/subscriptions', body)).id, startedAt });
  }
  const events = subscribed.flatMap((_, index) =>
    monthStarts.slice(1, 4).map((end, month) => ({
      idempotency_key: `${name}-${index}-${month}`,
      event: 'call',
      customer_id: `${name}-${index}`,
      timestamp: instant(Math.min(end, target) - dayMs),
    })),
  );
  await sandbox.send(events);
  await untilAllStored({ ...closing.pipeline, api: sandbox.api }, `${name}-0`, 3);
  return { clock: String(clock), subscribed };
};

/** `subscription timing from..to at due`, of all that falls due until the target. */
const expectedPeriods = ({ id, startedAt }: Subscribed): string[] =>
  monthStarts.slice(0, 3).flatMap((month, index) => {
    const start = Math.max(month, startedAt);
    const end = monthStarts[index + 1] as number;
    // What is charged in advance waits with the usage that falls due at the same instant.
    const issued = start + (index === 0 ? 0 : graceMs);
    const part = (timing: string, at: number) => `${id} ${timing} ${instant(start)}..${instant(end)} at ${instant(at)}`;
    return [part('advance', issued), ...(end <= target ? [part('arrears', end + graceMs)] : [])];
  });

type BilledRow = {
  subscription_id: string;
  timing: string;
  span_start: Date;
  span_end: Date;
  issued_at: Date;
  lines: bigint;
  quantity: string;
};

const billedOf = async ({ closing }: ClockRig, ids: readonly string[]): Promise<BilledRow[]> => {
  const { rows } = await closing.pipeline.asOwner.query<BilledRow>(
    `SELECT p.subscription_id, p.timing, p.span_start, p.span_end, i.issued_at, count(l.*) AS lines,
       coalesce(sum(l.quantity), 0)::text AS quantity
     FROM billing_periods p JOIN invoices i ON i.id = p.invoice_id
       LEFT JOIN invoice_lines l ON l.billing_period_id = p.id
     WHERE p.subscription_id = ANY ($1) GROUP BY p.id, i.id`,
    [ids],
  );
  return rows;
};

const periodFaults = (billed: readonly BilledRow[]): string[] =>
  billed.flatMap(({ subscription_id: id, timing, span_start, lines, quantity }) => {
    const at = `${id} ${timing} from ${span_start.toISOString()}`;
    return [
      ...(lines === 1n ? [] : [`${at} has ${lines} lines`]),
      ...(Number(quantity) === 1 ? [] : [`${at} is of ${quantity}, and there was one`]),
    ];
  });

const clockFaults = async ({ closing, sandbox }: ClockRig, clock: string): Promise<string[]> => {
  const { body } = await sandbox.api('GET', `/v1/test-clocks/${clock}`);
  const { rows: runs } = await closing.pipeline.asOwner.query<{ due_until: Date; state: string }>(
    'SELECT due_until, state FROM billing_runs WHERE test_clock_id = $1 ORDER BY created_at, id',
    [clock],
  );
  const { body: log } = await sandbox.api('GET', `/v1/audit-log?object_id=${clock}`);
  const arrived = log.items.filter(({ action }: { action: string }) => action === 'test_clock.advanced').length;
  const instants = runs.map(({ due_until }) => due_until.getTime());
  return [
    ...(body.state === 'ready' && body.now === instant(target) && body.failure === null
      ? []
      : [`the clock is ${body.state} at ${body.now}: ${body.failure}`]),
    ...(arrived === 1 ? [] : [`the clock came to its target ${arrived} times`]),
    ...(body.version === 3 ? [] : [`the clock has version ${body.version}`]),
    ...(instants.every((at, index) => index === 0 || at > (instants[index - 1] as number))
      ? []
      : [`runs of the clock are of ${instants.map(instant).join(', ')}`]),
    ...(runs.every(({ state }) => state === 'completed') ? [] : ['a run of the clock is not completed']),
  ];
};

const judge = async (rig: ClockRig, clock: string, subscribed: readonly Subscribed[]) => {
  const ids = subscribed.map(({ id }) => id);
  const billed = await billedOf(rig, ids);
  const found = billed.map(
    (row) =>
      `${row.subscription_id} ${row.timing} ${row.span_start.toISOString()}..${row.span_end.toISOString()} ` +
      `at ${row.issued_at.toISOString()}`,
  );
  const expected = subscribed.flatMap(expectedPeriods);
  return {
    expected,
    lost: expected.filter((one) => !found.includes(one)),
    doubled: found.filter((one, index) => found.indexOf(one) !== index),
    faults: [
      ...found.filter((one) => !expected.includes(one)).map((one) => `billed and not expected: ${one}`),
      ...periodFaults(billed),
      ...(await clockFaults(rig, clock)),
    ],
  };
};

export const runClockRound = async (rig: ClockRig, point: FailPointName, seed: number): Promise<RoundResult> => {
  const { pipeline, arm } = rig.closing;
  const { clock, subscribed } = await subscribe(rig, `${point.replaceAll(/[._]/g, '-')}-${seed}`, seed);
  const before = pidOf(pipeline, 'invoicer');
  arm({ service: 'invoicer', failPoint: `${point}:${1 + (seed % 5)}` });
  const beganMs = performance.now();
  process.kill(before, 'SIGKILL');
  const armed = await untilAnother(pipeline, 'invoicer', before);
  try {
    await rig.sandbox.made(`/v1/test-clocks/${clock}/advance`, { to: instant(target) });
    await until(
      async () => (await rig.sandbox.api('GET', `/v1/test-clocks/${clock}`)).body.state,
      (state) => state === 'ready',
      90_000,
    ).catch(() => {});
    const recoveredMs = performance.now() - beganMs;
    const last = pidOf(pipeline, 'invoicer');
    const alive = last === armed ? `the invoicer did not end at ${point}` : undefined;
    return await billedRound(pipeline, await judge(rig, clock, subscribed), alive, recoveredMs);
  } finally {
    arm(undefined);
  }
};
