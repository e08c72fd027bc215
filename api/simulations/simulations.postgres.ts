/** Simulations as they are asked for and read. The work is the rater's. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import { isCurrency } from '#schemas/currency.ts';
import { type Amount, parseStoredAmount } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import {
  type ChosenCustomers,
  type SimulatedPlans,
  type SimulationFailure,
  type SimulationState,
  simulationCandidatesMax,
  simulationChannels,
  simulationStates,
} from '#schemas/simulation.ts';
import { type FailedPeriodRow, failedPeriodColumns, failedPeriodFromRow } from '../../rater/simulate/failed-period.ts';
import type { SimulationSummaryJson, SummedUp } from '../../rater/simulate/summarize.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';

export type Simulation = {
  readonly id: string;
  readonly name: string | null;
  readonly period: Period;
  readonly chosen: ChosenCustomers;
  readonly plans: SimulatedPlans;
  readonly state: SimulationState;
  readonly watermark: bigint | null;
  readonly customersTotal: number | null;
  readonly customersDone: number;
  /** Since it began, as long as it is under way. */
  readonly runningMs: number | null;
  readonly startedAt: Instant | null;
  readonly endedAt: Instant | null;
  /** As it is answered; only of one that is read by itself. */
  readonly summary: SimulationSummaryJson | null;
  readonly failure: string | null;
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
};

type SimulationRow = {
  id: string;
  name: string | null;
  period_start: Date;
  period_end: Date;
  chosen: ChosenCustomers;
  plans: SimulatedPlans;
  state: SimulationState;
  watermark: bigint | null;
  customers_total: number | null;
  customers_done: number;
  running_ms: number | null;
  started_at: Date | null;
  ended_at: Date | null;
  summary: SimulationSummaryJson | null;
  failure: string | null;
  version: number;
  created_at: Date;
  updated_at: Date;
};

const fromRow = (row: SimulationRow): Simulation => ({
  id: row.id,
  name: row.name,
  period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  chosen: row.chosen,
  plans: row.plans,
  state: row.state,
  watermark: row.watermark,
  customersTotal: row.customers_total,
  customersDone: row.customers_done,
  runningMs: row.running_ms,
  startedAt: row.started_at?.getTime() ?? null,
  endedAt: row.ended_at?.getTime() ?? null,
  summary: row.summary,
  failure: row.failure,
  version: row.version,
  createdAt: row.created_at.getTime(),
  updatedAt: row.updated_at.getTime(),
});

/** What is rated waits for its summary alone. */
const shownState = "CASE state WHEN 'rated' THEN 'running' ELSE state END";
const headColumns = `id, name, period_start, period_end, chosen, plans, ${shownState} AS state, watermark,
  customers_total, customers_done,
  extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::double precision * 1000 AS running_ms,
  started_at, ended_at, CASE WHEN state = 'failed' THEN failure END AS failure, version, created_at, updated_at`;
const columns = `${headColumns}, CASE WHEN state = 'completed' THEN summary END AS summary`;

const simulationList = defineList({
  name: 'simulations',
  columns: `${headColumns}, NULL AS summary`,
  from: 'simulations',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' } },
  filters: { state: { column: shownState, choices: simulationStates } },
  times: { created_at: 'created_at' },
});

/** What one candidate comes to for one customer in one currency. */
export type SimulationResult = SummedUp & { readonly candidate: number };

type ResultRow = FailedPeriodRow & {
  candidate: number;
  customer_id: string;
  external_id: string;
  currency: string;
  baseline: string | null;
  amount: string | null;
  failure: SimulationFailure | null;
};

const amountOf = (text: string | null): Amount | null => {
  if (text === null) return null;
  const amount = parseStoredAmount(text);
  assert(amount !== undefined, `the stored amount ${text} is a decimal`);
  return amount;
};

const resultFromRow = (row: ResultRow): SimulationResult => {
  assert(isCurrency(row.currency), `${row.currency} is a currency`);
  return {
    candidate: row.candidate,
    customerId: row.customer_id,
    externalId: row.external_id,
    currency: row.currency,
    baseline: amountOf(row.baseline),
    amount: amountOf(row.amount),
    failure: row.failure,
    failed: failedPeriodFromRow(row),
  };
};

const resultColumns = `candidate, customer_id, external_id, currency, baseline::text, amount::text, failure,
  ${failedPeriodColumns}`;

const resultOutcomes = ['up', 'down', 'equal', 'failed'] as const;
const outcomeTests: Readonly<Record<string, string>> = {
  up: 'amount > baseline',
  down: 'amount < baseline',
  equal: 'amount = baseline',
  failed: 'failure IS NOT NULL',
};

