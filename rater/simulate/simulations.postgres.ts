/** Simulations as the rater sees them: leased, cut into shards of customers, which are leased and rated, summed up. */
import assert from 'node:assert/strict';
import { recordChange } from '#platform/audit/record-change.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { deadEnd } from '#platform/work/lease-rules.ts';
import {
  endLease,
  giveBack,
  isFree,
  type JobTable,
  type Leased,
  leaseNext,
  movedOn,
  putBack,
  takeNext,
} from '#platform/work/leased-jobs.postgres.ts';
import { type Amount, formatAmount, parseStoredAmount } from '#schemas/money.ts';
import {
  type ChosenCustomers,
  type SimulationFailure,
  simulationChannels,
  simulationCustomersMax,
  simulationEnded,
} from '#schemas/simulation.ts';
import { storedCurrency } from '../run/billable-periods.ts';
import { type FailedPeriodRow, failedPeriodColumns, failedPeriodFromRow } from './failed-period.ts';
import type { LeasedSimulation, SimulatedSum, SimulatePorts, SimulationShard } from './rate-simulation.ts';

const simulationJobs: JobTable = {
  name: 'simulations',
  key: ['id'],
  openStates: ['queued', 'rated'],
  changedAt: 'updated_at',
};
const shardJobs: JobTable = {
  name: 'simulation_shards',
  key: ['simulation_id', 'shard_number'],
  openStates: ['queued'],
};

type SimulationRow = {
  id: string;
  organization_id: string;
  request_id: string;
  state: 'queued' | 'rated';
  period_start: Date;
  period_end: Date;
  candidates: number;
  watermark: bigint | null;
  attempts: number;
};

const leaseSimulation = `WITH ${leaseNext(simulationJobs, {
  where: "j.state IN ('queued', 'rated')",
  order: 'j.updated_at, j.id',
})}
SELECT id, organization_id, request_id, state, period_start, period_end, watermark, attempts,
  json_array_length(plans -> 'candidates') AS candidates FROM leased`;

// Billing goes first: a shard of a simulation is taken only where none of a billing run waits.
const leaseShard = `WITH ${leaseNext(shardJobs, {
  where: `j.state = 'queued'
    AND NOT EXISTS (SELECT 1 FROM billing_run_shards b WHERE b.state = 'queued' AND ${isFree('b')})`,
  order: 'j.shard_number, j.simulation_id',
})}
SELECT l.simulation_id, l.shard_number, l.organization_id, l.first_customer, l.customer_ids, l.attempts, s.request_id,
  s.period_start, s.period_end, s.created_at, s.watermark
FROM leased l JOIN simulations s ON s.id = l.simulation_id`;

type ShardRow = {
  simulation_id: string;
  shard_number: number;
  organization_id: string;
  request_id: string;
  first_customer: number;
  customer_ids: string[];
  attempts: number;
  period_start: Date;
  period_end: Date;
  created_at: Date;
  watermark: bigint;
};

/**
 * The customers that were subscribed in the time of a simulation, in the order in which the store keeps usage, in
 * shards. `$7` are those that were chosen by name, `$8` is the plan that was; null is any. One more than the bound is
 * enough to know that there are too many.
 */
const insertShards = `
WITH subscribed AS (
  SELECT DISTINCT s.customer_id FROM subscriptions s
  WHERE s.organization_id = $2 AND s.started_at < $4 AND (s.ended_at IS NULL OR s.ended_at > $3)
    AND ($7::text[] IS NULL OR s.customer_id = ANY ($7))
    AND ($8::text IS NULL OR s.plan_version_id IN (SELECT v.id FROM plan_versions v WHERE v.plan_id = $8))
), chosen AS (
  SELECT c.id, (row_number() OVER (ORDER BY c.external_id COLLATE "C", c.id) - 1)::integer AS place
  FROM subscribed b JOIN customers c ON c.organization_id = $2 AND c.id = b.customer_id LIMIT $6 + 1
), inserted AS (
  INSERT INTO simulation_shards (organization_id, simulation_id, shard_number, first_customer, customer_ids, state)
  SELECT $2, $1, place / $5, min(place), array_agg(id ORDER BY place), 'queued' FROM chosen GROUP BY place / $5)
SELECT count(*)::integer AS customers FROM chosen`;

