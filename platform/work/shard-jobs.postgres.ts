/** The shards of billing runs as jobs: what rater and invoicer have alike, each with its own of the two open states. */
import { runEnded, type Shard, type ShardRow, shardFromRow } from '#schemas/billing-run.ts';
import { recordChange } from '../audit/record-change.ts';
import type { Queryable } from '../stores/postgres.ts';
import { giveBack, type JobTable } from './leased-jobs.postgres.ts';

export const shardJobs: JobTable = {
  name: 'billing_run_shards',
  key: ['run_id', 'shard_number'],
  openStates: ['queued', 'rated'],
};

/** Runs a statement that ends in `leased`, and reads the shard that it took; `$2` and so on are `more`. */
export const leaseShard = async (
  client: Queryable,
  parts: string,
  leaseSeconds: number,
  more: readonly unknown[] = [],
): Promise<Shard | undefined> => {
  const { rows } = await client.query<ShardRow>(
    `WITH RECURSIVE ${parts}
     SELECT l.run_id, l.shard_number, l.attempts, l.billing_period_ids, l.draft_ids, l.makes_drafts, r.organization_id,
       r.kind, r.watermark, r.request_id, CASE WHEN r.test_clock_id IS NOT NULL THEN r.due_until END AS clock_now
     FROM leased l JOIN billing_runs r ON r.id = l.run_id`,
    [leaseSeconds, ...more],
  );
  return rows[0] && shardFromRow(rows[0]);
};

/** Gives a shard back after a fault; its dead end is that of its run as well, with the entry in the audit log. */
export const giveBackShard = async (
  client: Queryable,
  actor: 'rater' | 'invoicer',
  shard: Shard,
  error: unknown,
): Promise<void> => {
  if (await giveBack(client, shardJobs, shard, [shard.runId, shard.shardNumber], error))
    await failRunOf(client, actor, shard);
};

/** The dead end of a run by that of a shard. */
const failRunOf = async (client: Queryable, actor: 'rater' | 'invoicer', shard: Shard): Promise<void> => {
  // A run that had failed before fails by this shard now: its row changes again, and so it has another entry.
  const { rows } = await client.query<{ now: Date }>(
    `UPDATE billing_runs r SET state = 'failed', failure = s.failure, updated_at = clock_timestamp()
     FROM billing_run_shards s WHERE r.id = $1 AND s.run_id = $1 AND s.shard_number = $2 RETURNING r.updated_at AS now`,
    [shard.runId, shard.shardNumber],
  );
  for (const { now } of rows)
    await recordChange(
      { query: client.query, organizationId: shard.organizationId },
      { actor, requestId: shard.requestId, result: 'done' },
      [runEnded(shard.kind, 'failed', shard.runId)],
      now.getTime(),
    );
};
