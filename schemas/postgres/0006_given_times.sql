-- Two functions that work as their owner, for all organizations, at a time that their caller gives: one that lies ahead would forget answers that still have
-- to be repeated, and write down uses that never were. Whether the caller's clock is wrong or its login stolen, ours is the latest that counts.
CREATE OR REPLACE FUNCTION touch_api_keys(used_ids text[], used_at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
  UPDATE api_keys SET last_used_at = least(used_at, now())
  WHERE id = ANY (used_ids) AND (last_used_at IS NULL OR last_used_at < used_at - interval '1 minute')
$$;
CREATE OR REPLACE FUNCTION purge_idempotency_keys(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
  WITH gone AS (
    DELETE FROM idempotency_keys WHERE (organization_id, key) IN (
      SELECT organization_id, key FROM idempotency_keys WHERE expires_at < least(now_is, now())
      ORDER BY expires_at LIMIT 10000 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
  ) SELECT count(*) FROM gone
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION touch_api_keys(text[], timestamptz) SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION purge_idempotency_keys(timestamptz) SET search_path = %I, pg_temp', current_schema());
END $$;