const resultList = defineList({
  name: 'simulation-results',
  columns: resultColumns,
  from: 'simulation_results',
  id: 'place',
  organization: 'organization_id',
  sorts: { customer: { column: 'customer_number', type: 'bigint' } },
  defaultSort: 'customer',
  filters: {
    candidate: {
      column: 'candidate',
      choices: Array.from({ length: simulationCandidatesMax }, (_, index) => String(index + 1)),
      test: (value) => `candidate = ${value}::integer`,
    },
    outcome: {
      column: 'amount',
      choices: resultOutcomes,
      description: 'What the candidate does to the amount.',
      test: (value, text) => `${value}::text IS NOT NULL AND ${outcomeTests[text]}`,
    },
    customer_id: customerFilter('customer_id'),
  },
});

export type NewSimulation = {
  readonly name: string | null;
  readonly period: Period;
  readonly chosen: ChosenCustomers;
  readonly plans: SimulatedPlans;
  readonly requestId: string;
  readonly apiKeyId: string;
};

const simulationOf = async (
  db: Db,
  id: string,
  lock: '' | 'FOR NO KEY UPDATE' = '',
): Promise<Simulation | undefined> => {
  const { rows } = await db.query<SimulationRow>(
    `SELECT ${columns} FROM simulations WHERE organization_id = $1 AND id = $2 ${lock}`,
    [db.organizationId, id],
  );
  return rows[0] && fromRow(rows[0]);
};

const csvPageSize = 2_000;

export const simulationStore = {
  simulationList,
  resultList,
  simulation: simulationOf,
  /** As it is when its row is locked. */
  lockSimulation: (db: Db, id: string): Promise<Simulation | undefined> => simulationOf(db, id, 'FOR NO KEY UPDATE'),
  simulationState: async (db: Db, id: string): Promise<SimulationState | undefined> => {
    const { rows } = await db.query<{ state: SimulationState }>(
      `SELECT ${shownState} AS state FROM simulations WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id],
    );
    return rows[0]?.state;
  },
  /** How many are not done. Until the transaction ends, nobody adds another one. */
  countOpen: async (db: Db): Promise<number> => {
    await db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [`simulations ${db.organizationId}`]);
    const { rows } = await db.query<{ open: number }>(
      `SELECT count(*)::integer AS open FROM simulations
       WHERE organization_id = $1 AND state IN ('queued', 'running', 'rated')`,
      [db.organizationId],
    );
    return rows[0]?.open ?? 0;
  },
  add: async (db: Db, simulation: NewSimulation, now: Date): Promise<Simulation> => {
    const id = newId('sim');
    await db.query(
      `INSERT INTO simulations (id, organization_id, name, period_start, period_end, chosen, plans, state, version,
         created_at, updated_at, request_id, api_key_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', 1, $8, $8, $9, $10)`,
      [
        id,
        db.organizationId,
        simulation.name,
        new Date(simulation.period.start),
        new Date(simulation.period.end),
        JSON.stringify(simulation.chosen),
        JSON.stringify(simulation.plans),
        now,
        simulation.requestId,
        simulation.apiKeyId,
      ],
    );
    await notify(db, simulationChannels.waiting);
    return (await simulationOf(db, id)) as Simulation;
  },
  /** Ends it, whatever it was at, and gives up what it came to. */
  cancel: async (db: Db, id: string, now: Date): Promise<Simulation> => {
    await db.query(
      `UPDATE simulations SET state = 'cancelled', summary = NULL, failure = NULL, leased_until = NULL,
         ended_at = coalesce(ended_at, $3), version = version + 1, updated_at = $3
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, now],
    );
    for (const table of ['simulation_shards', 'simulation_results'])
      await db.query(`DELETE FROM ${table} WHERE organization_id = $1 AND simulation_id = $2`, [db.organizationId, id]);
    return (await simulationOf(db, id)) as Simulation;
  },
  simulations: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<SimulationRow>(db, simulationList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  results: async (db: Db, simulationId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<ResultRow>(db, resultList, db.organizationId, page, {
      simulation_id: simulationId,
    });
    return { ...rest, rows: rows.map(resultFromRow) };
  },
  /** All results, page by page: no statement is open in between. */
  allResults: async function* (db: Db, simulationId: string): AsyncGenerator<readonly SimulationResult[]> {
    let after: readonly [string, string] = ['-1', ''];
    for (;;) {
      const { rows } = await db.query<ResultRow & { customer_number: bigint; place: string }>(
        `SELECT customer_number, place, ${resultColumns} FROM simulation_results
         WHERE organization_id = $1 AND simulation_id = $2 AND (customer_number, place) > ($3::bigint, $4)
         ORDER BY customer_number, place LIMIT ${csvPageSize}`,
        [db.organizationId, simulationId, ...after],
      );
      if (rows.length > 0) yield rows.map(resultFromRow);
      const last = rows.at(-1);
      if (!last || rows.length < csvPageSize) return;
      after = [last.customer_number.toString(), last.place];
    }
  },
};

export type SimulationStore = typeof simulationStore;
