-- Leases that cost the same however much waits, and that no network is waited for in.

-- A run that is being prepared: the rater asks the stream and the store without a transaction open.
ALTER TABLE billing_runs ADD COLUMN leased_until timestamptz;

-- In the order in which shards are taken to be rated: the first one is the next one.
DROP INDEX billing_run_shards_open;
CREATE INDEX billing_run_shards_queued ON billing_run_shards (leased_until NULLS FIRST, run_id, shard_number) WHERE state = 'queued';
CREATE INDEX billing_run_shards_rated ON billing_run_shards (run_id, leased_until NULLS FIRST, shard_number) WHERE state = 'rated';
CREATE INDEX invoices_by_run ON invoices (run_id) WHERE run_id IS NOT NULL;

-- The invoices of an organization are chained, so one invoicer at a time works for it; the others work for others.
ALTER TABLE invoice_series ADD COLUMN leased_until timestamptz;

DROP FUNCTION lease_billing_run_shard(text, integer);
CREATE FUNCTION lease_shard_to_rate(lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, watermark bigint, billing_period_ids text[], request_id text)
LANGUAGE sql AS $$
  WITH candidate AS (
    SELECT s.run_id, s.shard_number FROM billing_run_shards s
    WHERE s.state = 'queued' AND s.attempts < 20 AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
    -- Those that were given back stand behind those that were not tried yet, so that one organization's trouble holds up no other.
    ORDER BY s.leased_until NULLS FIRST, s.run_id, s.shard_number LIMIT 1 FOR UPDATE SKIP LOCKED
  ), leased AS (
    UPDATE billing_run_shards s SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = s.attempts + 1
    FROM candidate c WHERE s.run_id = c.run_id AND s.shard_number = c.shard_number
    RETURNING s.run_id, s.shard_number, s.billing_period_ids
  )
  SELECT l.run_id, l.shard_number, r.organization_id, r.watermark, l.billing_period_ids, r.request_id
  FROM leased l JOIN billing_runs r ON r.id = l.run_id
$$;

-- Runs that have rated shards, one step of the index each, however many shards they have.
CREATE FUNCTION runs_with_rated_shards() RETURNS TABLE (run_id text) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE runs AS (
    (SELECT s.run_id FROM billing_run_shards s WHERE s.state = 'rated' ORDER BY s.run_id LIMIT 1)
    UNION ALL
    SELECT (SELECT s.run_id FROM billing_run_shards s WHERE s.state = 'rated' AND s.run_id > runs.run_id ORDER BY s.run_id LIMIT 1)
    FROM runs WHERE runs.run_id IS NOT NULL
  )
  SELECT runs.run_id FROM runs WHERE runs.run_id IS NOT NULL
$$;

-- Takes a shard of an organization that nobody issues invoices of, and the organization with it.
CREATE FUNCTION lease_shard_to_issue(lease_seconds integer)
RETURNS TABLE (run_id text, shard_number integer, organization_id text, watermark bigint, billing_period_ids text[], request_id text)
LANGUAGE sql AS $$
  INSERT INTO invoice_series (organization_id, last_number, head_hash)
    SELECT DISTINCT r.organization_id, 0, repeat('0', 64) FROM runs_with_rated_shards() w JOIN billing_runs r ON r.id = w.run_id
    WHERE NOT EXISTS (SELECT 1 FROM invoice_series i WHERE i.organization_id = r.organization_id)
    ON CONFLICT DO NOTHING;
  WITH free AS (
    SELECT i.organization_id, w.run_id FROM runs_with_rated_shards() w JOIN billing_runs r ON r.id = w.run_id
    JOIN invoice_series i ON i.organization_id = r.organization_id
    WHERE (i.leased_until IS NULL OR i.leased_until < clock_timestamp())
      AND EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = w.run_id AND s.state = 'rated' AND s.attempts < 20
        AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp()))
    ORDER BY w.run_id LIMIT 1 FOR UPDATE OF i SKIP LOCKED
  ), candidate AS (
    SELECT s.run_id, s.shard_number FROM free JOIN billing_run_shards s ON s.run_id = free.run_id
    WHERE s.state = 'rated' AND s.attempts < 20 AND (s.leased_until IS NULL OR s.leased_until < clock_timestamp())
    ORDER BY s.leased_until NULLS FIRST, s.shard_number LIMIT 1 FOR UPDATE OF s SKIP LOCKED
  ), leased AS (
    UPDATE billing_run_shards s SET leased_until = clock_timestamp() + make_interval(secs => lease_seconds), attempts = s.attempts + 1
    FROM candidate c WHERE s.run_id = c.run_id AND s.shard_number = c.shard_number
    RETURNING s.run_id, s.shard_number, s.billing_period_ids, s.leased_until
  ), organization AS (
    UPDATE invoice_series i SET leased_until = l.leased_until FROM leased l JOIN billing_runs r ON r.id = l.run_id WHERE i.organization_id = r.organization_id
  )
  SELECT l.run_id, l.shard_number, r.organization_id, r.watermark, l.billing_period_ids, r.request_id
  FROM leased l JOIN billing_runs r ON r.id = l.run_id
$$;

-- As before, and the organization is free for the next one where its invoices were not issued.
CREATE OR REPLACE FUNCTION give_up_billing_run_shard(of_run text, of_shard integer, reason text, passing boolean, attempts_max integer)
RETURNS void LANGUAGE sql AS $$
  UPDATE invoice_series SET leased_until = NULL WHERE organization_id = (SELECT organization_id FROM billing_runs WHERE id = of_run)
    AND EXISTS (SELECT 1 FROM billing_run_shards WHERE run_id = of_run AND shard_number = of_shard AND state = 'rated');
  UPDATE billing_run_shards SET
    leased_until = clock_timestamp() + interval '2 seconds',
    attempts = CASE WHEN passing THEN attempts - 1 ELSE attempts END,
    failure = reason,
    state = CASE WHEN NOT passing AND attempts >= attempts_max THEN 'failed' ELSE state END
  WHERE run_id = of_run AND shard_number = of_shard AND state IN ('queued', 'rated');
  UPDATE billing_runs SET state = 'failed', failure = reason, updated_at = clock_timestamp()
  WHERE id = of_run AND EXISTS (SELECT 1 FROM billing_run_shards s WHERE s.run_id = of_run AND s.state = 'failed');
$$;
DO $$ BEGIN
  EXECUTE 'REVOKE ALL ON FUNCTION lease_shard_to_rate(integer), lease_shard_to_issue(integer), runs_with_rated_shards() FROM PUBLIC';
END $$;
GRANT EXECUTE ON FUNCTION lease_shard_to_rate(integer), lease_shard_to_issue(integer), runs_with_rated_shards() TO millrace_worker;
