/**
 * `npm run bench:changes`: how many changes of one organization there can be. Customers, or with `--of subscriptions`
 * these, are created over `--connections` that are kept alive, each with its next request as soon as it is answered, on
 * real servers with every commit synced. Fails unless exactly what was answered is stored, each with one entry of an
 * audit log that verifies.
 */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { createLog } from '#platform/process/log.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { verify } from '../test/support/verify-command.ts';
import { percentile } from './api/load.ts';
import { cpuOf, machineCpuSeconds, type Pids } from './line/process-cost.ts';
import { createAnswerReader } from './load/answer-reader.ts';
import { makePlan, storeCustomers, subscribe } from './rating/stored-customers.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values: given } = parseArgs({
  options: {
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    of: { type: 'string', default: 'customers' },
    /** With an Idempotency-Key, as a careful client sends. */
    keyed: { type: 'boolean', default: false },
  },
});
const [connections, seconds, rounds] = [Number(given.connections), Number(given.seconds), Number(given.rounds)];

/** What is created: its table, the action of its entry in the audit log, and the body of the next request. */
type Kind = {
  readonly path: string;
  readonly table: string;
  readonly action: string;
  /** Resolves with how many rows it stored that no entry of the audit log tells of. */
  readonly prepare: (stack: Stack) => Promise<number>;
  readonly nextBody: () => object;
};

/** What is there before: customers with a subscription each, and those who are to have one. */
const filled = { subscribed: 100_000, free: 200_000 };
let next = filled.subscribed;

const kinds: Readonly<Record<string, Kind>> = {
  customers: {
    path: '/v1/customers',
    table: 'customers',
    action: 'customer.created',
    prepare: async () => 0,
    nextBody: () => ({ external_id: `bench-${randomUUID()}`, name: 'Bench Inc.', email: 'b@bench.example' }),
  },
  /** Each of a customer of its own, to one plan of a flat price and one of seats. */
  subscriptions: {
    path: '/v1/subscriptions',
    table: 'subscriptions',
    action: 'subscription.created',
    prepare: async (stack) => {
      const charges = [
        { code: 'base', name: 'Base', price: { model: 'flat', amount: '20.00' } },
        { code: 'seats', name: 'Seats', seats: true, price: { model: 'per_unit', unit_amount: '5.00' } },
      ];
      const owner = new pg.Client({ connectionString: stack.urls.postgres });
      await owner.connect();
      const plan = { code: 'bench', name: 'Bench', currency: 'USD', charges };
      const { organizationId, planVersionId } = await makePlan(stack, owner, plan);
      await subscribe(owner, organizationId, planVersionId, filled.subscribed, Temporal.Now.instant());
      await storeCustomers(owner, organizationId, filled.free, filled.subscribed);
      await owner.query('ANALYZE customers, subscriptions');
      await owner.end();
      return filled.subscribed * 2 + filled.free;
    },
    nextBody: () => {
      next += 1;
      return { customer_id: `customer-${next - 1}`, plan: 'bench', seats: 3 };
    },
  },
};
const kind = kinds[given.of];
if (!kind) throw new Error(`--of is one of ${Object.keys(kinds).join(', ')}`);

const requestTo = (url: string, key: string): Buffer => {
  const body = JSON.stringify(kind.nextBody());
  const keyLine = given.keyed ? `Idempotency-Key: ${randomUUID()}\r\n` : '';
  return Buffer.from(
    `POST ${kind.path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nAuthorization: Bearer ${key}\r\n${keyLine}` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
};

type Tally = { readonly statuses: Record<string, number>; readonly latenciesMs: number[] };

/** Creates one after the other until `endMs`. */
const createFor = (url: string, key: string, endMs: number, { statuses, latenciesMs }: Tally): Promise<void> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let sentMs = 0;
    const send = () => {
      sentMs = performance.now();
      if (sentMs < endMs) return void socket.write(requestTo(url, key));
      socket.destroy();
      resolve();
    };
    const read = createAnswerReader((status) => {
      statuses[status] = (statuses[status] ?? 0) + 1;
      latenciesMs.push(performance.now() - sentMs);
      send();
    });
    socket.on('connect', send);
    socket.on('data', read);
    socket.on('error', reject);
  });

type Round = { readonly created: number; readonly line: string };

const percentOf = (cpuSeconds: number, tookSeconds: number): string =>
  `${((100 * cpuSeconds) / tookSeconds).toFixed(0)} %`;

/** `line`: how many there were a second, how long they took, and what each process cost, in per cent of a core. */
const measure = async (url: string, key: string, pids: Pids): Promise<Round> => {
  const tally: Tally = { statuses: {}, latenciesMs: [] };
  const [before, ownBefore, machineBefore] = [cpuOf(pids), process.cpuUsage(), machineCpuSeconds()];
  const startMs = performance.now();
  await Promise.all(Array.from({ length: connections }, () => createFor(url, key, startMs + seconds * 1000, tally)));
  const tookSeconds = (performance.now() - startMs) / 1000;
  const own = process.cpuUsage(ownBefore);
  const costs = Object.entries(cpuOf(pids)).map(([name, cpu]) => [name, cpu - (before[name] ?? 0)] as const);
  costs.push(['generator', (own.user + own.system) / 1e6]);
  const known = costs.reduce((sum, [, cpu]) => sum + cpu, 0);
  const created = tally.statuses['201'] ?? 0;
  const sorted = tally.latenciesMs.toSorted((a, b) => a - b);
  return {
    created,
    line: [
      `${(created / tookSeconds).toFixed(0)}/s`,
      `p50 ${percentile(sorted, 0.5).toFixed(1)} ms, p99 ${percentile(sorted, 0.99).toFixed(1)} ms`,
      JSON.stringify(tally.statuses),
      costs
        .flatMap(([name, cpu]) => (cpu / tookSeconds < 0.005 ? [] : [`${name} ${percentOf(cpu, tookSeconds)}`]))
        .join(', '),
      `others ${percentOf(machineCpuSeconds() - machineBefore - known, tookSeconds)}`,
      `${((1000 * known) / created).toFixed(2)} ms CPU each`,
    ].join('; '),
  };
};

await withTemporaryStack({}, async (stack) => {
  const pids = Object.fromEntries(stack.processes.map(({ name, pid }) => [name, pid]));
  const untold = await kind.prepare(stack);
  // The first round warms up and does not count.
  let created = (await measure(stack.apiUrl, stack.apiKey, pids)).created;
  for (let round = 0; round < rounds; round += 1) {
    const found = await measure(stack.apiUrl, stack.apiKey, pids);
    created += found.created;
    process.stdout.write(`${found.line}\n`);
  }
  const owner = connectPostgres(stack.urls.postgres, { poolMax: 1, log: createLog('bench', 'warn') });
  const { rows } = await owner.query<{ stored: bigint; entries: bigint }>(
    `SELECT (SELECT count(*) FROM ${kind.table} t WHERE EXISTS (
         SELECT 1 FROM audit_log a WHERE a.organization_id = t.organization_id AND a.object_id = t.id)) AS stored,
       (SELECT count(*) FROM audit_log WHERE action = '${kind.action}') AS entries`,
  );
  await owner.close();
  const { stdout } = await verify(stack.urls.postgres);
  const told = stdout.trim().split('\n').at(-1) ?? '';
  process.stdout.write(`${created} answered, ${rows[0]?.stored} stored, ${rows[0]?.entries} entries; ${told}\n`);
  const isAsWritten = told.endsWith(`faults: ${untold}`);
  if (!isAsWritten || Number(rows[0]?.stored) !== created || Number(rows[0]?.entries) !== created) process.exitCode = 1;
});