const insertSums = `
INSERT INTO simulation_results (organization_id, simulation_id, customer_number, place, candidate, customer_id,
  external_id, currency, baseline, amount, failure, failed_start, failed_end, failure_cause, failure_message)
SELECT $1, $2, r.customer_number, lpad(r.candidate::text, 2, '0') || '.' || r.currency, r.candidate, r.customer_id,
  r.external_id, r.currency, r.baseline, r.amount, r.failure, r.failed_start, r.failed_end, r.failure_cause,
  r.failure_message
FROM unnest($3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::numeric[], $10::text[],
    $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[])
  AS r (customer_number, candidate, customer_id, external_id, currency, baseline, amount, failure, failed_start,
    failed_end, failure_cause, failure_message)`;

type SumRow = FailedPeriodRow & {
  customer_number: bigint;
  customer_id: string;
  external_id: string;
  candidate: number;
  currency: string;
  baseline: string | null;
  amount: string | null;
  failure: SimulationFailure | null;
};

const storedAmount = (text: string | null): Amount | null => {
  if (text === null) return null;
  const amount = parseStoredAmount(text);
  assert(amount !== undefined, `the stored amount ${text} is a decimal`);
  return amount;
};

const sumFromRow = (row: SumRow): SimulatedSum => ({
  customerNumber: Number(row.customer_number),
  customerId: row.customer_id,
  externalId: row.external_id,
  candidate: row.candidate,
  currency: storedCurrency(row.currency),
  baseline: storedAmount(row.baseline),
  amount: storedAmount(row.amount),
  failure: row.failure,
  failed: failedPeriodFromRow(row),
});

const textOf = (amount: Amount | null): string | null => (amount === null ? null : formatAmount(amount));

type Ended = { readonly id: string; readonly organizationId: string; readonly requestId: string };

/** Its entry, and what it was cut into goes. */
const recordEnd = async (
  client: Queryable,
  { id, organizationId, requestId }: Ended,
  how: 'completed' | 'failed',
  now: Date,
): Promise<void> => {
  await client.query('DELETE FROM simulation_shards WHERE simulation_id = $1', [id]);
  await recordChange(
    { query: client.query, organizationId },
    { actor: 'rater', requestId, result: 'done' },
    [simulationEnded(how, id)],
    now.getTime(),
  );
};

/** What is set of a simulation that failed; whoever failed it says why. */
const failed = "state = 'failed', ended_at = clock_timestamp(), version = version + 1, updated_at = clock_timestamp()";

