-- Rows of the outbox have no index by their id, so what is forgotten is found by where it lies and not by its id: else the whole table was read for
-- each few rows.
CREATE OR REPLACE FUNCTION remove_old_outbox_rows(now_is timestamptz)
RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
  WITH gone AS (
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM outbox WHERE occurred_at < least(now_is, now()) - interval '30 days' ORDER BY occurred_at LIMIT 5000 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
  ) SELECT count(*) FROM gone
$$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION remove_old_outbox_rows(timestamptz) SET search_path = %I, pg_temp', current_schema());
END $$;
