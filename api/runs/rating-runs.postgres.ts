/** Runs that rate and issue nothing, with what they gave. */
import type { Currency } from '#schemas/currency.ts';
import { type Period, periodBetween } from '#schemas/period.ts';
import type { RatedLineJson } from '#schemas/rated-line.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import {
  addRun,
  type NewRun,
  type Run,
  type RunRow,
  ratingRunsOnly,
  runColumns,
  runFrom,
  runFromRow,
  runStateOf,
} from './runs.postgres.ts';

/** What the lines in one currency come to. */
type RunTotal = { readonly currency: Currency; readonly lines: number; readonly amount: string };

export type RatingRun = Run & {
  readonly period: Period;
  readonly isDry: boolean;
  readonly totals: readonly RunTotal[];
  readonly unmeasuredEvents: bigint;
};

type RatingRunRow = RunRow & { totals: RunTotal[]; unmeasured_events: string };

const ratingRunFromRow = (row: RatingRunRow): RatingRun => ({
  ...runFromRow(row),
  // A rating run is of a month.
  period: periodBetween(row.period_start as Date, row.period_end as Date),
  isDry: row.kind === 'dry_rating',
  totals: row.totals,
  unmeasuredEvents: BigInt(row.unmeasured_events),
});

const columns = `${runColumns}, t.totals, t.unmeasured_events`;
// An amount as text: JSON has no exact decimals.
const from = `${runFrom(ratingRunsOnly)}
  JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_object('currency', c.currency, 'lines', c.lines, 'amount', c.amount::text)
      ORDER BY c.currency), '[]') AS totals, coalesce(sum(c.unmeasured_events), 0)::text AS unmeasured_events
    FROM (
      SELECT currency, sum(lines)::bigint AS lines, sum(amount) AS amount, sum(unmeasured_events) AS unmeasured_events
      FROM rating_run_totals WHERE run_id = r.id GROUP BY currency
    ) c
  ) t ON true`;

const runList = defineList({
  name: 'rating-runs',
  columns,
  from,
  countFrom: ratingRunsOnly,
  id: 'r.id',
  organization: 'r.organization_id',
  sorts: { created_at: { column: 'r.created_at', type: 'timestamptz' } },
  filters: {
    customer_id: customerFilter('r.customer_id'),
    subscription_id: { column: 'r.subscription_id' },
  },
  times: { created_at: 'r.created_at' },
});

type LineRow = {
  line: RatedLineJson;
  unmeasured_events: bigint;
  hash_version: number;
  input_hash: string;
  output_hash: string;
};

/** A line as it is stored, with the hashes of what went in and of what came out. */
export type RunLine = {
  readonly line: RatedLineJson;
  readonly unmeasuredEvents: bigint;
  readonly hashes: { readonly version: number; readonly input: string; readonly output: string };
};

const lineList = defineList({
  name: 'rating-run-lines',
  columns: 'line, unmeasured_events, hash_version, input_hash, output_hash',
  from: 'rating_run_lines',
  id: 'place',
  organization: 'organization_id',
  sorts: { billing_period_id: { column: 'billing_period_id', type: 'text' } },
  defaultSort: 'billing_period_id',
  filters: {
    customer_id: customerFilter('customer_id'),
    subscription_id: { column: 'subscription_id' },
  },
});

const ratingRunOf = async (db: Db, id: string): Promise<RatingRun | undefined> => {
  const { rows } = await db.query<RatingRunRow>(
    `SELECT ${columns} FROM ${from} WHERE r.organization_id = $1 AND r.id = $2`,
    [db.organizationId, id],
  );
  return rows[0] && ratingRunFromRow(rows[0]);
};

export const ratingRuns = {
  runList,
  lineList,
  add: async (db: Db, run: NewRun, now: Date): Promise<RatingRun> =>
    (await ratingRunOf(db, await addRun(db, run, now))) as RatingRun,
  run: ratingRunOf,
  state: (db: Db, id: string) => runStateOf(db, ratingRunsOnly, id),
  runs: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<RatingRunRow>(db, runList, db.organizationId, page);
    return { ...rest, rows: rows.map(ratingRunFromRow) };
  },
  /** In the order of billing periods and, within each, of its plan. */
  lines: async (db: Db, runId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<LineRow>(db, lineList, db.organizationId, page, { run_id: runId });
    const lines = rows.map(
      (row): RunLine => ({
        line: row.line,
        unmeasuredEvents: row.unmeasured_events,
        hashes: { version: row.hash_version, input: row.input_hash, output: row.output_hash },
      }),
    );
    return { ...rest, rows: lines };
  },
};

export type RatingRuns = typeof ratingRuns;
