-- What the audit log says of an object covers every column of its rows (schemas/audited-objects.ts), so that a change past the application shows. Entries from before
-- have none, and are held against the number of changes alone.
ALTER TABLE audit_log ADD COLUMN stored_digest text;

-- Of the rated lines of a shard, as they stood when it was rated; goes into the entry of its run. Null in shards from before.
ALTER TABLE billing_run_shards ADD COLUMN lines_digest text;

-- Leases as before, and fails nothing any more: a run that fails has an entry in the audit log, which the rater writes (rater/billing-runs.postgres.ts).
CREATE OR REPLACE FUNCTION lease_billing_run_shard(wanted_state text, lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, period_start timestamptz, period_end timestamptz, watermark bigint, subscription_ids text[], request_id text)
LANGUAGE sql AS $$
  WITH candidate AS (
    SELECT s.run_id, s.shard_number FROM billing_run_shards s
    WHERE s.state = wanted_state AND s.attempts < 20 AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
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

-- Shards that took twenty processes with them are given up, by name, rather than tried for ever. Answers the runs that fail by that.
CREATE FUNCTION fail_deadly_billing_run_shards()
RETURNS TABLE (run_id text, organization_id text, request_id text)
LANGUAGE sql AS $$
  WITH failed AS (
    UPDATE billing_run_shards s SET state = 'failed', failure = 'the process that worked on it died, 20 times'
    WHERE s.state IN ('queued', 'rated') AND s.attempts >= 20 AND s.leased_until < clock_timestamp()
    RETURNING s.run_id, s.failure
  )
  UPDATE billing_runs r SET state = 'failed', failure = f.failure, updated_at = clock_timestamp() FROM failed f WHERE r.id = f.run_id
  RETURNING r.id, r.organization_id, r.request_id
$$;
DO $$ BEGIN
  EXECUTE 'REVOKE ALL ON FUNCTION fail_deadly_billing_run_shards() FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION fail_deadly_billing_run_shards() TO millrace_worker;
