-- What a dry run looked at goes with its lines. The ids of runs begin with the time of their making, so the old ones are the first of the key.
CREATE OR REPLACE FUNCTION remove_old_rating_lines(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
  WITH lines AS (
    DELETE FROM rating_run_lines WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM rating_run_lines WHERE rated_at < least(now_is, now()) - interval '30 days' ORDER BY rated_at LIMIT 5000 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
  ), periods AS (
    DELETE FROM rating_run_periods WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM rating_run_periods
      WHERE run_id < 'run_' || lpad(to_hex((extract(epoch FROM least(now_is, now()) - interval '30 days') * 1000)::bigint), 12, '0')
      ORDER BY run_id LIMIT 5000 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
  ) SELECT (SELECT count(*) FROM lines) + (SELECT count(*) FROM periods)
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION remove_old_rating_lines(timestamptz) SET search_path = %I, pg_temp', current_schema());
END $$;