export const createSimulations = (postgres: Postgres, leaseSeconds: number): SimulatePorts['simulations'] => {
  /** Ends a lease by a fault; where that is its dead end, it ends the simulation. */
  const endBy = (simulation: LeasedSimulation, end: (client: Queryable) => Promise<Date | undefined>): Promise<void> =>
    postgres.transaction(async (client) => {
      if (!(await end(client))) return;
      const { rows } = await client.query<{ now: Date }>(
        `UPDATE simulations SET ${failed} WHERE id = $1 RETURNING updated_at AS now`,
        [simulation.id],
      );
      await recordEnd(client, simulation, 'failed', rows[0]?.now as Date);
    });
  const giveUp = (simulation: LeasedSimulation, error: unknown): Promise<void> =>
    endBy(simulation, (client) => giveBack(client, simulationJobs, simulation, [simulation.id], error));
  const failBecause = (client: Queryable, simulation: Leased & { readonly id: string }, failure: string) =>
    endLease(client, simulationJobs, simulation, [simulation.id], failure, deadEnd(simulation.attempt));
  /** Locked before its shards, always in this order; false where it is not under way any more. */
  const lockRunning = async (client: Queryable, { simulationId }: SimulationShard): Promise<boolean> => {
    const { rowCount } = await client.query(
      "SELECT 1 FROM simulations WHERE id = $1 AND state = 'running' FOR NO KEY UPDATE",
      [simulationId],
    );
    return rowCount === 1;
  };
  const giveUpShard: SimulatePorts['simulations']['giveUpShard'] = (shard, error) =>
    postgres.transaction(async (client) => {
      if (!(await lockRunning(client, shard))) return;
      const { simulationId: id, shardNumber, organizationId, requestId } = shard;
      if (!(await giveBack(client, shardJobs, shard, [id, shardNumber], error))) return;
      const { rows } = await client.query<{ now: Date }>(
        `UPDATE simulations SET ${failed}, failure = (
           SELECT h.failure FROM simulation_shards h WHERE h.simulation_id = $1 AND h.shard_number = $2)
         WHERE id = $1 RETURNING updated_at AS now`,
        [id, shardNumber],
      );
      await recordEnd(client, { id, organizationId, requestId }, 'failed', rows[0]?.now as Date);
    });

  return {
    lease: () =>
      takeNext(async () => {
        const { rows } = await postgres.query<SimulationRow>(leaseSimulation, [leaseSeconds]);
        const [row] = rows;
        return (
          row && {
            id: row.id,
            organizationId: row.organization_id,
            requestId: row.request_id,
            state: row.state,
            period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
            candidates: row.candidates,
            watermark: row.watermark ?? undefined,
            attempt: row.attempts,
          }
        );
      }, giveUp),

    takeWatermark: async ({ id }, watermark) => {
      const { rows } = await postgres.query<{ watermark: bigint }>(
        `UPDATE simulations SET watermark = coalesce(watermark, $2) WHERE id = $1 AND state = 'queued'
         RETURNING watermark`,
        [id, watermark],
      );
      // One that was cancelled meanwhile keeps what its last entry says of it, and is not cut any more.
      return rows[0]?.watermark ?? watermark;
    },

    putBack: async (simulation) => {
      await putBack(postgres, simulationJobs, simulation, [simulation.id]);
    },

    giveUp,

    fail: (simulation, failure) => endBy(simulation, (client) => failBecause(client, simulation, failure)),

    cut: (simulation, shardSize) =>
      postgres.transaction(async (client) => {
        // Whoever held it before may have cut it after the lease was over; or it was cancelled.
        const { rows } = await client.query<{ chosen: ChosenCustomers }>(
          "SELECT chosen FROM simulations WHERE id = $1 AND state = 'queued' FOR NO KEY UPDATE",
          [simulation.id],
        );
        const chosen = rows[0]?.chosen;
        if (!chosen) return;
        const counted = await client.query<{ customers: number }>(insertShards, [
          simulation.id,
          simulation.organizationId,
          new Date(simulation.period.start),
          new Date(simulation.period.end),
          shardSize,
          simulationCustomersMax,
          chosen.kind === 'ids' ? chosen.customerIds : null,
          chosen.kind === 'plan' ? chosen.planId : null,
        ]);
        const customers = counted.rows[0]?.customers ?? 0;
        if (customers > simulationCustomersMax) {
          await failBecause(client, simulation, `more than ${simulationCustomersMax} customers were subscribed`);
          const ended = await client.query<{ now: Date }>(
            `UPDATE simulations SET ${failed} WHERE id = $1 RETURNING updated_at AS now`,
            [simulation.id],
          );
          return recordEnd(client, simulation, 'failed', ended.rows[0]?.now as Date);
        }
        await client.query(
          `UPDATE simulations SET state = $2, customers_total = $3, started_at = clock_timestamp(), ${movedOn},
             updated_at = clock_timestamp() WHERE id = $1`,
          [simulation.id, customers > 0 ? 'running' : 'rated', customers],
        );
        await notify(client, customers > 0 ? simulationChannels.shardsQueued : simulationChannels.waiting);
      }),

    sumsOf: async ({ id }, candidate) => {
      const { rows } = await postgres.query<SumRow>(
        `SELECT customer_number, customer_id, external_id, candidate, currency, baseline::text, amount::text, failure,
           ${failedPeriodColumns}
         FROM simulation_results WHERE simulation_id = $1 AND candidate = $2 ORDER BY customer_number, place`,
        [id, candidate],
      );
      return rows.map(sumFromRow);
    },

    complete: (simulation, summary) =>
      postgres.transaction(async (client) => {
        const { rows } = await client.query<{ now: Date }>(
          `UPDATE simulations SET state = 'completed', summary = $2, ended_at = clock_timestamp(), ${movedOn},
             version = version + 1, updated_at = clock_timestamp()
           WHERE id = $1 AND state = 'rated' RETURNING updated_at AS now`,
          [simulation.id, JSON.stringify(summary)],
        );
        if (rows[0]) await recordEnd(client, simulation, 'completed', rows[0].now);
      }),

    leaseShard: () =>
      takeNext(async () => {
        const { rows } = await postgres.query<ShardRow>(leaseShard, [leaseSeconds]);
        const [row] = rows;
        return (
          row && {
            simulationId: row.simulation_id,
            shardNumber: row.shard_number,
            organizationId: row.organization_id,
            requestId: row.request_id,
            period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
            askedAt: row.created_at.getTime(),
            watermark: row.watermark,
            firstCustomer: row.first_customer,
            customerIds: row.customer_ids,
            attempt: row.attempts,
          }
        );
      }, giveUpShard),

    isShardWaiting: async () => {
      const { rowCount } = await postgres.query(
        `SELECT 1 FROM simulation_shards j WHERE j.state = 'queued' AND ${isFree('j')} LIMIT 1`,
      );
      return rowCount === 1;
    },

    saveShard: (shard, sums) =>
      postgres.transaction(async (client) => {
        // One after the other: the last one sees that it is the last.
        if (!(await lockRunning(client, shard))) return;
        const { simulationId, shardNumber, organizationId, customerIds } = shard;
        const done = await client.query(
          `UPDATE simulation_shards SET state = 'done', ${movedOn}
           WHERE simulation_id = $1 AND shard_number = $2 AND state = 'queued'`,
          [simulationId, shardNumber],
        );
        // Another rater did the same once the lease was over.
        if (done.rowCount !== 1) return;
        await client.query(insertSums, [
          organizationId,
          simulationId,
          sums.map(({ customerNumber }) => customerNumber),
          sums.map(({ candidate }) => candidate),
          sums.map(({ customerId }) => customerId),
          sums.map(({ externalId }) => externalId),
          sums.map(({ currency }) => currency),
          sums.map(({ baseline }) => textOf(baseline)),
          sums.map(({ amount }) => textOf(amount)),
          sums.map(({ failure }) => failure),
          sums.map(({ failed }) => failed && new Date(failed.period.start)),
          sums.map(({ failed }) => failed && new Date(failed.period.end)),
          sums.map(({ failed }) => failed?.cause ?? null),
          sums.map(({ failed }) => failed?.message ?? null),
        ]);
        const { rows } = await client.query<{ state: string }>(
          `UPDATE simulations SET customers_done = customers_done + $2,
             state = CASE WHEN customers_done + $2 = customers_total THEN 'rated' ELSE state END
           WHERE id = $1 RETURNING state`,
          [simulationId, customerIds.length],
        );
        if (rows[0]?.state === 'rated') await notify(client, simulationChannels.waiting);
      }),

    giveUpShard,
  };
};
