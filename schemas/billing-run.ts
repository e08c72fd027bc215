import type { Instant } from '#schemas/period.ts';

/**
 * What comes of a run: `billing` issues invoices; `rating` keeps rated lines as a billing run would; `dry_rating` keeps
 * its lines apart from all that is billed.
 */
const runKinds = ['billing', 'rating', 'dry_rating'] as const;
export type RunKind = (typeof runKinds)[number];

/**
 * The unit of work of a billing run, which rater and invoicer lease one after the other.
 */
export type Shard = {
  readonly runId: string;
  readonly shardNumber: number;
  readonly organizationId: string;
  readonly kind: RunKind;
  /** The highest stream sequence that the run bills. */
  readonly watermark: bigint;
  /** In the order in which their invoices are numbered. */
  readonly billingPeriodIds: readonly string[];
  /** The drafts that it finalizes, whose billing periods these are; empty where it makes what is due. */
  readonly draftIds: readonly string[];
  /** Whether drafts are made of it in place of invoices. */
  readonly makesDrafts: boolean;
  /** Of the request that asked for the run. */
  readonly requestId: string | undefined;
  /** The hour by which it is billed, where that is the hour of a test clock. */
  readonly clockNow: Instant | undefined;
  /** Which attempt at it this one is, from 1: the name of its lease. */
  readonly attempt: number;
};

/** A shard as it is leased. */
export type ShardRow = {
  run_id: string;
  shard_number: number;
  organization_id: string;
  kind: RunKind;
  watermark: bigint;
  billing_period_ids: string[];
  draft_ids: string[];
  makes_drafts: boolean;
  request_id: string | null;
  clock_now: Date | null;
  attempts: number;
};

export const shardFromRow = (row: ShardRow): Shard => ({
  runId: row.run_id,
  shardNumber: row.shard_number,
  organizationId: row.organization_id,
  kind: row.kind,
  watermark: row.watermark,
  billingPeriodIds: row.billing_period_ids,
  draftIds: row.draft_ids,
  makesDrafts: row.makes_drafts,
  requestId: row.request_id ?? undefined,
  clockNow: row.clock_now?.getTime(),
  attempt: row.attempts,
});

/** How logs and spans name a shard; `request_id` is the name that it has in every process. */
export const shardFields = (shard: Shard) => ({
  ...(shard.requestId === undefined ? {} : { request_id: shard.requestId }),
  run_id: shard.runId,
  organization_id: shard.organizationId,
  shard: shard.shardNumber,
});

/** The word of the audit log for what becomes of a run; all runs are objects of one type. */
export const runAction = (kind: RunKind, how: 'created' | 'completed' | 'failed'): string =>
  `${kind === 'billing' ? 'billing_run' : 'rating_run'}.${how}`;

/** The entry of the audit log for a run that came to its end. */
export const runEnded = (kind: RunKind, how: 'completed' | 'failed', runId: string) => ({
  action: runAction(kind, how),
  objectType: 'billing_run',
  objectId: runId,
});

/** Channels of PostgreSQL's notices: who waits for a run, for shards to rate, for shards to issue. */
export const billingChannels = {
  runQueued: 'billing_run_queued',
  shardsQueued: 'billing_shards_queued',
  shardRated: 'billing_shard_rated',
} as const;
