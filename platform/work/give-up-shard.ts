/** Rater and invoicer give a shard back in the same way, with the audit entry of a run that fails by it. */
import { giveUpShardStatement, runEnded, type Shard } from '#schemas/billing-run.ts';
import { recordChange } from '../audit/record-change.ts';
import type { Postgres } from '../stores/postgres.ts';

export const giveUpShard = (
  postgres: Pick<Postgres, 'transaction'>,
  actor: 'rater' | 'invoicer',
  shard: Shard,
  error: unknown,
  passing: boolean,
): Promise<void> =>
  postgres.transaction(async (client) => {
    await client.query(...giveUpShardStatement(shard, error, passing));
    // A run that had failed before is said to fail by this shard now: its row changed again, and so it has another
    // entry.
    const { rows } = await client.query<{ now: Date }>(
      `SELECT updated_at AS now FROM billing_runs
       WHERE id = $1 AND state = 'failed' AND updated_at >= now() FOR UPDATE`,
      [shard.runId],
    );
    const [failed] = rows;
    if (!failed) return;
    await recordChange(
      { query: client.query, organizationId: shard.organizationId },
      { actor, requestId: shard.requestId, result: 'done' },
      [runEnded('failed', shard.runId)],
      failed.now.getTime(),
    );
  });
