-- What logs and gauges ask of billing runs.

-- The lease says too which request asked for the run, so that every line of a log about a shard can name it. The columns of a function's table can't be
-- changed in place; its rules are those of 0001.
DROP FUNCTION lease_billing_run_shard(text, integer);
CREATE FUNCTION lease_billing_run_shard(wanted_state text, lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, period_start timestamptz, period_end timestamptz, watermark bigint, subscription_ids text[], request_id text)
LANGUAGE sql AS $$
  -- A shard that took so many processes with it is given up, by name, rather than tried for ever.
  WITH failed AS (
    UPDATE billing_run_shards s SET state = 'failed', failure = 'the process that worked on it died, 20 times'
    WHERE s.state = wanted_state AND s.attempts >= 20 AND s.leased_until < clock_timestamp()
    RETURNING s.run_id, s.failure
  )
  UPDATE billing_runs r SET state = 'failed', failure = f.failure, updated_at = clock_timestamp() FROM failed f WHERE r.id = f.run_id;
  WITH candidate AS (
    SELECT s.run_id, s.shard_number FROM billing_run_shards s
    WHERE s.state = wanted_state AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
    -- Those that were given back stand behind those that were not tried yet, so that one organization's trouble holds up no other.
    ORDER BY s.leased_until NULLS FIRST, s.run_id, s.shard_number LIMIT 1 FOR UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE billing_run_shards s SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = s.attempts + 1
    FROM candidate c WHERE s.run_id = c.run_id AND s.shard_number = c.shard_number
    RETURNING s.run_id, s.shard_number, s.subscription_ids
  )
  SELECT l.run_id, l.shard_number, r.organization_id, r.period_start, r.period_end, r.watermark, l.subscription_ids, r.request_id
  FROM leased l JOIN billing_runs r ON r.id = l.run_id
$$;
REVOKE ALL ON FUNCTION lease_billing_run_shard(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lease_billing_run_shard(text, integer) TO millrace_worker;

-- Read at every scrape: runs that are not done, and those that failed lately.
CREATE INDEX billing_runs_unfinished ON billing_runs (state, updated_at) WHERE state IN ('queued', 'running', 'failed');
