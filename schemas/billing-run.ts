/**
 * The unit of work of a billing run, which rater and invoicer lease one after the other.
 */
export type Shard = {
  readonly runId: string;
  readonly shardNumber: number;
  readonly organizationId: string;
  /** The highest stream sequence that the run bills. */
  readonly watermark: bigint;
  /** In the order in which their invoices are numbered. */
  readonly billingPeriodIds: readonly string[];
  /** Of the request that asked for the run. */
  readonly requestId: string | undefined;
};

/** A row of `lease_shard_to_rate` and `lease_shard_to_issue`. */
export type ShardRow = {
  run_id: string;
  shard_number: number;
  organization_id: string;
  watermark: bigint;
  billing_period_ids: string[];
  request_id: string | null;
};

export const shardFromRow = (row: ShardRow): Shard => ({
  runId: row.run_id,
  shardNumber: row.shard_number,
  organizationId: row.organization_id,
  watermark: row.watermark,
  billingPeriodIds: row.billing_period_ids,
  requestId: row.request_id ?? undefined,
});

/** How logs and spans name a shard; `request_id` is the name that it has in every process. */
export const shardFields = (shard: Shard) => ({
  ...(shard.requestId === undefined ? {} : { request_id: shard.requestId }),
  run_id: shard.runId,
  organization_id: shard.organizationId,
  shard: shard.shardNumber,
});

/** A bug that stops a shard this often fails its run. */
const attemptsMax = 5;
const reasonCharactersMax = 2_000;

/**
 * A statement with its values. The rules stand in the functions of migrations 0001, 0013 and 0016; rater and invoicer
 * both call them.
 */
export type Statement = readonly [text: string, values: readonly unknown[]];

/** Takes one shard that waits to be rated. */
export const leaseToRate = (leaseSeconds: number): Statement => [
  'SELECT * FROM lease_shard_to_rate($1)',
  [leaseSeconds],
];

/** Takes one rated shard, of an organization that no other invoicer works for. */
export const leaseToIssue = (leaseSeconds: number): Statement => [
  'SELECT * FROM lease_shard_to_issue($1)',
  [leaseSeconds],
];

/** The entry of the audit log for a run that came to its end. */
export const runEnded = (how: 'completed' | 'failed', runId: string) => ({
  action: `billing_run.${how}`,
  objectType: 'billing_run',
  objectId: runId,
});

/** Gives a shard back after a fault; `passing` says that a later try may succeed by itself. */
export const giveUpShardStatement = (shard: Shard, error: unknown, passing: boolean): Statement => {
  const reason = error instanceof Error ? error.message : String(error);
  return [
    'SELECT give_up_billing_run_shard($1, $2, $3, $4, $5)',
    [shard.runId, shard.shardNumber, reason.slice(0, reasonCharactersMax), passing, attemptsMax],
  ];
};
