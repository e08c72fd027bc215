/** The unit of work of a billing run, which rater and invoicer lease one after the other by `lease_billing_run_shard`. */
import type { Period } from '#schemas/period.ts';

export type Shard = {
  readonly runId: string;
  readonly shardNumber: number;
  readonly organizationId: string;
  readonly period: Period;
  /** The highest stream sequence that the run bills. */
  readonly watermark: bigint;
  readonly subscriptionIds: readonly string[];
};

/** A row of `lease_billing_run_shard`. */
export type ShardRow = {
  run_id: string;
  shard_number: number;
  organization_id: string;
  period_start: Date;
  period_end: Date;
  watermark: bigint;
  subscription_ids: string[];
};

export const shardFromRow = (row: ShardRow): Shard => ({
  runId: row.run_id,
  shardNumber: row.shard_number,
  organizationId: row.organization_id,
  period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  watermark: row.watermark,
  subscriptionIds: row.subscription_ids,
});

/** A bug that stops a shard this often fails its run. */
export const shardAttemptsMax = 5;
