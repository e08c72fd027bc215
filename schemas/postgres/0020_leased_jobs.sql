-- Leases of runs and shards follow one set of rules, which stand in platform/work: the functions that had each their own are gone.

-- A run that can't be prepared has a dead end like a shard, and waits for its next attempt like one.
ALTER TABLE billing_runs ADD COLUMN attempts integer NOT NULL DEFAULT 0;
DROP INDEX billing_runs_queued;
CREATE INDEX billing_runs_queued ON billing_runs (leased_until NULLS FIRST, updated_at, id) WHERE state = 'queued';

-- What took too many processes with it is met where it would be taken next, and not looked for.
DROP INDEX billing_run_shards_deadly;

DROP FUNCTION lease_shard_to_rate(integer);
DROP FUNCTION lease_shard_to_issue(integer);
DROP FUNCTION runs_with_rated_shards();
DROP FUNCTION give_up_billing_run_shard(text, integer, text, boolean, integer);
DROP FUNCTION fail_deadly_billing_run_shards();
