-- Test clocks of a sandbox: customers who live by one, and not by the hour of all. Nothing becomes due of them until their clock is advanced.
CREATE TABLE test_clocks (
  id              text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations,
  name            text,
  -- The hour of its customers. While it advances it stands at what was done last.
  now_at          timestamptz NOT NULL,
  state           text NOT NULL CHECK (state IN ('ready', 'advancing')),
  target_at       timestamptz CHECK (target_at >= now_at),
  -- Why it stopped before its target.
  failure         text,
  metadata        jsonb NOT NULL,
  version         integer NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  UNIQUE (organization_id, id),
  CHECK ((target_at IS NOT NULL) = (state = 'advancing'))
);
CREATE INDEX test_clocks_by_creation ON test_clocks (organization_id, created_at DESC, id DESC);
GRANT SELECT ON test_clocks TO millrace_app, millrace_worker;
GRANT INSERT ON test_clocks TO millrace_app;
GRANT UPDATE ON test_clocks TO millrace_app, millrace_worker;
ALTER TABLE test_clocks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON test_clocks TO millrace_app USING (organization_id = (SELECT current_organization()));
CREATE POLICY every_organization ON test_clocks TO millrace_worker USING (true);

-- For good, from its creation on.
ALTER TABLE customers ADD COLUMN test_clock_id text, ADD FOREIGN KEY (organization_id, test_clock_id) REFERENCES test_clocks (organization_id, id);
CREATE INDEX customers_by_clock ON customers (test_clock_id) WHERE test_clock_id IS NOT NULL;

ALTER TABLE subscriptions
  -- That of the customer.
  ADD COLUMN test_clock_id  text,
  -- In place of next_due_at.
  ADD COLUMN clocked_due_at timestamptz,
  ADD FOREIGN KEY (organization_id, test_clock_id) REFERENCES test_clocks (organization_id, id),
  ADD CONSTRAINT subscriptions_by_one_clock CHECK (CASE WHEN test_clock_id IS NULL THEN clocked_due_at ELSE next_due_at END IS NULL);
GRANT UPDATE (clocked_due_at) ON subscriptions TO millrace_worker;
CREATE INDEX subscriptions_by_clock ON subscriptions (test_clock_id, clocked_due_at) WHERE test_clock_id IS NOT NULL;

-- A run of a clock bills the customers who live by it, and nobody else does.
ALTER TABLE billing_runs
  ADD COLUMN test_clock_id text,
  ADD FOREIGN KEY (organization_id, test_clock_id) REFERENCES test_clocks (organization_id, id),
  DROP CONSTRAINT billing_runs_asked_by_check,
  ADD CONSTRAINT billing_runs_asked_by_check CHECK (asked_by IN ('caller', 'scheduler', 'clock')),
  ADD CONSTRAINT billing_runs_of_clock CHECK ((test_clock_id IS NOT NULL) = (asked_by = 'clock'));
-- One after the other, in the order of time.
CREATE UNIQUE INDEX billing_runs_one_of_clock ON billing_runs (test_clock_id) WHERE test_clock_id IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX billing_runs_by_clock ON billing_runs (test_clock_id, due_until) WHERE test_clock_id IS NOT NULL;

-- Woken in the very transaction, as whoever closes periods is.
CREATE FUNCTION wake_clock() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE of_clock text := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
  PERFORM graphile_worker.add_job('advance_clock', json_build_object('test_clock_id', of_clock), job_key => 'advance_clock ' || of_clock);
  RETURN NULL;
END $$;
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION wake_clock() SET search_path = %I, pg_temp', current_schema());
  EXECUTE 'REVOKE ALL ON FUNCTION wake_clock() FROM PUBLIC';
END $$;
CREATE TRIGGER wakes_clock AFTER UPDATE OF state ON test_clocks FOR EACH ROW WHEN (NEW.state = 'advancing') EXECUTE FUNCTION wake_clock('id');
CREATE TRIGGER wakes_clock AFTER UPDATE OF state ON billing_runs FOR EACH ROW
  WHEN (NEW.test_clock_id IS NOT NULL AND NEW.state IN ('completed', 'failed') AND OLD.state IN ('queued', 'running'))
  EXECUTE FUNCTION wake_clock('test_clock_id');
