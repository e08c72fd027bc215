-- What a service's login could still put under code of ours: a name without a schema is looked up when its function runs, and in the temporary tables and
-- views of the session first, which every login may make. A view `api_keys` of a caller's own, with a function of its own in it, would run with the rights of
-- the owner; a table `invoices` of a caller's own would say that no invoice is issued yet. So these look at our schema, and at temporary names last.
DO $$
DECLARE one regprocedure;
BEGIN
  FOR one IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
    AND p.proname IN ('find_api_key', 'touch_api_keys', 'find_data_key', 'purge_idempotency_keys', 'refuse_late_line', 'refuse_change') LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
  END LOOP;
  -- A cluster from before PostgreSQL 15 lets everyone make tables and functions here.
  EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
END $$;
