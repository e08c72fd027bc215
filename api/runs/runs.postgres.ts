/** What all runs have, whatever comes of them. */
import { newId } from '#platform/process/ids.ts';
import { notify } from '#platform/stores/notices.ts';
import { billingChannels, type RunKind } from '#schemas/billing-run.ts';
import type { runStates } from '#schemas/http/runs.ts';
import { type Instant, type Period, periodBetween } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import type { RunProgress } from './run-progress.ts';

export type RunState = (typeof runStates)[number];

/** Whom a run was asked for by: the scheduler, a test clock that advances, or somebody with a key. */
export const runAskers = ['caller', 'scheduler', 'clock'] as const;
export type RunAsker = (typeof runAskers)[number];

/** What falls due until an instant is billed, and what was used until another one: late events are waited for. */
export type DueBounds = { readonly until: Instant; readonly arrearsUntil: Instant };

export type Run = {
  readonly id: string;
  readonly kind: RunKind;
  /** Of a run of a month; a run of what is due has `due`. */
  readonly period: Period | null;
  readonly due: DueBounds | null;
  readonly askedBy: RunAsker;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  readonly state: RunState;
  readonly watermark: bigint | null;
  readonly failure: string | null;
  /** How many billing periods could not be rated. */
  readonly failures: number;
  readonly progress: RunProgress;
  readonly ratedMs: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
};

export type RunRow = {
  id: string;
  kind: RunKind;
  period_start: Date | null;
  period_end: Date | null;
  due_until: Date | null;
  arrears_until: Date | null;
  asked_by: RunAsker;
  customer_id: string | null;
  subscription_id: string | null;
  state: RunState;
  watermark: bigint | null;
  failure: string | null;
  created_at: Date;
  updated_at: Date;
  started_at: Date | null;
  elapsed_seconds: number;
  shards: number;
  shards_done: number;
  periods: number;
  periods_done: number;
  rated_ms: number;
  failures: number;
};

export const runFromRow = (row: RunRow): Run => ({
  id: row.id,
  kind: row.kind,
  period: row.period_start && row.period_end && periodBetween(row.period_start, row.period_end),
  due: row.due_until &&
    row.arrears_until && { until: row.due_until.getTime(), arrearsUntil: row.arrears_until.getTime() },
  askedBy: row.asked_by,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  state: row.state,
  watermark: row.watermark,
  failure: row.failure,
  failures: row.failures,
  progress: {
    startedAt: row.started_at?.getTime() ?? null,
    elapsedSeconds: row.elapsed_seconds,
    isOver: row.state === 'completed' || row.state === 'failed',
    shardsTotal: row.shards,
    shardsDone: row.shards_done,
    // A period that failed is in no shard any more.
    periodsTotal: row.periods + row.failures,
    periodsDone: row.periods_done + row.failures,
  },
  ratedMs: row.rated_ms,
  createdAt: row.created_at.getTime(),
  updatedAt: row.updated_at.getTime(),
});

export const runColumns = `r.id, r.kind, r.period_start, r.period_end, r.due_until, r.arrears_until, r.asked_by, r.customer_id,
  r.subscription_id, r.state,
  r.watermark, CASE WHEN r.state = 'failed' THEN r.failure END AS failure, r.created_at, r.updated_at, r.started_at,
  coalesce(extract(epoch FROM CASE WHEN r.state IN ('completed', 'failed') THEN r.updated_at
    ELSE clock_timestamp() END - r.started_at), 0)::double precision AS elapsed_seconds,
  s.shards, s.shards_done, s.periods, s.periods_done, s.rated_ms, f.failures`;

/** The runs of one resource, as `r`: a run is not found under the other one. */
export const billingRunsOnly = "(SELECT * FROM billing_runs WHERE kind = 'billing') r";
export const ratingRunsOnly = "(SELECT * FROM billing_runs WHERE kind <> 'billing') r";
type RunsOfOneResource = typeof billingRunsOnly | typeof ratingRunsOnly;

/** `s` sums up the shards of the run `r`, `f` its failures. */
export const runFrom = (runs: RunsOfOneResource): string => `${runs}
  JOIN LATERAL (
    SELECT count(*)::integer AS shards, (count(*) FILTER (WHERE h.is_done))::integer AS shards_done,
      coalesce(sum(h.periods), 0)::integer AS periods,
      coalesce(sum(h.periods) FILTER (WHERE h.is_done), 0)::integer AS periods_done,
      coalesce(sum(h.issued), 0)::integer AS issued, coalesce(sum(h.already_issued), 0)::integer AS already_issued,
      coalesce(sum(h.drafted), 0)::integer AS drafted, coalesce(sum(h.carried_over), 0)::integer AS carried_over,
      coalesce(sum(h.rated_ms), 0)::integer AS rated_ms, coalesce(sum(h.issued_ms), 0)::integer AS issued_ms
    FROM (
      SELECT issued, already_issued, drafted, carried_over, rated_ms, issued_ms, state IN ('issued', 'done') AS is_done,
        cardinality(coalesce(billing_period_ids, subscription_ids)) AS periods
      FROM billing_run_shards WHERE run_id = r.id
    ) h
  ) s ON true
  JOIN LATERAL (SELECT count(*)::integer AS failures FROM rating_failures WHERE run_id = r.id) f ON true`;

export type NewRun = {
  readonly kind: RunKind;
  /** A month, or all that is due. */
  readonly of: Period | DueBounds;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  /** Null where the rater shall take the end of the stream. */
  readonly watermark: bigint | null;
  readonly requestId: string;
  readonly apiKeyId: string;
  /** The one that it finalizes, and nothing else, by the clock that its customer lives by. */
  readonly draft?: { readonly id: string; readonly testClockId: string | null };
};

const dateOf = (instant: Instant | undefined): Date | null => (instant === undefined ? null : new Date(instant));

/** Resolves with its id. */
export const addRun = async (db: Db, run: NewRun, now: Date): Promise<string> => {
  const id = newId('run');
  const { of } = run;
  const month = 'start' in of ? of : undefined;
  const due = 'until' in of ? of : undefined;
  await db.query(
    `INSERT INTO billing_runs (id, organization_id, kind, period_start, period_end, due_until, arrears_until,
       customer_id, subscription_id, watermark, state, created_at, updated_at, request_id, api_key_id,
       draft_id, drafts_only, test_clock_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $11, $12, $13, $14::text,
       $14::text IS NOT NULL, $15)`,
    [
      id,
      db.organizationId,
      run.kind,
      dateOf(month?.start),
      dateOf(month?.end),
      dateOf(due?.until),
      dateOf(due?.arrearsUntil),
      run.customerId,
      run.subscriptionId,
      run.watermark,
      now,
      run.requestId,
      run.apiKeyId,
      run.draft?.id ?? null,
      run.draft?.testClockId ?? null,
    ],
  );
  await notify(db, billingChannels.runQueued);
  return id;
};

export const runStateOf = async (db: Db, runs: RunsOfOneResource, id: string): Promise<RunState | undefined> => {
  const { rows } = await db.query<{ state: RunState }>(
    `SELECT r.state FROM ${runs} WHERE r.organization_id = $1 AND r.id = $2`,
    [db.organizationId, id],
  );
  return rows[0]?.state;
};
